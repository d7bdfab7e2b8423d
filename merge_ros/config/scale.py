"""Where metres come from."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from merge_ros.config.allowed import RANGES, in_range, one_of
from merge_ros.errors import ConfigurationError


@dataclass(frozen=True)
class ScaleSettings:
    """Where metres come from: depth_in_metres = scale * relative_depth + shift.

    Args:
        source: "none" (relative depth only), "fixed" (the two numbers below), "ground_plane" (fitted to the floor, from
            the camera's height and attitude), "range" (fitted to LaserScan, PointCloud2 or Range messages), or "depth"
            (fitted to another depth image).
        scale: metres per unit of relative depth, > 0; for "fixed".
        shift: metres at relative depth 0; for "fixed".
        camera_mounting: where height, pitch and roll of the camera come from, for "ground_plane": "parameters" (the
            three numbers below), "imu" (camera_height, and gravity from an IMU), or "tf".
        camera_height: metres of the optical centre above the floor, > 0; not for "tf".
        camera_pitch: radians that the optical axis points below the horizon, in (-pi/2, pi/2); for "parameters".
        camera_roll: radians about the optical axis, positive when the camera leans to its right; for "parameters".
        ground_frame: a frame with its origin on the floor and z up, for camera_mounting "tf" (REP 120).
        reference_pose: where the range sensor, depth camera or IMU is, seen from the camera: "parameters" (the six
            numbers below) or "tf".
        reference_x, reference_y, reference_z: metres of its frame's origin in the camera's body frame (x forward, y
            left, z up, at the optical centre). The frame of a depth camera is here its body frame too.
        reference_roll, reference_pitch, reference_yaw: radians of its frame about the axes of that frame.
        reference_camera: whether a depth image of "depth" was taken by this "same" camera or through its "own", with a
            camera info of its own.
        reference_max_age: seconds at most between the stamps of an image and of the reference it is compared with.
        lock_frames: frames with a good reading that it takes to lock, >= 1.
        max_uncertainty: one standard deviation of the range over the range, at 3 m or at the farthest thing in view
            where that is nearer; above it nothing is locked or held.
        hold_seconds: how long the scale is carried on by comparing frames when the reference fails, >= 0.
        search_seconds: how long to search for the scale until it counts as lost, >= 0.

    Raises:
        ConfigurationError: a value is not allowed, or the chosen source lacks what it needs.
    """

    source: str = "none"
    scale: float = 1.0
    shift: float = 0.0
    camera_mounting: str = "parameters"
    camera_height: float = 0.0
    camera_pitch: float = 0.0
    camera_roll: float = 0.0
    ground_frame: str = "base_footprint"
    reference_pose: str = "parameters"
    reference_x: float = 0.0
    reference_y: float = 0.0
    reference_z: float = 0.0
    reference_roll: float = 0.0
    reference_pitch: float = 0.0
    reference_yaw: float = 0.0
    reference_camera: str = "same"
    reference_max_age: float = 0.2
    lock_frames: int = 3
    max_uncertainty: float = 0.25
    hold_seconds: float = 1.0
    search_seconds: float = 10.0

    def __post_init__(self) -> None:
        one_of("scale_source", self.source)
        for name in ("camera_mounting", "reference_pose", "reference_camera"):
            one_of(name, getattr(self, name))
        for field in dataclasses.fields(self):
            if field.name in RANGES:
                in_range(field.name, getattr(self, field.name))
        if self.source == "fixed" and self.scale <= 0:
            raise ConfigurationError(f"scale_source 'fixed' needs scale > 0, not {self.scale}")
        if self.source == "ground_plane" and self.camera_mounting != "tf" and self.camera_height <= 0:
            raise ConfigurationError(
                "scale_source 'ground_plane' needs camera_height, the metres from the floor to the camera's optical "
                f"centre, > 0; it is {self.camera_height}"
            )
        if self.source == "ground_plane" and self.camera_mounting == "tf" and not self.ground_frame:
            raise ConfigurationError("camera_mounting 'tf' needs ground_frame, a frame on the floor; it is empty")

    @property
    def needs_tf(self) -> bool:
        """Whether somebody must know the robot's frames."""
        mounted = self.source == "ground_plane" and self.camera_mounting == "tf"
        with_imu = self.source == "ground_plane" and self.camera_mounting == "imu"
        posed = self.reference_pose == "tf" and (with_imu or self.source in ("range", "depth"))
        return mounted or posed
