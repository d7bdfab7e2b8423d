"""Any image size in, the same size out; bad input is refused before any compute."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")

from merge_ros.config import EstimatorSettings
from merge_ros.errors import BackendError, CheckpointError, ConfigurationError, InputError
from merge_ros.estimator import DepthEstimator


@pytest.fixture(scope="module")
def estimator(random_model: Path) -> DepthEstimator:
    return DepthEstimator(EstimatorSettings(model=str(random_model), backend="torch"))


def _image(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(height * width).integers(0, 256, (height, width, 3), np.uint8)


@pytest.mark.parametrize(("width", "height"), [(640, 480), (1280, 720), (752, 480), (97, 131), (1, 1), (300, 2)])
def test_the_result_has_the_size_of_the_image(estimator: DepthEstimator, width: int, height: int) -> None:
    depth = estimator(_image(height, width))
    assert depth.shape == (height, width)
    assert depth.dtype == np.float32
    assert np.isfinite(depth).all()
    assert depth.min() >= 0
    assert depth.max() <= 1


def test_same_image_same_result(estimator: DepthEstimator) -> None:
    image = _image(60, 80)
    assert np.array_equal(estimator(image), estimator(image.copy()))


def test_another_seed_is_another_estimate_where_noise_is_drawn(
    estimator: DepthEstimator, random_model: Path, tmp_path: Path
) -> None:
    image = _image(60, 80)
    with pytest.raises(InputError, match="for models that start from noise"):
        estimator.reseed(1)  # one step starts from zeros
    shutil.copytree(random_model, tmp_path / "model")
    config = tmp_path / "model" / "depth_converters" / "config.json"
    several = {"prediction_type": "epsilon", "depth_timestep": None, "num_inference_steps": 2}
    config.write_text(json.dumps(json.loads(config.read_text()) | several))
    noisy = DepthEstimator(EstimatorSettings(model=str(tmp_path / "model"), backend="torch"))
    assert noisy.draws_noise
    assert not estimator.draws_noise
    first = noisy(image)
    noisy.reseed(1)
    second = noisy(image)
    noisy.reseed(0)
    assert not np.array_equal(first, second)
    assert np.array_equal(noisy(image), first)
    with pytest.raises(InputError, match="seed -1"):
        noisy.reseed(-1)


def test_views_are_read_right(estimator: DepthEstimator) -> None:
    image = _image(60, 80)
    padded = np.zeros((60, 100, 3), np.uint8)
    padded[:, :80] = image
    assert np.array_equal(estimator(padded[:, :80]), estimator(image))


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((4, 4), np.uint8),
        np.zeros((4, 4, 4), np.uint8),
        np.zeros((4, 4, 3), np.float32),
        np.zeros((0, 4, 3), np.uint8),
        [[1, 2, 3]],
    ],
)
def test_bad_images(estimator: DepthEstimator, image: object) -> None:
    with pytest.raises(InputError):
        estimator(image)  # type: ignore[arg-type]


def test_closed(random_model: Path) -> None:
    estimator = DepthEstimator(EstimatorSettings(model=str(random_model), backend="torch"))
    estimator.warm_up(40, 30)
    estimator.close()
    estimator.close()
    with pytest.raises(InputError, match="closed"):
        estimator(_image(4, 4))


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_lower_precision_is_near(random_model: Path, estimator: DepthEstimator, precision: str) -> None:
    other = DepthEstimator(EstimatorSettings(model=str(random_model), backend="torch", precision=precision))
    assert precision in other.description
    image = _image(60, 80)
    difference = np.abs(other(image) - estimator(image))
    assert 0 < difference.max() < 0.05


def test_what_cannot_be_loaded(random_model: Path) -> None:
    with pytest.raises(CheckpointError, match="does not exist"):
        DepthEstimator(EstimatorSettings(model="/nowhere"))
    with pytest.raises(BackendError, match="Nothing falls back"):
        DepthEstimator(EstimatorSettings(model=str(random_model), backend="torch", device="cuda:63"))
    with pytest.raises(BackendError, match="unknown to torch"):
        DepthEstimator(EstimatorSettings(model=str(random_model), backend="torch", device="gpu"))
    with pytest.raises(ConfigurationError, match="one step"):
        DepthEstimator(EstimatorSettings(model=str(random_model), steps=20))
