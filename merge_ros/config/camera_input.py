"""What comes from the camera, and what has to be done to it first."""

from __future__ import annotations

from dataclasses import dataclass

from merge_ros.config.allowed import in_range, one_of
from merge_ros.errors import ConfigurationError


@dataclass(frozen=True)
class CameraSettings:
    """What comes from the camera, and what has to be done to it first.

    Args:
        image_transport: "raw" (sensor_msgs/Image on the image topic) or "compressed" (sensor_msgs/CompressedImage, JPEG
            or PNG, on the topic below it).
        camera_info_file: calibration as ROS's camera_calibration writes it, in place of the topic; "": the topic.
        rectify: take the lens distortion out of the image first, with the camera info's model.
        image_rotation: degrees clockwise that the image must be turned by to be upright: 0, 90, 180 or 270.

    Raises:
        ConfigurationError: a value is not allowed.
    """

    image_transport: str = "raw"
    camera_info_file: str = ""
    rectify: bool = False
    image_rotation: int = 0

    def __post_init__(self) -> None:
        one_of("image_transport", self.image_transport)
        in_range("image_rotation", self.image_rotation)
        if self.image_rotation % 90:
            raise ConfigurationError(f"image_rotation={self.image_rotation} degrees; allowed: 0, 90, 180, 270")

    @property
    def source(self) -> tuple[str, str]:
        """Where images and infos come from; while it is the same, subscriptions can stay."""
        return self.image_transport, self.camera_info_file
