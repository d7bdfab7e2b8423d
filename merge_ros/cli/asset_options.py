"""The options that every verb that makes assets shares."""

from __future__ import annotations

import argparse
import math

from merge_ros.config import ASSET_FORMATS, ASSET_PARTS, COLLISIONS, AssetScaleSettings, AssetSettings
from merge_ros.errors import ConfigurationError

LENGTHS = ("camera_height", "width", "height")  # each an option, one of which fixes the unit


def add_scale_options(parser: argparse.ArgumentParser, *, ranges: bool = False) -> None:
    """Add where metres come from, for pictures whose depth is estimated.

    Args:
        parser: of the verb.
        ranges: a length may be a range, LOW HIGH, of which each asset draws its own.
    """
    defaults = AssetScaleSettings()
    group = parser.add_argument_group(
        "size",
        "Estimated depth has no unit and no zero: its zero comes from the floor, its unit from one of the first three."
        + (" LOW HIGH: each asset draws its own between them." if ranges else ""),
    )
    rule = group.add_mutually_exclusive_group()
    for option, explained in (
        ("--camera-height", f"metres of the camera over the floor that it sees ({defaults.metres})"),
        ("--width", "metres of the finished asset along the picture's rows"),
        ("--height", "metres of the finished asset from its base to its top"),
    ):
        rule.add_argument(
            option,
            type=float,
            nargs="+" if ranges else 1,
            metavar=("LOW", "HIGH") if ranges else "METRES",
            help=explained,
        )
    group.add_argument(
        "--hfov",
        type=float,
        default=math.degrees(defaults.horizontal_fov),
        help="horizontal field of view of the picture in degrees (%(default).0f)",
    )
    group.add_argument(
        "--camera-pitch", type=float, help="radians, positive looks down; default: that with which the floor fits best"
    )
    group.add_argument(
        "--far-over-near",
        type=float,
        default=defaults.far_over_near,
        help="how many times farther the farthest thing is than the nearest, where no floor is seen; with --width and "
        "--height",
    )


def scale_settings(arguments: argparse.Namespace) -> AssetScaleSettings:
    """The settings that the options ask for; of a range, its lower end.

    Raises:
        ConfigurationError: a value is not allowed.
    """
    rule, _ = _rule(arguments)
    return AssetScaleSettings(
        rule,
        scale_range(arguments)[0],
        arguments.camera_pitch,
        math.radians(arguments.hfov),
        arguments.far_over_near,
    )


def scale_range(arguments: argparse.Namespace) -> tuple[float, float]:
    """Lowest and highest length in metres.

    Raises:
        ConfigurationError: more than two values.
    """
    rule, values = _rule(arguments)
    if len(values) > 2:
        raise ConfigurationError(f"--{rule.replace('_', '-')} takes one value or two, LOW HIGH, not {len(values)}")
    return values[0], values[-1]


def asks_for_a_scale(arguments: argparse.Namespace) -> bool:
    """Whether a length was given."""
    return any(getattr(arguments, rule) is not None for rule in LENGTHS)


def _rule(arguments: argparse.Namespace) -> tuple[str, list[float]]:
    defaults = AssetScaleSettings()
    for rule in LENGTHS:
        values = getattr(arguments, rule)
        if values is not None:
            return rule, values
    return defaults.size_rule, [defaults.metres]


def add_asset_options(parser: argparse.ArgumentParser, *, formats: str = "--format") -> None:
    """Add the fields of `AssetSettings` as options, with its defaults.

    Args:
        parser: of the verb.
        formats: the option that names formats. With "--format" there always is an asset; with another name there is
            one only where formats are named, and None stands in the arguments where they are not.
    """
    defaults = AssetSettings()
    always = formats == "--format"
    group = parser.add_argument_group("asset")
    group.add_argument(
        formats,
        dest="formats",
        nargs="+",
        choices=ASSET_FORMATS,
        default=list(defaults.formats) if always else None,
        metavar="FORMAT",
        help=f"{', '.join(ASSET_FORMATS)} ({' '.join(defaults.formats) if always else 'no asset'})",
    )
    group.add_argument(
        "--part",
        choices=ASSET_PARTS,
        default=defaults.part,
        help="all of the scene, or only the subject: what stands free of floor, walls and border (%(default)s)",
    )
    group.add_argument("--remove-ground", action="store_true", help="leave the floor out of a scene")
    group.add_argument("--triangles", type=int, default=defaults.triangles, help="at most (%(default)s)")
    group.add_argument(
        "--collision",
        choices=COLLISIONS,
        default=defaults.collision,
        help="convex pieces, one convex hull, or none (%(default)s)",
    )
    group.add_argument("--collision-pieces", type=int, default=defaults.collision_pieces, help="at most (%(default)s)")
    group.add_argument(
        "--steepest",
        type=float,
        default=defaults.steepest,
        help="surfaces seen at a flatter angle are cut: tangent of the angle between normal and ray (%(default)s)",
    )
    group.add_argument("--licence", default=defaults.licence, help="what the metadata says of the rights")


def asset_settings(arguments: argparse.Namespace) -> AssetSettings:
    """The settings that the options ask for.

    Raises:
        ConfigurationError: a value is not allowed, or options that do not go together.
    """
    if arguments.part == "subject" and arguments.remove_ground:
        raise ConfigurationError("--remove-ground is for --part scene; a subject never has the floor")
    return AssetSettings(
        formats=tuple(arguments.formats),
        part=arguments.part,
        remove_ground=arguments.remove_ground,
        triangles=arguments.triangles,
        collision=arguments.collision,
        collision_pieces=arguments.collision_pieces,
        steepest=arguments.steepest,
        licence=arguments.licence,
    )
