"""What the processes of the demo tell the one that started them: a line of JSON on standard output per event."""

from __future__ import annotations

import json
import sys
from typing import Any


def emit(event: str, **values: Any) -> None:
    """Tell the parent; when it is gone, nobody needs to know."""
    try:
        print(json.dumps({"event": event, **values}), flush=True)
    except BrokenPipeError:
        sys.stdout = None


def parse(line: str) -> dict[str, Any] | None:
    """The event in a line, None when it is something else."""
    try:
        values = json.loads(line)
    except ValueError:
        return None
    return values if isinstance(values, dict) and "event" in values else None
