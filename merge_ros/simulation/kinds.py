"""Which kind of view a scene is seen in, by its seed, and what its camera does to the picture."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np

from merge_ros.errors import ConfigurationError
from merge_ros.simulation.frame import Frame
from merge_ros.simulation.photometric import Photometric
from merge_ros.simulation.views import ROBOT, ROBOT_EVALUATION, WIDE, asset_views, room_views

VIEW_KINDS = ("robot", "wide", "asset")
DEFAULT_MIX: Mapping[str, float] = MappingProxyType({"robot": 0.5, "wide": 0.2, "asset": 0.3})
PHOTOMETRIC: Mapping[str, Photometric] = MappingProxyType(
    {
        "robot": Photometric(
            exposure=0.6, gamma=0.25, colour_cast=0.06, saturation=0.25, vignette=0.25, blur=1.0, noise=8.0,
            jpeg_quality=(45, 98),
        ),
        "wide": Photometric(
            exposure=1.2, gamma=0.4, colour_cast=0.12, saturation=0.6, vignette=0.5, blur=2.0, noise=18.0,
            jpeg_quality=(20, 98),
        ),
        "asset": Photometric(
            exposure=0.15, gamma=0.08, colour_cast=0.015, saturation=0.05, vignette=0.0, blur=0.4, noise=2.0,
            jpeg_quality=(88, 98),
        ),
    }
)  # fmt: skip


def check_mix(mix: Mapping[str, float]) -> dict[str, float]:
    """The shares of all kinds, adding up to 1, in the order of `VIEW_KINDS`.

    Raises:
        ConfigurationError: an unknown kind, a negative share, or none above zero.
    """
    unknown = sorted(set(mix) - set(VIEW_KINDS))
    if unknown:
        raise ConfigurationError(f"unknown kinds of view {unknown}; allowed: {', '.join(VIEW_KINDS)}")
    total = sum(mix.values())
    if not total > 0 or min(mix.values()) < 0:
        raise ConfigurationError(f"shares of the kinds of view {dict(mix)} must be at least 0, and one above 0")
    return {kind: mix.get(kind, 0.0) / total for kind in VIEW_KINDS}


def kind_of(seed: int, mix: Mapping[str, float]) -> str:
    """The kind in which the scene of a seed is seen; over many seeds the shares are those of the mix."""
    shares = check_mix(mix)
    # A stream of its own: the scene's choices do not depend on the mix.
    return str(np.random.default_rng((seed, 1)).choice(VIEW_KINDS, p=list(shares.values())))


def scene_views(
    seed: int, count: int, size: tuple[int, int], kind: str, *, evaluation_ranges: bool = False
) -> list[Frame]:
    """Frames of one scene in one kind of view; see `views.room_views`.

    Args:
        evaluation_ranges: "robot" views from exactly the ranges that figures are given for.
    """
    if kind == "asset":
        return asset_views(seed, count, size)
    robot = ROBOT_EVALUATION if evaluation_ranges else ROBOT
    return room_views(seed, count, size, WIDE if kind == "wide" else robot)
