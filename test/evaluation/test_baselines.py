"""Guesses with known errors."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from merge_ros.errors import DatasetError, InputError
from merge_ros.evaluation.baselines import mean_map, measure_baselines, vertical_gradient
from merge_ros.evaluation.protocol import DepthProtocol
from merge_ros.evaluation.sample import DepthSample

PROTOCOL = DepthProtocol((0.1, 65.0))


@dataclass(frozen=True)
class Frame:
    depth: np.ndarray
    name: str = "frame"

    def read_depth(self) -> np.ndarray:
        return self.depth.astype(np.float32)

    def read(self) -> DepthSample:
        return DepthSample(np.zeros((*self.depth.shape, 3), np.uint8), self.read_depth())


def test_each_baseline_where_it_is_right() -> None:
    floor = np.tile(np.linspace(9, 1, 20)[:, None], (1, 30))  # far at the top
    found = measure_baselines([Frame(floor)], PROTOCOL)
    assert found["vertical gradient"]["abs_rel"] == pytest.approx(0, abs=1e-5)
    assert found["vertical gradient"]["delta1"] == 1
    assert found["constant"]["abs_rel"] == pytest.approx(np.mean(np.abs(5 - floor) / floor), rel=1e-4)
    slope = np.tile(np.linspace(1, 9, 30), (20, 1))
    mean = mean_map([Frame(2 * slope), Frame(slope + 3)])
    assert np.abs(np.corrcoef(mean[0], slope[0])[0, 1]) > 0.999
    assert measure_baselines([Frame(slope)], PROTOCOL, mean)["mean map"]["abs_rel"] < 0.02
    assert "mean map" not in found
    assert "round trip" not in found


def test_the_mean_map_takes_the_first_frames_of_any_size() -> None:
    slope = np.tile(np.linspace(1, 9, 30), (20, 1))
    mean = mean_map([Frame(slope), Frame(slope[::2, ::2]), Frame(9 - slope.T)], frames=2)
    assert mean.shape == (20, 30)
    assert (np.diff(mean[0]) >= 0).all()
    with pytest.raises(DatasetError, match="at least one"):
        mean_map([])


def test_the_round_trip_gets_the_truth_with_zeros_where_nothing_is_known() -> None:
    depth = np.tile(np.linspace(1, 9, 30), (20, 1))
    depth[0, 0], depth[1, 1] = np.nan, 100
    seen = []

    def copy(metres: np.ndarray) -> np.ndarray:
        seen.append(metres)
        return metres

    found = measure_baselines([Frame(depth)], PROTOCOL, round_trip=copy)
    assert found["round trip"]["abs_rel"] == pytest.approx(0, abs=1e-5)
    assert seen[0][0, 0] == seen[0][1, 1] == 0


def test_the_ceiling_of_a_vae(random_model: Path) -> None:
    pytest.importorskip("torch", reason="the ceiling needs the extra 'torch'")
    from merge_ros.evaluation.ceiling import RoundTrip

    depth = np.tile(np.linspace(1, 9, 30, dtype=np.float32), (21, 1))
    back = RoundTrip(str(random_model))(depth)
    assert back.shape == (21, 30)
    assert np.isfinite(back).all()


def test_a_gradient_is_nearest_at_the_bottom() -> None:
    assert vertical_gradient(3, 2).tolist() == [[0, 0], [-0.5, -0.5], [-1, -1]]


def test_nothing_to_measure() -> None:
    with pytest.raises(InputError, match="no baseline"):
        measure_baselines([Frame(np.zeros((4, 4)))], PROTOCOL)
