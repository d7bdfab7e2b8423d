"""Light autoencoders in the VAE's place: which one is taken, what is refused, and that folding changes nothing."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")

import torch
from diffusers import AutoencoderTiny

from merge_ros.config import LIGHT_CODEC_COST, EstimatorSettings
from merge_ros.errors import CheckpointError, ConfigurationError
from merge_ros.model.autoencoder import decode, decode_depth, encode
from merge_ros.model.checkpoint import load_checkpoint
from merge_ros.model.codec import find_codec
from merge_ros.model.light_codec import LightCodec
from merge_ros.runtime.graph import fold_checkpoint
from merge_ros.runtime.torch_engine import TorchEngine


def randomise(codec: torch.nn.Module) -> torch.nn.Module:
    """Blocks start as the identity; tests want every weight to count."""
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in codec.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return codec


@pytest.fixture
def model(random_model: Path, tmp_path: Path) -> Path:
    """A model with a light codec that nobody has measured."""
    folder = Path(shutil.copytree(random_model, tmp_path / "model"))
    randomise(LightCodec(channels=8)).save_pretrained(folder / "light_codec")
    return folder


@pytest.fixture
def taesd(tmp_path: Path) -> Path:
    """An AutoencoderTiny of f = 4 with a shift and a scale, as some TAESD relatives have them."""
    torch.manual_seed(0)
    tiny = AutoencoderTiny(
        encoder_block_out_channels=(8, 8, 8),
        decoder_block_out_channels=(8, 8, 8),
        num_encoder_blocks=(1, 1, 1),
        num_decoder_blocks=(1, 1, 1),
        scaling_factor=0.7,
        shift_factor=0.2,
    )
    tiny.save_pretrained(tmp_path / "taesd")
    return tmp_path / "taesd"


def set_cost(model: Path, cost: float | None) -> None:
    path = model / "light_codec" / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"abs_rel_cost": cost}))


@pytest.mark.parametrize(
    ("cost", "part"), [(None, "vae"), (LIGHT_CODEC_COST, "light_codec"), (-0.01, "light_codec"), (0.0051, "vae")]
)
def test_auto_takes_a_light_codec_of_small_known_cost(model: Path, cost: float | None, part: str) -> None:
    set_cost(model, cost)
    assert find_codec("auto", model) == model / part
    assert find_codec("full", model) == model / "vae"
    assert find_codec("light", model) == model / "light_codec"


def test_what_is_not_there(random_model: Path, model: Path) -> None:
    with pytest.raises(CheckpointError, match=r"codec 'light' needs .*light_codec, which does not exist"):
        find_codec("light", random_model)
    assert find_codec("auto", random_model) == random_model / "vae"
    with pytest.raises(CheckpointError, match="'lite' does not exist"):
        find_codec("lite", model)
    (model / "light_codec" / "config.json").write_text("{")
    with pytest.raises(CheckpointError, match="is not JSON"):
        find_codec("auto", model)


def test_only_known_autoencoders_are_loaded(model: Path) -> None:
    path = model / "vae" / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"_class_name": "VQModel"}))
    with pytest.raises(CheckpointError, match="_class_name is 'VQModel'; allowed: AutoencoderKL, AutoencoderTiny, Li"):
        load_checkpoint(str(model))


def test_a_codec_of_another_grid_is_refused(model: Path) -> None:
    LightCodec(channels=8, downsampling=8).save_pretrained(model / "light_codec")
    with pytest.raises(CheckpointError, match=r"8 pixels per latent pixel, the model's VAE .* has 4"):
        load_checkpoint(str(model), codec="light")
    LightCodec(channels=8, latent_channels=3).save_pretrained(model / "light_codec")
    with pytest.raises(CheckpointError, match="the autoencoder has 3 latent channels, the transformer takes 4"):
        load_checkpoint(str(model), codec="light")


def test_loading_is_strict(model: Path) -> None:
    from safetensors.torch import load_file, save_file

    path = model / "light_codec" / "diffusion_pytorch_model.safetensors"
    stored = load_file(path)
    save_file({name: tensor for name, tensor in stored.items() if name != "encoder.1.bias"}, path)
    with pytest.raises(CheckpointError, match=r"light_codec: missing keys encoder\.1\.bias"):
        load_checkpoint(str(model), codec="light")


def test_a_light_codec_has_no_colours(model: Path) -> None:
    vae = load_checkpoint(str(model), codec="light").vae
    latent = encode(vae, torch.zeros(2, 3, 24, 16))
    assert latent.shape == (2, 4, 6, 4)
    assert decode_depth(vae, latent).shape == (2, 24, 16)
    with pytest.raises(ConfigurationError, match="decodes depth only"):
        decode(vae, latent)


def test_the_frame_statistics_count(model: Path) -> None:
    """A bright corner changes the latents at the other end of the frame, beyond the reach of the convolutions."""
    vae = load_checkpoint(str(model), codec="light").vae
    dark = torch.full((1, 3, 32, 256), -0.5)
    lit = dark.clone()
    lit[..., :8, :8] = 1
    assert (encode(vae, lit) - encode(vae, dark))[..., -1].abs().max() > 1e-6


@pytest.fixture
def guided(tmp_path: Path) -> Path:
    """A guided light codec."""
    randomise(LightCodec(channels=8, guided=True)).save_pretrained(tmp_path / "guided")
    return tmp_path / "guided"


@pytest.mark.parametrize("codec", ["light", "guided", "taesd"])
def test_folding_changes_nothing(model: Path, guided: Path, taesd: Path, codec: str) -> None:
    place = {"taesd": str(taesd), "guided": str(guided)}.get(codec, codec)
    engine = TorchEngine(EstimatorSettings(model=str(model), codec=place))
    assert ("AutoencoderTiny" if codec == "taesd" else "LightCodec") in engine.description
    rgb = np.random.default_rng(0).integers(0, 256, (2, 48, 72, 3), np.uint8)
    graph = fold_checkpoint(load_checkpoint(str(model), codec=place))
    with torch.inference_mode():
        folded = graph(torch.from_numpy(rgb)).numpy()
    eager = engine(rgb)
    assert np.abs(folded - eager).max() <= 1e-5
    assert eager.std() > 1e-3
    assert np.abs(eager - TorchEngine(EstimatorSettings(model=str(model), codec="full"))(rgb)).max() > 1e-3


def test_taesd_in_the_place_of_the_vae(model: Path, taesd: Path) -> None:
    """A model folder may also hold an AutoencoderTiny as its only autoencoder."""
    shutil.rmtree(model / "vae")
    shutil.copytree(taesd, model / "vae")
    assert isinstance(load_checkpoint(str(model)).vae, AutoencoderTiny)
    rgb = np.random.default_rng(0).integers(0, 256, (1, 32, 32, 3), np.uint8)
    assert TorchEngine(EstimatorSettings(model=str(model)))(rgb).std() > 0


def test_taesd_keeps_diffusers_conventions(taesd: Path) -> None:
    """Latents are (raw - shift) * factor, pictures come back in [-1, 1] before they are mapped to [0, 1]."""
    tiny = AutoencoderTiny.from_pretrained(taesd)
    images = torch.rand(1, 3, 16, 16) * 2 - 1
    with torch.inference_mode():
        latent = encode(tiny, images)
        assert torch.allclose(latent, (tiny.encode(images).latents - 0.2) * 0.7)
        expected = (tiny.decode(latent / 0.7 + 0.2).sample / 2 + 0.5).clamp(0, 1)
        assert torch.allclose(decode(tiny, latent), expected)
        assert torch.allclose(
            decode_depth(tiny, latent), (tiny.decode(latent / 0.7 + 0.2).sample.mean(1) / 2 + 0.5).clamp(0, 1)
        )


@pytest.mark.parametrize("codec", ["guided", "taesd"])
def test_the_exported_file_computes_the_same(
    model: Path, guided: Path, taesd: Path, codec: str, tmp_path: Path
) -> None:
    pytest.importorskip("onnxscript", reason="the exporter needs the extra [export]")
    pytest.importorskip("onnxruntime")
    from merge_ros.runtime.engine import load_engine
    from merge_ros.runtime.export import export_onnx

    place = str(taesd if codec == "taesd" else guided)
    export_onnx(load_checkpoint(str(model), codec=place), tmp_path / "depth.onnx")
    engine = load_engine(EstimatorSettings(model=str(tmp_path / "depth.onnx"), backend="onnx", threads=1))
    eager = TorchEngine(EstimatorSettings(model=str(model), codec=place))
    for shape in ((1, 48, 64, 3), (3, 64, 40, 3)):
        rgb = np.random.default_rng(1).integers(0, 256, shape, np.uint8)
        assert np.abs(engine(rgb) - eager(rgb)).max() <= 1e-5


def test_a_guided_codec_needs_the_picture(model: Path) -> None:
    """The picture's latent decides with: another picture, another depth; without one there is none."""
    randomise(LightCodec(channels=8, guided=True)).save_pretrained(model / "light_codec")
    vae = load_checkpoint(str(model), codec="light").vae
    depth, picture = torch.randn(2, 1, 4, 6, 4).unbind(0)
    with pytest.raises(ConfigurationError, match="with the latents of the pictures"):
        decode_depth(vae, depth)
    with torch.inference_mode():
        assert decode_depth(vae, depth, picture).shape == (1, 24, 16)
        assert not torch.equal(decode_depth(vae, depth, picture), decode_depth(vae, depth, -picture))
