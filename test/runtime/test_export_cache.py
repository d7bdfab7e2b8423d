"""An exported model that cannot be kept is an error that names the place; nothing half-written stays."""

from __future__ import annotations

import resource
import subprocess
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("filelock")
pytest.importorskip("torch")

from merge_ros.config import EstimatorSettings
from merge_ros.errors import BackendError
from merge_ros.files import atomic_write
from merge_ros.runtime import export
from merge_ros.runtime.export_cache import exported_model

SIZE = 1 << 20  # bytes of what is to be written


@pytest.fixture
def writes(monkeypatch: pytest.MonkeyPatch) -> None:
    """An exporter that writes as the real one does, but at once."""

    def export_onnx(checkpoint: Any, path: Path, options: Any) -> None:
        with atomic_write(path) as temporary:
            temporary.write_bytes(bytes(SIZE))

    monkeypatch.setattr(export, "export_onnx", export_onnx)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A folder on a disk of 64 kB; skips where this user may not mount one."""
    folder = tmp_path / "small"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)]
    mounted = subprocess.run(command, check=False, capture_output=True, text=True)
    if mounted.returncode:
        pytest.skip(f"no small disk can be mounted here: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@contextmanager
def small_files() -> Iterator[None]:
    """This process may write files of 64 kB at most. Around one call only: pytest's own output is a file too."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (64 << 10, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_a_model_that_a_full_disk_cannot_keep_is_an_error_with_the_place(
    small_disk: Path, random_model: Path, writes: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    _cannot_be_kept_in(small_disk, random_model, monkeypatch, nullcontext())


def test_a_model_that_is_too_large_a_file_is_an_error_with_the_place(
    tmp_path: Path, random_model: Path, writes: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    _cannot_be_kept_in(tmp_path, random_model, monkeypatch, small_files())


def _cannot_be_kept_in(
    folder: Path, model: Path, monkeypatch: pytest.MonkeyPatch, limit: AbstractContextManager[None]
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder))
    with pytest.raises(BackendError, match="XDG_CACHE_HOME") as raised, limit:
        exported_model(EstimatorSettings(model=str(model)))
    assert str(folder) in str(raised.value)
    assert not list(folder.rglob("*.onnx"))


def test_it_is_written_once_where_there_is_room(
    random_model: Path, writes: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    path = exported_model(EstimatorSettings(model=str(random_model)))
    assert path.stat().st_size == SIZE
    monkeypatch.setattr(export, "export_onnx", pytest.fail)
    assert exported_model(EstimatorSettings(model=str(random_model))) == path
