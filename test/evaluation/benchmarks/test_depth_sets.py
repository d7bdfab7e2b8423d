"""Each depth benchmark on a made-up copy of one image, with the trap that its protocol holds."""

from __future__ import annotations

import io
from collections.abc import Callable

import cv2
import numpy as np
import pytest

from merge_ros.errors import DatasetError, InputError
from merge_ros.evaluation.benchmarks import DEPTH_BENCHMARKS
from merge_ros.evaluation.protocol import MeasuredDepth, measure

WRONG = 1e4  # an estimate that would show in every figure if its pixel counted


def png(array: np.ndarray) -> bytes:
    return cv2.imencode(".png", array)[1].tobytes()


def jpg(array: np.ndarray) -> bytes:
    return cv2.imencode(".jpg", array)[1].tobytes()


def npy(array: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def ramp(height: int, width: int, low: float, high: float) -> np.ndarray:
    return np.tile(np.linspace(low, high, width), (height, 1))


def one(name: str, files: object, model: object) -> MeasuredDepth:
    benchmark = DEPTH_BENCHMARKS[name]
    (item,) = benchmark.items(files)
    return measure(item.read(), model, benchmark.protocol)


def test_nyuv2_counts_its_window_and_only_measured_depth(stored: Callable, fixed_model: Callable) -> None:
    truth = np.rint(ramp(480, 640, 1.5, 9) * 1000).astype(np.uint16)
    estimate = 0.1 * truth / 1000 + 3
    outside = np.ones(truth.shape, bool)
    outside[45:471, 41:601] = False
    estimate[outside] = WRONG
    truth[100, 100:103] = (0, 1, 10000)  # unknown, and both ends of the open range
    estimate[100, 100:103] = WRONG
    filled = np.full(truth.shape, 5000, np.uint16)  # the filled depth lies beside the measured one, and must not count
    files = stored(
        {
            "test/kitchen_0004/rgb_0001.png": png(np.zeros((480, 640, 3), np.uint8)),
            "test/kitchen_0004/depth_0001.png": png(truth),
            "test/kitchen_0004/filled_0001.png": png(filled),
            "train/kitchen_0003/rgb_0002.png": png(np.zeros((480, 640, 3), np.uint8)),
        }
    )
    model, inner = fixed_model(estimate)
    measured = one("nyuv2", files, model)
    assert measured.metrics.n == 426 * 560 - 3
    assert measured.metrics.abs_rel == pytest.approx(0, abs=1e-5)
    assert inner.seen[0].shape == (480, 640, 3)


def test_kitti_is_cropped_twice(stored: Callable, fixed_model: Callable) -> None:
    image = np.zeros((376, 1242, 3), np.uint8)
    image[24, 13] = 255  # becomes the first pixel: the lowest 352 rows, the middle 1216 columns
    metres = ramp(376, 1242, 5, 70)
    truth = np.rint(metres * 256).astype(np.uint16)
    truth[250, 600] = 0  # no laser return
    estimate = (2 * truth / 256.0 + 1)[24:, 13 : 13 + 1216]
    inside = np.zeros((352, 1216), bool)
    inside[117:321, 43:1172] = True
    estimate[~inside] = WRONG
    drive = "2011_09_26_drive_0002_sync"
    files = stored(
        {
            f"2011_09_26/{drive}/image_02/data/0000000069.png": png(image),
            f"2011_09_26/{drive}/image_02/data/0000000070.png": png(image),  # has no truth: not in the split
            f"{drive}/proj_depth/groundtruth/image_02/0000000069.png": png(truth),
        }
    )
    model, inner = fixed_model(estimate)
    measured = one("kitti", files, model)
    assert inner.seen[0].shape == (352, 1216, 3)
    assert inner.seen[0][0, 0].tolist() == [255, 255, 255]
    assert inner.seen[0][1:].max() == 0
    assert measured.metrics.n == (321 - 117) * (1172 - 43) - 1
    assert measured.metrics.abs_rel == pytest.approx(0, abs=1e-5)


def test_kitti_image_smaller_than_the_crop(stored: Callable, fixed_model: Callable) -> None:
    drive = "2011_09_26_drive_0002_sync"
    files = stored(
        {
            f"2011_09_26/{drive}/image_02/data/0000000069.png": png(np.zeros((352, 1000, 3), np.uint8)),
            f"{drive}/proj_depth/groundtruth/image_02/0000000069.png": png(np.ones((352, 1000), np.uint16)),
        }
    )
    with pytest.raises(DatasetError, match="smaller than the 1216x352"):
        one("kitti", files, fixed_model(np.ones((352, 1216)))[0])


def test_eth3d_fits_on_a_sparse_grid_and_knows_no_infinity(stored: Callable, fixed_model: Callable) -> None:
    """2048 columns are fitted at 1024: on every second row and column, which is where the estimate is perfect."""
    height, width = 16, 2048
    truth = ramp(height, width, 2, 500).astype(np.float32)
    estimate = (truth - 1) / 7
    estimate[1::2] += 3
    estimate[:, 1::2] += 3
    known = np.ones(truth.shape, bool)
    known[4, 10:20] = False
    truth[~known] = np.inf
    estimate[~known] = WRONG
    files = stored(
        {
            "rgb/office/images/dslr_images/DSC_0219.JPG": jpg(np.zeros((height, width, 3), np.uint8)),
            "depth/office_dslr_depth/office/ground_truth_depth/dslr_images/DSC_0219.JPG": truth.tobytes(),
        }
    )
    model, inner = fixed_model(estimate)
    measured = one("eth3d", files, model)
    expected = np.abs(7 * estimate.astype(np.float64) + 1 - truth)[known] / truth[known]
    assert measured.metrics.n == known.sum()
    assert measured.metrics.abs_rel == pytest.approx(expected.mean(), rel=1e-4)
    assert expected.mean() > 0.1
    assert inner.seen[0].shape == (6, 756, 3)


def test_eth3d_depth_of_another_size(stored: Callable, fixed_model: Callable) -> None:
    files = stored(
        {
            "rgb/office/images/dslr_images/DSC_0219.JPG": jpg(np.zeros((8, 16, 3), np.uint8)),
            "depth/office_dslr_depth/office/ground_truth_depth/dslr_images/DSC_0219.JPG": b"\0" * 100,
        }
    )
    with pytest.raises(DatasetError, match="allowed: float32 of 16x8"):
        one("eth3d", files, fixed_model(np.ones((8, 16)))[0])


def test_scannet_counts_to_the_border(stored: Callable, fixed_model: Callable) -> None:
    truth = np.rint(ramp(24, 32, 1, 9) * 1000).astype(np.uint16)
    estimate = truth / 2000.0
    estimate[0, 0], estimate[-1, -1] = estimate[0, 0] + 1, estimate[-1, -1] + 1
    files = stored(
        {
            "scene0406_02/color/000300.jpg": jpg(np.zeros((24, 32, 3), np.uint8)),
            "scene0406_02/depth/000300.png": png(truth),
        }
    )
    measured = one("scannet", files, fixed_model(estimate)[0])
    slope, shift = np.polyfit(estimate.ravel(), truth.ravel() / 1000, 1)
    expected = np.abs(np.clip(slope * estimate + shift, 1e-3, 10) - truth / 1000) / (truth / 1000)
    assert measured.metrics.n == 24 * 32
    assert measured.metrics.abs_rel == pytest.approx(expected.mean(), rel=1e-4)


def test_diode_clips_by_its_range_and_masks_by_its_files(stored: Callable, fixed_model: Callable) -> None:
    truth = ramp(12, 16, 1, 100)
    truth[0, 0], truth[0, 1] = 0.5, 400  # outside of the range, but the mask has them, so they count
    estimate = 3 * truth - 1
    mask = np.ones(truth.shape, np.float32)
    mask[5, 5] = 0
    estimate[5, 5] = WRONG
    stem = "outdoor/scene_00022/scan_00193/00022_00193_outdoor_010_020"
    files = stored(
        {
            f"{stem}.png": png(np.zeros((768, 1024, 3), np.uint8)),
            f"{stem}_depth.npy": npy(truth[..., None].astype(np.float32)),
            f"{stem}_depth_mask.npy": npy(mask),
        }
    )
    model, inner = fixed_model(estimate)
    measured = one("diode", files, model)
    assert measured.metrics.n == 12 * 16 - 1
    assert measured.metrics.abs_rel == pytest.approx((0.1 / 0.5 + 50 / 400) / (12 * 16 - 1), rel=1e-3)
    assert inner.seen[0].shape == (480, 640, 3)


def test_hypersim_has_no_near_limit_of_a_millimetre(stored: Callable, fixed_model: Callable) -> None:
    truth = np.rint(ramp(8, 16, 1, 65.5) * 1000).astype(np.uint16)
    truth[0, 0] = 1
    files = stored(
        {
            "val/ai_003_010/rgb_cam_00_fr0047.png": png(np.zeros((8, 16, 3), np.uint8)),
            "val/ai_003_010/depth_plane_cam_00_fr0047.png": png(truth),
        }
    )
    measured = one("hypersim", files, fixed_model(truth / 1000.0)[0])
    assert measured.metrics.n == ((truth > 0) & (truth < 65000)).sum()


def test_vkitti_is_centimetres_and_cropped_like_kitti(stored: Callable, fixed_model: Callable) -> None:
    truth = np.rint(ramp(375, 1242, 5, 120) * 100).astype(np.uint16)
    files = stored(
        {
            "rgb/Scene01/clone/frames/rgb/Camera_0/rgb_00000.jpg": jpg(np.zeros((375, 1242, 3), np.uint8)),
            "depth/Scene01/clone/frames/depth/Camera_0/depth_00000.png": png(truth),
        }
    )
    cut = truth[23:, 13 : 13 + 1216] / 100.0
    measured = one("vkitti", files, fixed_model(cut)[0])
    window = cut[117:321, 43:1172]
    assert measured.metrics.n == (window < 80).sum()
    assert measured.metrics.abs_rel == pytest.approx(0, abs=1e-5)


def test_procedural_rooms(stored: Callable, fixed_model: Callable) -> None:
    truth = np.rint(ramp(8, 16, 1, 9) * 1000).astype(np.uint16)
    files = stored(
        {"rgb/00000040_0.jpg": jpg(np.zeros((8, 16, 3), np.uint8)), "depth/00000040_0.png": png(truth)},
    )
    assert one("procedural", files, fixed_model(truth)[0]).metrics.abs_rel == pytest.approx(0, abs=1e-5)


def test_truth_without_a_valid_pixel(stored: Callable, fixed_model: Callable) -> None:
    files = stored(
        {
            "scene0406_02/color/000300.jpg": jpg(np.zeros((24, 32, 3), np.uint8)),
            "scene0406_02/depth/000300.png": png(np.zeros((24, 32), np.uint16)),
        }
    )
    with pytest.raises(InputError, match="no pixel is valid"):
        one("scannet", files, fixed_model(np.ones((24, 32)))[0])
