"""The figures of docs/merge-tiny.md: the measuring is tested with the evaluation, here that it is put together."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="training needs the extra 'train'")

from merge_ros.errors import InputError
from merge_ros.evaluation.folder import find_pairs
from merge_ros.evaluation.models import DepthModel
from merge_ros.training.held_out import evaluate, sheet


def test_model_and_baselines_side_by_side(frames_folder: Path, random_model: Path) -> None:
    pairs = find_pairs(frames_folder)

    def brightness(rgb: np.ndarray) -> np.ndarray:
        return 1 / (rgb.sum(axis=2, dtype=np.float32) + 1)  # the frames are lit by 1 / depth

    model = DepthModel("m", brightness)
    results, ranked = evaluate(model, pairs, pairs, str(random_model))
    assert set(results) == {
        "model",
        "constant",
        "vertical gradient",
        "mean map",
        "round trip",
        "frames",
        "milliseconds_median",
    }
    assert results["frames"] == len(pairs) == len(ranked)
    assert results["model"]["abs_rel"] == pytest.approx(np.mean([error for error, _ in ranked]), abs=1e-4)
    assert results["model"]["abs_rel"] < 0.1 < results["constant"]["abs_rel"]
    errors = [error for error, _ in ranked]
    assert errors == sorted(errors)
    picture = sheet(model, ranked)
    assert picture.ndim == 3
    assert np.ptp(picture) > 200


def test_nothing_to_measure_on() -> None:
    with pytest.raises(InputError, match="no held-out frames"):
        evaluate(DepthModel("m", lambda rgb: rgb[..., 0]), [], [], "merge-tiny")
