"""Parameters of the node: declared from `merge_ros.config`, checked as a whole, refused with the reason."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor, SetParametersResult
from rclpy.node import Node
from rclpy.parameter import Parameter

from merge_ros.config import (
    BUNDLED_MODEL,
    CHOICES,
    RANGES,
    CameraSettings,
    CloudSettings,
    EstimatorSettings,
    ImageServerSettings,
    OutputSettings,
    ScaleSettings,
    ScanSettings,
    StreamSettings,
)
from merge_ros.errors import MergeError
from merge_ros.ros.calibration_file import read_calibration
from merge_ros.ros.transforms import require_tf

# Parameters are named like the fields of the settings, except where the name would say too little alone.
RENAMED = {("scale", "source"): "scale_source"}
UNTIL_CLEANUP = "Fixed while the node is configured."

DESCRIPTIONS = {
    "model": f"Model that estimates depth: '{BUNDLED_MODEL}' (shipped), a folder, or a Hugging Face id owner/name.",
    "converters": "Folder or Hugging Face id with depth_converters/, where it is not inside the model; empty: it is.",
    "task": "Name of the converter set, which is in the folder TASK_converters/: depth, or your own.",
    "codec": "Autoencoder of the depth path: 'full', 'light', 'auto' (light where the model has one whose measured "
    "cost is small), or a folder or Hugging Face id of a light one, such as TAESD.",
    "backend": "Inference engine; auto: the fastest that is installed and that this machine can run, with the reason "
    "in the log.",
    "device": "Device of the engine: 'cpu', 'cuda:N' or what the engine calls it; auto: a GPU where the engine can use "
    "one.",
    "precision": "Precision of weights and activations; auto: what the engine is usually run in.",
    "torch_mode": "How backend torch runs: eager, folded, compiled, cuda_graph; auto: folded where that is possible.",
    "offload": "For FLUX on a GPU that does not hold it: none, or sequential (each layer comes to the GPU as it runs).",
    "quantization": "For FLUX: none, or fp8 or int8 (weights stored in 8 bits).",
    "steps": "Denoising steps; 0: what the checkpoint was trained for.",
    "processing_pixels": "The image is scaled to about this many pixels first; 0: what the model was made for.",
    "threads": "CPU threads of the engine; 0: the engine's choice.",
    "scale_source": "Where metres come from: none (relative depth only), fixed (scale and shift below), ground_plane "
    "(fitted to the floor, needs where the camera is), range (fitted to laser scans, clouds or ranges) or depth "
    "(fitted to another depth image).",
    "scale": "Metres per unit of relative depth, above 0; for scale_source fixed.",
    "shift": "Metres at relative depth 0; for scale_source fixed.",
    "camera_mounting": "Where height, pitch and roll of the camera come from, for scale_source ground_plane: "
    "parameters, imu (camera_height, and gravity from the topic imu) or tf.",
    "camera_height": "Metres from the floor to the optical centre, above 0; for scale_source ground_plane.",
    "camera_pitch": "Radians that the optical axis points below the horizon; for scale_source ground_plane.",
    "camera_roll": "Radians about the optical axis, positive when the camera leans to its right; for scale_source "
    "ground_plane.",
    "ground_frame": "Frame with its origin on the floor and z up, for camera_mounting tf.",
    "reference_pose": "Where the range sensor, depth camera or IMU is: parameters (reference_x to _yaw) or tf.",
    "reference_x": "Metres of the reference sensor's frame before the camera's optical centre.",
    "reference_y": "Metres of the reference sensor's frame to the left of the camera's optical centre.",
    "reference_z": "Metres of the reference sensor's frame above the camera's optical centre.",
    "reference_roll": "Radians of the reference sensor's frame about the camera's forward axis.",
    "reference_pitch": "Radians of the reference sensor's frame about the camera's left axis.",
    "reference_yaw": "Radians of the reference sensor's frame about the camera's upward axis.",
    "reference_camera": "For scale_source depth: same (the depth image was taken by this camera) or own (by another "
    "one, with reference/camera_info).",
    "reference_max_age": "Seconds at most between the stamps of an image and of the reference.",
    "lock_frames": "Frames with a good reading that it takes to lock the scale.",
    "max_uncertainty": "One standard deviation of the range over the range, above which no metres are published.",
    "hold_seconds": "Seconds that the scale is carried on when the reference fails.",
    "search_seconds": "Seconds of search after which the scale counts as lost.",
    "near": "Metres; nearer depth is published as NaN. Smaller than far.",
    "far": "Metres; farther depth is published as +Inf.",
    "farthest": "What the pixels become at which the model's output saturates, which are at least so far: surface (the "
    "depth at which that begins), unknown (NaN) or open (+Inf: for skies, not for walls).",
    "edge_filter": "Smallest relative step of an edge in depth whose pixels in between, flying pixels, become NaN; 0: "
    "all stay.",
    "depth_encoding": "Of the depth image: 32FC1 (metres) or 16UC1 (millimetres, 0 unknown or too far).",
    "output_width": "Pixels of all that is published; 0: as the image, or in proportion to output_height.",
    "output_height": "Pixels of all that is published; 0: as the image, or in proportion to output_width.",
    "cloud_stride": "Pixels; every n-th pixel of every n-th row becomes a point.",
    "cloud_range": "Metres from the camera, past which there are no points; 0: as far as depth goes.",
    "cloud_open": "A direction in which nothing is seen up to cloud_range gets a point at that distance instead of "
    "none, so that costmaps clear along it.",
    "cloud_voxel": "Metres; the points in each cube of this edge become one, their mean; 0: all points stay.",
    "cloud_dense": "Only known points, in one row, instead of one for each pixel with NaN for the unknown. Voxels "
    "imply it.",
    "cloud_rate": "Clouds per second at most, by the stamps of the images; 0: one for each image.",
    "scan_min_height": "Metres over the floor; the scan shows what is between here and scan_max_height.",
    "scan_max_height": "Metres over the floor; above scan_min_height.",
    "scan_range": "Metres over the floor, past which the scan says that nothing is there.",
    "scan_frame": "Frame of the scan: at the optical centre, level, x forward, z up. Empty: the camera's frame with "
    "'_level' behind it, which the node publishes on /tf.",
    "image_transport": "raw (sensor_msgs/Image) or compressed (sensor_msgs/CompressedImage, JPEG or PNG, on the image "
    "topic with /compressed behind it).",
    "camera_info_file": "Calibration file of ROS's camera_calibration (YAML), in place of the topic; empty: the topic.",
    "rectify": "Take the lens distortion that camera_info describes out of the image first; then all that is published "
    "belongs to the rectified image.",
    "image_rotation": "Degrees clockwise that make the image upright, for a camera that is mounted turned: 0, 90, 180 "
    "or 270. What is published stays as the camera sees it.",
    "max_rate": "Images per second at most that are worked on, by their stamps; 0: as many as can be.",
    "on_demand": "Work only while someone subscribes to a topic of the node. Otherwise the metric scale is also "
    "followed while nobody does.",
    "mode_policy": "What becomes of depth in mode depth while an image is made: interleave (camera frames are worked "
    "on between denoising steps), pause (they are dropped and counted), or refuse (the request is).",
    "asset_directory": "Absolute folder below which requests for images may write; empty: they may not.",
    "generate_queue": "Requests for images that may wait while another is worked on; one more is refused.",
    "generate_max_side": "Largest width and height of an image, in pixels.",
    "generate_max_steps": "Most denoising steps of a request.",
    "generate_max_count": "Most images of a request.",
    "generate_max_prompt": "Most characters of a prompt.",
    "generate_keep_text_encoder": "Keep the text encoder in memory between requests.",
    "generate_min_free": "Megabytes that must be free in asset_directory before anything is made to be written.",
    "max_age": "Seconds between the stamp of an image and the start of work on it, past which it is dropped; 0: never.",
    "inference_timeout": "Seconds without an answer after which the model counts as hung: the frame is given up, and a "
    "new engine takes over (docs/reliability.md); 0: never.",
}


@dataclass(frozen=True)
class NodeSettings:
    """All settings of the node, each section valid by itself.

    Raises:
        ConfigurationError: from a section, when its values are not allowed.
    """

    estimator: EstimatorSettings = dataclasses.field(default_factory=EstimatorSettings)
    scale: ScaleSettings = dataclasses.field(default_factory=ScaleSettings)
    output: OutputSettings = dataclasses.field(default_factory=OutputSettings)
    cloud: CloudSettings = dataclasses.field(default_factory=CloudSettings)
    scan: ScanSettings = dataclasses.field(default_factory=ScanSettings)
    camera: CameraSettings = dataclasses.field(default_factory=CameraSettings)
    stream: StreamSettings = dataclasses.field(default_factory=StreamSettings)
    images: ImageServerSettings = dataclasses.field(default_factory=ImageServerSettings)

    @classmethod
    def from_values(cls, values: Mapping[str, Any]) -> NodeSettings:
        """Settings from the value of every parameter, by parameter name."""
        sections = {
            section.name: type(getattr(DEFAULTS, section.name))(
                **{field: values[name] for name, (owner, field) in PARAMETERS.items() if owner == section.name}
            )
            for section in dataclasses.fields(cls)
        }
        return cls(**sections)


DEFAULTS = NodeSettings()
# Parameter name -> section and field of the settings.
PARAMETERS: dict[str, tuple[str, str]] = {
    RENAMED.get((section.name, field.name), field.name): (section.name, field.name)
    for section in dataclasses.fields(NodeSettings)
    for field in dataclasses.fields(getattr(DEFAULTS, section.name))
}
# What the loaded model depends on cannot change under it.
FIXED = tuple(name for name, (section, _) in PARAMETERS.items() if section == "estimator")


def default_value(name: str) -> bool | int | float | str:
    """The default of a parameter, from the settings."""
    section, field = PARAMETERS[name]
    value: bool | int | float | str = getattr(getattr(DEFAULTS, section), field)
    return value


def descriptor(name: str) -> ParameterDescriptor:
    """Text and range of a parameter, as tools show them."""
    described = ParameterDescriptor(description=DESCRIPTIONS[name])
    if name in FIXED:
        described.description += f" {UNTIL_CLEANUP}"
    if name in CHOICES:
        described.additional_constraints = f"One of: {', '.join(CHOICES[name])}"
    if name in RANGES:
        low, high = RANGES[name]
        if isinstance(default_value(name), int):
            described.integer_range = [IntegerRange(from_value=int(low), to_value=int(high))]
        else:
            described.floating_point_range = [FloatingPointRange(from_value=float(low), to_value=float(high))]
    return described


class NodeParameters:
    """Declares every parameter on a node, and keeps watch over changes.

    A change is checked as a whole: all parameters that are set together, with the present values of the others, must
    make valid settings. Otherwise none is applied, and the reason is given back.

    Args:
        node: gets the parameters.
        fixed: whether the parameters in `FIXED` may not change now.
        changed: called after a change that was accepted.
    """

    def __init__(self, node: Node, fixed: Callable[[], bool], changed: Callable[[], None]) -> None:
        self._node, self._fixed, self._changed = node, fixed, changed
        for name in PARAMETERS:
            _declare(node, name)
        node.add_pre_set_parameters_callback(_whole_numbers_to_floats)
        node.add_on_set_parameters_callback(self._check)
        node.add_post_set_parameters_callback(self._applied)

    def settings(self) -> NodeSettings:
        """The settings as they are now.

        Raises:
            ConfigurationError: the values that the node was started with do not fit together.
            MissingTfError: they ask for TF, which is not installed.
            CalibrationError: they name a calibration file that cannot be used.
        """
        return _checked(self._values())

    def _values(self) -> dict[str, Any]:
        return {name: self._node.get_parameter(name).value for name in PARAMETERS}

    def _check(self, parameters: list[Parameter]) -> SetParametersResult:
        present = self._values()
        wanted = {parameter.name: parameter.value for parameter in parameters if parameter.name in PARAMETERS}
        fixed = [name for name in FIXED if wanted.get(name, present[name]) != present[name]]
        if fixed and self._fixed():
            return SetParametersResult(
                successful=False,
                reason=f"{', '.join(fixed)} cannot change while the node is configured; deactivate and clean up first",
            )
        try:
            _checked(present | wanted)
        except MergeError as error:
            return SetParametersResult(successful=False, reason=str(error))
        except TypeError as error:  # rclpy checks types after this callback
            return SetParametersResult(successful=False, reason=f"wrong parameter type: {error}")
        return SetParametersResult(successful=True)

    def _applied(self, parameters: list[Parameter]) -> None:
        if any(parameter.name in PARAMETERS for parameter in parameters):
            self._changed()


def _checked(values: Mapping[str, Any]) -> NodeSettings:
    """Settings whose values fit together, and for which all is there that they need."""
    settings = NodeSettings.from_values(values)
    if settings.scale.needs_tf:
        require_tf()
    if settings.camera.camera_info_file:
        read_calibration(settings.camera.camera_info_file)
    return settings


def _declare(node: Node, name: str) -> None:
    default = default_value(name)
    if not isinstance(default, float):
        node.declare_parameter(name, default, descriptor(name))
        return
    # A parameter file that says `camera_height: 1` means 1.0; rclpy would refuse the integer.
    given = node.declare_parameter(name, default, ParameterDescriptor(dynamic_typing=True)).value
    node.undeclare_parameter(name)
    whole = isinstance(given, int) and not isinstance(given, bool)
    node.declare_parameter(name, float(given) if whole else given, descriptor(name), ignore_override=True)


def _whole_numbers_to_floats(parameters: list[Parameter]) -> list[Parameter]:
    """`ros2 param set NODE camera_height 1` sends an integer."""
    return [
        Parameter(parameter.name, value=float(parameter.value))
        if parameter.type_ == Parameter.Type.INTEGER
        and parameter.name in PARAMETERS
        and isinstance(default_value(parameter.name), float)
        else parameter
        for parameter in parameters
    ]
