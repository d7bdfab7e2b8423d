"""Several cameras in one process, with one model: `ros2 launch merge_ros multi_camera.launch.py cameras:="front rear"`.

Each camera gets a depth node of its own, /front/merge and /rear/merge, on /front/image_raw and /rear/image_raw.
"""

from __future__ import annotations

from pathlib import Path

from launch import LaunchContext, LaunchDescription, LaunchDescriptionEntity
from launch.actions import DeclareLaunchArgument, OpaqueFunction, SetEnvironmentVariable
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node

# Beside this file, in an installation as in the source tree: found without any environment variable.
CONFIG = Path(__file__).resolve().parents[1] / "config"
PROFILE_VARIABLES = ("FASTRTPS_DEFAULT_PROFILES_FILE", "FASTDDS_DEFAULT_PROFILES_FILE")
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
        DeclareLaunchArgument(
            "params_file",
            default_value=str(CONFIG / "depth.yaml"),
            description="Parameter file: what all cameras share under /**, what is one's own under /front/merge.",
        ),
        DeclareLaunchArgument("model", default_value="", description="Depth model; empty: as in params_file."),
        DeclareLaunchArgument("backend", default_value="", description="Its engine; empty: as in params_file."),
        DeclareLaunchArgument("namespace", default_value="", description="Namespace around those of the cameras."),
        DeclareLaunchArgument(
            "use_sim_time", default_value="false", description="Take the time from /clock.", choices=["true", "false"]
        ),
        DeclareLaunchArgument(
            "autostart",
            default_value="true",
            description="Configure and activate the depth nodes; false leaves that to a lifecycle manager.",
            choices=["true", "false"],
        ),
        DeclareLaunchArgument(
            "fastdds_profile",
            default_value=str(CONFIG / "fastdds_shm.xml"),
            description="Fast DDS profile that lets images pass through shared memory; none: Fast DDS's own defaults. "
            f"Not used where {' or '.join(PROFILE_VARIABLES)} is set.",
        ),
    ]
    return LaunchDescription([*arguments, OpaqueFunction(function=_start)])


def _start(context: LaunchContext) -> list[LaunchDescriptionEntity]:
    """The process, once the arguments have values."""

    def value(name: str) -> str:
        return LaunchConfiguration(name).perform(context)

    for name in ("params_file", "fastdds_profile"):
        if value(name) != "none" and not Path(value(name)).is_file():
            raise FileNotFoundError(f"{name}:={value(name)}: there is no such file")
    entities: list[LaunchDescriptionEntity] = []
    profile = value("fastdds_profile")
    if profile != "none" and not any(context.environment.get(variable) for variable in PROFILE_VARIABLES):
        entities.append(SetEnvironmentVariable(PROFILE_VARIABLES[0], profile))
    # Given as -p they reach every node of the process; a dictionary would be for the first one alone.
    everywhere = {name: value(name) for name in FOR_EVERY_CAMERA if value(name)}
    everywhere["use_sim_time"] = value("use_sim_time")
    process = Node(
        package="merge_ros",
        executable="multi_camera_node",
        name="multi_camera",
        namespace=value("namespace"),
        parameters=[
            value("params_file"),
            {"cameras": value("cameras").split(), "autostart": value("autostart") == "true"},
        ],
        remappings=[("image", value("image")), ("camera_info", value("camera_info"))],
        ros_arguments=[word for name, text in everywhere.items() for word in ("-p", f"{name}:={text}")],
        output="both",
    )
    return [*entities, process]
