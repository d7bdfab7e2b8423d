"""What an asset is made of: a picture, its depth in metres, the camera, and what is known of the floor."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from merge_ros.errors import InputError
from merge_ros.geometry.camera import Camera
from merge_ros.synthesis.plane import Plane

SMALLEST_SIDE = 8  # pixels; below, there is no surface to speak of


@dataclass(frozen=True)
class View:
    """A picture with depth.

    Args:
        rgb: [camera.height, camera.width, 3] uint8.
        depth: [camera.height, camera.width] metres along the optical z axis; what is not finite or not positive is
            unknown.
        camera: the intrinsics.
        floor: where the floor is, if that is known already; None: to be looked for.
        scale_source: where the metres come from, for the metadata; JSON types only.

    Raises:
        InputError: picture, depth and camera do not belong together, or no depth is known.
    """

    rgb: NDArray[np.uint8]
    depth: NDArray[np.floating]
    camera: Camera
    floor: Plane | None = None
    scale_source: Mapping[str, Any] = field(default_factory=lambda: {"rule": "as_measured"})

    def __post_init__(self) -> None:
        size = (self.camera.height, self.camera.width)
        if self.rgb.dtype != np.uint8 or self.rgb.shape != (*size, 3):
            raise InputError(f"the picture is {self.rgb.dtype} {self.rgb.shape}; its camera needs uint8 {(*size, 3)}")
        if self.depth.shape != size or not np.issubdtype(self.depth.dtype, np.floating):
            raise InputError(f"the depth is {self.depth.dtype} {self.depth.shape}; its camera needs floats {size}")
        if min(size) < SMALLEST_SIDE:
            raise InputError(f"a picture of {size[1]}x{size[0]} is too small; each side needs {SMALLEST_SIDE} pixels")
        if not self.known.any():
            raise InputError("no pixel has a known depth (finite and positive)")

    @property
    def known(self) -> NDArray[np.bool_]:
        """Where the depth is known, [height, width]."""
        return np.asarray(np.isfinite(self.depth) & (self.depth > 0), np.bool_)

    def scaled(self, factor: float) -> View:
        """Everything `factor` times as far and as large, seen in the same picture."""
        floor = self.floor.scaled(factor) if self.floor is not None else None
        return replace(self, depth=self.depth * self.depth.dtype.type(factor), floor=floor)
