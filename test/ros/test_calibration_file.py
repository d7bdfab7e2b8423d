"""Calibration files as camera_calibration writes them, and what can be wrong with one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="ROS 2 (rclpy) is not installed")

from merge_ros.errors import CalibrationError
from merge_ros.ros.calibration_file import read_calibration

# As the calibrator of camera_calibration prints it ("ost.yaml").
CALIBRATION = """\
image_width: 640
image_height: 480
camera_name: narrow_stereo
camera_matrix:
  rows: 3
  cols: 3
  data: [438.78354, 0.     , 305.59334,
           0.     , 437.30212, 243.73852,
           0.     , 0.     ,   1.     ]
distortion_model: plumb_bob
distortion_coefficients:
  rows: 1
  cols: 5
  data: [-0.361976, 0.110510, 0.001014, 0.000505, 0.000000]
rectification_matrix:
  rows: 3
  cols: 3
  data: [1., 0., 0., 0., 1., 0., 0., 0., 1.]
projection_matrix:
  rows: 3
  cols: 4
  data: [393.65393, 0.     , 303.92214, 0.     ,
           0.     , 397.22446, 242.55237, 0.     ,
           0.     , 0.     ,   1.     , 0.     ]
"""


def written(folder: Path, text: str) -> str:
    (folder / "camera.yaml").write_text(text)
    return str(folder / "camera.yaml")


def test_a_calibration_becomes_an_info(tmp_path: Path) -> None:
    info = read_calibration(written(tmp_path, CALIBRATION))
    assert (info.width, info.height, info.distortion_model) == (640, 480, "plumb_bob")
    np.testing.assert_array_equal(info.k[[0, 2, 4, 5]], [438.78354, 305.59334, 437.30212, 243.73852])
    np.testing.assert_array_equal(info.d, [-0.361976, 0.110510, 0.001014, 0.000505, 0.0])
    np.testing.assert_array_equal(info.p[[0, 2, 5, 6]], [393.65393, 303.92214, 397.22446, 242.55237])
    np.testing.assert_array_equal(info.r, np.eye(3).ravel())


def test_only_size_and_matrix_are_needed(tmp_path: Path) -> None:
    text = "image_width: 64\nimage_height: 48\ncamera_matrix: {data: [60, 0, 31, 0, 60, 23, 0, 0, 1]}\n"
    info = read_calibration(written(tmp_path, text))
    assert info.k[0] == 60 and not any(info.d) and not info.p.any()


BAD = {
    "not YAML": ("{", "cannot be read"),
    "a list": ("- 1", "no names and values"),
    "nothing": ("", "no names and values"),
    "no matrix": (CALIBRATION.replace("camera_matrix", "matrix"), "lacks 'camera_matrix'"),
    "a short matrix": (CALIBRATION.replace("438.78354, ", ""), "camera_matrix has 8 numbers; needed: 9"),
    "words in the matrix": (CALIBRATION.replace("438.78354", "wide"), "wide"),
    "no focal length": (CALIBRATION.replace("438.78354", "0.0"), "not calibrated"),
    "not finite": (CALIBRATION.replace("438.78354", ".nan"), "not finite"),
    "no pixels": (CALIBRATION.replace("image_width: 640", "image_width: 0"), "image_width is 0"),
    "a negative size": (CALIBRATION.replace("image_width: 640", "image_width: -640"), "image_width is -640"),
    "a size in words": (CALIBRATION.replace("image_width: 640", "image_width: wide"), "image_width is 'wide'"),
    "a matrix without data": (CALIBRATION.replace("  data: [438", "  datum: [438"), "lacks 'data'"),
    "a matrix that is a number": ("image_width: 6\nimage_height: 4\ncamera_matrix: 5\n", "camera.yaml"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_files_are_refused_with_the_reason(tmp_path: Path, case: str) -> None:
    text, words = BAD[case]
    with pytest.raises(CalibrationError, match=words):
        read_calibration(written(tmp_path, text))


def test_files_that_are_missing_binary_or_huge(tmp_path: Path) -> None:
    with pytest.raises(CalibrationError, match="No such file"):
        read_calibration(str(tmp_path / "none.yaml"))
    (tmp_path / "binary").write_bytes(bytes(range(128, 256)))
    with pytest.raises(CalibrationError, match="cannot be read"):
        read_calibration(str(tmp_path / "binary"))
    (tmp_path / "huge").write_bytes(b" " * (1 << 21))
    with pytest.raises(CalibrationError, match="no calibration"):
        read_calibration(str(tmp_path / "huge"))
    with pytest.raises(CalibrationError, match="cannot be read"):
        read_calibration(str(tmp_path))
