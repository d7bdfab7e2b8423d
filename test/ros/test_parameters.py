"""Parameters: their descriptors, their one source of defaults, and the file that lists them."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import pytest
import yaml

pytest.importorskip("rclpy", reason="ROS 2 (rclpy) is not installed")

from merge_ros.config import CHOICES, RANGES, ScaleSettings
from merge_ros.errors import ConfigurationError
from merge_ros.ros.parameters import (
    DESCRIPTIONS,
    FIXED,
    PARAMETERS,
    UNTIL_CLEANUP,
    NodeSettings,
    default_value,
    descriptor,
)

# The ends of a range that the other one of a pair does not allow.
BOUND_BY_ANOTHER = [(name, RANGES[name][1]) for name in ("near", "scan_min_height")] + [
    (name, RANGES[name][0]) for name in ("far", "scan_max_height")
]
DEFAULTS = {name: default_value(name) for name in PARAMETERS}
NUMBERS = [name for name in PARAMETERS if not isinstance(default_value(name), (str, bool))]


def test_every_setting_is_a_parameter_and_every_parameter_is_described() -> None:
    assert set(DESCRIPTIONS) == set(PARAMETERS)
    assert set(NUMBERS) <= set(RANGES)  # other nodes have numbers of their own
    assert set(CHOICES) <= set(PARAMETERS)
    fields = [
        f.name
        for section in dataclasses.fields(NodeSettings)
        for f in dataclasses.fields(getattr(NodeSettings(), section.name))
    ]
    assert len(PARAMETERS) == len(fields)


def test_defaults_make_the_default_settings() -> None:
    assert NodeSettings.from_values(DEFAULTS) == NodeSettings()


def test_values_reach_the_settings() -> None:
    values = DEFAULTS | {"scale_source": "fixed", "scale": 3.0, "far": 7.0, "max_age": 0.5, "threads": 2}
    settings = NodeSettings.from_values(values)
    assert settings.scale == ScaleSettings("fixed", scale=3.0)
    assert (settings.output.far, settings.stream.max_age, settings.estimator.threads) == (7.0, 0.5, 2)


def test_the_parameter_file_lists_exactly_the_parameters_with_their_defaults(config_folder: Path) -> None:
    content = yaml.safe_load((config_folder / "depth.yaml").read_text())
    assert list(content) == ["/**"] and list(content["/**"]) == ["ros__parameters"]
    listed = content["/**"]["ros__parameters"]
    assert listed == DEFAULTS
    assert {name: type(value) for name, value in listed.items()} == {n: type(v) for n, v in DEFAULTS.items()}


def test_the_parameter_file_says_the_unit_and_range_of_every_parameter(config_folder: Path) -> None:
    lines = (config_folder / "depth.yaml").read_text().splitlines()
    comments = {line.split(":")[0].strip(): line.partition("#")[2] for line in lines if line.startswith("    ")}
    for name in PARAMETERS:
        assert comments[name].strip(), name
        assert ("[c]" in comments[name]) == (name in FIXED), name
    for name in ("threads", "steps", "cloud_stride", "far"):
        assert f"{RANGES[name][1]:.0f}" in comments[name]
    for name, choices in CHOICES.items():
        assert all(choice in comments[name] for choice in choices), name


@pytest.mark.parametrize("name", sorted(PARAMETERS))
def test_descriptors_carry_text_and_range(name: str) -> None:
    described = descriptor(name)
    assert described.description.startswith(DESCRIPTIONS[name])
    assert (UNTIL_CLEANUP in described.description) == (name in FIXED)
    assert not described.read_only
    ranges = [*described.integer_range, *described.floating_point_range]
    assert len(ranges) == (name in RANGES)
    for allowed in ranges:
        assert (allowed.from_value, allowed.to_value) == RANGES[name]
    for choice in CHOICES.get(name, ()):
        assert choice in described.additional_constraints


@pytest.mark.parametrize("name", NUMBERS)
def test_ranges_are_those_that_the_settings_hold(name: str) -> None:
    """The ends are allowed, the next value beyond is refused and named."""
    low, high = RANGES[name]
    whole = isinstance(DEFAULTS[name], int)
    others = {"near": 0.0, "far": 1e4} | ({"near": 0.0} if name == "far" else {})
    for end in (low, high):
        value = int(end) if whole else float(end)
        if (name, end) not in BOUND_BY_ANOTHER:
            NodeSettings.from_values(DEFAULTS | others | {name: value})
    beyond = (math.nextafter(low, -math.inf), math.nextafter(high, math.inf), math.nan)
    for value in (low - 1, high + 1) if whole else beyond:
        with pytest.raises(ConfigurationError, match=name):
            NodeSettings.from_values(DEFAULTS | others | {name: value})


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"backend": "tpu"}, "backend='tpu' is unknown; allowed: auto, torch"),
        ({"scale_source": "lidar"}, "scale_source='lidar'"),
        ({"scale_source": "ground_plane"}, "camera_height"),
        ({"scale_source": "fixed", "scale": 0.0}, "scale > 0"),
        ({"near": 30.0}, "near=30.0 m must be smaller than far=20.0 m"),
        ({"model": ""}, "model is empty"),
    ],
)
def test_values_that_do_not_fit_together_are_refused_with_the_reason(values: dict[str, object], words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        NodeSettings.from_values(DEFAULTS | values)
