"""Faults and turns of the camera with known effects."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pytest

from merge_ros.errors import DatasetError, InputError
from merge_ros.evaluation.models import DepthModel
from merge_ros.evaluation.protocol import DepthProtocol
from merge_ros.evaluation.robustness import (
    CONDITIONS,
    Condition,
    aspect,
    blur,
    gain,
    inscribed,
    jpeg,
    measure_robustness,
    noise,
    roll,
    write_robustness,
)
from merge_ros.evaluation.sample import DepthSample

PROTOCOL = DepthProtocol((0.1, 65.0))
HEIGHT, WIDTH = 48, 64


@dataclass(frozen=True)
class Frame:
    """Brightness is depth: 10 grey levels for a metre."""

    name: str = "frame"

    def read(self) -> DepthSample:
        y, x = np.mgrid[:HEIGHT, :WIDTH].astype(np.float32)
        depth = 3 + 2 * np.sin(x / 9) * np.cos(y / 7) + x / 40
        return DepthSample(np.repeat(np.rint(depth * 10)[..., None].astype(np.uint8), 3, 2), depth)


def green(rgb: np.ndarray) -> np.ndarray:
    return rgb[..., 1].astype(np.float32)


def rows(*conditions: Condition) -> dict[str, object]:
    return {row.name: row for row in measure_robustness(DepthModel("m", green), [Frame()], PROTOCOL, conditions)}


def test_faults() -> None:
    rng, grey = np.random.default_rng(0), np.full((HEIGHT, WIDTH, 3), 100, np.uint8)
    assert gain(0.5, 1, 1.3)(grey, rng)[0, 0].tolist() == [50, 100, 130]
    assert gain(3, 3, 3)(grey, rng).max() == 255
    assert np.std(noise(10)(grey, rng).astype(float)) == pytest.approx(10, rel=0.05)
    edge = grey.copy()
    edge[:, WIDTH // 2 :] = 200
    softened = blur(4)(edge, rng)[:, WIDTH // 2].mean() - blur(4)(edge, rng)[:, WIDTH // 2 - 1].mean()
    assert softened == pytest.approx(100 / (math.sqrt(2 * math.pi) * 4 * WIDTH / 256), rel=0.1)
    assert np.abs(jpeg(5)(edge, rng).astype(int) - edge).max() > np.abs(jpeg(95)(edge, rng).astype(int) - edge).max()


def test_a_turn_keeps_nothing_from_outside_the_picture() -> None:
    inside = np.full((HEIGHT, WIDTH), 255, np.uint8)
    for degrees in (20, -20, 5, 45):
        turned = roll(degrees)(inside, cv2.INTER_LINEAR)
        assert turned.shape == inscribed(WIDTH, HEIGHT, degrees)[::-1]
        assert turned.min() >= 250, degrees
        assert turned.shape[1] / turned.shape[0] == pytest.approx(WIDTH / HEIGHT, rel=0.05)
    assert inscribed(200, 200, 45) == (int(200 / math.sqrt(2)) - 2,) * 2
    assert roll(0)(inside, cv2.INTER_LINEAR).shape == (HEIGHT, WIDTH)


def test_a_turn_turns_the_right_way() -> None:
    x = np.tile(np.arange(WIDTH, dtype=np.float32), (HEIGHT, 1))
    turned = roll(20)(x, cv2.INTER_LINEAR)
    down, right = np.gradient(turned)
    assert np.degrees(np.arctan2(down.mean(), right.mean())) == pytest.approx(-20, abs=0.5)


def test_other_formats_are_cut_from_the_middle() -> None:
    x = np.tile(np.arange(WIDTH), (HEIGHT, 1))
    assert aspect(1, 1)(x, 0).shape == (48, 48)
    assert aspect(1, 1)(x, 0)[0, 0] == 8
    assert aspect(16, 9)(x, 0).shape == (36, 64)
    assert aspect(9, 16)(x, 0).shape == (48, 27)


def test_a_model_that_does_not_mind() -> None:
    """Green is untouched by the casts, brightness is an affine change, and each pixel is judged by itself."""
    found = rows(*CONDITIONS)
    for name in ("clean", "warm cast (1.3, 1, 0.7)", "16:9", "1:1", "9:16, upright"):
        assert found[name].abs_rel == pytest.approx(found[name].clean_abs_rel, abs=1e-6), name
    assert found["clean"].abs_rel < 0.01
    assert found["rolled 20 degrees"].abs_rel < 0.03
    assert found["1 stop darker"].abs_rel < 0.03
    assert found["noise, sigma 50"].abs_rel > found["noise, sigma 10 of 255"].abs_rel > 3 * found["clean"].abs_rel
    assert len(found) == len(CONDITIONS)


def test_both_figures_of_a_row_are_about_the_same_pixels() -> None:
    """A model that sees only the left half right: the clean figure of a cut is that of the cut's pixels."""

    def half(rgb: np.ndarray) -> np.ndarray:
        depth = green(rgb)
        if rgb.shape[:2] == (HEIGHT, WIDTH):
            depth[:, : WIDTH // 4] = 255
        return depth

    model = DepthModel("m", half)
    conditions = (Condition("clean"), Condition("upright", warp=aspect(1, 2)))
    clean, upright = measure_robustness(model, [Frame()], PROTOCOL, conditions)
    assert clean.abs_rel > 0.1
    assert upright.clean_abs_rel < 0.01  # the middle 24 of 64 columns never see the spoilt quarter


def test_frames_that_cannot_be_measured(tmp_path: Path) -> None:
    class Bad(Frame):
        def read(self) -> DepthSample:
            raise DatasetError("damaged")

    found = measure_robustness(DepthModel("m", green), [Frame(), Bad()], PROTOCOL, CONDITIONS[:2])
    assert [row.n for row in found] == [1, 1]
    table = write_robustness(found, tmp_path, {"model": "m"})
    assert table.splitlines()[2].startswith(f"| clean | {found[0].abs_rel:.3f} | {found[0].delta1:.3f} |")
    stored = json.loads((tmp_path / "robustness.json").read_text())
    assert stored["conditions"][1]["name"] == "1 stop darker"
    with pytest.raises(InputError, match="none of 1 frames could be measured; the first: frame: damaged"):
        measure_robustness(DepthModel("m", green), [Bad()], PROTOCOL)
