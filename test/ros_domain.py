"""A ROS domain for each test module or scenario, which no other test on this machine uses at the same time."""

from __future__ import annotations

import fcntl
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# `merge-ros demo` looks for a free one from 40 on.
DOMAINS = range(1, 40)


@contextmanager
def own_domain() -> Iterator[int]:
    """The domain's number; it is taken, also from the tests of other processes and trees, until the block ends."""
    first = os.getpid() % len(DOMAINS)
    for domain in (*DOMAINS[first:], *DOMAINS[:first]):
        with Path(tempfile.gettempdir(), f"merge_ros_test_domain_{domain}.lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # goes with the process, however that ends
            except BlockingIOError:
                continue
            yield domain
            return
    raise RuntimeError(f"tests use every ROS domain from {DOMAINS[0]} to {DOMAINS[-1]} at this moment")
