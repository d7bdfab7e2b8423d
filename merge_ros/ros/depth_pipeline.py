"""From an image message to metric depth, one frame at a time. Knows messages, but no node."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from sensor_msgs.msg import CameraInfo, Image

from merge_ros.errors import CalibrationError, InferenceTimeout, ScaleError
from merge_ros.geometry.camera import Camera
from merge_ros.geometry.depth import clip_range
from merge_ros.msg import DepthStatus
from merge_ros.ros.camera_info import RecentInfos, camera_for_image, resolve
from merge_ros.ros.conversions import Rgb, image_to_rgb, stamp_nanoseconds
from merge_ros.ros.frame_report import FrameReport
from merge_ros.ros.parameters import NodeSettings
from merge_ros.scale import Scale, ScaleLock, ScaleState, Transforms, make_scale
from merge_ros.scale.ground_plane import GroundPlane
from merge_ros.scale.mounting import Mounting

Depth = NDArray[np.float32]


class Metric(NamedTuple):
    """Metric depth of a frame, NaN unknown and +inf too far, with the camera and the info that belong to it, and where
    the camera was over the floor, if that is known."""

    depth: Depth
    camera: Camera
    info: CameraInfo
    mounting: Mounting | None


class DepthResult(NamedTuple):
    """What came out of a frame."""

    rgb: Rgb
    relative: Depth
    metric: Metric | None


@dataclass(frozen=True)
class _Live:
    """What may change between two frames, swapped as one: no frame sees half of a change."""

    settings: NodeSettings
    scale: Scale


class DepthPipeline:
    """Image message -> RGB -> relative depth -> scale -> metres.

    Frames come from one thread; infos and settings may come from another.

    Args:
        estimator: [H, W, 3] uint8 to [H, W] relative depth.
        settings: of the node.
        transforms: knows the robot's frames, for settings that ask for TF.

    Raises:
        ConfigurationError: the settings ask for TF, and `transforms` is None.
    """

    def __init__(
        self, estimator: Callable[[Rgb], Depth], settings: NodeSettings, transforms: Transforms | None = None
    ) -> None:
        self._estimator = estimator
        self._infos = RecentInfos()
        self._live = _Live(settings, make_scale(settings.scale, transforms))

    @property
    def settings(self) -> NodeSettings:
        """Those that the next frame will see."""
        return self._live.settings

    @property
    def scale(self) -> Scale:
        """Where the metres of the next frame come from."""
        return self._live.scale

    def change(self, settings: NodeSettings, transforms: Transforms | None = None) -> bool:
        """Take new settings from the next frame on; the scale starts afresh only when its own settings differ.

        Returns:
            Whether the scale is a new one.

        Raises:
            ConfigurationError: the settings ask for TF, and `transforms` is None.
        """
        same = settings.scale == self._live.settings.scale
        self._live = _Live(settings, self._live.scale if same else make_scale(settings.scale, transforms))
        return not same

    def add_info(self, info: CameraInfo) -> None:
        """Remember a camera info for the frames that it belongs to."""
        self._infos.add(info)

    def newest_info(self) -> CameraInfo | None:
        """The camera info that came last, None when none has come."""
        return self._infos.newest()

    def __call__(self, image: Image, age: float, report: FrameReport) -> DepthResult:
        """Work on one frame.

        Args:
            image: the camera image.
            age: seconds since its stamp.
            report: gets the stages' times and whatever is wrong.

        Raises:
            FrameEnded: the frame is too old, the image invalid, or the model failed or hung; the report says which.
        """
        live = self._live
        _refuse_stale(age, live.settings.stream.max_age, report)
        with report.stage("convert", DepthStatus.INVALID_IMAGE):
            rgb = image_to_rgb(image)
        with report.stage("inference", DepthStatus.INFERENCE_FAILED):
            relative = self._estimate(rgb, report)
        report.estimated = True
        with report.stage("scale", DepthStatus.NO_METRIC_SCALE):
            metric = self._metric(relative, image, live, report)
        return DepthResult(rgb, relative, metric)

    def _estimate(self, rgb: Rgb, report: FrameReport) -> Depth:
        try:
            return self._estimator(rgb)
        except InferenceTimeout as error:
            raise report.end(DepthStatus.INFERENCE_TIMEOUT, str(error)) from error

    def _metric(self, relative: Depth, image: Image, live: _Live, report: FrameReport) -> Metric | None:
        received = self._infos.for_stamp(image.header.stamp)
        if received is None:
            report.note(DepthStatus.MISSING_CAMERA_INFO, "no camera_info has come yet")
            return None
        try:
            info = resolve(received, image.header)
            camera = camera_for_image(info, image.width, image.height)
        except CalibrationError as error:
            report.note(DepthStatus.INVALID_CAMERA_INFO, str(error))
            return None

        stamp = stamp_nanoseconds(image.header.stamp) * 1e-9
        report.scale = live.scale.update(relative, camera, image.header.frame_id, stamp)
        affine = report.scale.affine
        if affine is None:
            wanted = report.scale.state != ScaleState.NONE
            name = f"{report.scale.state.name}: " if wanted else ""
            report.note(DepthStatus.NO_METRIC_SCALE, f"{name}{report.scale.reason}", expected=not wanted)
            return None
        output = live.settings.output
        depth = clip_range(affine.apply(relative), output.near, output.far)
        return Metric(depth, camera, info, _mounting(live, image.header.frame_id, stamp))


def _refuse_stale(age: float, max_age: float, report: FrameReport) -> None:
    if max_age > 0 and age > max_age:
        raise report.end(
            DepthStatus.STALE_FRAME, f"the image is {age:.3f} s old when its turn comes; max_age is {max_age:g} s"
        )


def _mounting(live: _Live, frame: str, stamp: float) -> Mounting | None:
    """Where the camera is: what the ground plane is fitted with, else what the parameters say."""
    settings = live.settings.scale
    reference = live.scale.reference if isinstance(live.scale, ScaleLock) else None
    if isinstance(reference, GroundPlane):
        try:
            return reference.mounting.at(frame, stamp)
        except ScaleError:  # the scale is held meanwhile, and has said why
            return None
    if settings.camera_height > 0:
        return Mounting(settings.camera_height, settings.camera_pitch, settings.camera_roll)
    return None
