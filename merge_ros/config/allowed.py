"""What every setting may be: the words of each choice, and the lowest and highest value of each number."""

from __future__ import annotations

import math
from collections.abc import Mapping

from merge_ros.errors import ConfigurationError

BACKENDS = ("auto", "torch", "onnx", "openvino", "tensorrt", "tensorrt_rtx")
PRECISIONS = ("auto", "fp32", "fp16", "bf16")
TORCH_MODES = ("auto", "eager", "folded", "compiled", "cuda_graph")
OFFLOADS = ("none", "sequential")
QUANTIZATIONS = ("none", "fp8", "int8")
SCALE_SOURCES = ("none", "fixed", "ground_plane", "range", "depth")
CAMERA_MOUNTINGS = ("parameters", "imu", "tf")
REFERENCE_POSES = ("parameters", "tf")
REFERENCE_CAMERAS = ("same", "own")
IMAGE_TRANSPORTS = ("raw", "compressed")
DEPTH_ENCODINGS = ("32FC1", "16UC1")
FARTHEST = ("surface", "unknown", "open")
MODE_POLICIES = ("interleave", "pause", "refuse")

CHOICES: dict[str, tuple[str, ...]] = {
    "backend": BACKENDS,
    "precision": PRECISIONS,
    "torch_mode": TORCH_MODES,
    "offload": OFFLOADS,
    "quantization": QUANTIZATIONS,
    "scale_source": SCALE_SOURCES,
    "camera_mounting": CAMERA_MOUNTINGS,
    "reference_pose": REFERENCE_POSES,
    "reference_camera": REFERENCE_CAMERAS,
    "image_transport": IMAGE_TRANSPORTS,
    "depth_encoding": DEPTH_ENCODINGS,
    "farthest": FARTHEST,
    "mode_policy": MODE_POLICIES,
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
    "edge_filter": (0.0, 0.9),
    "output_width": (0, 8192),
    "output_height": (0, 8192),
    "cloud_stride": (1, 64),
    "cloud_voxel": (0.0, 10.0),
    "cloud_range": (0.0, 1e4),
    "cloud_rate": (0.0, 1000.0),
    "scan_min_height": (-100.0, 100.0),
    "scan_max_height": (-100.0, 100.0),
    "scan_range": (0.01, 1e4),
    "image_rotation": (0, 270),
    "max_age": (0.0, 3600.0),
    "max_rate": (0.0, 1000.0),
    "cached_prompts": (0, 100_000),
    "max_side": (16, 8192),
    "max_steps": (2, 1000),
    "max_count": (1, 10_000),
    "max_prompt": (1, 100_000),
    "inference_timeout": (0.0, 3600.0),
    "generate_queue": (0, 1000),
    "generate_max_side": (16, 8192),
    "generate_max_steps": (2, 1000),
    "generate_max_count": (1, 10_000),
    "generate_max_prompt": (1, 100_000),
    "generate_min_free": (0, 10_000_000),
}


def one_of(name: str, value: str, choices: Mapping[str, tuple[str, ...]] = CHOICES) -> None:
    """Raise ConfigurationError unless `value` is one of `choices[name]`."""
    if value not in choices[name]:
        raise ConfigurationError(f"{name}={value!r} is unknown; allowed: {', '.join(choices[name])}")


def in_range(name: str, value: float, ranges: Mapping[str, tuple[float, float]] = RANGES) -> None:
    """Raise ConfigurationError unless `value` lies within `ranges[name]`."""
    low, high = ranges[name]
    if not low <= value <= high:  # also false for NaN
        raise ConfigurationError(f"{name}={value} must lie between {low} and {high}")
