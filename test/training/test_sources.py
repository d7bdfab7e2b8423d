"""Data sets in the layouts of their authors: read right, mixed right, and wrong files named."""

from __future__ import annotations

import subprocess
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip("torch", reason="training needs the extra 'train'")

from merge_ros.config.training import SourceSettings
from merge_ros.errors import DatasetError, MergeError
from merge_ros.training.sources.batches import batches, load_batch
from merge_ros.training.sources.order import FrameKey, Order
from merge_ros.training.sources.source import Source


def write_png(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), pixels)


@pytest.fixture
def hypersim(tmp_path: Path) -> Path:
    """Two scenes of two frames, 64x48, in Marigold's layout; depth in frame n: n + 1 m, then n + 2 m, with holes."""
    folder = tmp_path / "hypersim"
    for number in range(4):
        scene, frame = f"ai_001_00{number // 2}", f"cam_00_fr000{number % 2}"
        write_png(folder / scene / f"rgb_{frame}.png", np.full((48, 64, 3), 40 * number, np.uint8))
        millimetres = np.full((48, 64), 1000 * (number + 1), np.uint16)
        millimetres[:, 32:] += 1000
        millimetres[:4], millimetres[4:8] = 0, 65500  # nothing seen; too far to count
        write_png(folder / scene / f"depth_plane_{frame}.png", millimetres)
        normals = np.zeros((48, 64, 3), np.float32)
        normals[..., 0], normals[..., 2] = 0.6, 0.8  # towards the camera and its right, in Hypersim's axes
        np.save(folder / scene / f"normal_cam_{frame}.npy", normals)
    return folder


def as_tar(folder: Path) -> Path:
    path = folder.with_suffix(".tar")
    subprocess.run(["tar", "-cf", path, "-C", folder, "."], check=True)  # with ./ before names, like Marigold's
    return path


@pytest.mark.parametrize("packed", [False, True], ids=["folder", "tar"])
def test_hypersim_in_both_forms(hypersim: Path, packed: bool) -> None:
    source = Source(SourceSettings("hypersim", str(as_tar(hypersim) if packed else hypersim)), "depth")
    assert len(source) == 4
    frame = source.frame(3)
    assert frame.name.endswith("ai_001_001/rgb_cam_00_fr0001.png")
    assert (frame.rgb == 120).all()
    np.testing.assert_allclose(frame.truth[8:, :32], 4.0)
    np.testing.assert_allclose(frame.truth[8:, 32:], 5.0)
    assert not frame.truth[:8].any()


def test_hypersim_normals_become_optical(hypersim: Path) -> None:
    normals = Source(SourceSettings("hypersim", str(hypersim)), "normals").frame(0).truth
    np.testing.assert_allclose(normals[0, 0], [0.6, 0, -0.8], atol=1e-6)


def test_a_list_chooses_the_frames(hypersim: Path, tmp_path: Path) -> None:
    chosen = "ai_001_000/rgb_cam_00_fr0001.png ai_001_000/depth_plane_cam_00_fr0001.png"
    (tmp_path / "list.txt").write_text(f"{chosen}\nai_001_001/rgb_cam_00_fr0000.png None\n")
    source = Source(SourceSettings("hypersim", str(hypersim), list=str(tmp_path / "list.txt")), "depth")
    assert source.pairs == [tuple(chosen.split())]


@pytest.mark.parametrize(("before", "packed"), [("", True), ("vkitti_2.0.3_", False)], ids=["marigold", "download"])
def test_virtual_kitti_is_cropped_and_in_centimetres(tmp_path: Path, before: str, packed: bool) -> None:
    root, way = tmp_path / "vkitti", "Scene01/clone/frames"
    depth = np.full((375, 1242), 1234, np.uint16)
    depth[:50] = 65535  # sky
    write_png(root / f"{before}depth/{way}/depth/Camera_0/depth_00007.png", depth)
    rgb = np.zeros((375, 1242, 3), np.uint8)
    rgb[375 - 352 :, 13 : 13 + 1216] = 200  # the KITTI benchmark's window: bottom, centre
    write_png(root / f"{before}rgb/{way}/rgb/Camera_0/rgb_00007.jpg", rgb)
    source = Source(SourceSettings("vkitti", str(as_tar(root) if packed else root)), "depth")
    assert source.size == (1216, 352)
    frame = source.frame(0)
    assert frame.rgb[8:-8, 8:-8].min() > 190
    np.testing.assert_allclose(frame.truth[50 - (375 - 352) :], 12.34, rtol=1e-6)
    assert not frame.truth[: 50 - (375 - 352)].any()
    with pytest.raises(DatasetError, match="no normals"):
        Source(SourceSettings("vkitti", str(root)), "normals")


def test_scaling_never_mixes_depths(hypersim: Path) -> None:
    frame = Source(SourceSettings("hypersim", str(hypersim), size=(24, 16)), "depth").frame(0)
    assert frame.rgb.shape == (16, 24, 3)
    assert set(np.unique(frame.truth)) == {0.0, 1.0, 2.0}


def test_whatever_is_wrong_is_named(hypersim: Path, tmp_path: Path) -> None:
    victim = hypersim / "ai_001_001" / "depth_plane_cam_00_fr0001.png"

    def problem() -> str:
        with pytest.raises(DatasetError) as caught:
            Source(SourceSettings("hypersim", str(hypersim)), "depth").check(0)
        assert "fr0001" in str(caught.value)
        return str(caught.value)

    write_png(victim, np.zeros((48, 64), np.uint16))
    assert "not a single known pixel" in problem()
    write_png(victim, np.full((40, 64), 2000, np.uint16))
    assert "64x40" in problem()
    write_png(victim, np.full((48, 64, 3), 20, np.uint8))
    assert "16-bit" in problem()
    victim.write_bytes(victim.read_bytes()[:40])
    assert "not an image" in problem()
    victim.unlink()
    assert "missing" in problem()
    with pytest.raises(DatasetError, match="does not exist"):
        Source(SourceSettings("hypersim", str(tmp_path / "nowhere")), "depth")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DatasetError, match="holds no frames"):
        Source(SourceSettings("hypersim", str(tmp_path / "empty")), "depth")
    subprocess.run(["tar", "-czf", tmp_path / "packed.tar", "-C", hypersim, "."], check=True)
    with pytest.raises(DatasetError, match="uncompressed"):
        Source(SourceSettings("hypersim", str(tmp_path / "packed.tar")), "depth")


def test_frames_of_several_sizes_need_a_size(hypersim: Path) -> None:
    for kind, pixels in (("rgb", np.zeros((32, 32, 3), np.uint8)), ("depth_plane", np.full((32, 32), 900, np.uint16))):
        write_png(hypersim / "ai_001_001" / f"{kind}_cam_00_fr0001.png", pixels)
    with pytest.raises(DatasetError, match=r"fr0001.png is 32x32, others are 64x48"):
        Source(SourceSettings("hypersim", str(hypersim)), "depth").check(0)


def test_the_mix_is_fixed_by_the_seed_and_by_nothing_else() -> None:
    order = Order([40, 12], [0.9, 0.1], batch=4, passes=400, seed=3)
    assert np.mean(order.chosen == 0) == pytest.approx(0.9, abs=0.05)
    # Two processes together see what one does.
    for number in range(20):
        halves = order.keys(number, 0, 2) + order.keys(number, 1, 2)
        assert halves == order.keys(number)
    # Begun anywhere, it goes on as it would have.
    again = Order([40, 12], [0.9, 0.1], batch=4, passes=400, seed=3)
    assert next(again.from_pass(17, 0, 1)) == order.keys(17)
    # Every frame once before any comes again.
    first_round = [n for n in range(400) if order.chosen[n] == 0][:10]
    seen = Counter(key.index for number in first_round for key in order.keys(number))
    assert set(seen.values()) == {1}
    assert len(seen) == 40
    with pytest.raises(DatasetError, match="fewer than"):
        Order([3], [1.0], batch=4, passes=1, seed=0)


def test_a_batch_is_normalised_and_mirrored(hypersim: Path) -> None:
    source = Source(SourceSettings("hypersim", str(hypersim)), "depth")
    straight, mirrored = (load_batch([source], [FrameKey(0, 1, flip, 0)]) for flip in (False, True))
    assert (straight.target[0, :, 8:, :32] == -1).all()
    assert (straight.target[0, :, 8:, 32:] == 1).all()
    assert (straight.target[0, :, :8] == 1).all()  # unknown: at the far end
    assert straight.valid.sum() == 40 * 64
    assert (straight.truth[0, 8:, :32] == 2).all()
    assert (mirrored.target.flip(-1) == straight.target).all()
    assert (mirrored.valid.flip(-1) == straight.valid).all()
    facing = Source(SourceSettings("hypersim", str(hypersim)), "normals")
    normals = load_batch([facing], [FrameKey(0, 1, True, 0)])
    np.testing.assert_allclose(normals.truth[0, :, 5, 5], [-0.6, 0, -0.8], atol=1e-6)


def test_reading_processes_give_the_same_and_pass_errors_on(hypersim: Path) -> None:
    source = Source(SourceSettings("hypersim", str(as_tar(hypersim))), "depth")
    order = Order([4], [1.0], batch=2, passes=3, seed=0)
    alone, helped = ([b.image for b in batches([source], order.from_pass(0, 0, 1), workers)] for workers in (0, 2))
    assert all((a == b).all() for a, b in zip(alone, helped, strict=True))
    source = Source(SourceSettings("hypersim", str(hypersim)), "depth")
    for path in hypersim.rglob("rgb_*.png"):
        path.write_bytes(b"no picture")
    with pytest.raises(MergeError, match=r"rgb_cam_00_fr000\d.png is not an image that can be read$"):
        next(iter(batches([source], order.from_pass(0, 0, 1), 1)))
