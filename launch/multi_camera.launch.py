"""Several cameras in one process, with one model: `ros2 launch merge_ros multi_camera.launch.py cameras:="front rear"`.

Each camera gets a depth node of its own, /front/merge and /rear/merge, on /front/image_raw and /rear/image_raw.
"""

from __future__ import annotations

from pathlib import Path

from launch import LaunchContext, LaunchDescription, LaunchDescriptionEntity
from launch.actions import DeclareLaunchArgument, OpaqueFunction
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node

from merge_ros.ros.launching import SECONDS_TO_END, existing, fast_dds_profile, shared_arguments

# Beside this file, in an installation as in the source tree: found without any environment variable.
CONFIG = Path(__file__).resolve().parents[1] / "config"
FOR_EVERY_CAMERA = ("model", "backend")  # parameters; empty keeps what the parameter file says


def generate_launch_description() -> LaunchDescription:
    """Arguments, then the process."""
    arguments = [
        DeclareLaunchArgument(
            "cameras", default_value="front rear", description="Namespaces of the cameras, with spaces in between."
        ),
        DeclareLaunchArgument(
            "image", default_value="image_raw", description="Topic of the images within each camera's namespace."
        ),
        DeclareLaunchArgument(
            "camera_info", default_value="camera_info", description="Topic of the camera info within each namespace."
        ),
        *shared_arguments(
            CONFIG,
            params_file="Parameter file: what all cameras share under /**, what is one's own under /front/merge.",
            autostart="Configure and activate the depth nodes; false leaves that to a lifecycle manager.",
            namespace="Namespace around those of the cameras.",
        ),
        DeclareLaunchArgument("model", default_value="", description="Depth model; empty: as in params_file."),
        DeclareLaunchArgument("backend", default_value="", description="Its engine; empty: as in params_file."),
    ]
    return LaunchDescription([*arguments, OpaqueFunction(function=_start)])


def _start(context: LaunchContext) -> list[LaunchDescriptionEntity]:
    """The process, once the arguments have values."""

    def value(name: str) -> str:
        return LaunchConfiguration(name).perform(context)

    # Given as -p they reach every node of the process; a dictionary would be for the first one alone.
    everywhere = {name: value(name) for name in FOR_EVERY_CAMERA if value(name)}
    everywhere["use_sim_time"] = value("use_sim_time")
    process = Node(
        package="merge_ros",
        executable="multi_camera_node",
        name="multi_camera",
        namespace=value("namespace"),
        parameters=[
            existing("params_file", value("params_file")),
            {"cameras": value("cameras").split(), "autostart": value("autostart") == "true"},
        ],
        remappings=[("image", value("image")), ("camera_info", value("camera_info"))],
        ros_arguments=[word for name, text in everywhere.items() for word in ("-p", f"{name}:={text}")],
        output="both",
        sigterm_timeout=SECONDS_TO_END,
    )
    return [*fast_dds_profile(context), process]
