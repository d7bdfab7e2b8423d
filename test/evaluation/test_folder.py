"""A folder with known answers, and folders that are not right."""

import csv
import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from merge_ros.errors import ConfigurationError, DatasetError, InputError
from merge_ros.evaluation.evaluate import evaluate_pairs
from merge_ros.evaluation.folder import find_pairs

HEIGHT, WIDTH = 24, 32
RANGE = (1e-3, 65.0)


def _depth(index: int) -> np.ndarray:
    ramp = np.linspace(1, 3 + index, WIDTH, dtype=np.float32)
    return np.tile(ramp, (HEIGHT, 1))


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Images whose first channel encodes which they are; depth as millimetres and as metres; one in a sub-folder."""
    for index, name in enumerate(("a", "b", "room/c")):
        image, depth = tmp_path / "rgb" / f"{name}.png", tmp_path / "depth" / f"{name}.png"
        image.parent.mkdir(parents=True, exist_ok=True)
        depth.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(image), np.full((HEIGHT, WIDTH, 3), index, np.uint8))
        if name == "b":
            np.save(depth.with_suffix(".npy"), _depth(index))
        else:
            cv2.imwrite(str(depth), np.rint(_depth(index) * 1000).astype(np.uint16))
    return tmp_path


def _perfect(image: np.ndarray) -> np.ndarray:
    return (_depth(int(image[0, 0, 0])) - 0.5) / 7  # some affine of the truth


def test_a_perfect_relative_depth(data: Path, tmp_path: Path) -> None:
    result = evaluate_pairs(_perfect, find_pairs(data), RANGE, tmp_path / "out")
    assert result.summary() == pytest.approx({"abs_rel": 0, "delta1": 1, "n": 3, "failed": 0}, abs=1e-3)
    assert json.loads((tmp_path / "out" / "summary.json").read_text())["n"] == 3
    with (tmp_path / "out" / "per_image.csv").open() as file:
        assert [row["name"] for row in csv.DictReader(file)] == ["a", "b", "room/c"]
    assert cv2.imread(str(tmp_path / "out" / "worst.png")).shape[0] == 3 * 160


def test_the_error_is_the_one_computed_by_hand(data: Path, tmp_path: Path) -> None:
    """Truth 1 and 2 m in equal parts, prediction 0, 1, 0, 2: the least-squares line is known."""
    truth = np.repeat(np.array([[1, 2, 1, 2]], np.float32), 2, axis=0)
    np.save(data / "depth" / "b.npy", truth)
    prediction = np.repeat(np.array([[0, 1, 0, 2]], np.float32), 2, axis=0)
    pairs = [pair for pair in find_pairs(data) if pair.name == "b"]
    result = evaluate_pairs(lambda _: prediction, pairs, RANGE, tmp_path / "out")
    slope, shift = np.polyfit([0, 1, 0, 2], [1, 2, 1, 2], 1)
    fitted = slope * np.array([0, 1, 0, 2]) + shift
    assert result.rows["b"].abs_rel == pytest.approx(np.mean(np.abs(fitted - [1, 2, 1, 2]) / [1, 2, 1, 2]))


def test_one_bad_image_is_named_and_the_others_count(data: Path, tmp_path: Path) -> None:
    (data / "rgb" / "a.png").write_bytes(b"no image")
    result = evaluate_pairs(_perfect, find_pairs(data), RANGE, tmp_path / "out")
    assert result.summary()["n"] == 2
    assert "not an image" in result.failed["a"]


@pytest.mark.parametrize("stored", [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3), np.uint16)])
def test_depth_of_another_kind(data: Path, tmp_path: Path, stored: np.ndarray) -> None:
    cv2.imwrite(str(data / "depth" / "a.png"), stored)
    result = evaluate_pairs(_perfect, find_pairs(data), RANGE, tmp_path / "out")
    assert "allowed: one channel of 16-bit millimetres" in result.failed["a"]


def test_nothing_that_can_be_measured(data: Path, tmp_path: Path) -> None:
    for path in (data / "rgb").rglob("*.png"):
        path.write_bytes(b"no image")
    with pytest.raises(InputError, match="none of 3 images"):
        evaluate_pairs(_perfect, find_pairs(data), RANGE, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_folders_that_are_not_right(data: Path, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="holds no files"):
        find_pairs(tmp_path / "nowhere")
    (data / "depth" / "a.png").unlink()
    with pytest.raises(DatasetError, match=r"1 image\(s\) have no depth file"):
        find_pairs(data)
    cv2.imwrite(str(data / "rgb" / "b.jpg"), np.zeros((4, 4, 3), np.uint8))
    with pytest.raises(DatasetError, match="have the same name"):
        find_pairs(data)


def test_a_range_that_is_none(data: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="must satisfy"):
        evaluate_pairs(_perfect, find_pairs(data), (5.0, 1.0), tmp_path / "out")
