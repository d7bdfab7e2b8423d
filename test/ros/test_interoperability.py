"""Another vendor's DDS: a Cyclone DDS process sends images to the node, which is on Fast DDS, and gets depth."""

from __future__ import annotations

import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("rclpy", reason="ROS 2 (rclpy) is not installed")
pytest.importorskip("cyclonedds", reason="cyclonedds is not installed (pip install cyclonedds)")

# In a process of its own, which knows nothing of ROS: only the names and types that ROS 2 gives its topics in DDS.
PEER = """
    import sys, time
    from dataclasses import dataclass
    from cyclonedds.core import Policy, Qos
    from cyclonedds.domain import DomainParticipant
    from cyclonedds.idl import IdlStruct
    from cyclonedds.idl.types import array, float64, int32, sequence, uint8, uint32
    from cyclonedds.pub import DataWriter
    from cyclonedds.sub import DataReader
    from cyclonedds.topic import Topic
    from cyclonedds.util import duration

    @dataclass
    class Time(IdlStruct, typename="builtin_interfaces::msg::dds_::Time_"):
        sec: int32
        nanosec: uint32

    @dataclass
    class Header(IdlStruct, typename="std_msgs::msg::dds_::Header_"):
        stamp: Time
        frame_id: str

    @dataclass
    class Image(IdlStruct, typename="sensor_msgs::msg::dds_::Image_"):
        header: Header
        height: uint32
        width: uint32
        encoding: str
        is_bigendian: uint8
        step: uint32
        data: sequence[uint8]

    @dataclass
    class RegionOfInterest(IdlStruct, typename="sensor_msgs::msg::dds_::RegionOfInterest_"):
        x_offset: uint32
        y_offset: uint32
        height: uint32
        width: uint32
        do_rectify: bool

    @dataclass
    class CameraInfo(IdlStruct, typename="sensor_msgs::msg::dds_::CameraInfo_"):
        header: Header
        height: uint32
        width: uint32
        distortion_model: str
        d: sequence[float64]
        k: array[float64, 9]
        r: array[float64, 9]
        p: array[float64, 12]
        binning_x: uint32
        binning_y: uint32
        roi: RegionOfInterest

    reliable = Qos(Policy.Reliability.Reliable(duration(seconds=10)), Policy.History.KeepLast(1))
    participant = DomainParticipant(int(sys.argv[1]))
    images = DataWriter(participant, Topic(participant, "rt/image", Image), qos=reliable)
    infos = DataWriter(participant, Topic(participant, "rt/camera_info", CameraInfo), qos=reliable)
    depths = DataReader(participant, Topic(participant, "rt/merge/depth", Image), qos=reliable)
    pixels = [(7 * i) % 256 for i in range(48 * 64 * 3)]
    end = time.monotonic() + 120
    second = 0
    while time.monotonic() < end:
        second += 1
        header = Header(Time(second, 5), "camera_optical")
        k = [60.0, 0.0, 31.5, 0.0, 61.0, 23.5, 0.0, 0.0, 1.0]
        infos.write(CameraInfo(header, 48, 64, "plumb_bob", [0.0] * 5, k, [0.0] * 9, [0.0] * 12, 0, 0,
                               RegionOfInterest(0, 0, 0, 0, False)))
        images.write(Image(header, 48, 64, "rgb8", 0, 192, pixels))
        time.sleep(0.2)
        for depth in depths.take(10):
            header = depth.header
            print("depth", depth.width, depth.height, depth.encoding, depth.step, len(depth.data))
            print(header.frame_id, header.stamp.nanosec)
            sys.exit(0)
    sys.exit("no depth came")
"""


# With LOCALHOST, which the other tests set, Fast DDS takes a participant of another vendor for one of another host, and
# does not listen to it.
NODE = """
import os, sys
os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "SUBNET"
from merge_ros.ros.depth_node import main
sys.exit(main())
"""


def test_cyclone_dds_sends_images_and_gets_depth(
    start_node: Any, graph: Any, node_process: Any, tmp_path: Path
) -> None:
    node = start_node(NODE, scale_source="fixed")
    node.bring_to("active")
    log = tmp_path / "peer.txt"
    command = [sys.executable, "-c", textwrap.dedent(PEER), str(graph.domain)]
    # It shares neither the wheels' libraries of ROS nor a vendor's settings.
    peer = node_process(command, log, {"CYCLONEDDS_URI": ""})
    try:
        assert peer.wait() == 0, f"{peer.output}\n{node.process.output}"
    finally:
        peer.kill()
    assert peer.output.split() == ["depth", "64", "48", "32FC1", "256", str(48 * 64 * 4), "camera_optical", "5"]
