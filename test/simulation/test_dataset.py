"""Data sets on disk: their layout, and that stopping and going on changes nothing."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from merge_ros.errors import ConfigurationError, DatasetError

pytest.importorskip("mujoco", reason="rendering needs the extra 'sim'")

from merge_ros.simulation.dataset import make_dataset, read_index
from merge_ros.simulation.photometric import Photometric, photograph
from merge_ros.simulation.views import room_views

SIZE = (64, 48)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole")
    assert make_dataset(folder, 6, SIZE, seed=40, workers=1, views_per_room=2, progress=False) == 6
    return folder


def test_layout_and_truth(whole: Path) -> None:
    records = read_index(whole)
    assert [record["name"] for record in records][:2] == ["00000040_0", "00000040_1"]
    truth = room_views(40, 2, SIZE)[0]
    stored = cv2.imread(str(whole / "depth" / "00000040_0.png"), cv2.IMREAD_UNCHANGED)
    assert stored.dtype == np.uint16
    assert np.abs(stored / 1000 - truth.depth).max() <= 0.0006
    assert records[0]["caption"] == truth.caption
    assert records[0]["camera"]["fx"] == truth.camera.fx
    assert (whole / "rgb" / "00000040_0.jpg").is_file()


def test_resumed_and_parallel_equals_whole(whole: Path, tmp_path: Path) -> None:
    make_dataset(tmp_path, 3, SIZE, seed=40, workers=1, views_per_room=2, progress=False)
    index = tmp_path / "frames.jsonl"
    index.write_text(index.read_text() + '{"name": "0000')  # killed while it wrote a line
    make_dataset(tmp_path, 6, SIZE, seed=40, workers=2, views_per_room=2, progress=False)
    assert read_index(tmp_path) == read_index(whole)
    expected, found = contents(whole), contents(tmp_path)
    # Rooms rendered ahead may leave pictures that the index does not name.
    assert {name: found[name] for name in expected} == expected


def test_other_settings_do_not_mix(whole: Path) -> None:
    with pytest.raises(DatasetError, match="another folder"):
        make_dataset(whole, 8, (32, 32), seed=40, workers=1, views_per_room=2, progress=False)


def test_bad_calls_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="count=0"):
        make_dataset(tmp_path, 0)
    with pytest.raises(DatasetError, match="no simulated data set"):
        read_index(tmp_path)


def test_photographs_differ_but_stay_the_same_scene() -> None:
    clean = room_views(41, 1, SIZE)[0].rgb
    first = photograph(clean, np.random.default_rng(1))
    assert np.array_equal(first, photograph(clean, np.random.default_rng(1)))
    assert not np.array_equal(first, photograph(clean, np.random.default_rng(2)))
    assert np.corrcoef(first.ravel(), clean.ravel())[0, 1] > 0.8
    perfect = Photometric(exposure=0, gamma=0, colour_cast=0, blur=0, noise=0, jpeg_quality=(100, 100))
    # What is left is the colour of JPEG, which is stored at half resolution: much at 64x48.
    assert np.abs(photograph(clean, np.random.default_rng(1), perfect).astype(int) - clean).mean() < 5


def test_settings_are_stored(whole: Path) -> None:
    stored = json.loads((whole / "dataset.json").read_text())
    assert stored == {"size": [64, 48], "seed": 40, "views_per_room": 2, "photometric": True}
