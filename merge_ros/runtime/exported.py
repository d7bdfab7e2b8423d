"""What an exported ONNX file says about itself, and the check that an engine computes what it should."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from merge_ros.errors import BackendError, CheckpointError
from merge_ros.runtime.check_image import check_image

INPUT, OUTPUT = "rgb", "depth"
GRID, NATIVE_PIXELS, CHECK_OUTPUT = "merge_ros.grid", "merge_ros.native_pixels", "merge_ros.check_output"

# Largest difference of relative depth in [0, 1] that an engine may show on the check image. Rounding of bf16 weights
# moves merge-tiny by about 0.01; a wrong engine is wrong by far more than these.
TOLERANCES = {"fp32": 1e-3, "bf16": 0.05, "fp16": 0.02}


@dataclass(frozen=True)
class ExportedModel:
    """The metadata of an exported depth path.

    Args:
        grid: image sides must be multiples of this many pixels.
        native_pixels: number of image pixels that the model was made for.
        check_output: [1, h, w] float32, what the fp32 network gives for `check_image(grid)`.
    """

    grid: int
    native_pixels: int
    check_output: NDArray[np.float32]

    @classmethod
    def from_metadata(cls, metadata: Mapping[str, str], name: str) -> ExportedModel:
        """Read the metadata of a file.

        Raises:
            CheckpointError: the file was not written by `merge-ros export`.
        """
        try:
            grid, pixels = int(metadata[GRID]), int(metadata[NATIVE_PIXELS])
            side = check_image(grid).shape[1]
            output = np.frombuffer(base64.b64decode(metadata[CHECK_OUTPUT], validate=True), "<f4")
            return cls(grid, pixels, output.reshape(1, side, side))
        except (KeyError, ValueError, binascii.Error) as error:
            raise CheckpointError(
                f"{name} is not a depth model written by `merge-ros export`: bad or missing metadata ({error!r})"
            ) from error

    def check(self, engine: Callable[[NDArray[np.uint8]], NDArray[np.float32]], precision: str, name: str) -> float:
        """Compare an engine with the fp32 network on the check image.

        Returns:
            The largest absolute difference.

        Raises:
            BackendError: it is above the tolerance of this precision, or not a number.
        """
        difference = float(np.abs(engine(check_image(self.grid)) - self.check_output).max())
        if not difference <= TOLERANCES[precision]:
            raise BackendError(
                f"{name} computes wrong depth: it differs from fp32 by {difference:.3g} on the check image, "
                f"allowed for {precision} is {TOLERANCES[precision]:.3g}; it is not used"
            )
        return difference
