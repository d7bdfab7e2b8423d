"""Loading is strict: each deviation is an error that names it."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from merge_ros.errors import CheckpointError
from merge_ros.model.checkpoint import load_checkpoint

WEIGHTS = "diffusion_pytorch_model.safetensors"


@pytest.fixture
def model(random_model: Path, tmp_path: Path) -> Path:
    """A copy that a test may damage."""
    return Path(shutil.copytree(random_model, tmp_path / "model"))


def _change_config(path: Path, **changes: object) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_everything_is_there(random_model: Path) -> None:
    checkpoint = load_checkpoint(str(random_model))
    assert checkpoint.grid == 8  # VAE 4 times patch 2
    assert checkpoint.native_pixels == 64 * 64
    assert checkpoint.conditioning().valid_tokens() == 1
    assert not any(p.requires_grad for p in checkpoint.network.parameters())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_precision_is_that_of_the_weights(random_model: Path, dtype: torch.dtype) -> None:
    checkpoint = load_checkpoint(str(random_model), dtype=dtype)
    assert {p.dtype for p in checkpoint.network.parameters()} == {dtype}
    assert {p.dtype for p in checkpoint.vae.parameters()} == {dtype}


@pytest.mark.parametrize("part", ["transformer", "depth_converters", "vae", "scheduler"])
def test_missing_folder(model: Path, part: str) -> None:
    shutil.rmtree(model / part)
    with pytest.raises(CheckpointError, match=f"{part}.*does not exist"):
        load_checkpoint(str(model))


@pytest.mark.parametrize(
    ("part", "key"),
    [
        ("transformer", "adaln_single.linear.bias"),
        ("depth_converters", "proj_out.bias"),
        ("vae", "decoder.conv_in.bias"),
    ],
)
def test_keys_and_shapes(model: Path, part: str, key: str) -> None:
    path = model / part / WEIGHTS
    stored = load_file(path)

    save_file({name: tensor for name, tensor in stored.items() if name != key}, path)
    with pytest.raises(CheckpointError, match=f"{part}: missing keys {key}"):
        load_checkpoint(str(model))

    save_file({**stored, "surplus.weight": torch.zeros(3)}, path)
    with pytest.raises(CheckpointError, match=rf"{part}: unexpected keys surplus\.weight"):
        load_checkpoint(str(model))

    save_file({**stored, key: torch.zeros(3)}, path)
    with pytest.raises(CheckpointError, match=key):
        load_checkpoint(str(model))


@pytest.mark.parametrize("damage", [b"", b"garbage", b"\x08\x00\x00\x00\x00\x00\x00\x00{}"])
def test_damaged_weights(model: Path, damage: bytes) -> None:
    (model / "transformer" / WEIGHTS).write_bytes(damage)
    with pytest.raises(CheckpointError, match="transformer"):
        load_checkpoint(str(model))


def test_truncated_weights(model: Path) -> None:
    path = model / "vae" / WEIGHTS
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(CheckpointError, match="vae"):
        load_checkpoint(str(model))


def test_pickled_weights_are_not_touched(model: Path) -> None:
    path = model / "transformer" / WEIGHTS
    path.rename(path.with_name("diffusion_pytorch_model.bin"))
    with pytest.raises(CheckpointError, match="allowed: safetensors"):
        load_checkpoint(str(model))


def test_parts_that_do_not_fit(model: Path) -> None:
    other = model.parent / "other"
    from diffusers import PixArtTransformer2DModel

    from merge_ros.model.converter import PixArtConverter

    backbone = PixArtTransformer2DModel(
        num_attention_heads=3, attention_head_dim=8, num_layers=4, cross_attention_dim=24, sample_size=16
    )
    PixArtConverter.for_backbone(backbone, 2).save_pretrained(other / "depth_converters")
    with pytest.raises(CheckpointError, match="width"):
        load_checkpoint(str(model), str(other))


def test_converters_from_another_place(model: Path, tmp_path: Path) -> None:
    moved = tmp_path / "converters"
    moved.mkdir()
    (model / "depth_converters").rename(moved / "depth_converters")
    assert load_checkpoint(str(model), str(moved)).conditioning().valid_tokens() == 1


def test_damaged_config(model: Path) -> None:
    (model / "transformer" / "config.json").write_text("{")
    with pytest.raises(CheckpointError, match="transformer"):
        load_checkpoint(str(model))


def test_unknown_scheduler(model: Path) -> None:
    _change_config(model / "scheduler" / "scheduler_config.json", _class_name="Oracle")
    with pytest.raises(CheckpointError, match="'Oracle' is not a scheduler"):
        load_checkpoint(str(model))


def test_contradicting_settings_in_the_config(model: Path) -> None:
    _change_config(model / "depth_converters" / "config.json", prediction_type="x0")
    with pytest.raises(CheckpointError, match="prediction_type='x0'"):
        load_checkpoint(str(model))


def test_no_empty_prompt(model: Path) -> None:
    (model / "depth_converters" / "empty_prompt.safetensors").unlink()
    checkpoint = load_checkpoint(str(model))
    with pytest.raises(CheckpointError, match="holds no empty prompt"):
        checkpoint.conditioning()


def test_foreign_empty_prompt(model: Path) -> None:
    path = model / "depth_converters" / "empty_prompt.safetensors"
    save_file({"prompt_embeds": torch.zeros(1, 1, 5), "prompt_mask": torch.ones(1, 1)}, path)
    with pytest.raises(CheckpointError, match="the text has 5 channels, the transformer takes 12"):
        load_checkpoint(str(model))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("/no/such/folder", "does not exist; allowed: 'merge-tiny'"),
        ("./relative/missing", "does not exist"),
        ("merge-giant", "does not exist"),
    ],
)
def test_models_that_are_not_there(name: str, message: str) -> None:
    with pytest.raises(CheckpointError, match=message):
        load_checkpoint(name)


def test_a_file_is_not_a_model(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").touch()
    with pytest.raises(CheckpointError, match="a model is a folder"):
        load_checkpoint(str(tmp_path / "model.safetensors"))


def test_a_hub_id_that_cannot_be_had(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(CheckpointError, match="neither a local folder nor to be had from the hub"):
        load_checkpoint("nobody/no-such-model")
