"""Settings: frozen, validated when made, and the only place where a default stands.

The ROS parameters, the command line and the docs all read their defaults from here.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass

from merge_ros.errors import ConfigurationError

BUNDLED_MODEL = "merge-tiny"
BACKENDS = ("auto", "torch", "onnx", "openvino", "tensorrt", "tensorrt_rtx")
PRECISIONS = ("auto", "fp32", "fp16", "bf16")
TORCH_MODES = ("auto", "eager", "folded", "compiled", "cuda_graph")
BF16_COST = 0.002  # AbsRel that bf16 may move on the stored check images before "auto" stays with fp32
CODEC_WORDS = ("auto", "full", "light")
LIGHT_CODEC_COST = 0.005  # AbsRel that codec "auto" gives away for speed, at most
SCALE_SOURCES = ("none", "fixed", "ground_plane", "range", "depth")
CAMERA_MOUNTINGS = ("parameters", "imu", "tf")
REFERENCE_POSES = ("parameters", "tf")
REFERENCE_CAMERAS = ("same", "own")

CHOICES: dict[str, tuple[str, ...]] = {
    "backend": BACKENDS,
    "precision": PRECISIONS,
    "torch_mode": TORCH_MODES,
    "scale_source": SCALE_SOURCES,
    "camera_mounting": CAMERA_MOUNTINGS,
    "reference_pose": REFERENCE_POSES,
    "reference_camera": REFERENCE_CAMERAS,
}
# Lowest and highest allowed value of every number, both included.
RANGES: dict[str, tuple[float, float]] = {
    "steps": (0, 1000),
    "processing_pixels": (0, 2**24),
    "threads": (0, 1024),
    "scale": (0.0, 1e6),
    "shift": (-1e6, 1e6),
    "camera_height": (0.0, 100.0),
    "camera_pitch": (-math.pi / 2, math.pi / 2),
    "camera_roll": (-math.pi, math.pi),
    "reference_x": (-100.0, 100.0),
    "reference_y": (-100.0, 100.0),
    "reference_z": (-100.0, 100.0),
    "reference_roll": (-math.pi, math.pi),
    "reference_pitch": (-math.pi, math.pi),
    "reference_yaw": (-math.pi, math.pi),
    "reference_max_age": (0.0, 10.0),
    "lock_frames": (1, 1000),
    "max_uncertainty": (0.01, 1.0),
    "hold_seconds": (0.0, 3600.0),
    "search_seconds": (0.0, 3600.0),
    "near": (0.0, 1e4),
    "far": (0.0, 1e4),
    "cloud_stride": (1, 64),
    "cloud_voxel": (0.0, 10.0),
    "cloud_range": (0.0, 1e4),
    "cloud_rate": (0.0, 1000.0),
    "scan_min_height": (-100.0, 100.0),
    "scan_max_height": (-100.0, 100.0),
    "scan_range": (0.01, 1e4),
    "max_age": (0.0, 3600.0),
}


@dataclass(frozen=True)
class EstimatorSettings:
    """Which model estimates depth, and how it is run.

    Args:
        model: "merge-tiny" (shipped), a model folder, or a Hugging Face id.
        converters: where `depth_converters/` is, if not in `model`; "" means in `model`.
        codec: autoencoder of the depth path. "full": the model's VAE; "light": the distilled one in its `light_codec/`;
            "auto": the light one where the model has one whose measured cost is at most `LIGHT_CODEC_COST` AbsRel, else
            the full one; anything else is a folder or a Hugging Face id that holds a light one (TAESD, say).
        backend: inference engine, one of `BACKENDS`; "auto" takes the fastest that is installed and that this machine
            can run (`merge-ros engines` says which and why). A backend that is named is never left for another.
        device: "cpu", "cuda:N" or what the backend calls it (see docs/performance.md); "auto": a GPU where there is one
            that the backend can use, else the CPU.
        precision: of weights and activations, one of `PRECISIONS`; "auto": what the backend is usually run in.
        torch_mode: how backend "torch" runs: "eager" is the network as it was trained; "folded", "compiled" and
            "cuda_graph" run the folded one, as it is, through torch.compile, or recorded on a GPU; "auto": folded where
            the checkpoint can be folded, else eager.
        steps: denoising steps; 0 takes what the checkpoint was trained for.
        processing_pixels: the image is scaled to about this many pixels before inference; 0 takes the size that the
            model was made for.
        threads: CPU threads for inference; 0 leaves the choice to the backend.

    Raises:
        ConfigurationError: a value is not allowed; the message says what came and what is.
    """

    model: str = BUNDLED_MODEL
    converters: str = ""
    codec: str = "auto"
    backend: str = "auto"
    device: str = "auto"
    precision: str = "auto"
    torch_mode: str = "auto"
    steps: int = 0
    processing_pixels: int = 0
    threads: int = 0

    def __post_init__(self) -> None:
        if not self.model:
            raise ConfigurationError("model is empty; allowed: 'merge-tiny', a folder, or a Hugging Face id owner/name")
        if not self.codec:
            raise ConfigurationError(
                f"codec is empty; allowed: {', '.join(CODEC_WORDS)}, a folder, or a Hugging Face id"
            )
        _one_of("backend", self.backend)
        _one_of("precision", self.precision)
        _one_of("torch_mode", self.torch_mode)
        _in_range("steps", self.steps)
        _in_range("processing_pixels", self.processing_pixels)
        _in_range("threads", self.threads)


@dataclass(frozen=True)
class ScaleSettings:
    """Where metres come from: depth_in_metres = scale * relative_depth + shift.

    Args:
        source: "none" (relative depth only), "fixed" (the two numbers below), "ground_plane" (fitted to the floor, from
            the camera's height and attitude), "range" (fitted to LaserScan, PointCloud2 or Range messages), or "depth"
            (fitted to another depth image).
        scale: metres per unit of relative depth, > 0; for "fixed".
        shift: metres at relative depth 0; for "fixed".
        camera_mounting: where height, pitch and roll of the camera come from, for "ground_plane": "parameters" (the
            three numbers below), "imu" (camera_height, and gravity from an IMU), or "tf".
        camera_height: metres of the optical centre above the floor, > 0; not for "tf".
        camera_pitch: radians that the optical axis points below the horizon, in (-pi/2, pi/2); for "parameters".
        camera_roll: radians about the optical axis, positive when the camera leans to its right; for "parameters".
        ground_frame: a frame with its origin on the floor and z up, for camera_mounting "tf" (REP 120).
        reference_pose: where the range sensor, depth camera or IMU is, seen from the camera: "parameters" (the six
            numbers below) or "tf".
        reference_x, reference_y, reference_z: metres of its frame's origin in the camera's body frame (x forward, y
            left, z up, at the optical centre). The frame of a depth camera is here its body frame too.
        reference_roll, reference_pitch, reference_yaw: radians of its frame about the axes of that frame.
        reference_camera: whether a depth image of "depth" was taken by this "same" camera or through its "own", with a
            camera info of its own.
        reference_max_age: seconds at most between the stamps of an image and of the reference it is compared with.
        lock_frames: frames with a good reading that it takes to lock, >= 1.
        max_uncertainty: one standard deviation of the range over the range, at 3 m or at the farthest thing in view
            where that is nearer; above it nothing is locked or held.
        hold_seconds: how long the scale is carried on by comparing frames when the reference fails, >= 0.
        search_seconds: how long to search for the scale until it counts as lost, >= 0.

    Raises:
        ConfigurationError: a value is not allowed, or the chosen source lacks what it needs.
    """

    source: str = "none"
    scale: float = 1.0
    shift: float = 0.0
    camera_mounting: str = "parameters"
    camera_height: float = 0.0
    camera_pitch: float = 0.0
    camera_roll: float = 0.0
    ground_frame: str = "base_footprint"
    reference_pose: str = "parameters"
    reference_x: float = 0.0
    reference_y: float = 0.0
    reference_z: float = 0.0
    reference_roll: float = 0.0
    reference_pitch: float = 0.0
    reference_yaw: float = 0.0
    reference_camera: str = "same"
    reference_max_age: float = 0.2
    lock_frames: int = 3
    max_uncertainty: float = 0.25
    hold_seconds: float = 1.0
    search_seconds: float = 10.0

    def __post_init__(self) -> None:
        _one_of("scale_source", self.source)
        for name in ("camera_mounting", "reference_pose", "reference_camera"):
            _one_of(name, getattr(self, name))
        for field in dataclasses.fields(self):
            if field.name in RANGES:
                _in_range(field.name, getattr(self, field.name))
        if self.source == "fixed" and self.scale <= 0:
            raise ConfigurationError(f"scale_source 'fixed' needs scale > 0, not {self.scale}")
        if self.source == "ground_plane" and self.camera_mounting != "tf" and self.camera_height <= 0:
            raise ConfigurationError(
                "scale_source 'ground_plane' needs camera_height, the metres from the floor to the camera's optical "
                f"centre, > 0; it is {self.camera_height}"
            )
        if self.source == "ground_plane" and self.camera_mounting == "tf" and not self.ground_frame:
            raise ConfigurationError("camera_mounting 'tf' needs ground_frame, a frame on the floor; it is empty")

    @property
    def needs_tf(self) -> bool:
        """Whether somebody must know the robot's frames."""
        mounted = self.source == "ground_plane" and self.camera_mounting == "tf"
        with_imu = self.source == "ground_plane" and self.camera_mounting == "imu"
        posed = self.reference_pose == "tf" and (with_imu or self.source in ("range", "depth"))
        return mounted or posed


@dataclass(frozen=True)
class OutputSettings:
    """What is published of a metric depth map.

    Args:
        near, far: metres; depth outside becomes NaN (nearer) or +Inf (farther) as REP 118 has it. 0 < near < far.
    """

    near: float = 0.05
    far: float = 20.0

    def __post_init__(self) -> None:
        _in_range("near", self.near)
        _in_range("far", self.far)
        if not self.near < self.far:
            raise ConfigurationError(f"near={self.near} m must be smaller than far={self.far} m")


@dataclass(frozen=True)
class CloudSettings:
    """Which points of a metric depth map are published, and how often.

    Args:
        cloud_stride: every n-th pixel of every n-th row becomes a point, >= 1.
        cloud_range: metres from the camera, past which there are no points; 0: as far as depth goes.
        cloud_open: a direction in which nothing is seen up to `cloud_range` gets a point at that distance instead of
            none: a costmap clears only along rays that end in a finite point.
        cloud_voxel: metres; the points in each cube of this edge become one, their mean; 0: all points stay.
        cloud_dense: only points that are known, in one row, instead of one for each pixel with NaN for the unknown.
            Voxels imply it.
        cloud_rate: clouds per second at most, by the stamps of the images; 0: one for each image.
    """

    cloud_stride: int = 1
    cloud_range: float = 0.0
    cloud_open: bool = False
    cloud_voxel: float = 0.0
    cloud_dense: bool = False
    cloud_rate: float = 0.0

    def __post_init__(self) -> None:
        _in_range("cloud_stride", self.cloud_stride)
        _in_range("cloud_range", self.cloud_range)
        _in_range("cloud_voxel", self.cloud_voxel)
        _in_range("cloud_rate", self.cloud_rate)


@dataclass(frozen=True)
class ScanSettings:
    """The laser scan that is cut out of a metric depth map.

    Args:
        scan_min_height, scan_max_height: metres over the floor; what lies between them is an obstacle of the scan.
        scan_range: metres over the floor, past which the scan says "nothing"; > 0.
        scan_frame: frame of the scan: its origin the optical centre, level, x forward, z up. "": the camera's frame
            with "_level" behind it, which the node publishes on /tf.
    """

    scan_min_height: float = 0.1
    scan_max_height: float = 1.0
    scan_range: float = 5.0
    scan_frame: str = ""

    def __post_init__(self) -> None:
        _in_range("scan_min_height", self.scan_min_height)
        _in_range("scan_max_height", self.scan_max_height)
        _in_range("scan_range", self.scan_range)
        if not self.scan_min_height < self.scan_max_height:
            raise ConfigurationError(
                f"scan_min_height={self.scan_min_height} m must be smaller than "
                f"scan_max_height={self.scan_max_height} m"
            )


@dataclass(frozen=True)
class StreamSettings:
    """How a stream of camera frames is treated.

    Args:
        max_age: seconds between a frame's stamp and the start of work on it, past which it is dropped; 0: never.
    """

    max_age: float = 0.0

    def __post_init__(self) -> None:
        _in_range("max_age", self.max_age)


def _one_of(name: str, value: str) -> None:
    if value not in CHOICES[name]:
        raise ConfigurationError(f"{name}={value!r} is unknown; allowed: {', '.join(CHOICES[name])}")


def _in_range(name: str, value: float) -> None:
    low, high = RANGES[name]
    if not low <= value <= high:  # also false for NaN
        raise ConfigurationError(f"{name}={value} must lie between {low} and {high}")
