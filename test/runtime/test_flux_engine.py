"""A whole MERGE-L folder, from pixels to depth, compared with diffusers' control pipeline, which runs the same loop."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")

import torch
from diffusers import (
    DDIMScheduler,
    FlowMatchEulerDiscreteScheduler,
    FluxControlPipeline,
    FluxTransformer2DModel,
)
from tiny_models import tiny_flux, tiny_vae
from torch import Tensor

from merge_ros.config import EstimatorSettings
from merge_ros.errors import CheckpointError, ConfigurationError
from merge_ros.estimator import DepthEstimator
from merge_ros.model.checkpoint import load_checkpoint
from merge_ros.model.conditioning import Conditioning
from merge_ros.model.empty_prompt import save_empty_prompt
from merge_ros.model.flux import pack
from merge_ros.model.flux_converter import FluxConverter
from merge_ros.model.memory import MemoryPlan, place
from merge_ros.model.sampling import initial_noise
from merge_ros.runtime.engine import load_engine
from merge_ros.runtime.selection import choose

HEIGHT, WIDTH = 48, 80


@pytest.fixture(scope="module")
def flux_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A MERGE-L of a few thousand seeded random weights, whose VAE has a shift."""
    folder = tmp_path_factory.mktemp("flux_model")
    torch.manual_seed(0)
    backbone = tiny_flux(2, 3)
    vae = tiny_vae(scaling_factor=0.7, shift_factor=0.3)
    converter = FluxConverter.for_backbone(
        backbone, 2, num_inference_steps=3, processing_pixels=HEIGHT * WIDTH, copy_into_dual=True
    )
    with torch.no_grad():
        vae.quant_conv.weight[4:] = 0
        vae.quant_conv.bias[4:] = -30  # a posterior without spread: its sample is its mode
        for parameter in converter.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    backbone.save_pretrained(folder / "transformer")
    vae.save_pretrained(folder / "vae")
    converter.save_pretrained(folder / "depth_converters")
    FlowMatchEulerDiscreteScheduler(shift=3.0, use_dynamic_shifting=True).save_pretrained(folder / "scheduler")
    prompt = Conditioning(torch.randn(1, 4, 12), torch.ones(1, 4), pooled=torch.randn(1, 6))
    save_empty_prompt(prompt, folder / "depth_converters")
    return folder


@pytest.fixture(scope="module")
def image() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)


class Joined(torch.nn.Module):
    """The network in the place of a control transformer, which sees packed noisy latents and packed image latents."""

    def __init__(self, network: torch.nn.Module) -> None:
        super().__init__()
        self.network, self.dtype, self.device = network, torch.float32, torch.device("cpu")
        self.config = SimpleNamespace(in_channels=32, guidance_embeds=True)

    def forward(self, hidden_states: Tensor, timestep: Tensor, guidance: Tensor, **inputs: Any) -> tuple[Tensor]:
        words = inputs["encoder_hidden_states"]
        conditioning = Conditioning(words, torch.ones(words.shape[:2]), pooled=inputs["pooled_projections"])
        ids = {"image_ids": inputs["img_ids"], "text_ids": inputs["txt_ids"]}
        return (self.network.predict(hidden_states, timestep, conditioning, guidance=guidance, **ids),)


def test_depth_is_what_the_control_pipeline_gives(flux_model: Path, image: np.ndarray) -> None:
    checkpoint = load_checkpoint(str(flux_model))
    text: dict[str, Any] = dict.fromkeys(("text_encoder", "tokenizer", "text_encoder_2", "tokenizer_2"))
    pipeline = FluxControlPipeline(checkpoint.scheduler, checkpoint.vae, transformer=Joined(checkpoint.network), **text)
    pipeline.set_progress_bar_config(disable=True)
    pixels = torch.from_numpy(image).permute(2, 0, 1)[None] / 127.5 - 1  # tensors are taken as they are
    packed = pipeline(
        control_image=pixels,
        prompt_embeds=checkpoint.conditioning().text,
        pooled_prompt_embeds=checkpoint.conditioning().pooled,
        latents=pack(initial_noise(torch.empty(1, 4, HEIGHT // 4, WIDTH // 4))),
        height=HEIGHT,
        width=WIDTH,
        num_inference_steps=3,
        guidance_scale=0.0,
        output_type="latent",
    ).images
    latent = FluxControlPipeline._unpack_latents(packed, HEIGHT, WIDTH, 4)
    with torch.no_grad():
        pictures = checkpoint.vae.decode(latent / 0.7 + 0.3).sample
    expected = (pictures.mean(dim=1)[0] / 2 + 0.5).clamp(0, 1).numpy()

    estimator = DepthEstimator(EstimatorSettings(model=str(flux_model), device="cpu"))
    assert "mode eager, steps 3" in estimator.description
    depth = estimator(image)
    assert np.abs(depth - expected).max() <= 1e-5
    assert depth.std() > 1e-3
    assert np.array_equal(estimator(image), depth)


def test_one_step_converters(flux_model: Path, image: np.ndarray, tmp_path: Path) -> None:
    model = Path(shutil.copytree(flux_model, tmp_path / "model"))
    backbone = FluxTransformer2DModel.from_pretrained(model / "transformer")
    converter = FluxConverter.for_backbone(
        backbone, 3, prediction_type="sample", depth_timestep=50, num_inference_steps=1
    )
    converter.save_pretrained(model / "depth_converters")
    engine = load_engine(choose(EstimatorSettings(model=str(model), device="cpu")).settings)
    assert "mode eager, steps 1" in engine.description
    assert engine(image[None]).shape == (1, HEIGHT, WIDTH)


@pytest.mark.parametrize(
    "settings",
    [
        {"backend": "torch", "torch_mode": "folded"},
        {"backend": "torch", "torch_mode": "compiled"},
        {"backend": "onnx"},
        {"backend": "openvino"},
    ],
)
def test_engines_that_fold_refuse_flux(flux_model: Path, settings: dict[str, str]) -> None:
    with pytest.raises(ConfigurationError, match="only PixArt models can be folded"):
        load_engine(EstimatorSettings(model=str(flux_model), device="cpu", **settings))


def test_auto_takes_torch(flux_model: Path) -> None:
    choice = choose(EstimatorSettings(model=str(flux_model)))
    assert choice.settings.backend == "torch"
    assert "denoising steps" in choice.reason


@pytest.mark.parametrize(
    "plan",
    [
        MemoryPlan("sequential"),
        MemoryPlan("none", "fp8"),
        MemoryPlan("sequential", "fp8"),
        MemoryPlan("none", "int8"),
    ],
    ids=str,
)
def test_memory_plans_compute_the_same(flux_model: Path, image: np.ndarray, plan: MemoryPlan) -> None:
    """With the CPU as the device, which has the same hooks; fp8 rounds weights to three bits of mantissa."""
    if plan.quantization == "int8":
        pytest.importorskip("torchao", reason="int8 needs the extra 'large'")
    plain = load_checkpoint(str(flux_model))
    latent = torch.randn(1, 4, 6, 6, generator=torch.Generator().manual_seed(0))
    arguments = (latent, latent.flip(-1), torch.tensor([600.0]), plain.conditioning())
    with torch.no_grad():
        expected = plain.network(*arguments)
    planned = load_checkpoint(str(flux_model), plan=plan)
    with torch.no_grad():
        output = planned.network(*arguments)
    if plan.quantization == "none":
        assert torch.equal(output, expected)
        return
    error = (output - expected).norm() / expected.norm()
    assert 1e-4 < error < {"fp8": 0.2, "int8": 0.05}[plan.quantization]
    for weights in (
        planned.network.backbone.transformer_blocks[0].ff.net[2].weight,
        planned.network.converter.single_transformer_blocks[0].proj_mlp.weight,
    ):
        stored = weights.qdata if plan.quantization == "int8" else weights
        assert stored.dtype == {"fp8": torch.float8_e4m3fn, "int8": torch.int8}[plan.quantization]


def test_memory_plans_are_for_flux_on_a_gpu(flux_model: Path, random_model: Path) -> None:
    with pytest.raises(ConfigurationError, match="offload 'sequential' is for a GPU, and the device is cpu"):
        load_engine(EstimatorSettings(model=str(flux_model), backend="torch", device="cpu", offload="sequential"))
    with pytest.raises(ConfigurationError, match="are for FLUX, not PixArtTransformer2DModel"):
        load_engine(EstimatorSettings(model=str(random_model), backend="torch", device="cpu", quantization="fp8"))
    with pytest.raises(ConfigurationError, match="are for eager torch"):
        load_engine(EstimatorSettings(model=str(random_model), backend="onnx", device="cpu", quantization="fp8"))
    with pytest.raises(ConfigurationError, match="quantization='int8' and offload='sequential' exclude each other"):
        MemoryPlan("sequential", "int8")
    with pytest.raises(ConfigurationError, match="for FLUX"):
        place(load_checkpoint(str(random_model)).converter, torch.device("cpu"), MemoryPlan("sequential"))


def test_parts_of_two_families_do_not_mix(flux_model: Path, random_model: Path, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="converters for pixart, which do not fit the flux backbone"):
        load_checkpoint(str(flux_model), str(random_model))
    model = Path(shutil.copytree(flux_model, tmp_path / "model"))
    DDIMScheduler().save_pretrained(model / "scheduler")
    with pytest.raises(CheckpointError, match="DDIMScheduler does not belong to FluxTransformer2DModel"):
        load_checkpoint(str(model))
    (model / "transformer" / "config.json").write_text('{"_class_name": "SD3Transformer2DModel"}')
    with pytest.raises(CheckpointError, match="_class_name is 'SD3Transformer2DModel'; allowed here: PixArt"):
        load_checkpoint(str(model))
