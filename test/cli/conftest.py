"""The command line in this process, where torch is loaded once for all tests; each verb also runs as users run it."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable
from typing import NamedTuple

import pytest

from merge_ros.cli.main import main


class Done(NamedTuple):
    """As `subprocess.CompletedProcess` has it."""

    returncode: int
    stdout: str
    stderr: str


@pytest.fixture(scope="session")
def merge_ros() -> Callable[..., Done]:
    """`merge_ros(*words)` is `merge-ros WORDS`."""

    def run(*words: object) -> Done:
        with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(io.StringIO()) as err:
            try:
                status = main([*map(str, words)])
            except SystemExit as end:  # argparse's way
                status = int(end.code or 0)
        return Done(status, out.getvalue(), err.getvalue())

    return run
