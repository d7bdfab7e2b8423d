"""There and back again: every form of a model holds the same bits."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from merge_ros.errors import CheckpointError, ConfigurationError
from merge_ros.evaluation.parity import verify
from merge_ros.model.checkpoint import load_checkpoint
from merge_ros.model.conversion import from_single_file, gather, to_authors_layout, to_own_layout, to_single_file

WEIGHTS = "diffusion_pytorch_model.safetensors"


def contents(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def tensors(folder: Path) -> dict[str, dict[str, torch.Tensor]]:
    return {str(file.relative_to(folder)): load_file(file) for file in folder.rglob("*.safetensors")}


def equal(left: dict[str, dict[str, torch.Tensor]], right: dict[str, dict[str, torch.Tensor]]) -> bool:
    return left.keys() == right.keys() and all(
        left[file].keys() == right[file].keys()
        and all(torch.equal(tensor, right[file][key]) for key, tensor in left[file].items())
        for file in left
    )


@pytest.mark.parametrize("name", ["reference_base", "reference_large"])
def test_from_the_authors_layout_and_back(name: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    source: Path = request.getfixturevalue(name)
    to_own_layout(source, tmp_path / "own")
    config = json.loads((tmp_path / "own" / "depth_converters" / "config.json").read_text())
    assert config["_class_name"] == ("PixArtConverter" if name == "reference_base" else "FluxConverter")
    assert "is_converter" not in config
    for difference in verify(str(tmp_path / "own"), source / "io.safetensors"):
        assert difference.ok, difference

    to_authors_layout(tmp_path / "own", tmp_path / "back")
    original = contents(source)
    for file, data in contents(tmp_path / "back").items():
        if file.endswith("config.json"):
            assert json.loads(data) == json.loads(original[file]), file
        else:
            assert data == original[file], file


def test_one_file_and_back(random_model: Path, tmp_path: Path) -> None:
    source = Path(shutil.copytree(random_model, tmp_path / "source"))
    (source / "tokenizer").mkdir()
    (source / "tokenizer" / "spiece.model").write_bytes(bytes(range(256)))
    (source / "tokenizer" / "added.txt").write_bytes(b"")
    (source / "README.md").write_text("Grüße")
    (source / "transformer" / "pickle.bin").write_bytes(b"not taken")
    to_single_file(source, tmp_path / "model.safetensors")
    with safe_open(tmp_path / "model.safetensors", "pt") as stored:
        assert json.loads(stored.metadata()["transformer/config.json"])["_class_name"] == "PixArtTransformer2DModel"
        key = f"transformer/{WEIGHTS}:proj_out.weight"
        expected = load_checkpoint(str(random_model)).network.backbone.proj_out.weight
        assert torch.equal(stored.get_tensor(key), expected)

    from_single_file(tmp_path / "model.safetensors", tmp_path / "back")
    before, after = contents(source), contents(tmp_path / "back")
    assert before.keys() - after.keys() == {"transformer/pickle.bin"}
    assert all(data == before[file] for file, data in after.items() if not file.endswith(".safetensors"))
    assert equal(tensors(source), tensors(tmp_path / "back"))
    load_checkpoint(str(tmp_path / "back"))


def test_shards_become_one_file(random_model: Path, tmp_path: Path) -> None:
    source = Path(shutil.copytree(random_model, tmp_path / "source"))
    whole = load_file(source / "transformer" / WEIGHTS)
    network = load_checkpoint(str(source)).network.backbone
    (source / "transformer" / WEIGHTS).unlink()
    network.save_pretrained(source / "transformer", max_shard_size="20KB")
    assert len(list((source / "transformer").glob("*-of-*.safetensors"))) > 1
    to_single_file(source, tmp_path / "model.safetensors")
    from_single_file(tmp_path / "model.safetensors", tmp_path / "back")
    assert not list((tmp_path / "back" / "transformer").glob("*index*"))
    found = load_file(tmp_path / "back" / "transformer" / WEIGHTS)
    assert found.keys() == whole.keys()
    assert all(torch.equal(tensor, whole[key]) for key, tensor in found.items())


def test_two_places_become_one(random_model: Path, reference_large: Path, tmp_path: Path) -> None:
    backbone = Path(shutil.copytree(random_model, tmp_path / "backbone"))
    (tmp_path / "sets").mkdir()
    (backbone / "depth_converters").rename(tmp_path / "sets" / "depth_converters")
    shutil.copytree(tmp_path / "sets" / "depth_converters", tmp_path / "sets" / "normals_converters")
    gather(backbone, tmp_path / "sets", tmp_path / "joined")
    load_checkpoint(str(tmp_path / "joined"))
    load_checkpoint(str(tmp_path / "joined"), task="normals")
    with pytest.raises(CheckpointError, match="holds no converter set"):
        gather(backbone, backbone, tmp_path / "other")
    with pytest.raises(CheckpointError, match="does not fit the pixart backbone"):
        gather(backbone, reference_large, tmp_path / "other")


def test_bad_files_and_places(random_model: Path, tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    with pytest.raises(ConfigurationError, match="is not empty"):
        to_own_layout(random_model, tmp_path / "full")
    save_file({"a": torch.zeros(1)}, tmp_path / "other.safetensors")
    with pytest.raises(CheckpointError, match="is no model in one file"):
        from_single_file(tmp_path / "other.safetensors", tmp_path / "out")
    (tmp_path / "garbage.safetensors").write_bytes(b"garbage")
    with pytest.raises(CheckpointError, match="cannot be read as safetensors"):
        from_single_file(tmp_path / "garbage.safetensors", tmp_path / "out")
    save_file({"../evil.safetensors:a": torch.zeros(1)}, tmp_path / "evil.safetensors", {"merge_ros": "1"})
    with pytest.raises(CheckpointError, match="leads out of the model folder"):
        from_single_file(tmp_path / "evil.safetensors", tmp_path / "out")
    with pytest.raises(CheckpointError, match="does not exist"):
        to_single_file(tmp_path / "nowhere", tmp_path / "x.safetensors")
    assert not (tmp_path / "x.safetensors").exists()
