"""A simulated robot in a random room, and the depth node on its camera: `ros2 launch merge_ros simulation.launch.py`.

Drive it with `ros2 run teleop_twist_keyboard teleop_twist_keyboard`, or anything else that publishes /cmd_vel.
"""

from __future__ import annotations

from pathlib import Path

from launch import LaunchContext, LaunchDescription, LaunchDescriptionEntity
from launch.actions import DeclareLaunchArgument, IncludeLaunchDescription, OpaqueFunction
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node

# Beside this file, in an installation as in the source tree: found without any environment variable.
LAUNCH = Path(__file__).resolve().parent
CONFIG = LAUNCH.parent / "config"
DEPTH_DELAY = 0.3  # simulated seconds that depth may take; the clock waits on a machine that needs more


def generate_launch_description() -> LaunchDescription:
    """Arguments, then the robot and the depth node."""
    arguments = [
        DeclareLaunchArgument("seed", default_value="900000005", description="Of the room and the robot's start."),
        DeclareLaunchArgument("rate", default_value="5.0", description="Images per second of simulated time."),
        DeclareLaunchArgument("model", default_value="", description="Depth model; empty: as in params_file."),
        DeclareLaunchArgument("backend", default_value="", description="Its engine; empty: as in params_file."),
        DeclareLaunchArgument(
            "params_file",
            default_value=str(CONFIG / "nav2_demo_depth.yaml"),
            description="Parameters of the depth node. Height and pitch of the camera must be the simulated robot's.",
        ),
        DeclareLaunchArgument(
            "depth", default_value="true", choices=["true", "false"], description="Start the depth node as well."
        ),
        DeclareLaunchArgument(
            "exact",
            default_value="false",
            choices=["true", "false"],
            description="In place of a model, the true depth under a random affine change in every frame.",
        ),
        DeclareLaunchArgument(
            "command_delay",
            default_value="0.0",
            description="Simulated seconds after a command, at which the clock waits for the next one; 0: never.",
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

    robot = {
        "seed": int(value("seed")),
        "rate": float(value("rate")),
        "depth_delay": DEPTH_DELAY,
        "command_delay": float(value("command_delay")),
    }
    entities: list[LaunchDescriptionEntity] = [
        Node(
            package="merge_ros",
            executable="simulated_robot",
            parameters=[robot],
            remappings=[("depth_status", "/merge/status")],
            output="both",
        )
    ]
    if value("depth") == "true":
        passed_on = {name: value(name) for name in ("model", "backend", "params_file")}
        if value("exact") == "true":
            passed_on |= {"executable": "exact_depth_node", "image": "/camera/depth_coded"}
        depth = PythonLaunchDescriptionSource(str(LAUNCH / "depth.launch.py"))
        entities.append(IncludeLaunchDescription(depth, launch_arguments={**passed_on, "use_sim_time": "true"}.items()))
    if value("rviz") == "true":
        view = ["-d", str(CONFIG / "nav2_demo.rviz")]
        entities.append(
            Node(package="rviz2", executable="rviz2", arguments=view, parameters=[{"use_sim_time": True}], output="log")
        )
    return entities
