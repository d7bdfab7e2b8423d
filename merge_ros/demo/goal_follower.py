"""Sends a robot to the goals on /goal_pose (RViz's "2D Goal Pose") with Nav2's planner and controller alone.

A small stand-in for Nav2's bt_navigator: it plans once a second and lets the controller follow the newest path.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from geometry_msgs.msg import PoseStamped
from rcl_interfaces.msg import ParameterDescriptor
from rclpy.action import ActionClient
from rclpy.node import Node

from merge_ros.demo.ros_packages import ros_module
from merge_ros.errors import ConfigurationError
from merge_ros.ros.process import run_node

REPLAN = 1.0  # seconds
FAILURES = 30  # in a row, of planner or controller, until the goal is given up
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
        self._goal: PoseStamped | None = None
        self._planning = False
        self._failures = 0
        self._path = 0  # number of the newest path
        self._following: Any = None  # handle of the newest path's execution
        first = self.declare_parameter("goal", "", ParameterDescriptor(description=FIRST_GOAL)).value
        if first:
            self._goal = _goal_at(first)
        self.create_subscription(PoseStamped, "goal_pose", self._on_goal, 1)
        self.create_timer(REPLAN, self._plan)

    def _on_goal(self, goal: PoseStamped) -> None:
        self._goal, self._failures = goal, 0
        place = goal.pose.position
        self.get_logger().info(f"goal: {place.x:.2f}, {place.y:.2f} in {goal.header.frame_id}")
        self._plan()

    def _plan(self) -> None:
        if self._goal is None or self._planning or not self._planner.server_is_ready():
            return
        self._planning = True
        wanted = self._compute.Goal(goal=self._goal, planner_id="GridBased", use_start=False)
        self._run(self._planner, wanted, self._planned)

    def _planned(self, result: Any) -> None:
        self._planning = False
        if self._goal is None:
            return
        if result is None or result.status != SUCCEEDED or not result.result.path.poses:
            self._failed("no plan")
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
            self.get_logger().info("goal reached")
            self._goal = None
        else:
            self._failed("the controller could not follow the path")

    def _failed(self, reason: str) -> None:
        self._failures += 1
        if self._failures == FAILURES:
            self.get_logger().error(f"goal given up after {FAILURES} failures: {reason}")
            self._goal = None
            if self._following is not None:
                self._following.cancel_goal_async()

    def _take_handle(self, handle: Any) -> None:
        self._following, self._failures = handle, 0

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
