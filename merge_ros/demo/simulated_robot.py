"""A simulated robot as ROS sees a real one: drives by /cmd_vel, publishes its camera, odometry, TF and the clock.

    ros2 run merge_ros simulated_robot --ros-args -p seed:=900000005

The clock is the simulation's: it stands still while a picture is rendered, and waits for depth and commands where it is
told to (`lock_step`), so that a slow machine makes a slow world and not a robot that sees late. Others must run with
use_sim_time.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from builtin_interfaces.msg import Time
from geometry_msgs.msg import TransformStamped, Twist
from nav_msgs.msg import Odometry
from numpy.typing import NDArray
from rcl_interfaces.msg import ParameterDescriptor
from rclpy.clock import Clock
from rclpy.clock_type import ClockType
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile
from rosgraph_msgs.msg import Clock as ClockMessage
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import Bool, Header

from merge_ros.demo.coded_depth import depth_to_picture
from merge_ros.demo.lock_step import LockStep
from merge_ros.demo.ros_packages import ros_module
from merge_ros.geometry.rotation import quaternion
from merge_ros.msg import DepthStatus
from merge_ros.ros.camera_info import info_from_camera
from merge_ros.ros.conversions import array_to_image, stamp_nanoseconds
from merge_ros.ros.process import run_node
from merge_ros.simulation.errand import start_in_room
from merge_ros.simulation.poses import camera_pose
from merge_ros.simulation.robot import Pose, RobotSettings, SimulatedRobot

STEP = 0.02  # seconds of simulated time
COMMAND_LASTS = 0.5  # seconds; without a new one the robot stops, as robots do
# Of the clock. With zero, tf2 would take stamps for "the newest"; with a minute or more, the first jump of the clock
# would use up the time that a costmap waits for the robot's frames (initial_transform_timeout).
FIRST_SECOND = 10
ODOM, BASE, OPTICAL = "odom", "base_link", "camera_optical_frame"

PARAMETERS = {
    "seed": (900_000_005, "Of the room and the robot's start."),
    "rate": (5.0, "Images per second of simulated time, above 0, at most 50."),
    "pace": (1.0, "Simulated seconds per second, where the machine is fast enough; above 0."),
    "depth_delay": (
        0.0,
        "Simulated seconds after an image, at which the clock waits for the depth node's word on it (on the topic "
        "depth_status); 0: it never waits.",
    ),
    "command_delay": (
        0.0,
        "Simulated seconds after a command that moves the robot, at which the clock waits up to a second for the next; "
        "0: it never waits. For controllers, not for keyboards.",
    ),
    "width": (RobotSettings.size[0], "Pixels."),
    "height": (RobotSettings.size[1], "Pixels."),
    "fov": (RobotSettings.fov, "Horizontal field of view in degrees."),
    "camera_height": (RobotSettings.camera_height, "Metres over the floor."),
    "camera_pitch": (math.radians(RobotSettings.camera_pitch), "Radians, positive looks down."),
    "camera_ahead": (RobotSettings.camera_ahead, "Metres from the robot's centre to the camera."),
    "radius": (RobotSettings.radius, "Of the robot, metres."),
}


class SimulatedRobotNode(Node):
    """Steps the simulation, and tells of it.

    Raises:
        ConfigurationError: a parameter outside its range, or a room without a place for the robot.
        MissingRosPackageError: tf2_msgs is not installed.
        MissingDependencyError: MuJoCo or OpenGL is missing.
    """

    def __init__(self) -> None:
        super().__init__("simulated_robot")
        value = {
            name: self.declare_parameter(name, default, ParameterDescriptor(description=text)).value
            for name, (default, text) in PARAMETERS.items()
        }
        settings = RobotSettings(
            radius=value["radius"],
            size=(value["width"], value["height"]),
            fov=value["fov"],
            camera_height=value["camera_height"],
            camera_pitch=math.degrees(value["camera_pitch"]),
            camera_ahead=value["camera_ahead"],
        )
        self._message = ros_module("tf2_msgs.msg", "the simulated robot").TFMessage
        scene, start, _ = start_in_room(value["seed"], settings)
        self._robot = SimulatedRobot(scene, settings, start).__enter__()
        self._lock_step = LockStep(value["depth_delay"], value["command_delay"])
        self._steps = 0
        self._steps_per_image = max(1, round(1 / STEP / value["rate"]))
        self._command, self._commanded = (0.0, 0.0), -math.inf

        self._clock = self.create_publisher(ClockMessage, "/clock", 10)
        self._tf = self.create_publisher(self._message, "/tf", 100)
        latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        self._tf_static = self.create_publisher(self._message, "/tf_static", latched)
        self._odometry = self.create_publisher(Odometry, "odom", 10)
        self._contact = self.create_publisher(Bool, "~/contact", 10)
        self._image = self.create_publisher(Image, "camera/image_raw", 1)
        self._info = self.create_publisher(CameraInfo, "camera/camera_info", 1)
        self._depth = self.create_publisher(Image, "camera/depth_true", 1)
        self._coded = self.create_publisher(Image, "camera/depth_coded", 1)
        self.create_subscription(Twist, "cmd_vel", self._on_command, 1)
        self.create_subscription(DepthStatus, "depth_status", self._on_depth_status, 10)
        self._publish_static()
        self.create_timer(STEP / value["pace"], self._step, clock=Clock(clock_type=ClockType.STEADY_TIME))
        self.get_logger().info(f"{scene.background}, {scene.length:.1f} x {scene.width:.1f} m, seed {value['seed']}")

    @property
    def time(self) -> float:
        """Simulated seconds."""
        return FIRST_SECOND + self._steps * STEP

    def destroy_node(self) -> None:
        """Let go of the renderer too."""
        self._robot.__exit__(None, None, None)
        super().destroy_node()

    def _on_command(self, command: Twist) -> None:
        if math.isfinite(command.linear.x) and math.isfinite(command.angular.z):
            self._command, self._commanded = (command.linear.x, command.angular.z), self.time
            self._lock_step.commanded(self._command != (0.0, 0.0), self.time)

    def _on_depth_status(self, status: DepthStatus) -> None:
        self._lock_step.depth_answered(stamp_nanoseconds(status.header.stamp))

    def _step(self) -> None:
        if not self._lock_step.may_go_on(self.time):
            return
        speed, turn = self._command if self.time - self._commanded <= COMMAND_LASTS else (0.0, 0.0)
        was_touching = self._robot.touching
        self._robot.move(speed, turn, STEP)
        self._steps += 1
        stamp = Time(sec=int(self.time), nanosec=round(self.time % 1 * 1e9) % 10**9)
        self._clock.publish(ClockMessage(clock=stamp))
        self._publish_odometry(stamp)
        if self._robot.touching != was_touching:
            self._contact.publish(Bool(data=self._robot.touching))
        if self._steps % self._steps_per_image == 0:
            self._shoot(stamp)

    def _publish_odometry(self, stamp: Time) -> None:
        pose: Pose = self._robot.odometry
        transform = TransformStamped(header=Header(stamp=stamp, frame_id=ODOM), child_frame_id=BASE)
        transform.transform.translation.x, transform.transform.translation.y = pose.x, pose.y
        turned = transform.transform.rotation
        turned.z, turned.w = math.sin(pose.heading / 2), math.cos(pose.heading / 2)
        self._tf.publish(self._message(transforms=[transform]))

        odometry = Odometry(header=transform.header, child_frame_id=BASE)
        odometry.pose.pose.position.x, odometry.pose.pose.position.y = pose.x, pose.y
        odometry.pose.pose.orientation = turned
        odometry.twist.twist.linear.x, odometry.twist.twist.angular.z = self._robot.velocity
        self._odometry.publish(odometry)

    def _shoot(self, stamp: Time) -> None:
        frame = self._robot.look()
        header = Header(stamp=stamp, frame_id=OPTICAL)
        self._info.publish(info_from_camera(frame.camera, header))
        self._image.publish(array_to_image(frame.rgb, "rgb8", header))
        if self._depth.get_subscription_count():
            self._depth.publish(array_to_image(frame.depth, "32FC1", header))
        if self._coded.get_subscription_count():
            self._coded.publish(array_to_image(depth_to_picture(frame.depth), "rgb8", header))
        self._lock_step.image_sent(stamp_nanoseconds(stamp), self.time)

    def _publish_static(self) -> None:
        settings = self._robot.settings
        pose: NDArray[np.float64] = camera_pose(
            settings.camera_ahead, 0.0, settings.camera_height, 0.0, math.radians(settings.camera_pitch)
        )
        transform = TransformStamped(child_frame_id=OPTICAL)
        transform.header.frame_id = BASE
        place, turned = transform.transform.translation, transform.transform.rotation
        place.x, place.y, place.z = (float(value) for value in pose[:3, 3])
        turned.x, turned.y, turned.z, turned.w = quaternion(pose[:3, :3])
        self._tf_static.publish(self._message(transforms=[transform]))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the robot as a process; returns its exit status."""
    return run_node(SimulatedRobotNode, arguments)
