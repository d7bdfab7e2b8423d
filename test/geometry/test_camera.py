import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from merge_ros.errors import CalibrationError
from merge_ros.geometry.camera import Camera

sizes = st.integers(1, 300)
focals = st.floats(1.0, 2000.0)
cameras = st.builds(
    lambda w, h, fx, fy, u, v: Camera(w, h, fx, fy, u * w, v * h),
    *(sizes, sizes, focals, focals, st.floats(-0.5, 1.5), st.floats(-0.5, 1.5)),
)


def project(points: np.ndarray, camera: Camera) -> np.ndarray:
    """Pixels (u, v) of points in the optical frame, by the definition of K."""
    homogeneous = points @ camera.matrix.T
    return homogeneous[..., :2] / homogeneous[..., 2:]


@given(cameras)
def test_rays_project_to_their_own_pixels(camera: Camera) -> None:
    rays = camera.rays()
    assert rays.shape == (camera.height, camera.width, 3)
    assert (rays[..., 2] == 1).all()
    u, v = np.meshgrid(np.arange(camera.width), np.arange(camera.height))
    pixels = project(rays.astype(np.float64), camera)
    size = max(camera.width, camera.height)
    np.testing.assert_allclose(pixels, np.stack([u, v], -1), atol=1e-6 * size + 1e-6)


@given(cameras, sizes, sizes)
def test_resizing_there_and_back_is_the_same_camera(camera: Camera, width: int, height: int) -> None:
    back = camera.resized(width, height).resized(camera.width, camera.height)
    assert (back.width, back.height) == (camera.width, camera.height)
    np.testing.assert_allclose(back.matrix, camera.matrix, rtol=1e-12, atol=1e-9)


@given(cameras, st.integers(1, 5), st.integers(1, 5))
def test_resizing_scales_x_with_width_and_y_with_height(camera: Camera, sx: int, sy: int) -> None:
    big = camera.resized(camera.width * sx, camera.height * sy)
    expected = np.diag([sx, sy, 1.0]) @ camera.matrix
    np.testing.assert_allclose(big.matrix, expected, rtol=1e-12)


@given(cameras, st.data())
def test_cropping_shows_the_same_rays(camera: Camera, data: st.DataObject) -> None:
    left = data.draw(st.integers(0, camera.width - 1))
    top = data.draw(st.integers(0, camera.height - 1))
    width = data.draw(st.integers(1, camera.width - left))
    height = data.draw(st.integers(1, camera.height - top))
    window = camera.rays()[top : top + height, left : left + width]
    np.testing.assert_allclose(camera.cropped(left, top, width, height).rays(), window, rtol=1e-5, atol=1e-5)


@given(sizes, sizes, st.floats(0.05, 3.0))
def test_field_of_view_round_trip(width: int, height: int, fov: float) -> None:
    assert Camera.from_fov(width, height, fov).horizontal_fov == pytest.approx(fov, rel=1e-9)


def test_rays_are_shared_and_read_only() -> None:
    camera = Camera.from_fov(8, 6, 1.0)
    assert camera.rays() is Camera.from_fov(8, 6, 1.0).rays()
    with pytest.raises(ValueError, match="read-only"):
        camera.rays()[0, 0, 0] = 1


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ((0, 4, 1, 1, 0, 0), "0x4"),
        ((4, -1, 1, 1, 0, 0), "4x-1"),
        ((4, 4, 0, 1, 0, 0), "fx=0"),
        ((4, 4, 1, -2, 0, 0), "fy=-2"),
        ((4, 4, math.nan, 1, 0, 0), "finite"),
        ((4, 4, 1, 1, math.inf, 0), "finite"),
    ],
)
def test_refuses_bad_intrinsics(values: tuple, message: str) -> None:
    with pytest.raises(CalibrationError, match=message):
        Camera(*values)


@pytest.mark.parametrize("fov", [0.0, -1.0, math.pi, math.nan])
def test_refuses_bad_field_of_view(fov: float) -> None:
    with pytest.raises(CalibrationError, match="horizontal_fov"):
        Camera.from_fov(4, 4, fov)


@pytest.mark.parametrize("region", [(-1, 0, 2, 2), (0, 0, 9, 2), (7, 0, 2, 2), (0, 0, 0, 2), (0, 5, 2, 2)])
def test_refuses_a_region_outside_the_image(region: tuple[int, int, int, int]) -> None:
    with pytest.raises(CalibrationError, match="does not lie inside"):
        Camera.from_fov(8, 6, 1.0).cropped(*region)


def test_refuses_an_empty_size() -> None:
    with pytest.raises(CalibrationError, match="0x3"):
        Camera.from_fov(8, 6, 1.0).resized(0, 3)
