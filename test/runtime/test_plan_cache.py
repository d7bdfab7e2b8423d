"""Plans are kept, and rebuilt when they are stale, truncated or foreign."""

import dataclasses
import logging
import multiprocessing
import time
from pathlib import Path

import pytest

pytest.importorskip("filelock")

from merge_ros.runtime.plan_cache import PlanKey, cached_plan

KEY = PlanKey("ab12", "tensorrt 10.3.0", "sm87 Orin", (1, 192, 256), "fp16", "workspace=1")
PLAN = bytes(range(256)) * 40


class _Builder:
    def __init__(self, plan: bytes = PLAN) -> None:
        self.plan, self.calls = plan, 0

    def __call__(self) -> bytes:
        self.calls += 1
        return self.plan


def _get(folder: Path, build: _Builder, key: PlanKey = KEY) -> bytes:
    return cached_plan(folder, key, build, "a while")


def test_built_once(tmp_path: Path) -> None:
    build = _Builder()
    assert _get(tmp_path, build) == _get(tmp_path, build) == PLAN
    assert build.calls == 1


def test_a_plan_that_cannot_be_kept_is_used_all_the_same(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").write_bytes(b"")  # in the way, for root too
    build = _Builder()
    with caplog.at_level(logging.WARNING):
        assert _get(tmp_path / "file" / "cache", build) == PLAN
    assert build.calls == 1
    assert "cannot be used to keep engines" in caplog.text and "cannot be kept" in caplog.text


@pytest.mark.parametrize(
    "change",
    [
        {"graph": "ab13"},
        {"engine": "tensorrt 10.16.1"},
        {"gpu": "sm89 L4"},
        {"shape": (2, 192, 256)},
        {"precision": "fp32"},
        {"flags": "workspace=2"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_every_part_of_the_key_counts(tmp_path: Path, change: dict) -> None:
    _get(tmp_path, _Builder())
    other = _Builder(b"another")
    assert _get(tmp_path, other, dataclasses.replace(KEY, **change)) == b"another"
    assert _get(tmp_path, _Builder(b"unused")) == PLAN


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda whole: whole[:-1], "damaged or of another key"),
        (lambda whole: whole[:20], "not ours"),
        (lambda whole: b"", "not ours"),
        (lambda whole: PLAN, "not ours"),
        (lambda whole: b'["a list"]\n' + PLAN, "not ours"),
        (lambda whole: whole[:-5] + bytes(5), "damaged or of another key"),
        (lambda whole: whole.replace(b"10.3.0", b"10.2.0", 1), "damaged or of another key"),
    ],
)
def test_what_is_not_whole_is_rebuilt(tmp_path: Path, damage, words: str, caplog: pytest.LogCaptureFixture) -> None:
    _get(tmp_path, _Builder())
    (file,) = tmp_path.glob("*.plan")
    file.write_bytes(damage(file.read_bytes()))
    build = _Builder(b"fresh")
    with caplog.at_level(logging.WARNING):
        assert _get(tmp_path, build) == b"fresh"
    assert build.calls == 1
    assert words in caplog.text and "usually takes a while" in caplog.text
    assert _get(tmp_path, _Builder(b"unused")) == b"fresh"


def test_a_failed_build_leaves_nothing(tmp_path: Path) -> None:
    def fail() -> bytes:
        raise RuntimeError("no")

    with pytest.raises(RuntimeError):
        cached_plan(tmp_path, KEY, fail, "a while")
    assert not list(tmp_path.glob("*.plan"))


def _build_slowly(folder: Path) -> None:
    def build() -> bytes:
        with (folder / "builds").open("a") as log:
            log.write("built\n")
        time.sleep(0.5)
        return PLAN

    assert cached_plan(folder, KEY, build, "a while") == PLAN


def test_two_processes_build_once(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=_build_slowly, args=(tmp_path,)) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert [worker.exitcode for worker in workers] == [0, 0]
    assert (tmp_path / "builds").read_text() == "built\n"
