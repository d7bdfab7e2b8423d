"""Where metres come from, by name: a lock on a reference, two fixed numbers, or nowhere."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from merge_ros.config import ScaleSettings
from merge_ros.geometry.alignment import Affine
from merge_ros.geometry.camera import Camera
from merge_ros.scale.estimate import ScaleEstimate, ScaleState, check_size
from merge_ros.scale.lock import ScaleLock
from merge_ros.scale.reference import make_reference
from merge_ros.scale.transforms import Transforms


class FixedScale:
    """The same scale and shift for every frame: nothing is measured, nothing can be lost."""

    def __init__(self, affine: Affine) -> None:
        self.affine = affine

    def update(self, relative: NDArray[np.float32], camera: Camera, frame: str, stamp: float) -> ScaleEstimate:
        check_size(relative, camera)
        return ScaleEstimate(ScaleState.LOCKED, self.affine)


class NoScale:
    """Relative depth only."""

    def update(self, relative: NDArray[np.float32], camera: Camera, frame: str, stamp: float) -> ScaleEstimate:
        check_size(relative, camera)
        return ScaleEstimate(ScaleState.NONE, None, "scale_source is 'none': only relative depth is published")


Scale = ScaleLock | FixedScale | NoScale


def make_scale(settings: ScaleSettings, transforms: Transforms | None = None) -> Scale:
    """What the settings ask for.

    Raises:
        ConfigurationError: they ask for TF, and `transforms` is None.
    """
    if settings.source == "fixed":
        return FixedScale(Affine(settings.scale, settings.shift))
    if settings.source == "none":
        return NoScale()
    return ScaleLock(make_reference(settings, transforms), settings)
