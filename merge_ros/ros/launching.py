"""What the launch files of depth nodes share: arguments, the Fast DDS profile, and how a process is ended.

Stands on `launch`, which comes with ROS; only the files in launch/ import it.
"""

from __future__ import annotations

from pathlib import Path

from launch import LaunchContext
from launch.actions import DeclareLaunchArgument, SetEnvironmentVariable
from launch.substitutions import LaunchConfiguration

PROFILE_VARIABLES = ("FASTRTPS_DEFAULT_PROFILES_FILE", "FASTDDS_DEFAULT_PROFILES_FILE")
# A node ends by itself, but on a busy machine not within launch's five seconds.
SECONDS_TO_END = "20"


def shared_arguments(config: Path, params_file: str, autostart: str, namespace: str) -> list[DeclareLaunchArgument]:
    """Arguments that every launch file of depth nodes has.

    Args:
        config: folder of the parameter files and profiles.
        params_file, autostart, namespace: what these mean in this file.
    """
    yes_or_no = ["true", "false"]
    return [
        DeclareLaunchArgument("params_file", default_value=str(config / "depth.yaml"), description=params_file),
        DeclareLaunchArgument("namespace", default_value="", description=namespace),
        DeclareLaunchArgument(
            "use_sim_time", default_value="false", description="Take the time from /clock.", choices=yes_or_no
        ),
        DeclareLaunchArgument("autostart", default_value="true", description=autostart, choices=yes_or_no),
        DeclareLaunchArgument(
            "fastdds_profile",
            default_value=str(config / "fastdds_shm.xml"),
            description="Fast DDS profile that lets images pass through shared memory; none: Fast DDS's own defaults. "
            f"Not used where {' or '.join(PROFILE_VARIABLES)} is set.",
        ),
    ]


def fast_dds_profile(context: LaunchContext) -> list[SetEnvironmentVariable]:
    """What makes the processes after it use the profile of the argument; nothing where the user has one.

    Raises:
        FileNotFoundError: there is no such profile.
    """
    profile = LaunchConfiguration("fastdds_profile").perform(context)
    if profile == "none" or any(context.environment.get(variable) for variable in PROFILE_VARIABLES):
        return []
    return [SetEnvironmentVariable(PROFILE_VARIABLES[0], existing("fastdds_profile", profile))]


def existing(argument: str, path: str) -> str:
    """The path that an argument names.

    Raises:
        FileNotFoundError: there is no file.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"{argument}:={path}: there is no such file")
    return path
