"""Camera infos: binning and region of interest, P from K, sizes, distortion, pairing by stamp."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("rclpy", reason="ROS 2 (rclpy) is not installed")

from builtin_interfaces.msg import Time
from sensor_msgs.msg import CameraInfo, RegionOfInterest
from std_msgs.msg import Header

from merge_ros.errors import CalibrationError
from merge_ros.ros.camera_info import REMEMBERED, RecentInfos, camera_for_image, distortion_warning, resolve

HEADER = Header(frame_id="camera_optical", stamp=Time(sec=5, nanosec=6))


def info_of(width: int = 640, height: int = 480, **fields: object) -> CameraInfo:
    info = CameraInfo(width=width, height=height, distortion_model="plumb_bob")
    info.k = [500.0, 0.0, 320.0, 0.0, 510.0, 240.0, 0.0, 0.0, 1.0]
    for name, value in fields.items():
        setattr(info, name, value)
    return info


def test_p_is_filled_from_k_and_the_image_header_is_copied() -> None:
    resolved = resolve(info_of(), HEADER)
    assert resolved.header == HEADER
    np.testing.assert_array_equal(resolved.p.reshape(3, 4), [[500, 0, 320, 0], [0, 510, 240, 0], [0, 0, 1, 0]])
    camera = camera_for_image(resolved, 640, 480)
    assert (camera.fx, camera.fy, camera.cx, camera.cy) == (500, 510, 320, 240)


def test_p_wins_over_k_and_keeps_its_fourth_column() -> None:
    p = [450.0, 0, 310.0, -45.0, 0, 455.0, 235.0, 3.0, 0, 0, 1.0, 0]
    resolved = resolve(info_of(p=p, binning_x=2, binning_y=5), HEADER)
    camera = camera_for_image(resolved, 320, 96)
    assert (camera.fx, camera.fy, camera.cx, camera.cy) == (225, 91, 155, 47)
    assert (resolved.p[3], resolved.p[7]) == (-22.5, 0.6)
    np.testing.assert_allclose(resolved.k[:6], [250, 0, 160, 0, 102, 48])


@given(
    st.integers(0, 200),
    st.integers(0, 150),
    st.integers(2, 400),
    st.integers(2, 300),
    st.integers(0, 4),
    st.integers(0, 4),
    st.floats(-0.5, 0.5),
    st.floats(-0.4, 0.4),
)
def test_a_ray_hits_the_same_place_through_region_and_binning(
    left: int, top: int, width: int, height: int, bin_x: int, bin_y: int, x: float, y: float
) -> None:
    """Project a point with the full sensor's K, then cut and bin the pixel by hand: the resolved camera must agree."""
    roi = RegionOfInterest(x_offset=left, y_offset=top, width=width, height=height)
    resolved = resolve(info_of(roi=roi, binning_x=bin_x, binning_y=bin_y), HEADER)
    by_x, by_y = max(bin_x, 1), max(bin_y, 1)
    assert (resolved.width, resolved.height) == (width // by_x, height // by_y)
    if resolved.width == 0 or resolved.height == 0:
        return
    camera = camera_for_image(resolved, resolved.width, resolved.height)
    assert camera.fx * x + camera.cx == pytest.approx((500 * x + 320 - left) / by_x)
    assert camera.fy * y + camera.cy == pytest.approx((510 * y + 240 - top) / by_y)
    assert resolved.binning_x == resolved.binning_y == 0 and resolved.roi == RegionOfInterest()


@pytest.mark.parametrize(
    ("info", "words"),
    [
        (info_of(k=[0.0] * 9), "not calibrated"),
        (info_of(k=[500.0, 0, 320, 0, 0, 240, 0, 0, 1]), "not calibrated"),
        (info_of(k=[float("nan"), 0, 320, 0, 500, 240, 0, 0, 1]), "not finite"),
        (info_of(p=[float("inf")] + [0.0] * 11), "not finite"),
        (info_of(roi=RegionOfInterest(x_offset=600, width=41, height=480)), "41x480 at .600, 0. leaves the 640x480"),
        (info_of(roi=RegionOfInterest(x_offset=1)), "leaves"),
    ],
)
def test_infos_that_say_nothing_are_refused(info: CameraInfo, words: str) -> None:
    with pytest.raises(CalibrationError, match=words):
        resolve(info, HEADER)


def test_an_info_of_another_size_is_refused_with_both_sizes() -> None:
    with pytest.raises(CalibrationError, match=r"640x480 .* 320x240"):
        camera_for_image(resolve(info_of(), HEADER), 320, 240)
    with pytest.raises(CalibrationError, match=r"0x0 .* 320x240"):
        camera_for_image(resolve(info_of(0, 0), HEADER), 320, 240)


def test_distortion_is_reported_unless_the_image_is_rectified() -> None:
    assert distortion_warning(info_of(d=[0.0] * 5), "/camera/image_raw") == ""
    assert distortion_warning(info_of(), "/camera/image_raw") == ""
    bent = info_of(d=[0.1, -0.2, 0.0, 0.0, 0.0])
    assert "plumb_bob" in distortion_warning(bent, "/camera/image_raw")
    assert "/rect/image_raw" in distortion_warning(bent, "/rect/image_raw")
    assert distortion_warning(bent, "/camera/image_rect") == ""
    assert distortion_warning(bent, "/camera/image_rect_color") == ""


def test_a_frame_gets_its_own_info_else_the_newest() -> None:
    infos = RecentInfos()
    assert infos.for_stamp(Time(sec=1)) is None
    for second in range(1, REMEMBERED + 3):
        infos.add(info_of(header=Header(stamp=Time(sec=second)), width=second))
    assert infos.for_stamp(Time(sec=7)).width == 7
    assert infos.for_stamp(Time(sec=1)).width == REMEMBERED + 2  # forgotten
    assert infos.for_stamp(Time(sec=999)).width == REMEMBERED + 2
    infos.add(info_of(header=Header(stamp=Time(sec=7)), width=1000))
    assert infos.for_stamp(Time(sec=7)).width == 1000
