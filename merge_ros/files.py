"""Files that are either whole or not there, and names that are safe for them."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Write a file under a temporary name beside it, then rename: readers see the old file or the new one.

    Args:
        path: where the file shall be; its folder is made.

    Yields:
        The temporary path, with the same suffix. If the block raises, it is removed and `path` stays as it was.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem}-", suffix=path.suffix)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(0o666 & ~_umask())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def safe_name(text: str, length: int = 60) -> str:
    """A file name made of what somebody typed: it cannot leave its folder, be hidden, or need quoting in a shell.

    Args:
        text: anything; accents and other alphabets are lost.
        length: most characters of the name.

    Returns:
        Lower-case letters, digits, `_` and single `-` inside; "unnamed" where nothing of the text is left.
    """
    return re.sub(r"[^a-z0-9_]+", "-", text.lower())[:length].strip("-_") or "unnamed"


def _umask() -> int:
    # The only way to read it is to set it; mkstemp makes files for the owner alone, which readers would trip over.
    mask = os.umask(0)
    os.umask(mask)
    return mask
