"""Shared memory that killed processes have left behind: Fast DDS takes none of it back by itself."""

from __future__ import annotations

import fcntl
import logging
import re
import time
from pathlib import Path

FOLDER = Path("/dev/shm")
# Fast DDS keeps a lock on the second file for as long as the process that owns the segment lives, and its own
# `fastdds shm clean` goes by that lock (eProsima/Fast-DDS, tools/fastdds/shm/clean.py).
LOCK = re.compile(r"(fastrtps_[0-9a-z]{16})_el")
YOUNG = 10.0  # seconds; a process that is just starting may not hold its lock yet

logger = logging.getLogger(__name__)


def remove_abandoned_segments(folder: Path = FOLDER) -> int:
    """Remove the segments of Fast DDS whose process is gone; those of other users stay.

    With config/fastdds_shm.xml a process has a segment of 67 MB, and a node that is killed and started again and again
    would fill the memory.

    Returns:
        Bytes that were freed.
    """
    freed = 0
    for lock in folder.glob("fastrtps_*_el"):
        name = LOCK.fullmatch(lock.name)
        try:
            if name is None or time.time() - lock.stat().st_mtime < YOUNG:
                continue
            with lock.open("rb") as handle:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                segment = folder / name[1]
                size = segment.stat().st_size if segment.is_file() else 0
                segment.unlink(missing_ok=True)
                lock.unlink()
                freed += size
        except OSError:  # its process lives, it belongs to another user, or another process was faster
            continue
    if freed:
        logger.warning("%.0f MB of shared memory freed, left by processes that were killed", freed / 1e6)
    return freed
