import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from merge_ros.errors import InputError
from merge_ros.geometry.camera import Camera
from merge_ros.geometry.pointcloud import POINT_DTYPE, back_project, packed_cloud, write_ply

CAMERA = Camera(13, 7, 9.0, 11.0, 5.5, 3.25)
SHAPE = (CAMERA.height, CAMERA.width)
depths = arrays(
    np.float32, SHAPE, elements=st.floats(np.float32(0.1), 50, width=32) | st.sampled_from([np.nan, np.inf])
)
images = arrays(np.uint8, (*SHAPE, 3))


@given(depths)
def test_points_project_back_to_their_pixels_at_their_depth(depth: np.ndarray) -> None:
    points = back_project(depth, CAMERA).astype(np.float64)
    finite = np.isfinite(depth)
    assert np.isnan(points[~finite]).all()
    np.testing.assert_array_equal(points[..., 2][finite], depth[finite])
    homogeneous = points[finite] @ CAMERA.matrix.T
    v, u = np.nonzero(finite)
    np.testing.assert_allclose(homogeneous[:, :2] / homogeneous[:, 2:], np.stack([u, v], -1), atol=1e-4)


@given(depths, images, st.integers(1, 9))
def test_packed_cloud_holds_every_nth_point_and_its_colour(depth: np.ndarray, rgb: np.ndarray, stride: int) -> None:
    cloud = packed_cloud(depth, rgb, CAMERA, stride)
    assert cloud.dtype == POINT_DTYPE
    assert cloud.dtype.itemsize == 16
    xyz = np.stack([cloud[axis] for axis in "xyz"], -1)
    np.testing.assert_array_equal(xyz, back_project(depth, CAMERA)[::stride, ::stride])
    packed = cloud["rgb"].copy().view(np.uint32)
    channels = np.stack([packed >> 16 & 255, packed >> 8 & 255, packed & 255], -1)
    np.testing.assert_array_equal(channels, rgb[::stride, ::stride])
    assert (packed >> 24 == 0).all()


@given(depths, images)
def test_ply_reads_back(tmp_path_factory: pytest.TempPathFactory, depth: np.ndarray, rgb: np.ndarray) -> None:
    path = tmp_path_factory.mktemp("ply") / "cloud.ply"
    points = back_project(depth, CAMERA)
    finite = np.isfinite(depth)
    assert write_ply(path, points, rgb) == finite.sum()
    read_points, read_colours = read_ply(path)
    np.testing.assert_array_equal(read_points, points[finite])
    np.testing.assert_array_equal(read_colours, rgb[finite])


def read_ply(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """A reader of its own, by the PLY specification (Turk 1994)."""
    header, _, body = path.read_bytes().partition(b"end_header\n")
    lines = header.decode("ascii").splitlines()
    assert lines[:2] == ["ply", "format binary_little_endian 1.0"]
    count = int(lines[2].removeprefix("element vertex "))
    assert lines[3:] == [
        *("property float x", "property float y", "property float z"),
        *("property uchar red", "property uchar green", "property uchar blue"),
    ]
    rows = list(struct.iter_unpack("<3f3B", body))
    assert len(rows) == count
    values = np.array(rows, np.float64).reshape(-1, 6)
    return values[:, :3].astype(np.float32), values[:, 3:].astype(np.uint8)


def test_a_failed_write_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: Path, target: Path) -> None:
        raise OSError("no space left")

    target = tmp_path / "cloud.ply"
    target.write_text("old")
    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(OSError, match="no space"):
        write_ply(target, np.zeros((4, 3), np.float32), np.zeros((4, 3), np.uint8))
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_refuses_what_does_not_belong_together(tmp_path: Path) -> None:
    depth, rgb = np.ones(SHAPE, np.float32), np.zeros((*SHAPE, 3), np.uint8)
    with pytest.raises(InputError, match="depth has shape"):
        back_project(depth.T, CAMERA)
    with pytest.raises(InputError, match="colours are uint8"):
        packed_cloud(depth, rgb[:, :-1], CAMERA)
    with pytest.raises(InputError, match="float64"):
        packed_cloud(depth, rgb / 255, CAMERA)
    with pytest.raises(InputError, match="stride=0"):
        packed_cloud(depth, rgb, CAMERA, 0)
    with pytest.raises(InputError, match="one shape"):
        write_ply(tmp_path / "x.ply", np.zeros((4, 3)), np.zeros((5, 3), np.uint8))
