"""One moment of a running robot: a picture from its topics, its camera, and its depth where that is published."""

from __future__ import annotations

import time
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import numpy as np
import rclpy
from numpy.typing import NDArray
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.signals import SignalHandlerOptions
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from merge_ros.errors import ConfigurationError, EncodingError, InputError
from merge_ros.geometry.camera import Camera
from merge_ros.geometry.depth import resampled
from merge_ros.geometry.rectification import NOTHING_TO_RECTIFY, rectification
from merge_ros.ros.camera_info import RecentInfos, camera_for_image, distorted_camera, distortion_warning, resolve
from merge_ros.ros.camera_inputs import COMPRESSED
from merge_ros.ros.compressed import compressed_to_rgb
from merge_ros.ros.conversions import image_to_array, image_to_rgb, stamp_nanoseconds

REMEMBERED = 30  # images and depth images that wait for their counterpart; a depth node answers within a second
POLL = 0.1  # seconds in which Ctrl-C is seen
SAME_SHAPE = 0.01  # by how much the aspects of picture and depth may differ: rounding of sizes
Message = TypeVar("Message")


@dataclass(frozen=True)
class LiveFrame:
    """A picture and what is known of it.

    Args:
        rgb: [camera.height, camera.width, 3] uint8, free of lens distortion.
        camera: the intrinsics.
        depth: [camera.height, camera.width] float32 metres along the optical axis, not finite where unknown; None: no
            depth topic was asked for.
        seen: [camera.height, camera.width], false where the lens did not see what the picture shows; None: all seen.
        stamp: of the picture, in nanoseconds.
    """

    rgb: NDArray[np.uint8]
    camera: Camera
    depth: NDArray[np.float32] | None
    seen: NDArray[np.bool_] | None
    stamp: int


def info_topic(image: str) -> str:
    """The topic of the camera info that belongs to an image or depth topic: its sibling, as image_transport has it."""
    return image.removesuffix(COMPRESSED).rpartition("/")[0] + "/camera_info"


def take_frame(image: str, depth: str = "", *, timeout: float) -> LiveFrame:
    """Listen until a picture has come with all that belongs to it.

    Without depth the picture is rectified by its camera info, unless its topic is named as image_proc names rectified
    ones. With depth, both are taken as they are: depth images belong to pictures without distortion.

    Args:
        image: topic of the picture; one that ends in /compressed holds compressed images.
        depth: topic of a depth image of the same camera, 32FC1 in metres or 16UC1 in millimetres, with the stamps of
            the pictures: that of a depth node, or of a depth camera that is registered to the picture; "": none.
        timeout: seconds, > 0.

    Raises:
        ConfigurationError: a topic's name or the timeout is not allowed.
        InputError: something has not come in time, or what came is malformed or does not belong together.
    """
    if not timeout > 0:
        raise ConfigurationError(f"timeout={timeout:g} must be greater than 0 seconds")
    for topic in filter(None, (image, depth)):
        if not topic.startswith("/"):
            raise ConfigurationError(f"topic {topic!r} must be a full name, starting with /")
    context = Context()
    # Ctrl-C stays Python's.
    rclpy.init(args=[], context=context, signal_handler_options=SignalHandlerOptions.NO)
    executor = SingleThreadedExecutor(context=context)
    node = Node("merge_asset", context=context)
    try:
        listener = _Listener(node, image, depth)
        executor.add_node(node)
        end = time.monotonic() + timeout
        while (came := listener.complete()) is None:
            if time.monotonic() > end:
                raise InputError(f"after {timeout:g} s: {listener.missing()}")
            executor.spin_once(timeout_sec=POLL)
    except rclpy.exceptions.InvalidTopicNameException as error:
        raise ConfigurationError(f"no name for a topic: {error}") from error
    finally:
        executor.shutdown(timeout_sec=0)
        node.destroy_node()
        rclpy.shutdown(context=context)
    return _with_depth(*came) if depth else _rectified(came[0], came[2], image)


class _Newest(Generic[Message]):
    """The last messages of a topic, by stamp."""

    def __init__(self) -> None:
        self.by_stamp: OrderedDict[int, Message] = OrderedDict()

    def add(self, message: Any) -> None:
        self.by_stamp[stamp_nanoseconds(message.header.stamp)] = message
        if len(self.by_stamp) > REMEMBERED:
            self.by_stamp.popitem(last=False)


class _Listener:
    """Subscribes, and knows when all of one moment is there."""

    def __init__(self, node: Node, image: str, depth: str) -> None:
        self._node, self._image, self._depth = node, image, depth
        self._info = info_topic(depth or image)
        self._images: _Newest[Image | CompressedImage] = _Newest()
        self._depths: _Newest[Image] = _Newest()
        self._infos = RecentInfos()
        kind = CompressedImage if image.endswith(COMPRESSED) else Image
        # Best effort hears publishers of either kind.
        qos = QoSProfile(depth=5, reliability=ReliabilityPolicy.BEST_EFFORT)
        node.create_subscription(kind, image, self._images.add, qos)
        node.create_subscription(CameraInfo, self._info, self._infos.add, qos)
        if depth:
            node.create_subscription(Image, depth, self._depths.add, qos)

    def complete(self) -> tuple[Image | CompressedImage, Image | None, CameraInfo] | None:
        """Picture, depth image and camera info of one stamp, once all are there."""
        for stamp in reversed(self._images.by_stamp):
            image, depth = self._images.by_stamp[stamp], self._depths.by_stamp.get(stamp)
            info = self._infos.for_stamp(image.header.stamp)
            if info is not None and (depth is not None or not self._depth):
                return image, depth, info
        return None

    def missing(self) -> str:
        """What has not come."""
        came = {self._image: self._images.by_stamp, self._info: self._infos.newest()}
        if self._depth:
            came[self._depth] = self._depths.by_stamp
        silent = [
            f"{topic} ({self._node.count_publishers(topic)} publishers)" for topic, got in came.items() if not got
        ]
        if not silent:
            return f"no image on {self._depth} has the stamp of one on {self._image}: they are not of the same moments"
        hint = ""
        if self._depth and not self._depths.by_stamp and self._node.count_publishers(self._depth):
            hint = "; a depth node publishes metres only while it knows its scale, which its ~/status tells"
        return f"nothing came on {', '.join(silent)}{hint}"


def _rgb(image: Image | CompressedImage) -> NDArray[np.uint8]:
    return image_to_rgb(image) if isinstance(image, Image) else compressed_to_rgb(image)


def _rectified(image: Image | CompressedImage, info: CameraInfo, topic: str) -> LiveFrame:
    rgb = _rgb(image)
    resolved = resolve(info, image.header)
    camera = camera_for_image(resolved, rgb.shape[1], rgb.shape[0])
    distorted = distortion_warning(info, topic.removesuffix(COMPRESSED)) != ""
    lens = rectification(distorted_camera(resolved)) if distorted else NOTHING_TO_RECTIFY
    return LiveFrame(lens.rectify(rgb), camera, None, lens.seen, stamp_nanoseconds(image.header.stamp))


def _with_depth(image: Image | CompressedImage, depth: Image, info: CameraInfo) -> LiveFrame:
    """The picture in the size of its depth."""
    rgb = _rgb(image)
    if depth.encoding not in ("32FC1", "16UC1"):
        raise EncodingError(f"depth image encoding {depth.encoding!r} is not known; allowed: 32FC1, 16UC1")
    metres = image_to_array(depth).astype(np.float32)
    if depth.encoding == "16UC1":
        metres = np.where(metres > 0, metres * np.float32(0.001), np.float32(np.nan))
    height, width = metres.shape
    if abs(rgb.shape[1] / rgb.shape[0] / (width / height) - 1) > SAME_SHAPE:
        raise InputError(
            f"the depth image is {width}x{height} and the picture {rgb.shape[1]}x{rgb.shape[0]}: they do not show the "
            "same view"
        )
    camera = camera_for_image(resolve(info, depth.header), width, height)
    picture = resampled(rgb, width, height)
    return LiveFrame(picture, camera, metres, None, stamp_nanoseconds(image.header.stamp))
