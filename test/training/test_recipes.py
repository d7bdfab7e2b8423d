"""The losses of both recipes against what they should be on paper."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("torch", reason="training needs the extra 'train'")
pytest.importorskip("accelerate", reason="training needs the extra 'train'")

import torch
from diffusers import DDPMScheduler, FlowMatchEulerDiscreteScheduler

from merge_ros.config.training import OneStepSettings
from merge_ros.errors import ConfigurationError
from merge_ros.evaluation.metrics import aligned_metrics
from merge_ros.training.converters.family import check_groups
from merge_ros.training.converters.noise import NoiseProcess, draw_noise, multi_resolution_noise
from merge_ros.training.converters.recipes import angular_error, depth_error, known_cells, masked_mean
from merge_ros.training.sources.batches import Batch
from merge_ros.training.sources.order import FrameKey


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def batch_of(valid: torch.Tensor, truth: torch.Tensor) -> Batch:
    keys = tuple(FrameKey(0, i, False, i) for i in range(len(valid)))
    return Batch(keys, ("",) * len(valid), truth, truth, valid, truth)


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
def test_the_noise_process_is_that_of_diffusers(prediction: str) -> None:
    scheduler = DDPMScheduler(beta_schedule="linear", beta_start=1e-4, beta_end=0.02, prediction_type=prediction)
    process = NoiseProcess.of_diffusion(scheduler, prediction)
    clean, noise = torch.randn(3, 4, 6, 6, generator=seeded(0)), torch.randn(3, 4, 6, 6, generator=seeded(1))
    index = torch.tensor([0, 500, 999])
    torch.testing.assert_close(process.noisy(clean, noise, index), scheduler.add_noise(clean, noise, index))
    wanted = noise if prediction == "epsilon" else scheduler.get_velocity(clean, noise, index)
    torch.testing.assert_close(process.target(clean, noise, index), wanted)


def test_flow_goes_straight_from_data_to_noise() -> None:
    process = NoiseProcess.of_flow(FlowMatchEulerDiscreteScheduler(shift=3.0, use_dynamic_shifting=True))
    clean, noise = torch.full((1, 4, 2, 2), 2.0), torch.full((1, 4, 2, 2), -1.0)
    index = torch.tensor([len(process) // 2])
    sigma = float(process.timesteps[index]) / 1000
    assert sigma == pytest.approx(0.5, abs=0.01)
    torch.testing.assert_close(process.noisy(clean, noise, index), clean + sigma * (noise - clean))
    assert (process.target(clean, noise, index) == -3).all()


def test_multi_resolution_noise_has_unit_variance_and_coarse_structure() -> None:
    coarse = torch.stack([multi_resolution_noise((4, 24, 32), 0.9, seeded(i)) for i in range(30)])
    plain = torch.stack([multi_resolution_noise((4, 24, 32), 0.0, seeded(i)) for i in range(30)])
    assert coarse.std(dim=(1, 2, 3)).allclose(torch.ones(30), atol=1e-4)
    assert torch.equal(plain[0], torch.randn(4, 24, 32, generator=seeded(0)))

    def smoothness(noise: torch.Tensor) -> float:
        return float(torch.nn.functional.avg_pool2d(noise, 8).std())

    assert smoothness(coarse) > 3 * smoothness(plain)


def test_noise_is_annealed_and_belongs_to_the_frame() -> None:
    process = NoiseProcess(torch.tensor([0.0]), torch.ones(1), torch.zeros(1), "epsilon")
    like = torch.zeros(2, 4, 8, 8)
    _, noise = draw_noise(like, process, 0.9, [5, 6])  # at timestep 0 nothing of the coarse levels is left
    alone = draw_noise(like[:1], process, 0.9, [6])[1]
    assert torch.equal(noise[1], alone[0])
    generator = seeded(5)
    torch.randint(1, (), generator=generator)
    assert torch.equal(noise[0], torch.randn(4, 8, 8, generator=generator))
    with pytest.raises(ConfigurationError, match="sample"):
        replace(process, prediction="sample")


def test_one_unknown_pixel_hides_its_latent_cell() -> None:
    valid = torch.ones(1, 16, 24, dtype=torch.bool)
    valid[0, 7, 8] = False
    known = known_cells(valid, 8)
    assert known.shape == (1, 1, 2, 3)
    assert known[0, 0].tolist() == [[1, 0, 1], [1, 1, 1]]
    errors = torch.ones(1, 4, 2, 3)
    errors[0, :, 0, 1] = 1000
    assert float(masked_mean(errors, known)) == 1
    assert float(masked_mean(errors, torch.zeros_like(known))) == 0


def test_depth_error_is_the_metric_on_what_is_known() -> None:
    rng = np.random.default_rng(0)
    truth = rng.uniform(1, 5, (2, 20, 30)).astype(np.float32)
    decoded = truth * 0.3 - 1 + rng.normal(0, 0.05, truth.shape).astype(np.float32)
    valid = rng.random(truth.shape) < 0.7
    decoded[~valid] = 100  # must not matter
    metrics = [aligned_metrics(p, t, v, (0.0, 99.0)).abs_rel for p, t, v in zip(decoded, truth, valid, strict=True)]
    batch = batch_of(torch.from_numpy(valid), torch.from_numpy(truth))
    settings = OneStepSettings(pixel_weight=2.0, outline_weight=0.0)
    loss, figures = depth_error(torch.from_numpy(decoded)[:, None].expand(-1, 3, -1, -1), batch, settings)
    assert float(figures["abs_rel"]) == pytest.approx(np.mean(metrics), rel=1e-3)
    assert float(loss) == pytest.approx(2 * np.mean(metrics), rel=1e-3)
    assert np.isfinite(float(figures["outline"]))


def test_angular_error_is_the_angle() -> None:
    truth = torch.zeros(1, 3, 2, 2)
    truth[:, 2] = -1
    decoded = torch.zeros(1, 3, 2, 2)
    decoded[0, :, 0, 0] = torch.tensor([0.0, 0.0, -7.0])  # right, of another length
    decoded[0, :, 0, 1] = torch.tensor([0.5, 0.0, -0.5])  # 45 degrees off
    decoded[0, :, 1, 0] = torch.tensor([1.0, 0.0, 0.0])  # 90
    decoded[0, :, 1, 1] = torch.tensor([0.0, 0.0, 1.0])  # unknown
    valid = torch.tensor([[[True, True], [True, False]]])
    decoded.requires_grad_(True)
    loss, figures = angular_error(decoded, batch_of(valid, truth), OneStepSettings(pixel_weight=1.0))
    assert float(figures["degrees"]) == pytest.approx(45, abs=0.1)
    loss.backward()
    assert torch.isfinite(decoded.grad).all()


def test_groups_that_never_run_are_refused() -> None:
    for groups in (1, 2, 4, 7, 14, 28):
        check_groups(28, groups)
    for groups in (0, 9, 29):
        with pytest.raises(ConfigurationError, match=f"groups={groups}.*allowed: 1, 2, 3, 4, 5, 6, 7, 10, 14, 28"):
            check_groups(28, groups)
