"""The simulated robot under Nav2, seeing only through the depth node: `ros2 launch merge_ros nav2_demo.launch.py`.

Give it goals with RViz's "2D Goal Pose" (rviz:=true), with goal:="x y", or with
`ros2 topic pub --once /goal_pose geometry_msgs/msg/PoseStamped ...` in the frame odom.
"""

from __future__ import annotations

from pathlib import Path

from ament_index_python.packages import PackageNotFoundError, get_package_prefix
from launch import LaunchContext, LaunchDescription, LaunchDescriptionEntity
from launch.actions import DeclareLaunchArgument, IncludeLaunchDescription, OpaqueFunction
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node

LAUNCH = Path(__file__).resolve().parent
CONFIG = LAUNCH.parent / "config"
SERVERS = {"nav2_planner": "planner_server", "nav2_controller": "controller_server"}
COMMAND_DELAY = 0.1  # simulated seconds; the controller commands every 0.05
NEEDED = (*SERVERS, "nav2_lifecycle_manager", "nav2_navfn_planner", "nav2_regulated_pure_pursuit_controller")


def generate_launch_description() -> LaunchDescription:
    """Arguments, then the simulation, Nav2's servers and what sends them goals."""
    arguments = [
        DeclareLaunchArgument("seed", default_value="900000005", description="Of the room and the robot's start."),
        DeclareLaunchArgument(
            "nav2_params_file",
            default_value=str(CONFIG / "nav2_navigation.yaml"),
            description="Parameters of Nav2's servers.",
        ),
        DeclareLaunchArgument(
            "goal", default_value="", description='First goal, metres from the start: "x y"; empty: none.'
        ),
        DeclareLaunchArgument("model", default_value="", description="Depth model; empty: merge-tiny."),
        DeclareLaunchArgument("backend", default_value="", description="Its engine; empty: the default one."),
        DeclareLaunchArgument(
            "exact",
            default_value="false",
            choices=["true", "false"],
            description="In place of a model, the true depth under a random affine change in every frame.",
        ),
        DeclareLaunchArgument(
            "rviz", default_value="false", choices=["true", "false"], description="Start RViz, where it is installed."
        ),
    ]
    return LaunchDescription([*arguments, OpaqueFunction(function=_start)])


def _start(context: LaunchContext) -> list[LaunchDescriptionEntity]:
    """The processes, once the arguments have values."""

    def value(name: str) -> str:
        return LaunchConfiguration(name).perform(context)

    _require_nav2()
    simulated = {"use_sim_time": True}
    simulation = PythonLaunchDescriptionSource(str(LAUNCH / "simulation.launch.py"))
    passed_on = {name: value(name) for name in ("seed", "model", "backend", "exact", "rviz")}
    passed_on["command_delay"] = str(COMMAND_DELAY)
    servers = [
        Node(package=package, executable=name, parameters=[value("nav2_params_file"), simulated], output="both")
        for package, name in SERVERS.items()
    ]
    manager = Node(
        package="nav2_lifecycle_manager",
        executable="lifecycle_manager",
        name="lifecycle_manager_navigation",
        # Without bonds: on a machine under load a heartbeat comes late, and the manager would stop the robot.
        parameters=[{"autostart": True, "node_names": list(SERVERS.values()), "bond_timeout": 0.0}, simulated],
        output="both",
    )
    goals = Node(
        package="merge_ros",
        executable="goal_follower",
        parameters=[simulated, {"goal": _goal(value("goal"))}],
        output="both",
    )
    return [IncludeLaunchDescription(simulation, launch_arguments=passed_on.items()), *servers, manager, goals]


def _goal(text: str) -> str:
    """ "x y" in metres, checked; empty stays empty."""
    words = text.split()
    try:
        numbers = [float(word) for word in words]
    except ValueError:
        numbers = []
    if words and len(numbers) != 2:
        raise ValueError(f'goal:="{text}": two numbers are needed, "x y" in metres')
    return " ".join(words)


def _require_nav2() -> None:
    missing = []
    for package in NEEDED:
        try:
            get_package_prefix(package)
        except PackageNotFoundError:
            missing.append(package)
    if missing:
        raise RuntimeError(
            f"nav2_demo.launch.py needs Nav2, and these of its packages are not installed: {', '.join(missing)} "
            "(apt-get install ros-jazzy-navigation2, or source the workspace that has them). "
            "simulation.launch.py runs without."
        )
