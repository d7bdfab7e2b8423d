"""From an image message to metric depth, one frame at a time. Knows messages, but no node."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_msgs.msg import Header

from merge_ros.config import OutputSettings
from merge_ros.errors import CalibrationError, InferenceTimeout, ScaleError
from merge_ros.geometry.camera import Camera
from merge_ros.geometry.depth import clip_range, resampled
from merge_ros.geometry.flying_pixels import remove_flying_pixels
from merge_ros.geometry.rectification import NOTHING_TO_RECTIFY, Rectification, rectification
from merge_ros.geometry.upright import turned_back, turned_upright
from merge_ros.msg import DepthStatus
from merge_ros.ros.camera_info import (
    RecentInfos,
    camera_for_image,
    distorted_camera,
    rectified_info,
    resized_info,
    resolve,
)
from merge_ros.ros.compressed import compressed_to_rgb
from merge_ros.ros.conversions import Rgb, image_to_rgb, stamp_nanoseconds
from merge_ros.ros.frame_report import FrameReport
from merge_ros.ros.parameters import NodeSettings
from merge_ros.scale import Scale, ScaleLock, ScaleState, Transforms, make_scale
from merge_ros.scale.ground_plane import GroundPlane
from merge_ros.scale.mounting import Mounting
from merge_ros.scale.registration import SATURATED

Depth = NDArray[np.float32]
CameraImage: TypeAlias = Image | CompressedImage


class View(NamedTuple):
    """How the camera sees a frame: the pinhole camera of the image that is worked on, its info as it is published, and
    how the image becomes that one."""

    camera: Camera
    info: CameraInfo
    lens: Rectification


class Metric(NamedTuple):
    """Metric depth of a frame, NaN unknown and +inf too far, with the camera and the info that belong to it, and where
    the camera was over the floor, if that is known."""

    depth: Depth
    camera: Camera
    info: CameraInfo
    mounting: Mounting | None


class DepthResult(NamedTuple):
    """What came out of a frame, all of one size; NaN where a rectified image shows what the camera did not see."""

    rgb: Rgb
    relative: Depth
    metric: Metric | None


@dataclass(frozen=True)
class _Live:
    """What may change between two frames, swapped as one: no frame sees half of a change."""

    settings: NodeSettings
    scale: Scale


class DepthPipeline:
    """Image message -> RGB, rectified if asked -> relative depth -> scale -> metres -> the size that is published.

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

    def forget_infos(self) -> None:
        """Those that come from now on are of another source."""
        self._infos.clear()

    def newest_info(self) -> CameraInfo | None:
        """The camera info that came last, None when none has come."""
        return self._infos.newest()

    def __call__(self, image: CameraImage, age: float, report: FrameReport) -> DepthResult:
        """Work on one frame.

        Args:
            image: the camera image, raw or compressed.
            age: seconds since its stamp.
            report: gets the stages' times and whatever is wrong.

        Raises:
            FrameEnded: the frame is too old, the image invalid or cannot be rectified as it shall, or the model failed
                or hung; the report says which.
        """
        live = self._live
        camera, output = live.settings.camera, live.settings.output
        _refuse_stale(age, live.settings.stream.max_age, report)
        with report.stage("convert", DepthStatus.INVALID_IMAGE):
            rgb = image_to_rgb(image) if isinstance(image, Image) else compressed_to_rgb(image)
            height, width = rgb.shape[:2]
            report.size = (width, height)
            view: View | None = None
            if camera.rectify:
                view = self._view(image.header, width, height, True, report)
                if view is None:
                    raise report.end(report.code, report.text)
                rgb = view.lens.rectify(rgb)
        with report.stage("inference", DepthStatus.INFERENCE_FAILED):
            upright = self._estimate(turned_upright(rgb, camera.image_rotation), report)
            relative = turned_back(upright, camera.image_rotation)
        report.estimated = True
        with report.stage("scale", DepthStatus.NO_METRIC_SCALE):
            if view is None:
                # Only now: the info of an image may come after it.
                view = self._view(image.header, width, height, False, report)
            elif view.lens.seen is not None:
                relative = np.where(view.lens.seen, relative, np.float32(np.nan))
            metric = self._metric(relative, view, live, report) if view is not None else None
            return _resized(DepthResult(rgb, relative, metric), *output.size_for(width, height))

    def _estimate(self, rgb: Rgb, report: FrameReport) -> Depth:
        try:
            return self._estimator(rgb)
        except InferenceTimeout as error:
            raise report.end(DepthStatus.INFERENCE_TIMEOUT, str(error)) from error

    def _view(self, header: Header, width: int, height: int, rectify: bool, report: FrameReport) -> View | None:
        received = self._infos.for_stamp(header.stamp)
        if received is None:
            report.note(DepthStatus.MISSING_CAMERA_INFO, "no camera_info has come yet")
            return None
        try:
            info = resolve(received, header)
            camera = camera_for_image(info, width, height)
            if not rectify:
                return View(camera, info, NOTHING_TO_RECTIFY)
            return View(camera, rectified_info(info), rectification(distorted_camera(info)))
        except CalibrationError as error:
            report.note(DepthStatus.INVALID_CAMERA_INFO, str(error))
            return None

    def _metric(self, relative: Depth, view: View, live: _Live, report: FrameReport) -> Metric | None:
        header = view.info.header
        stamp = stamp_nanoseconds(header.stamp) * 1e-9
        report.scale = live.scale.update(relative, view.camera, header.frame_id, stamp)
        affine = report.scale.affine
        if affine is None:
            wanted = report.scale.state != ScaleState.NONE
            name = f"{report.scale.state.name}: " if wanted else ""
            report.note(DepthStatus.NO_METRIC_SCALE, f"{name}{report.scale.reason}", expected=not wanted)
            return None
        depth = _cleaned(affine.apply(relative), relative, live.settings.output)
        return Metric(depth, view.camera, view.info, _mounting(live, header.frame_id, stamp))


def _cleaned(metres: Depth, relative: Depth, output: OutputSettings) -> Depth:
    """Metric depth as it is published: within its range, and without what is known to be wrong."""
    depth = clip_range(metres, output.near, output.far)
    if output.farthest != "surface":
        depth[relative >= SATURATED[1]] = np.inf if output.farthest == "open" else np.nan
    return remove_flying_pixels(depth, output.edge_filter) if output.edge_filter > 0 else depth


def _resized(result: DepthResult, width: int, height: int) -> DepthResult:
    """The same in the size that is published."""
    rgb, relative, metric = result
    if relative.shape == (height, width):
        return result
    if metric is not None:
        metric = metric._replace(
            depth=resampled(metric.depth, width, height),
            camera=metric.camera.resized(width, height),
            info=resized_info(metric.info, width, height),
        )
    return DepthResult(resampled(rgb, width, height), resampled(relative, width, height), metric)


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
