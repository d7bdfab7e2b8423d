"""Data sets on disk: their layout, and that stopping and going on changes nothing."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from merge_ros.errors import ConfigurationError, DatasetError

pytest.importorskip("mujoco", reason="rendering needs the extra 'sim'")

from merge_ros.simulation.dataset import make_dataset, read_index
from merge_ros.simulation.kinds import VIEW_KINDS, kind_of, scene_views
from merge_ros.simulation.photometric import Photometric, photograph
from merge_ros.simulation.views import room_views

SIZE = (64, 48)
MIX = {"robot": 0.5, "wide": 0.2, "asset": 0.3}


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
    kinds = {record["seed"]: record["kind"] for record in records}
    assert kinds == {seed: kind_of(seed, MIX) for seed in kinds}
    truth = scene_views(40, 2, SIZE, kinds[40])[0]
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


def test_normals_are_written_on_request(whole: Path, tmp_path: Path) -> None:
    assert not (whole / "normals").exists()
    make_dataset(tmp_path, 1, SIZE, seed=40, workers=1, views_per_room=2, normals=True, progress=False)
    truth = scene_views(40, 2, SIZE, kind_of(40, MIX))[0]
    stored = np.load(tmp_path / "normals" / "00000040_0.npy")
    assert stored.shape == (48, 64, 3)
    assert np.abs(stored - truth.normals).max() < 1e-3


def test_other_settings_do_not_mix(whole: Path) -> None:
    with pytest.raises(DatasetError, match="another folder"):
        make_dataset(whole, 8, (32, 32), seed=40, workers=1, views_per_room=2, progress=False)


def test_only_the_kinds_asked_for(tmp_path: Path) -> None:
    make_dataset(tmp_path, 3, SIZE, workers=1, views_per_room=1, kinds={"asset": 1}, progress=False)
    assert [record["kind"] for record in read_index(tmp_path)] == ["asset"] * 3
    assert set(json.loads((tmp_path / "dataset.json").read_text())["kinds"]) == set(VIEW_KINDS)


def test_pictures_are_never_black_or_burnt_out(tmp_path: Path) -> None:
    make_dataset(tmp_path, 12, SIZE, workers=1, views_per_room=2, kinds={"wide": 1}, progress=False)
    for path in (tmp_path / "rgb").iterdir():
        assert 20 < cv2.imread(str(path)).mean() < 240


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
    grey = Photometric(exposure=0, gamma=0, colour_cast=0, saturation=1, blur=0, noise=0, jpeg_quality=(100, 100))
    spread = [np.ptp(photograph(clean, np.random.default_rng(seed), grey), axis=2).mean() for seed in range(8)]
    assert min(spread) < np.ptp(clean, axis=2).mean() < max(spread)
    corners = Photometric(exposure=0, gamma=0, colour_cast=0, vignette=0.9, blur=0, noise=0, jpeg_quality=(100, 100))
    white = photograph(np.full_like(clean, 250), np.random.default_rng(1), corners)
    assert white[0, 0, 0] < white[24, 32, 0] - 20
    # What is left is the colour of JPEG, which is stored at half resolution: much at 64x48.
    assert np.abs(photograph(clean, np.random.default_rng(1), perfect).astype(int) - clean).mean() < 5


def test_settings_are_stored(whole: Path) -> None:
    stored = json.loads((whole / "dataset.json").read_text())
    assert stored == {
        "size": [64, 48],
        "seed": 40,
        "views_per_room": 2,
        "photometric": True,
        "kinds": MIX,
        "evaluation_ranges": False,
    }
