"""The folded network computes what the unfolded one does."""

from pathlib import Path

import pytest
import torch

from merge_ros.errors import ConfigurationError
from merge_ros.model.checkpoint import Checkpoint, load_checkpoint
from merge_ros.model.conditioning import Conditioning
from merge_ros.runtime.folding import fold_network
from merge_ros.runtime.graph import fold_checkpoint
from merge_ros.runtime.torch_engine import TorchEngine


def _unfolded(model: Checkpoint, latent: torch.Tensor, text: Conditioning, timestep: int) -> torch.Tensor:
    times = torch.full((latent.shape[0],), timestep)
    return model.network(latent, torch.zeros_like(latent), times, text)[:, : latent.shape[1]]


@pytest.mark.parametrize("size", [(12, 20), (16, 16), (4, 6)])
@pytest.mark.parametrize("timestep", [0, 50, 999])
def test_reference_model(reference_base: Path, size: tuple[int, int], timestep: int) -> None:
    """The recorded model: sigma rows, three groups, a mask that keeps one of several tokens."""
    model = load_checkpoint(str(reference_base))
    torch.manual_seed(timestep)
    text = Conditioning(torch.randn(1, 9, 24), torch.tensor([[0, 0, 1, 0, 0, 0, 0, 0, 0]]))
    latent = torch.randn(3, 4, *size)
    folded = fold_network(model.network, text, timestep).float()
    with torch.inference_mode():
        difference = (folded(latent) - _unfolded(model, latent, text, timestep)).abs().max()
    assert difference <= 1e-5


def test_half_precision_is_no_worse_than_eager(reference_base: Path) -> None:
    """Folded in fp64 and cast once, fp16 loses less than the eager fp16 model does."""
    exact = load_checkpoint(str(reference_base))
    for part in (exact.network.backbone, exact.network.converter):
        part.double()
    half = load_checkpoint(str(reference_base), dtype=torch.float16)
    text = Conditioning(torch.randn(1, 1, 24, generator=torch.Generator().manual_seed(0)), torch.ones(1, 1))
    latent = torch.randn(8, 4, 16, 16, generator=torch.Generator().manual_seed(1))
    folded = fold_network(load_checkpoint(str(reference_base)).network, text, 50).half()
    with torch.inference_mode():
        truth = _unfolded(exact, latent.double(), text.to("cpu", torch.float64), 50)
        eager = _unfolded(half, latent.half(), text.to("cpu", torch.float16), 50).double() - truth
        own = folded(latent.half()).double() - truth
    assert own.square().mean().sqrt() <= eager.square().mean().sqrt()


def test_whole_graph(random_model: Path) -> None:
    import numpy as np

    from merge_ros.config import EstimatorSettings

    graph = fold_checkpoint(load_checkpoint(str(random_model)))
    rgb = np.random.default_rng(0).integers(0, 256, (2, 48, 72, 3), np.uint8)
    expected = TorchEngine(EstimatorSettings(model=str(random_model)))(rgb)
    with torch.inference_mode():
        assert np.abs(graph(torch.from_numpy(rgb)).numpy() - expected).max() <= 1e-5


def test_dark_pictures_are_brightened_alike() -> None:
    import numpy as np

    from merge_ros.config import EstimatorSettings

    engine = TorchEngine(EstimatorSettings(model="merge-tiny", device="cpu"))
    engine.depth_mode.checkpoint.converter.register_to_config(min_brightness=0.3)
    graph = fold_checkpoint(engine.depth_mode.checkpoint)
    dark = np.random.default_rng(0).integers(0, 60, (2, 48, 64, 3), np.uint8)
    with torch.inference_mode():
        assert np.abs(graph(torch.from_numpy(dark)).numpy() - engine(dark)).max() <= 1e-5


def test_v_prediction(random_model: Path) -> None:
    model = load_checkpoint(str(random_model))
    plain = fold_checkpoint(model)
    model.converter.register_to_config(prediction_type="v_prediction")
    turned = fold_checkpoint(model)
    factor = -(1 - model.scheduler.alphas_cumprod[50]).sqrt()
    latent = torch.randn(1, 4, 8, 8)
    with torch.inference_mode():
        assert torch.allclose(turned.transformer(latent), factor * plain.transformer(latent), atol=1e-6)


def test_what_cannot_be_folded(random_model: Path, reference_base: Path) -> None:
    model = load_checkpoint(str(random_model))
    two = Conditioning(torch.randn(1, 3, 12), torch.tensor([[1, 1, 0]]))
    with pytest.raises(ConfigurationError, match="2 tokens are valid"):
        fold_network(model.network, two, 50)
    model.network.unplug()
    with pytest.raises(ConfigurationError, match="none are plugged in"):
        fold_network(model.network, model.conditioning(), 50)
    with pytest.raises(ConfigurationError, match="'epsilon' over 20 steps"):
        fold_checkpoint(load_checkpoint(str(reference_base)))


def test_two_tokens_would_not_be_constant(reference_base: Path) -> None:
    """Why folding refuses: with two valid tokens, what cross-attention adds differs from token to token."""
    block = load_checkpoint(str(reference_base)).network.backbone.transformer_blocks[0].attn2
    tokens, text = torch.randn(1, 40, 32), torch.randn(1, 2, 32)
    with torch.inference_mode():
        one, both = block(tokens, text[:, :1]), block(tokens, text)
    assert one.std(dim=1).max() < 1e-6
    assert both.std(dim=1).max() > 1e-3
