"""From image latent to depth latent."""

from pathlib import Path

import pytest
import torch
from diffusers import DDIMScheduler

from merge_ros.errors import ConfigurationError, InputError
from merge_ros.model.conditioning import Conditioning
from merge_ros.model.sampling import denoise, denoise_in_one_step, initial_noise

TEXT = Conditioning(torch.zeros(1, 1, 3), torch.ones(1, 1))
ALPHAS = DDIMScheduler().alphas_cumprod


def test_one_step_tells_the_model_the_low_timestep_and_an_empty_slot() -> None:
    seen = {}

    def model(image, depth, timestep, text):  # type: ignore[no-untyped-def]
        seen.update(depth=depth, timestep=timestep)
        return torch.cat([image * 2, image * 0 + 7], dim=1)  # a sigma half that must go

    image = torch.randn(3, 4, 2, 2)
    result = denoise_in_one_step(model, image, TEXT, 50, "sample", ALPHAS)
    assert torch.equal(result, image * 2)
    assert torch.equal(seen["depth"], torch.zeros_like(image))
    assert seen["timestep"].tolist() == [50, 50, 50]


def test_one_step_v_prediction_recovers_x0() -> None:
    """For x_t = 0 = sqrt(a) x0 + sqrt(1 - a) e, v = sqrt(a) e - sqrt(1 - a) x0 leads back to x0."""
    x0, alpha = torch.randn(1, 4, 2, 2, dtype=torch.float64), ALPHAS[300].double()
    noise = -(alpha.sqrt() / (1 - alpha).sqrt()) * x0
    v = alpha.sqrt() * noise - (1 - alpha).sqrt() * x0
    result = denoise_in_one_step(lambda *_: v, torch.zeros_like(x0), TEXT, 300, "v_prediction", ALPHAS.double())
    assert torch.allclose(result, x0)


def test_one_step_epsilon_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="not 'epsilon'"):
        denoise_in_one_step(lambda *_: None, torch.zeros(1, 4, 2, 2), TEXT, 50, "epsilon", ALPHAS)


def test_many_steps_with_a_perfect_model_find_the_target() -> None:
    target = torch.randn(1, 4, 4, 4)
    scheduler = DDIMScheduler(prediction_type="sample", clip_sample=False)
    result = denoise(lambda *_: target, target * 0, TEXT, scheduler, 5, initial_noise(target))
    assert torch.allclose(result, target, atol=0.05)


def test_noise_is_the_same_for_every_call_and_image() -> None:
    noise = initial_noise(torch.empty(3, 4, 8, 8))
    assert torch.equal(noise[0], noise[2])
    assert torch.equal(noise, initial_noise(torch.empty(3, 4, 8, 8)))


def test_conditioning_is_checked() -> None:
    with pytest.raises(InputError, match="keeps no token"):
        Conditioning(torch.zeros(1, 2, 3), torch.zeros(1, 2))
    with pytest.raises(InputError, match="must be"):
        Conditioning(torch.zeros(1, 2, 3), torch.ones(1, 5))
    with pytest.raises(InputError, match="cannot serve a batch of 3"):
        Conditioning(torch.zeros(2, 1, 3), torch.ones(2, 1)).expanded(3)


def test_multi_step_checkpoint_through_the_estimator(reference_base: Path, random_model: Path, tmp_path: Path) -> None:
    """Epsilon converters run with the checkpoint's scheduler, twice the same."""
    import shutil

    import numpy as np

    from merge_ros.config import EstimatorSettings
    from merge_ros.estimator import DepthEstimator
    from merge_ros.model.empty_prompt import save_empty_prompt

    model = Path(shutil.copytree(reference_base, tmp_path / "model"))
    save_empty_prompt(Conditioning(torch.randn(1, 1, 24), torch.ones(1, 1)), model / "depth_converters")
    estimator = DepthEstimator(EstimatorSettings(model=str(model), steps=3))
    assert "steps 3" in estimator.description
    image = np.random.default_rng(0).integers(0, 255, (96, 160, 3), np.uint8)
    assert np.array_equal(estimator(image), estimator(image))
    assert "steps 20" in DepthEstimator(EstimatorSettings(model=str(model))).description
