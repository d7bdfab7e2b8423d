"""Camera calibrations in files, as ROS's camera_calibration writes them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from sensor_msgs.msg import CameraInfo
from std_msgs.msg import Header

from merge_ros.errors import CalibrationError
from merge_ros.ros.camera_info import resolve

LARGEST = 1 << 20  # bytes; a calibration has about a thousand


def read_calibration(path: str) -> CameraInfo:
    """The camera info in a YAML file of camera_calibration (camera_calibration_parsers' format).

    Args:
        path: of the file; ~ is the home folder.

    Returns:
        The info, without a stamp and a frame.

    Raises:
        CalibrationError: the file cannot be read, is no calibration, or its values are not those of a camera.
    """
    file = Path(path).expanduser()
    try:
        if file.stat().st_size > LARGEST:
            raise CalibrationError(f"camera_info_file {path}: over {LARGEST} bytes; it is no calibration")
        content = yaml.safe_load(file.read_text())
    except (OSError, ValueError, yaml.YAMLError) as error:  # ValueError: text that is not UTF-8
        raise CalibrationError(f"camera_info_file {path} cannot be read: {error}") from error
    if not isinstance(content, dict):
        raise CalibrationError(f"camera_info_file {path} is no calibration: it holds no names and values")
    try:
        info = CameraInfo(
            width=_pixels(content, "image_width"),
            height=_pixels(content, "image_height"),
            distortion_model=str(content.get("distortion_model", "")),
            k=_matrix(content, "camera_matrix", 9),
        )
        if "distortion_coefficients" in content:
            info.d = _matrix(content, "distortion_coefficients")
        if "rectification_matrix" in content:
            info.r = _matrix(content, "rectification_matrix", 9)
        if "projection_matrix" in content:
            info.p = _matrix(content, "projection_matrix", 12)
        resolve(info, Header())
    except KeyError as error:
        raise CalibrationError(f"camera_info_file {path} lacks {error}") from error
    except (TypeError, ValueError) as error:  # CalibrationError is a ValueError
        raise CalibrationError(f"camera_info_file {path}: {error}") from error
    return info


def _pixels(content: dict[str, Any], name: str) -> int:
    value = content[name]
    if not isinstance(value, int) or not 1 <= value < 1 << 31:
        raise ValueError(f"{name} is {value!r}; needed: a number of pixels")
    return value


def _matrix(content: dict[str, Any], name: str, size: int | None = None) -> list[float]:
    values = [float(value) for value in content[name]["data"]]
    if size is not None and len(values) != size:
        raise ValueError(f"{name} has {len(values)} numbers; needed: {size}")
    return values
