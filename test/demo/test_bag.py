from pathlib import Path

import numpy as np
import pytest

from merge_ros.demo.bag import BUNDLED_RECORDING, HEIGHT_KEY, RecordedFrame, Recording, write_recording
from merge_ros.errors import DatasetError
from merge_ros.geometry.camera import Camera
from merge_ros.geometry.ground import ground_depth

pytest.importorskip("rosbags")


def some_frames(count: int = 3) -> list[RecordedFrame]:
    rng = np.random.default_rng(0)
    smooth = np.linspace(0, 255, 64 * 48 * 3).reshape(48, 64, 3).astype(np.uint8)
    return [
        RecordedFrame(
            0.1 * index,
            np.roll(smooth, index, 1),
            rng.integers(0, 9000, (48, 64), dtype=np.uint16),
            Camera.from_fov(64, 48, 1.2),
        )
        for index in range(count)
    ]


def test_the_shipped_recording_is_small_and_whole() -> None:
    assert sum(file.stat().st_size for file in BUNDLED_RECORDING.iterdir()) <= 4_000_000
    recording = Recording(BUNDLED_RECORDING)
    frames = list(recording.frames())
    assert len(frames) == recording.frame_count >= 60
    np.testing.assert_allclose(np.diff([frame.time for frame in frames]), 0.1, atol=1e-6)
    for frame in frames:
        assert frame.rgb.shape == (480, 640, 3)
        assert (frame.depth_mm > 0).all()
        assert (frame.camera.width, frame.camera.height) == (640, 480)


def test_the_shipped_attitude_is_that_of_the_shipped_floor() -> None:
    """Where the depth is that of the floor below the stored height and pitch, floor is seen, and nothing beyond."""
    recording = Recording(BUNDLED_RECORDING)
    shares = []
    for frame in list(recording.frames())[::10]:
        floor = ground_depth(frame.camera, recording.camera_height, recording.camera_pitch, 0.0)
        near = floor < 3.0
        metres = frame.depth_mm[near] / 1000
        assert (metres < floor[near] + 0.05).all()
        shares.append(np.mean(np.abs(metres - floor[near]) < 0.02))
    assert np.mean(shares) > 0.4


def test_what_was_written_is_read(tmp_path: Path) -> None:
    frames = some_frames()
    write_recording(tmp_path / "bag", frames, height=0.55, pitch=0.2, jpeg_quality=95)
    recording = Recording(tmp_path / "bag")
    assert (recording.frame_count, recording.camera_height, recording.camera_pitch) == (3, 0.55, 0.2)
    assert recording.duration == pytest.approx(0.2, abs=1e-6)
    for written, read in zip(frames, recording.frames(), strict=True):
        assert read.time == pytest.approx(written.time)
        assert read.camera == written.camera
        np.testing.assert_array_equal(read.depth_mm, written.depth_mm)
        assert np.abs(read.rgb.astype(int) - written.rgb.astype(int)).mean() < 8  # JPEG


def test_the_same_frames_give_the_same_bytes(tmp_path: Path) -> None:
    for folder in (tmp_path / "a" / "bag", tmp_path / "b" / "bag"):
        folder.parent.mkdir()
        write_recording(folder, some_frames(), 0.5, 0.1, 80)
    for file in (tmp_path / "a" / "bag").iterdir():
        assert file.read_bytes() == (tmp_path / "b" / "bag" / file.name).read_bytes()


def test_a_frame_without_its_image_is_left_out(tmp_path: Path) -> None:
    from rosbags.rosbag2 import Reader, StoragePlugin, Writer
    from rosbags.typesys import Stores, get_typestore

    write_recording(tmp_path / "whole", some_frames(), 0.5, 0.1, 80)
    with (
        Reader(tmp_path / "whole") as whole,
        Writer(tmp_path / "part", version=9, storage_plugin=StoragePlugin.MCAP) as part,
    ):
        part.set_custom_data("camera_height_m", "0.5")
        part.set_custom_data("camera_pitch_rad", "0.1")
        store = get_typestore(Stores.ROS2_JAZZY)
        topics = {c.topic: part.add_connection(c.topic, c.msgtype, typestore=store) for c in whole.connections}
        for index, (connection, stamp, data) in enumerate(whole.messages()):
            if index != 3:
                part.write(topics[connection.topic], stamp, data)
    assert len(list(Recording(tmp_path / "part").frames())) == 2


def test_refuses_what_is_no_recording(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"no metadata\.yaml"):
        Recording(tmp_path)
    write_recording(tmp_path / "bag", some_frames(1), 0.5, 0.1, 80)
    with pytest.raises(DatasetError, match="exists"):
        write_recording(tmp_path / "bag", some_frames(1), 0.5, 0.1, 80)
    metadata = tmp_path / "bag" / "metadata.yaml"
    metadata.write_text(metadata.read_text().replace(HEIGHT_KEY, "something_else"))
    with pytest.raises(DatasetError, match=HEIGHT_KEY):
        Recording(tmp_path / "bag")
    metadata.write_text("nonsense")
    with pytest.raises(DatasetError, match="cannot be read"):
        Recording(tmp_path / "bag")


def test_refuses_a_recording_that_lacks_a_topic(tmp_path: Path) -> None:
    from rosbags.rosbag2 import StoragePlugin, Writer

    with Writer(tmp_path / "bag", version=9, storage_plugin=StoragePlugin.MCAP):
        pass
    with pytest.raises(DatasetError, match=r"lacks /camera/image_raw/compressed, .*it has nothing"):
        Recording(tmp_path / "bag")
