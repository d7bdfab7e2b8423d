"""Settings refuse what is not allowed, and say what is."""

import math

import pytest

from merge_ros.config import (
    CloudSettings,
    EstimatorSettings,
    GeneratorSettings,
    OutputSettings,
    ScaleSettings,
    ScanSettings,
    StreamSettings,
)
from merge_ros.errors import ConfigurationError, MergeError


@pytest.mark.parametrize(
    ("kind", "values", "message"),
    [
        (EstimatorSettings, {"model": ""}, "model is empty"),
        (EstimatorSettings, {"codec": ""}, "allowed: auto, full, light"),
        (EstimatorSettings, {"backend": "abacus"}, "allowed: auto, torch, onnx, openvino"),
        (EstimatorSettings, {"precision": "int4"}, "allowed: auto, fp32, fp16, bf16"),
        (EstimatorSettings, {"steps": -1}, "between 0 and 1000"),
        (EstimatorSettings, {"threads": -1}, "between 0"),
        (GeneratorSettings, {"model": ""}, "model is empty"),
        (GeneratorSettings, {"precision": "int4"}, "allowed: auto, fp32, fp16, bf16"),
        (GeneratorSettings, {"max_side": 0}, "max_side=0 must lie between 16"),
        (GeneratorSettings, {"max_steps": 1}, "max_steps=1 must lie between 2"),
        (GeneratorSettings, {"cached_prompts": -1}, "between 0"),
        (ScaleSettings, {"source": "guess"}, "allowed: none, fixed, ground_plane"),
        (ScaleSettings, {"source": "fixed", "scale": 0.0}, "needs scale > 0"),
        (ScaleSettings, {"source": "ground_plane"}, "camera_height"),
        (ScaleSettings, {"camera_pitch": math.nan}, "camera_pitch=nan"),
        (ScaleSettings, {"camera_pitch": 2.0}, "camera_pitch=2.0"),
        (OutputSettings, {"near": 3.0, "far": 2.0}, "must be smaller than far"),
        (CloudSettings, {"cloud_stride": 0}, "between 1 and 64"),
        (CloudSettings, {"cloud_voxel": -0.1}, "cloud_voxel=-0.1 must lie between"),
        (ScanSettings, {"scan_min_height": 1.0, "scan_max_height": 0.5}, "must be smaller than scan_max_height"),
        (ScanSettings, {"scan_range": 0.0}, "between 0.01"),
        (StreamSettings, {"max_age": -1.0}, "between 0.0"),
    ],
)
def test_refused(kind: type, values: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message) as caught:
        kind(**values)
    assert isinstance(caught.value, MergeError)


def test_the_defaults_are_allowed() -> None:
    for kind in (
        EstimatorSettings,
        GeneratorSettings,
        ScaleSettings,
        OutputSettings,
        CloudSettings,
        ScanSettings,
        StreamSettings,
    ):
        kind()
