"""Files and folders that are either whole or not there, and names that are safe for them."""

from __future__ import annotations

import logging
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from merge_ros.errors import InputError

logger = logging.getLogger(__name__)


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


@contextmanager
def atomic_folder(path: Path, *, overwrite: bool = False) -> Iterator[Path]:
    """Fill a folder under a temporary name beside it, then rename: it appears whole or not at all.

    Args:
        path: where the folder shall be; its parent is made.
        overwrite: whether it may take the place of a folder that is there.

    Yields:
        The temporary folder, empty. If the block raises, it is removed and `path` stays as it was.

    Raises:
        InputError: there is something at `path` already, and it may not be overwritten, or is no folder.
    """
    _check_free(path, overwrite)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}-"))
    try:
        yield temporary
        temporary.chmod(0o777 & ~_umask())
        _check_free(path, overwrite)
        # A folder cannot be renamed onto one that holds something: the old one steps aside first.
        old = path.with_name(f"{temporary.name}-old")
        if path.exists():
            path.replace(old)
        try:
            temporary.replace(path)
        except OSError:
            if old.exists():
                old.replace(path)
            raise
        shutil.rmtree(old, ignore_errors=True)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _check_free(path: Path, overwrite: bool) -> None:
    if path.is_symlink() or (path.exists() and not path.is_dir()):
        raise InputError(f"{path} exists and is no folder")
    if path.exists() and not overwrite:
        raise InputError(f"{path} exists already, and overwriting was not asked for")


def keep_for_later(path: Path, content: bytes) -> None:
    """Write a file that only saves time later: one that cannot be written costs a warning, and no more."""
    try:
        with atomic_write(path) as temporary:
            temporary.write_bytes(content)
    except OSError as error:
        logger.warning("%s cannot be kept, so that its content will have to be made again: %s", path, error)


def _umask() -> int:
    # The only way to read it is to set it; mkstemp makes files for the owner alone, which readers would trip over.
    mask = os.umask(0)
    os.umask(mask)
    return mask
