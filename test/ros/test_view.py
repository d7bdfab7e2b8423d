"""`merge-ros view` over DDS: what it hears is in the recording, read back with Rerun's own reader."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="ROS 2 (rclpy) is not installed")

from merge_ros.errors import ConfigurationError
from merge_ros.ros.view_options import ViewOptions

VIEW = [sys.executable, "-m", "merge_ros.cli.main", "view"]
SIZE = (64, 48)
FRAMES = 15


def talk(graph: Any) -> Iterator[None]:
    """One frame of a depth node and its camera per step, the scale locking at the third; then something malformed."""
    from sensor_msgs.msg import CameraInfo, Image, PointCloud2
    from std_msgs.msg import Header

    from merge_ros.geometry.camera import Camera
    from merge_ros.geometry.pointcloud import packed_cloud
    from merge_ros.msg import DepthStatus
    from merge_ros.ros.conversions import array_to_image, cloud_to_message

    node = graph.node
    publish = {
        name: node.create_publisher(kind, name, 5)
        for kind, name in (
            (Image, "/camera/image_raw"),
            (CameraInfo, "/merge/camera_info"),
            (Image, "/merge/depth"),
            (PointCloud2, "/merge/points"),
            (DepthStatus, "/merge/status"),
        )
    }
    graph.wake()
    camera = Camera.from_fov(*SIZE, 1.2)
    depth = np.linspace(1, 4, SIZE[0] * SIZE[1], dtype=np.float32).reshape(SIZE[::-1])
    depth[0, 0], depth[0, 1] = np.nan, np.inf
    rgb = np.full((*SIZE[::-1], 3), (200, 40, 10), np.uint8)
    for frame in range(1000):
        header = Header(frame_id="camera")
        header.stamp.sec, header.stamp.nanosec = 5000 + frame // 10, frame % 10 * 100_000_000
        info = CameraInfo(header=header, width=SIZE[0], height=SIZE[1], k=camera.matrix.ravel())
        status = DepthStatus(header=header, scale_source="ground_plane", scale_state=1 + (frame >= 2))
        status.sigma_1m, status.sigma_3m, status.sigma_5m = 0.01, 0.06, float("nan")
        status.latency_total_ms, status.latency_inference_ms = 20.0 + frame, 10.0
        status.scale_reason = "" if frame >= 2 else "2 of 3 readings"
        publish["/merge/camera_info"].publish(info)
        publish["/camera/image_raw"].publish(array_to_image(rgb, "rgb8", header))
        publish["/merge/depth"].publish(array_to_image(depth, "32FC1", header))
        publish["/merge/points"].publish(cloud_to_message(packed_cloud(depth, rgb, camera), header))
        if frame == FRAMES - 2:
            publish["/merge/points"].publish(PointCloud2(header=header, width=9, height=9))
        publish["/merge/status"].publish(status)
        yield


def test_what_it_hears_is_in_the_recording(graph: Any, node_process: Any, tmp_path: Path) -> None:
    pytest.importorskip("rerun", reason="the viewer needs the extra 'view'")
    recording = tmp_path / "drive.rrd"
    port = 20_000 + graph.domain * 2
    viewer = node_process(
        [*VIEW, "--web", "--port", str(port), "--record", str(recording)],
        tmp_path / "view.txt",
        {"ROS_DOMAIN_ID": str(graph.domain), "PYTHONUNBUFFERED": "1"},
    )
    try:
        viewer.wait_for_output("listening to /camera/image_raw")
        page = urllib.request.urlopen(f"http://localhost:{port}", timeout=30).read().decode()
        assert "rerun" in page.lower(), "the web viewer is served"
        frames = talk(graph)
        next(frames)
        for topic in ("/camera/image_raw", "/merge/depth", "/merge/points", "/merge/status", "/merge/camera_info"):
            while not graph.node.count_subscribers(topic):  # the test's time limit ends it
                time.sleep(0.02)
        for _ in range(FRAMES):
            next(frames)
            time.sleep(0.2)
        viewer.wait_for_output("cloud without the fields")
        viewer.signal(signal.SIGINT)
        assert viewer.wait() == 0, viewer.output
    finally:
        viewer.kill()
    assert "Traceback" not in viewer.output
    rows = read(recording)
    for entity in ("/camera/image", "/camera/depth", "/points"):
        assert len(rows[entity]) >= 3, {name: len(values) for name, values in rows.items()}
    (pinhole,) = rows["/camera"]  # it did not change
    assert pinhole["Pinhole:resolution"] == [[*map(float, SIZE)]]
    points = np.array(rows["/points"][0]["Points3D:positions"])
    assert len(points) == SIZE[0] * SIZE[1] - 2, "NaN and inf are no points"
    assert (points[:, 2].min(), points[:, 2].max()) == pytest.approx((1, 4), abs=0.01)
    states = [row["StateChange:state"][0] for row in rows["/scale/state"]]
    assert states[-1] == "LOCKED" and states in (["SEARCHING", "LOCKED"], ["LOCKED"])
    sigmas = [row["Scalars:scalars"][0] for row in rows["/scale/uncertainty/at_3m"]]
    assert sigmas == pytest.approx([2.0] * len(sigmas)), "percent"
    assert "/scale/uncertainty/at_5m" not in rows, "NaN is not known"
    latency = [row["Scalars:scalars"][0] for row in rows["/latency/total"]]
    assert latency == sorted(latency) and len(latency) >= 3
    assert rows["/messages"][-1]["TextLog:text"] == ["all is well"]


def read(recording: Path) -> dict[str, list[dict[str, Any]]]:
    """By entity, the values that were logged over time, by component; with Rerun's own reader."""
    from rerun.chunk import RrdReader

    rows: dict[str, list[dict[str, Any]]] = {}
    for chunk in RrdReader(recording).stream().to_chunks():
        if not chunk.is_static and "time" in chunk.timeline_names:
            batch = chunk.to_record_batch()
            names = [name for name in batch.schema.names if name == "time" or ":" in name]
            rows.setdefault(chunk.entity_path, []).extend(batch.select(names).to_pylist())
    return {entity: sorted(logged, key=lambda row: row["time"]) for entity, logged in rows.items()}


def test_without_rerun_it_names_the_extra(tmp_path: Path) -> None:
    code = "import sys; sys.modules['rerun'] = None; from merge_ros.cli.main import main; sys.exit(main(['view']))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 1
    assert "merge_ros[view]" in done.stderr and "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"node": "merge"}, "must be a full name"),
        ({"image": "image"}, "must be a full name"),
        ({"port": 80}, "between 1024 and 65534"),
        ({"record": Path("a.mcap")}, "end in .rrd"),
    ],
)
def test_options_that_cannot_be_are_refused(values: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        ViewOptions(**values)
