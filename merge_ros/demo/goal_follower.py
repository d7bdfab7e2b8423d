"""Sends a robot to the goals on /goal_pose (RViz's "2D Goal Pose") with Nav2's planner and controller alone.

A small stand-in for Nav2's bt_navigator: it plans once a second and lets the controller follow the newest path. When
that fails several times in one place, what the costmaps have marked right beside the robot is cleared, where its camera
does not see and so never would clear it, and the robot turns round once, so that the costmaps see what is really there.
So it turns before the first path (parameter look_first), as a camera has not seen what stands beside the robot. What
became of a goal is said on ~/outcome.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from geometry_msgs.msg import PoseStamped, Twist
from nav_msgs.msg import Odometry
from rcl_interfaces.msg import ParameterDescriptor
from rclpy.action import ActionClient
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile
from std_msgs.msg import String

from merge_ros.demo.ros_packages import ros_module
from merge_ros.errors import ConfigurationError
from merge_ros.ros.process import run_node

REPLAN = 1.0  # seconds
ONE_PLACE = 0.25  # metres; failures this far apart are not counted together
FAILURES = 4  # of planner or controller in one place, until the robot looks around
LOOKS = 6  # around for one goal, until it is given up
BESIDE = 1.0  # metres, side of the square round the robot that is cleared then; the camera sees no floor within 0.5 m
COSTMAPS = ("local_costmap", "global_costmap")
TURN = 0.6  # radians per second, while looking around
TURN_PERIOD = 0.05  # seconds between commands
LOOK_FIRST = "Turn round once before the first path is followed."
FIRST_GOAL = 'First goal in the frame odom: "x y" in metres; empty: none.'
SUCCEEDED = 4  # action_msgs/GoalStatus


class GoalFollower(Node):
    """Plans and follows until the goal is reached.

    Raises:
        MissingRosPackageError: nav2_msgs is not installed.
        ConfigurationError: the parameter `goal` is not two numbers.
    """

    def __init__(self) -> None:
        super().__init__("goal_follower")
        actions = ros_module("nav2_msgs.action", "the goal follower")
        self._compute, self._follow = actions.ComputePathToPose, actions.FollowPath
        self._planner = ActionClient(self, self._compute, "compute_path_to_pose")
        self._controller = ActionClient(self, self._follow, "follow_path")
        self._clear = ros_module("nav2_msgs.srv", "the goal follower").ClearCostmapAroundRobot
        self._clearing = [self.create_client(self._clear, f"{name}/clear_around_{name}") for name in COSTMAPS]
        self._commands = self.create_publisher(Twist, "cmd_vel", 1)
        latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        self._outcome = self.create_publisher(String, "~/outcome", latched)
        self._goal: PoseStamped | None = None
        self._planning = False
        self._path = 0  # number of the newest path
        self._following: Any = None  # handle of the newest path's execution
        self._place = self._failed_at = (0.0, 0.0)  # metres
        self._failures = self._looks = 0
        self._look_first = self.declare_parameter("look_first", True, ParameterDescriptor(description=LOOK_FIRST)).value
        self._turned = math.inf  # radians of the turn that looks around; not finite: no such turn
        first = self.declare_parameter("goal", "", ParameterDescriptor(description=FIRST_GOAL)).value
        if first:
            self._goal = _goal_at(first)
        self.create_subscription(PoseStamped, "goal_pose", self._on_goal, 1)
        self.create_subscription(Odometry, "odom", self._on_odometry, 1)
        self.create_timer(REPLAN, self._plan)
        self.create_timer(TURN_PERIOD, self._turn)

    def _on_goal(self, goal: PoseStamped) -> None:
        self._goal, self._failures, self._looks = goal, 0, 0
        place = goal.pose.position
        self.get_logger().info(f"goal: {place.x:.2f}, {place.y:.2f} in {goal.header.frame_id}")
        self._plan()

    def _on_odometry(self, odometry: Odometry) -> None:
        self._place = (odometry.pose.pose.position.x, odometry.pose.pose.position.y)

    def _plan(self) -> None:
        if self._goal is None or self._planning or math.isfinite(self._turned) or not self._planner.server_is_ready():
            return
        self._planning = True
        wanted = self._compute.Goal(goal=self._goal, planner_id="GridBased", use_start=False)
        self._run(self._planner, wanted, self._planned)

    def _planned(self, result: Any) -> None:
        self._planning = False
        if self._goal is None or math.isfinite(self._turned):
            return
        if result is None or result.status != SUCCEEDED or not result.result.path.poses:
            self._failed("no plan")
            return
        if self._look_first:  # a plan came, so the costmaps are up to date
            self._look_first = False
            self._look_around("before the first path")
            return
        self._path += 1
        number = self._path
        wanted = self._follow.Goal(
            path=result.result.path,
            controller_id="FollowPath",
            goal_checker_id="goal_checker",
            progress_checker_id="progress_checker",
        )
        self._run(self._controller, wanted, lambda result: self._followed(result, number), self._take_handle)

    def _followed(self, result: Any, number: int) -> None:
        if number != self._path or self._goal is None:
            return  # a newer path has taken over
        if result is not None and result.status == SUCCEEDED:
            self._end("reached")
        else:
            self._failed("the controller could not follow the path")

    def _failed(self, reason: str) -> None:
        here = math.dist(self._place, self._failed_at) <= ONE_PLACE
        self._failures = self._failures + 1 if here else 1
        self._failed_at = self._failed_at if here else self._place
        if self._failures < FAILURES:
            return
        self._failures = 0
        if self._looks == LOOKS:
            self._end(f"given up after {LOOKS} looks around: {reason}")
            return
        self._looks += 1
        for client in self._clearing:
            client.call_async(self._clear.Request(reset_distance=BESIDE))
        self._look_around(reason)

    def _look_around(self, reason: str) -> None:
        self.get_logger().info(f"{reason}: looking around")
        self._turned = 0.0
        self._path += 1  # whatever becomes of the path before does not count
        if self._following is not None:
            self._following.cancel_goal_async()

    def _turn(self) -> None:
        if not math.isfinite(self._turned):
            return
        self._turned += TURN * TURN_PERIOD
        command = Twist()
        if self._turned < 2 * math.pi:
            command.angular.z = TURN
        else:
            self._turned = math.inf
        self._commands.publish(command)

    def _end(self, outcome: str) -> None:
        self.get_logger().info(f"goal {outcome}")
        self._outcome.publish(String(data=outcome))
        self._goal = None

    def _take_handle(self, handle: Any) -> None:
        self._following = handle

    def _run(
        self,
        client: ActionClient,
        goal: Any,
        finished: Callable[[Any], None],
        accepted: Callable[[Any], None] = lambda handle: None,
    ) -> None:
        """Send a goal; `finished` gets its result, None when it was refused."""

        def on_answer(future: Any) -> None:
            handle = future.result()
            if not handle.accepted:
                finished(None)
                return
            accepted(handle)
            handle.get_result_async().add_done_callback(lambda future: finished(future.result()))

        client.send_goal_async(goal).add_done_callback(on_answer)


def _goal_at(text: str) -> PoseStamped:
    """A goal from "x y"; the robot may look anywhere there that the controller's tolerance allows."""
    try:
        x, y = (float(word) for word in text.split())
    except ValueError as error:
        raise ConfigurationError(f"goal={text!r}: two numbers are needed, 'x y' in metres") from error
    goal = PoseStamped()
    goal.header.frame_id = "odom"
    goal.pose.position.x, goal.pose.position.y, goal.pose.orientation.w = x, y, 1.0
    return goal


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it as a process; returns its exit status."""
    return run_node(GoalFollower, arguments)
