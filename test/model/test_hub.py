"""What would be downloaded, said from recorded answers of the hub; what came, compared with its hashes."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("huggingface_hub")

from huggingface_hub.hf_api import ModelInfo

from merge_ros.cli.fetch import fetch
from merge_ros.config import OFFICIAL_MODELS
from merge_ros.errors import CheckpointError, ConfigurationError
from merge_ros.model.hub import Plan, check_cache, make_plan
from merge_ros.model.huggingface import HuggingFaceHub

WEIGHTS, CARD = b"weights" * 1000, b"{}"


def git_hash(content: bytes) -> str:
    return hashlib.sha1(f"blob {len(content)}\0".encode() + content).hexdigest()


def sibling(name: str, content: bytes) -> dict[str, Any]:
    """As the hub's API lists a file."""
    entry: dict[str, Any] = {"rfilename": name, "size": len(content), "blobId": git_hash(content)}
    if name.endswith(".safetensors"):
        entry["lfs"] = {"size": len(content), "sha256": hashlib.sha256(content).hexdigest(), "pointerSize": 134}
    return entry


def answer(
    hub_id: str, files: dict[str, bytes], licence: dict[str, str] | None = None, gated: Any = False
) -> ModelInfo:
    """An answer of GET /api/models/ID?blobs=true with the keys that huggingface_hub reads."""
    siblings = [sibling(name, content) for name, content in files.items()]
    card = licence if licence is not None else {"license": "openrail++"}
    return ModelInfo(id=hub_id, sha="0123456789abcdef" * 2 + "01234567", siblings=siblings, cardData=card, gated=gated)


BACKBONE = {
    f"{part}/{file}": content
    for part in ("transformer", "vae", "scheduler", "text_encoder", "tokenizer")
    for file, content in (("config.json", CARD), ("model.safetensors", WEIGHTS), ("pickle.bin", WEIGHTS))
} | {"README.md": CARD, "whole.safetensors": WEIGHTS, "asset/picture.png": CARD}
CONVERTERS = {"depth_converters/config.json": CARD, "depth_converters/model.safetensors": WEIGHTS}


class RecordedHub:
    """Answers that were recorded, and files from memory in the place of a network."""

    def __init__(self, answers: dict[str, ModelInfo], files: dict[str, dict[str, bytes]]) -> None:
        self.answers, self.files, self.downloads = answers, files, []  # type: ignore[var-annotated]

    def describe(self, hub_id: str) -> ModelInfo:
        return self.answers[hub_id]

    def download(self, plan: Plan, target: Path | None) -> Path:
        assert target is not None
        self.downloads.append(plan)
        for file in plan.files:
            (target / file.name).parent.mkdir(parents=True, exist_ok=True)
            (target / file.name).write_bytes(self.files[plan.hub_id][file.name])
        return target


@pytest.fixture
def hub() -> RecordedHub:
    official = OFFICIAL_MODELS["merge-base"]
    files = {official.backbone: BACKBONE, official.converters: CONVERTERS}
    answers = {
        official.backbone: answer(official.backbone, BACKBONE),
        official.converters: answer(official.converters, CONVERTERS, {}),
    }
    return RecordedHub(answers, files)


PARTS = {
    OFFICIAL_MODELS["merge-base"].backbone: OFFICIAL_MODELS["merge-base"].parts,
    OFFICIAL_MODELS["merge-base"].converters: ("depth_converters",),
}


def test_a_plan_has_the_parts_that_are_needed() -> None:
    plan = make_plan(answer("a/b", BACKBONE), OFFICIAL_MODELS["merge-base"].parts)
    assert {file.name for file in plan.files} == {
        name for name in BACKBONE if "/" in name and name[-3:] not in ("bin", "png")
    }
    assert plan.size == 5 * (len(WEIGHTS) + len(CARD))
    assert (plan.licence, plan.gated, len(plan.revision)) == ("openrail++", False, 40)
    digests = {file.name: file.digest for file in plan.files}
    assert digests["vae/model.safetensors"] == hashlib.sha256(WEIGHTS).hexdigest()
    assert digests["vae/config.json"] == git_hash(CARD)


def test_any_repository() -> None:
    own = make_plan(answer("a/b", BACKBONE | CONVERTERS | {"glass_converters/model.safetensors": WEIGHTS}), ())
    assert {"depth_converters/model.safetensors", "glass_converters/model.safetensors"} <= {f.name for f in own.files}
    assert "whole.safetensors" not in {file.name for file in own.files}
    taesd = {"config.json": CARD, "diffusion_pytorch_model.safetensors": WEIGHTS, "taesd.bin": WEIGHTS}
    assert {file.name for file in make_plan(answer("a/taesd", taesd), ()).files} == set(taesd) - {"taesd.bin"}


@pytest.mark.parametrize(
    ("card", "gated", "licence"),
    [
        (
            {"license": "other", "license_name": "flux-1-dev-non-commercial-license"},
            "auto",
            "flux-1-dev-non-commercial-license",
        ),
        ({"license": "other"}, False, "other"),
        ({}, False, ""),
    ],
)
def test_licences(card: dict[str, str], gated: Any, licence: str) -> None:
    plan = make_plan(answer("a/b", CONVERTERS, card, gated), ())
    assert (plan.licence, plan.gated) == (licence, bool(gated))


def test_what_is_not_there() -> None:
    with pytest.raises(CheckpointError, match="'a/b' has no vae/, scheduler/"):
        make_plan(answer("a/b", {"transformer/model.safetensors": WEIGHTS}), ("transformer", "vae", "scheduler"))
    with pytest.raises(CheckpointError, match=r"no weights as safetensors where a model has them; it has: model\.bin"):
        make_plan(answer("a/b", {"model.bin": WEIGHTS}), ())


def test_licence_and_size_come_first(
    hub: RecordedHub, tmp_path: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ConfigurationError, match="--yes agrees"):
        fetch(hub, PARTS, tmp_path, agreed=False)
    told = capsys.readouterr().out
    assert "licence: openrail++" in told and "licence: not stated" in told
    assert "0.00 GB in 10 files" in told and "together" in told
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("builtins.input", lambda _: "n")
    assert fetch(hub, PARTS, tmp_path, agreed=False) == 1
    assert hub.downloads == []


def test_what_came_is_checked(hub: RecordedHub, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    assert fetch(hub, PARTS, tmp_path, agreed=True) == 0
    assert (tmp_path / "depth_converters" / "model.safetensors").read_bytes() == WEIGHTS
    assert "all as the hub has them" in capsys.readouterr().out
    for name, content in (("vae/model.safetensors", WEIGHTS[:-1] + b"x"), ("scheduler/config.json", b"{} ")):
        damaged = RecordedHub(hub.answers, {**hub.files, next(iter(PARTS)): BACKBONE | {name: content}})
        with pytest.raises(CheckpointError, match=f"{name} is not what the hub has"):
            fetch(damaged, PARTS, tmp_path, agreed=True)


def test_the_cache_is_checked_without_a_network(tmp_path: Path) -> None:
    """In the hub's cache, files are links to blobs that are named by their hash."""
    snapshot, blobs = tmp_path / "snapshots" / "abc" / "transformer", tmp_path / "blobs"
    snapshot.mkdir(parents=True)
    blobs.mkdir()
    index = b'{"weight_map": {"a": "model.safetensors", "b": "second.safetensors"}}'
    for name, content, digest in (
        ("model.safetensors", WEIGHTS, hashlib.sha256(WEIGHTS).hexdigest()),
        ("model.safetensors.index.json", index, git_hash(index)),
    ):
        (blobs / digest).write_bytes(content)
        (snapshot / name).symlink_to(blobs / digest)
    with pytest.raises(CheckpointError, match=r"second\.safetensors is missing"):
        check_cache(snapshot.parent, lambda _: None)
    (snapshot / "model.safetensors.index.json").unlink()
    assert check_cache(snapshot.parent, lambda _: None) == 1
    (blobs / hashlib.sha256(WEIGHTS).hexdigest()).write_bytes(WEIGHTS[:-5])
    with pytest.raises(CheckpointError, match="is not what the hub has: 6995 bytes"):
        check_cache(snapshot.parent, lambda _: None)


def test_without_a_network_the_error_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(CheckpointError, match=r"gives no answer about 'a/b'.*--offline"):
        HuggingFaceHub().describe("a/b")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(CheckpointError, match="not in the cache"):
        HuggingFaceHub(offline=True).find("nobody/no-such-model", ["*"])
