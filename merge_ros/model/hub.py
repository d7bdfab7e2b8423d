"""What a model on the Hugging Face hub consists of, before it is downloaded, and whether what came is what was meant.

A plan is made of a hub's answer alone, so it can be tested without a network; `model/huggingface.py` asks.
"""

from __future__ import annotations

import fnmatch
import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from merge_ros.errors import CheckpointError
from merge_ros.model.locate import part_patterns

# Sub-folders that a model, or a set of converters, may have; a repository without any is one network by itself.
ALL_PARTS = (
    "transformer",
    "vae",
    "light_codec",
    "scheduler",
    "text_encoder",
    "tokenizer",
    "text_encoder_2",
    "tokenizer_2",
    "*_converters",
)

Progress = Callable[[int], None]
"""Called with a number of bytes done."""


@dataclass(frozen=True)
class HubFile:
    """One file of a repository.

    Args:
        name: its path there.
        size: bytes.
        digest: SHA-256 of large files; of small ones git's SHA-1, over a header and the content.
    """

    name: str
    size: int
    digest: str

    @property
    def large(self) -> bool:
        """Whether the hub keeps it beside the repository (Git LFS, Xet), as it does with weights."""
        return len(self.digest) == 64


@dataclass(frozen=True)
class Plan:
    """What would be downloaded of one repository.

    Args:
        hub_id: owner/name.
        revision: the commit, 40 hexadecimal digits.
        licence: as the model card has it; "" when it says nothing.
        gated: whether its owner wants terms accepted on the hub's web page first.
        files: those that are needed.
    """

    hub_id: str
    revision: str
    licence: str
    gated: bool
    files: tuple[HubFile, ...]

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self.files)


class Hub(Protocol):
    """Where models are."""

    def describe(self, hub_id: str) -> Any:
        """huggingface_hub's `ModelInfo` with the metadata of all files."""

    def download(self, plan: Plan, target: Path | None) -> Path:
        """Bring the files of a plan, going on where an earlier call was cut off; the folder that they are in."""


def make_plan(answer: Any, parts: Sequence[str]) -> Plan:
    """Choose the files of the parts that are needed, weights as safetensors only.

    Args:
        answer: of `Hub.describe`.
        parts: sub-folders of the repository, each of which must be there; none: all that a model may have, or the
            whole repository where it has none of those.

    Raises:
        CheckpointError: a part is not there, or has no safetensors where it should.
    """
    wanted = _matching(answer, parts or ALL_PARTS)
    if not wanted and not parts:
        wanted = _matching(answer, ("",))
    missing = [part for part in parts if not _matching(answer, (part,))]
    if missing:
        raise CheckpointError(f"{answer.id!r} has no {', '.join(f'{part}/' for part in missing)}")
    if not any(file.rfilename.endswith(".safetensors") for file in wanted):
        names = ", ".join(sorted({file.rfilename.partition("/")[0] for file in answer.siblings})[:12])
        raise CheckpointError(
            f"{answer.id!r} has no weights as safetensors where a model has them; it has: {names or 'nothing'}"
        )
    card = getattr(answer, "card_data", None)
    licence = (card or {}).get("license") or ""
    if licence == "other":
        licence = (card or {}).get("license_name") or licence
    files = tuple(HubFile(file.rfilename, file.size or 0, _digest_of(file)) for file in wanted)
    return Plan(answer.id, answer.sha or "", str(licence), bool(getattr(answer, "gated", False)), files)


def _matching(answer: Any, parts: Sequence[str]) -> list[Any]:
    patterns = part_patterns(parts)
    return [file for file in answer.siblings if any(fnmatch.fnmatch(file.rfilename, pattern) for pattern in patterns)]


def check_files(folder: Path, plan: Plan, progress: Progress) -> None:
    """Compare every file with the plan.

    Raises:
        CheckpointError: a file is missing, or its content is not what the hub has; the message names it.
    """
    for file in plan.files:
        check_file(folder / file.name, file.digest, progress, file.size)


def check_cache(folder: Path, progress: Progress) -> int:
    """Compare the files of a snapshot in the cache with their hashes, which are their names there; needs no network.

    Returns:
        How many files there are.

    Raises:
        CheckpointError: as `check_files`.
    """
    files = sorted(file for file in folder.rglob("*") if file.is_file())
    for file in files:
        check_file(file, file.resolve().name, progress)
        if file.name.endswith(".safetensors.index.json"):
            for shard in sorted(set(json.loads(file.read_text())["weight_map"].values())):
                if not (file.parent / shard).is_file():
                    raise CheckpointError(f"{file.parent / shard} is missing; fetch again with a network")
    return len(files)


def check_file(path: Path, digest: str, progress: Progress, size: int | None = None) -> None:
    """Compare one file with its SHA-256, or with git's SHA-1 where the digest has 40 digits."""
    if not path.is_file():
        raise CheckpointError(f"{path} is missing")
    found_size = path.stat().st_size
    content = hashlib.sha256() if len(digest) == 64 else hashlib.sha1(f"blob {found_size}\0".encode())
    with path.open("rb") as stream:
        while block := stream.read(1 << 22):
            content.update(block)
            progress(len(block))
    if content.hexdigest() != digest or (size is not None and found_size != size):
        raise CheckpointError(
            f"{path} is not what the hub has: {found_size} bytes with hash {content.hexdigest()[:16]}, expected "
            f"{digest[:16]}; delete it and fetch again"
        )


def _digest_of(file: Any) -> str:
    return str(file.lfs["sha256"] if file.lfs else file.blob_id)
