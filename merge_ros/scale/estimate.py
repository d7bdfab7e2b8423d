"""What is known of a frame's metric scale, and how far it may be trusted."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from merge_ros.errors import InputError
from merge_ros.geometry.alignment import Affine
from merge_ros.geometry.camera import Camera
from merge_ros.scale.near_far import Reading

REPORTED_AT = (1.0, 3.0, 5.0)  # metres


class ScaleState(IntEnum):
    """What metres are worth. Metric topics speak in LOCKED and HOLDING only."""

    NONE = 0  # no metres are wanted
    SEARCHING = 1  # too few readings yet
    LOCKED = 2  # the reference confirmed the scale in this frame
    HOLDING = 3  # it did not, but did so shortly before
    LOST = 4  # it has not for too long


@dataclass(frozen=True)
class ScaleEstimate:
    """What is known of a frame's metric scale.

    Args:
        state: see `ScaleState`.
        affine: metres of relative depth, in LOCKED and HOLDING; None otherwise.
        reason: in plain words, why the state is not LOCKED, or why the reference did not count; "" when all is well.
        sigma: one standard deviation of the range in metres at `REPORTED_AT`; NaN while nothing is known.
        reading: what the reference said of this frame; None when nothing that counted.
        agreement: share of the pixels that the frame has in common with the one before; NaN without one.
        unconfirmed: seconds since the reference last confirmed the scale; NaN when it never did.
    """

    state: ScaleState
    affine: Affine | None
    reason: str = ""
    sigma: tuple[float, ...] = (math.nan,) * len(REPORTED_AT)
    reading: Reading | None = None
    agreement: float = math.nan
    unconfirmed: float = math.nan


def check_size(relative: NDArray[np.float32], camera: Camera) -> None:
    """Raise InputError unless relative depth has the camera's size."""
    if relative.shape != (camera.height, camera.width):
        raise InputError(
            f"relative depth has shape {relative.shape}; the camera needs ({camera.height}, {camera.width})"
        )
