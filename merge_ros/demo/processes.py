"""Child processes that speak in events, and that never outlive the demo."""

from __future__ import annotations

import contextlib
import queue
import signal
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

from merge_ros.demo.events import parse
from merge_ros.errors import MergeError

GRACE = 5.0  # seconds between SIGINT, SIGTERM and SIGKILL
LOG_TAIL = 15  # lines shown of a process that failed


class DemoError(MergeError):
    """A process of the demo failed; the message holds its last words."""


class Processes:
    """The children of the demo. Use it in a `with` block: at its end all are ended.

    Args:
        environment: of every child.
        work: their current folder (Python looks there first for modules, so it holds no code), where what each writes
            to standard error becomes `NAME.log`; must exist.
    """

    def __init__(self, environment: dict[str, str], work: Path) -> None:
        self._environment = environment
        self._work = work
        self._running: dict[str, subprocess.Popen[str]] = {}
        self._events: queue.Queue[tuple[str, dict[str, Any]]] = queue.Queue()

    def start(self, name: str, command: Sequence[str]) -> None:
        """Start a child; its standard output is read for events, everything else goes to its log."""
        with self.log(name).open("w") as log:
            process = subprocess.Popen(
                command,
                env=self._environment,
                cwd=self._work,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        self._running[name] = process
        threading.Thread(target=self._read, args=(name, process), daemon=True).start()

    def log(self, name: str) -> Path:
        """Where a child's standard error goes."""
        return self._work / f"{name.replace(' ', '_')}.log"

    def wait_for_event(self) -> tuple[str, dict[str, Any]]:
        """The next event of any child as (name, event), however long it takes: the last one of each is `exit`."""
        return self._events.get()

    def next_event(self, timeout: float) -> tuple[str, dict[str, Any]] | None:
        """The same, or None when nothing came within `timeout` seconds."""
        with contextlib.suppress(queue.Empty):
            return self._events.get(timeout=timeout)
        return None

    def tell(self, name: str, line: str) -> None:
        """Write a line to a child's standard input."""
        stdin = self._running[name].stdin
        if stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                stdin.write(line + "\n")
                stdin.flush()

    def interrupt(self, name: str) -> None:
        """Send SIGINT, as Ctrl-C does, and return at once."""
        self._running[name].send_signal(signal.SIGINT)

    def failure(self, name: str, what: str) -> DemoError:
        """An error with the last words of a child."""
        lines = self.log(name).read_text(errors="replace").strip().splitlines()[-LOG_TAIL:]
        said = "\n".join(f"  {line}" for line in lines) or "  (it wrote nothing)"
        return DemoError(f"{what}; the {name} says:\n{said}")

    def __enter__(self) -> Processes:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
            alive = [process for process in self._running.values() if process.poll() is None]
            for process in alive:
                process.send_signal(number)
            deadline = time.monotonic() + GRACE
            for process in alive:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(max(0.0, deadline - time.monotonic()))

    def _read(self, name: str, process: subprocess.Popen[str]) -> None:
        with self.log(name).open("a") as log:
            for line in process.stdout or ():
                event = parse(line)
                if event is None:
                    log.write(line)
                else:
                    self._events.put((name, event))
        self._events.put((name, {"event": "exit", "status": process.wait()}))


@contextmanager
def terminated_is_interrupted() -> Iterator[None]:
    """SIGTERM raises KeyboardInterrupt, so that it ends the children too."""

    def interrupt(number: int, frame: Any) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
