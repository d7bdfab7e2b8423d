"""Engines that took minutes to build are kept, and only used again where they would be built the same.

A file holds one line of JSON, then the plan. The line says what the plan was built for, its length and its hash, so
that a stale, truncated or foreign file is seen before TensorRT reads it.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path

from merge_ros.errors import MissingDependencyError
from merge_ros.files import keep_for_later

FORMAT = "merge_ros plan 1"

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class PlanKey:
    """All that decides whether a plan can be used.

    Args:
        graph: SHA-256 of the ONNX file.
        engine: backend and version, "tensorrt 10.3.0" say.
        gpu: architecture and name of the GPU, or the architectures that a plan was compiled for ahead of time.
        shape: (batch, height, width) of the images.
        precision: of weights and activations.
        flags: everything else that the builder was told.
    """

    graph: str
    engine: str
    gpu: str
    shape: tuple[int, int, int]
    precision: str
    flags: str

    def file_name(self) -> str:
        """A name that differs whenever any part does."""
        return f"{hashlib.sha256(self._line({}).encode()).hexdigest()[:32]}.plan"

    def _line(self, more: dict[str, object]) -> str:
        return json.dumps({"format": FORMAT, **asdict(self), **more}, sort_keys=True)

    def header(self, plan: bytes) -> bytes:
        """The first line of a file with this plan."""
        more: dict[str, object] = {"bytes": len(plan), "sha256": hashlib.sha256(plan).hexdigest()}
        return self._line(more).encode() + b"\n"


def cached_plan(folder: Path, key: PlanKey, build: Callable[[], bytes], usual_time: str) -> bytes:
    """The plan from the cache, or built now and, unless the disk does not let it, kept.

    Args:
        folder: of the cache; made if missing.
        key: what the plan must have been built for.
        build: builds it.
        usual_time: how long that usually takes, for the log.

    Raises:
        MissingDependencyError: filelock is not installed.
    """
    path = folder / key.file_name()
    plan, problem = _read(path, key)
    if plan is not None:
        return plan
    try:
        from filelock import FileLock
    except ImportError as error:
        raise MissingDependencyError("filelock", "tensorrt", "keeping built engines") from error
    with ExitStack() as held:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            # Two processes at once: the second finds the first one's plan.
            held.enter_context(FileLock(path.with_suffix(".lock")))
        except OSError as error:
            logger.warning("%s cannot be used to keep engines: %s", folder, error)
        plan, problem = _read(path, key)
        if plan is not None:
            return plan
        logger.warning(
            "building a %s engine for %s (%s); this usually takes %s", key.engine, key.gpu, problem, usual_time
        )
        plan = build()
        keep_for_later(path, key.header(plan) + plan)
    return plan


def _read(path: Path, key: PlanKey) -> tuple[bytes | None, str]:
    """The plan in a file, or why it cannot be used."""
    try:
        with path.open("rb") as stream:
            line, plan = stream.readline(1 << 16), stream.read()
    except FileNotFoundError:
        return None, "none is cached"
    except OSError as error:
        return None, f"the cached one cannot be read: {error}"
    if line == key.header(plan):
        return plan, ""
    try:
        known = json.loads(line)
        foreign = not isinstance(known, dict) or known.get("format") != FORMAT
    except ValueError:
        foreign = True
    return None, "the cached file is not ours" if foreign else "the cached one is damaged or of another key"
