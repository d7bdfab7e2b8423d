"""Start the depth node and bring it to active: `ros2 launch merge_ros depth.launch.py`."""

from __future__ import annotations

import posixpath
from pathlib import Path

import lifecycle_msgs.msg
from launch import LaunchContext, LaunchDescription, LaunchDescriptionEntity
from launch.actions import (
    DeclareLaunchArgument,
    EmitEvent,
    LogInfo,
    OpaqueFunction,
    RegisterEventHandler,
)
from launch.conditions import IfCondition
from launch.events import matches_action
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import LifecycleNode, Node
from launch_ros.event_handlers import OnStateTransition
from launch_ros.events.lifecycle import ChangeState
from launch_ros.parameter_descriptions import ParameterValue

from merge_ros.config import CHOICES
from merge_ros.ros.launching import SECONDS_TO_END, existing, fast_dds_profile, shared_arguments
from merge_ros.ros.parameters import DESCRIPTIONS, default_value
from merge_ros.ros.view_options import WEB_PORT

# Beside this file, in an installation as in the source tree: found without any environment variable.
CONFIG = Path(__file__).resolve().parents[1] / "config"

# Parameters that users set most; empty keeps what the parameter file says.
OVERRIDES = (
    *("model", "backend", "device", "precision"),
    *("scale_source", "camera_height", "camera_pitch", "scale", "shift"),
)


def generate_launch_description() -> LaunchDescription:
    """Arguments, then the node."""
    arguments = [
        DeclareLaunchArgument("image", default_value="/camera/image_raw", description="Topic of the camera image."),
        DeclareLaunchArgument(
            "camera_info", default_value="/camera/camera_info", description="Topic of the camera info of that image."
        ),
        *shared_arguments(
            CONFIG,
            params_file="Parameter file; every parameter is listed in the default one.",
            autostart="Configure and activate the node. When it cannot be configured it stays unconfigured, and says "
            "why.",
            namespace="Namespace of the node.",
        ),
        *(
            DeclareLaunchArgument(
                name,
                default_value="",
                description=f"{DESCRIPTIONS[name]} Empty: as in params_file.",
                choices=["", *CHOICES[name]] if name in CHOICES else None,
            )
            for name in OVERRIDES
        ),
        DeclareLaunchArgument(
            "executable",
            default_value="depth_node",
            description="exact_depth_node stands in for a model on the simulated robot.",
            choices=["depth_node", "exact_depth_node"],
        ),
        DeclareLaunchArgument("name", default_value="merge", description="Name of the node."),
        DeclareLaunchArgument(
            "view",
            default_value="false",
            description="Show image, depth, cloud and scale live as well (merge-ros view; needs the extra 'view').",
            choices=["true", "false"],
        ),
        DeclareLaunchArgument(
            "view_port",
            default_value=str(WEB_PORT),
            description="Port of the viewer's web page, where there is no display; data comes through the next one.",
        ),
        DeclareLaunchArgument(
            "log_level",
            default_value="info",
            description="Least severity of the node's log.",
            choices=["debug", "info", "warn", "error", "fatal"],
        ),
    ]
    return LaunchDescription([*arguments, OpaqueFunction(function=_start)])


def _start(context: LaunchContext) -> list[LaunchDescriptionEntity]:
    """The node, once the arguments have values."""

    def value(name: str) -> str:
        return LaunchConfiguration(name).perform(context)

    overrides: dict[str, object] = {name: _typed(name, value(name)) for name in OVERRIDES if value(name)}
    overrides["use_sim_time"] = value("use_sim_time") == "true"
    logger = ".".join(part for part in (*value("namespace").split("/"), value("name")) if part)
    node = LifecycleNode(
        package="merge_ros",
        executable=value("executable"),
        name=value("name"),
        namespace=value("namespace"),
        parameters=[existing("params_file", value("params_file")), overrides],
        remappings=[("image", value("image")), ("camera_info", value("camera_info"))],
        ros_arguments=["--log-level", f"{logger}:={value('log_level')}"],
        output="both",
        sigterm_timeout=SECONDS_TO_END,
    )
    entities: list[LaunchDescriptionEntity] = [*fast_dds_profile(context), *_autostart(node)]
    if value("view") == "true":
        namespace = "/" + "/".join(part for part in value("namespace").split("/") if part)
        shown = {"--node": value("name"), "--image": value("image")}
        # Names as the node resolves them, which the viewer wants in full.
        words = [word for option, name in shown.items() for word in (option, posixpath.join(namespace, name))]
        words += ["--port", value("view_port")]
        entities.append(Node(package="merge_ros", executable="view", arguments=words, output="both"))
    return entities


def _autostart(node: LifecycleNode) -> list[LaunchDescriptionEntity]:
    """The node, configured by an event, and activated when that has worked."""
    wanted = IfCondition(LaunchConfiguration("autostart"))

    def change(transition: int) -> EmitEvent:
        event = ChangeState(lifecycle_node_matcher=matches_action(node), transition_id=transition)
        return EmitEvent(event=event, condition=wanted)

    activate = OnStateTransition(
        target_lifecycle_node=node,
        start_state="configuring",
        goal_state="inactive",
        entities=[change(lifecycle_msgs.msg.Transition.TRANSITION_ACTIVATE)],
    )
    explain = OnStateTransition(
        target_lifecycle_node=node,
        start_state="configuring",
        goal_state="unconfigured",
        entities=[
            LogInfo(
                msg="The depth node could not be configured, for the reason that it logged. It stays unconfigured: set "
                "its parameters (ros2 param set) and configure it again (ros2 lifecycle set), or stop it with Ctrl-C."
            )
        ],
    )
    return [
        RegisterEventHandler(activate),
        RegisterEventHandler(explain),
        node,
        change(lifecycle_msgs.msg.Transition.TRANSITION_CONFIGURE),
    ]


def _typed(parameter: str, text: str) -> object:
    if isinstance(default_value(parameter), str):
        return ParameterValue(text, value_type=str)  # or a model folder called 2024 would become a number
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"{parameter}:={text}: a number is needed") from None
