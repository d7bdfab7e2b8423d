"""Recordings of a camera with true depth: rosbag2 folders (mcap), read and written without ROS."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from merge_ros.errors import DatasetError, MissingDependencyError
from merge_ros.geometry.camera import Camera

if TYPE_CHECKING:
    from rosbags.rosbag2 import Reader

BUNDLED_RECORDING = Path(__file__).resolve().parent / "recording"
IMAGE, INFO, TRUE_DEPTH = "/camera/image_raw", "/camera/camera_info", "/camera/depth_true"
COMPRESSED_IMAGE = f"{IMAGE}/compressed"
DEPTH_FORMAT = "16UC1; png"
FRAME_ID = "camera_optical_frame"
# The attitude of the camera travels in the bag's own metadata.
HEIGHT_KEY, PITCH_KEY = "camera_height_m", "camera_pitch_rad"
BAG_VERSION: Final = 9  # of the rosbag2 metadata; the one of Jazzy


@dataclass(frozen=True)
class RecordedFrame:
    """One moment of a recording.

    Args:
        time: seconds since its first frame.
        rgb: [height, width, 3] uint8.
        depth_mm: [height, width] uint16, true depth along the optical axis in millimetres, 0 unknown.
        camera: the intrinsics.
    """

    time: float
    rgb: NDArray[np.uint8]
    depth_mm: NDArray[np.uint16]
    camera: Camera


class Recording:
    """A recording that exists.

    Args:
        folder: a rosbag2 folder with the topics above, made by `merge_ros.demo.record`.

    Raises:
        DatasetError: it is not there, not a rosbag2, or lacks a topic or the camera's attitude.
        MissingDependencyError: the package rosbags is not installed.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        if not (folder / "metadata.yaml").is_file():
            raise DatasetError(f"{folder} is not a recording: there is no metadata.yaml (a rosbag2 folder has one)")
        with self._open() as bag:
            topics = {connection.topic: connection.msgcount for connection in bag.connections}
            missing = [name for name in (COMPRESSED_IMAGE, INFO, TRUE_DEPTH) if not topics.get(name)]
            if missing:
                raise DatasetError(
                    f"{folder} lacks {', '.join(missing)}; it has {', '.join(sorted(topics)) or 'nothing'}"
                )
            self.frame_count = topics[COMPRESSED_IMAGE]
            self.duration: float = bag.duration * 1e-9  # seconds
        attitude = self._custom_data()
        try:
            self.camera_height = float(attitude[HEIGHT_KEY])  # metres over the floor
            self.camera_pitch = float(attitude[PITCH_KEY])  # radians, positive looks down
        except (KeyError, ValueError) as error:
            raise DatasetError(
                f"{folder}: custom_data in metadata.yaml must hold the numbers {HEIGHT_KEY} and {PITCH_KEY}, "
                f"and holds {attitude}"
            ) from error

    def frames(self) -> Iterator[RecordedFrame]:
        """The frames in their order; those of which image, info or true depth is missing are left out.

        Raises:
            DatasetError: a picture cannot be decoded.
        """
        store = _types()
        start: int | None = None
        waiting: dict[int, dict[str, Any]] = {}
        with self._open() as bag:
            for connection, _, data in bag.messages():
                if connection.topic not in (COMPRESSED_IMAGE, INFO, TRUE_DEPTH):
                    continue
                message: Any = store.deserialize_cdr(data, connection.msgtype)
                stamp = message.header.stamp.sec * 10**9 + message.header.stamp.nanosec
                parts = waiting.setdefault(stamp, {})
                parts[connection.topic] = message
                if len(parts) == 3:
                    start = stamp if start is None else start
                    del waiting[stamp]
                    yield self._frame((stamp - start) * 1e-9, parts)

    def _frame(self, time: float, parts: dict[str, Any]) -> RecordedFrame:
        info = parts[INFO]
        bgr = cv2.imdecode(parts[COMPRESSED_IMAGE].data, cv2.IMREAD_COLOR)
        depth = cv2.imdecode(parts[TRUE_DEPTH].data, cv2.IMREAD_UNCHANGED)
        if bgr is None or depth is None or depth.dtype != np.uint16 or bgr.shape[:2] != depth.shape:
            raise DatasetError(f"{self.folder}: the picture or the depth at {time:.2f} s cannot be decoded")
        fx, fy, cx, cy = (float(info.k[index]) for index in (0, 4, 2, 5))
        camera = Camera(info.width, info.height, fx, fy, cx, cy)
        rgb = np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), np.uint8)
        return RecordedFrame(time, rgb, np.asarray(depth, np.uint16), camera)

    def _custom_data(self) -> dict[str, Any]:
        from ruamel.yaml import YAML  # the reader of rosbags, which itself does not give custom_data out

        information = YAML(typ="safe").load(self.folder / "metadata.yaml")["rosbag2_bagfile_information"]
        return dict(information.get("custom_data") or {})

    @contextmanager
    def _open(self) -> Iterator[Reader]:
        try:
            from rosbags.rosbag2 import Reader, ReaderError
        except ImportError as error:
            raise MissingDependencyError("rosbags", "demo", "reading a recording") from error
        try:
            with Reader(self.folder) as bag:
                yield bag
        except ReaderError as error:
            raise DatasetError(f"{self.folder} cannot be read as a rosbag2: {error}") from error


def write_recording(
    folder: Path, frames: Iterable[RecordedFrame], height: float, pitch: float, jpeg_quality: int
) -> None:
    """Write a recording; the same frames give the same bytes.

    Args:
        folder: must not exist yet.
        frames: in the order of their times.
        height: of the camera over the floor in metres.
        pitch: of the camera in radians, positive looks down.
        jpeg_quality: of the images, 1 to 100.

    Raises:
        DatasetError: the folder exists.
        MissingDependencyError: the package rosbags is not installed.
    """
    try:
        from rosbags.rosbag2 import StoragePlugin, Writer
    except ImportError as error:
        raise MissingDependencyError("rosbags", "demo", "writing a recording") from error
    if folder.exists():
        raise DatasetError(f"{folder} exists; remove it first, or write to another folder")
    store = _types()
    kind = store.types
    compressed, info = "sensor_msgs/msg/CompressedImage", "sensor_msgs/msg/CameraInfo"
    with Writer(folder, version=BAG_VERSION, storage_plugin=StoragePlugin.MCAP) as bag:
        topics = {
            topic: bag.add_connection(topic, name, typestore=store)
            for topic, name in ((COMPRESSED_IMAGE, compressed), (INFO, info), (TRUE_DEPTH, compressed))
        }
        bag.set_custom_data(HEIGHT_KEY, f"{height:.6f}")
        bag.set_custom_data(PITCH_KEY, f"{pitch:.6f}")
        for frame in frames:
            nanoseconds = round(frame.time * 1e9)
            stamp = kind["builtin_interfaces/msg/Time"](nanoseconds // 10**9, nanoseconds % 10**9)
            header = kind["std_msgs/msg/Header"](stamp, FRAME_ID)
            jpeg = _encode(".jpg", frame.rgb[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, jpeg_quality])
            png = _encode(".png", frame.depth_mm, [cv2.IMWRITE_PNG_COMPRESSION, 9])
            messages = {
                INFO: _info_message(kind, header, frame.camera),
                TRUE_DEPTH: kind[compressed](header, DEPTH_FORMAT, png),
                COMPRESSED_IMAGE: kind[compressed](header, "rgb8; jpeg compressed bgr8", jpeg),
            }
            for topic, message in messages.items():
                bag.write(topics[topic], nanoseconds, store.serialize_cdr(message, topics[topic].msgtype))


def _info_message(kind: Any, header: Any, camera: Camera) -> Any:
    k = camera.matrix
    return kind["sensor_msgs/msg/CameraInfo"](
        header=header,
        height=camera.height,
        width=camera.width,
        distortion_model="plumb_bob",
        d=np.zeros(5),
        k=k.ravel(),
        r=np.eye(3).ravel(),
        p=np.column_stack([k, np.zeros(3)]).ravel(),
        binning_x=0,
        binning_y=0,
        roi=kind["sensor_msgs/msg/RegionOfInterest"](0, 0, 0, 0, False),
    )


def _encode(suffix: str, image: NDArray[Any], options: list[int]) -> NDArray[np.uint8]:
    done, data = cv2.imencode(suffix, image, options)
    if not done:
        raise DatasetError(f"OpenCV cannot encode a {image.dtype} {image.shape} picture as {suffix}")
    return np.asarray(data, np.uint8).ravel()


def _types() -> Any:
    from rosbags.typesys import Stores, get_typestore

    return get_typestore(Stores.ROS2_JAZZY)
