"""Pictures as the autoencoder takes them: dark ones brightened by one gain, all others untouched."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch", reason="the model runs in torch")

import torch

from merge_ros.model.pixels import encoder_pixels


def picture(mean: int) -> torch.Tensor:
    """[1, 64, 64, 3] uint8 around a mean."""
    values = np.random.default_rng(0).normal(mean, mean / 4, (1, 64, 64, 3)).clip(0, 255)
    return torch.from_numpy(values.astype(np.uint8))


def test_without_a_least_brightness_pixels_are_scaled_only() -> None:
    rgb = picture(10)
    assert torch.equal(encoder_pixels(rgb, torch.float32), rgb.permute(0, 3, 1, 2) / 127.5 - 1)


def test_only_dark_pictures_are_brightened_and_each_by_itself() -> None:
    both = torch.cat([picture(20), picture(120)])
    dark, bright = encoder_pixels(both, torch.float32, 0.3)
    assert float(dark.mean() + 1) / 2 == pytest.approx(0.3, abs=1e-3)
    assert torch.equal(bright, encoder_pixels(both[1:], torch.float32)[0])
    # One gain for all: what was twice as bright still is.
    before = both[0].permute(2, 0, 1).float()
    ratio = (dark + 1) / before.clamp(min=1)
    assert float(ratio.max() / ratio[before > 1].min()) == pytest.approx(1, abs=1e-3)


def test_nothing_passes_white_and_black_stays_black() -> None:
    lamp = torch.zeros(1, 32, 32, 3, dtype=torch.uint8)
    assert torch.equal(encoder_pixels(lamp, torch.float32, 0.3), torch.full((1, 3, 32, 32), -1.0))
    lamp[:, 4:8, 4:8] = 250
    assert float(encoder_pixels(lamp, torch.float32, 0.3).max()) == 1


def test_half_precision_does_not_overflow() -> None:
    large = picture(40).repeat(1, 8, 8, 1)
    half, single = (encoder_pixels(large, dtype, 0.3).float() for dtype in (torch.float16, torch.float32))
    assert float((half - single).abs().max()) < 4e-3
