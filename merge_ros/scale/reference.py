"""What a source of metres is to the scale lock, and which one the settings ask for."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from merge_ros.config import ScaleSettings
from merge_ros.errors import ConfigurationError
from merge_ros.geometry.camera import Camera
from merge_ros.scale.ground_plane import GroundPlane
from merge_ros.scale.mounting import FixedMounting, GravityMounting, MountingSource, TransformMounting
from merge_ros.scale.near_far import Reading
from merge_ros.scale.returns import RangeReturns
from merge_ros.scale.transforms import FixedPose, SamePose, SensorPose, TransformPose, Transforms


class Reference(Protocol):
    """Knows some of a frame's depths in metres."""

    name: str

    def read(self, relative: NDArray[np.float32], camera: Camera, frame: str, stamp: float) -> Reading:
        """What the reference says of one frame.

        Args:
            relative: [camera.height, camera.width], 0 near to 1 far.
            camera: of the frame.
            frame: the optical frame of the camera.
            stamp: of the frame in seconds.

        Raises:
            ScaleError: nothing that can be trusted; says why.
        """


def make_reference(settings: ScaleSettings, transforms: Transforms | None = None) -> Reference:
    """The reference of a source that measures: ground_plane, range or depth.

    Args:
        settings: which one.
        transforms: for settings that ask for TF.

    Raises:
        ConfigurationError: the source does not measure, or asks for TF and there is none.
    """
    if settings.source == "ground_plane":
        return GroundPlane(_mounting(settings, transforms))
    if settings.source == "depth" and settings.reference_camera == "same":
        return RangeReturns(settings.source, SamePose(), settings.reference_max_age)
    if settings.source in ("range", "depth"):
        return RangeReturns(settings.source, sensor_pose(settings, transforms), settings.reference_max_age)
    raise ConfigurationError(f"scale_source {settings.source!r} has no reference; ground_plane, range and depth have")


def sensor_pose(settings: ScaleSettings, transforms: Transforms | None) -> SensorPose:
    """Where the settings say that the sensors are.

    Raises:
        ConfigurationError: they ask for TF and there is none.
    """
    if settings.reference_pose == "tf":
        return TransformPose(_needed(transforms, "reference_pose"))
    return FixedPose(
        settings.reference_x,
        settings.reference_y,
        settings.reference_z,
        settings.reference_roll,
        settings.reference_pitch,
        settings.reference_yaw,
    )


def _mounting(settings: ScaleSettings, transforms: Transforms | None) -> MountingSource:
    if settings.camera_mounting == "tf":
        return TransformMounting(_needed(transforms, "camera_mounting"), settings.ground_frame)
    if settings.camera_mounting == "imu":
        return GravityMounting(settings.camera_height)
    return FixedMounting(settings.camera_height, settings.camera_pitch, settings.camera_roll)


def _needed(transforms: Transforms | None, setting: str) -> Transforms:
    if transforms is None:
        raise ConfigurationError(f"{setting} 'tf' needs TF, and there is none here")
    return transforms
