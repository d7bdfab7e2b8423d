"""Settings: frozen, validated when made, and the only place where a default stands.

The ROS parameters, the command line and the docs all read their defaults from here.
"""

from merge_ros.config.allowed import (
    BACKENDS,
    CAMERA_MOUNTINGS,
    CHOICES,
    DEPTH_ENCODINGS,
    FARTHEST,
    IMAGE_TRANSPORTS,
    MODE_POLICIES,
    OFFLOADS,
    PRECISIONS,
    QUANTIZATIONS,
    RANGES,
    REFERENCE_CAMERAS,
    REFERENCE_POSES,
    SCALE_SOURCES,
    TORCH_MODES,
)
from merge_ros.config.asset import (
    ASSET_CHOICES,
    ASSET_FORMATS,
    ASSET_PARTS,
    ASSET_RANGES,
    COLLISIONS,
    SIZE_RULES,
    AssetScaleSettings,
    AssetSettings,
)
from merge_ros.config.camera_input import (
    CameraSettings,
)
from merge_ros.config.estimator import (
    BF16_COST,
    BUNDLED_MODEL,
    CODEC_WORDS,
    DEPTH_TASK,
    LIGHT_CODEC_COST,
    NORMALS_TASK,
    EstimatorSettings,
)
from merge_ros.config.generator import (
    MAX_GUIDANCE,
    MAX_SEED,
    MIN_STEPS,
    GenerationRequest,
    GeneratorSettings,
)
from merge_ros.config.image_server import (
    ImageServerSettings,
)
from merge_ros.config.official import (
    OFFICIAL_MODELS,
    OfficialModel,
)
from merge_ros.config.output import (
    CloudSettings,
    OutputSettings,
    ScanSettings,
)
from merge_ros.config.scale import (
    ScaleSettings,
)
from merge_ros.config.stream import (
    StreamSettings,
)

__all__ = [
    "ASSET_CHOICES",
    "ASSET_FORMATS",
    "ASSET_PARTS",
    "ASSET_RANGES",
    "BACKENDS",
    "BF16_COST",
    "BUNDLED_MODEL",
    "CAMERA_MOUNTINGS",
    "CHOICES",
    "CODEC_WORDS",
    "COLLISIONS",
    "DEPTH_ENCODINGS",
    "DEPTH_TASK",
    "FARTHEST",
    "IMAGE_TRANSPORTS",
    "LIGHT_CODEC_COST",
    "MAX_GUIDANCE",
    "MAX_SEED",
    "MIN_STEPS",
    "MODE_POLICIES",
    "NORMALS_TASK",
    "OFFICIAL_MODELS",
    "OFFLOADS",
    "PRECISIONS",
    "QUANTIZATIONS",
    "RANGES",
    "REFERENCE_CAMERAS",
    "REFERENCE_POSES",
    "SCALE_SOURCES",
    "SIZE_RULES",
    "TORCH_MODES",
    "AssetScaleSettings",
    "AssetSettings",
    "CameraSettings",
    "CloudSettings",
    "EstimatorSettings",
    "GenerationRequest",
    "GeneratorSettings",
    "ImageServerSettings",
    "OfficialModel",
    "OutputSettings",
    "ScaleSettings",
    "ScanSettings",
    "StreamSettings",
]
