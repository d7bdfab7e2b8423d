"""What an exported ONNX file says about itself, and the checks of what goes in and what comes out of an engine."""

from __future__ import annotations

import base64
import binascii
import json
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from merge_ros.errors import BackendError, CheckpointError, ConfigurationError, InputError
from merge_ros.geometry.framing import plan_framing
from merge_ros.runtime.check_image import check_image

INPUT, OUTPUT = "rgb", "depth"
METADATA, FINGERPRINT = "merge_ros", "merge_ros.fingerprint"

# Largest difference of relative depth in [0, 1] that an engine may show on the check image. Rounding of bf16 weights
# moves merge-tiny by about 0.01; a wrong engine is wrong by far more than these.
TOLERANCES = {"fp32": 1e-3, "bf16": 0.05, "fp16": 0.02}
_LEVELS = 65535  # stored depth in [0, 1] is rounded by less than 1e-5


@dataclass(frozen=True)
class ExportedModel:
    """The metadata of an exported depth path.

    Args:
        grid: image sides must be multiples of this many pixels.
        native_pixels: number of image pixels that the model was made for.
        precision: of weights and activations in the file, "fp32" or "fp16".
        batch, size: the only batch, and the only (height, width), that the file takes; None: any.
        check_output: [h, w] float32 in [0, 1], what the fp32 network gives for `check_image(h, w)`.
    """

    grid: int
    native_pixels: int
    precision: str
    batch: int | None
    size: tuple[int, int] | None
    check_output: NDArray[np.float32]

    def to_metadata(self) -> dict[str, str]:
        """The properties that go into the file."""
        levels = np.rint(self.check_output.clip(0, 1) * _LEVELS).astype("<u2")
        values = {
            "grid": self.grid,
            "native_pixels": self.native_pixels,
            "precision": self.precision,
            "batch": self.batch,
            "size": self.size,
            "check_shape": self.check_output.shape,
            "check_output": base64.b64encode(zlib.compress(levels.tobytes(), 9)).decode("ascii"),
        }
        return {METADATA: json.dumps(values)}

    @classmethod
    def from_metadata(cls, metadata: Mapping[str, str], name: str) -> ExportedModel:
        """Read the metadata of a file.

        Raises:
            CheckpointError: the file was not written by `merge-ros export`.
        """
        try:
            values = json.loads(metadata[METADATA])
            stored = zlib.decompress(base64.b64decode(values["check_output"], validate=True))
            height, width = values["check_shape"]
            output = np.frombuffer(stored, "<u2").reshape(height, width) / np.float32(_LEVELS)
            size = values["size"]
            return cls(
                int(values["grid"]),
                int(values["native_pixels"]),
                str(values["precision"]),
                values["batch"],
                (int(size[0]), int(size[1])) if size else None,
                np.asarray(output, np.float32),
            )
        except (KeyError, TypeError, ValueError, binascii.Error, zlib.error) as error:
            raise CheckpointError(
                f"{name} is not a depth model written by `merge-ros export`: bad or missing metadata ({error!r})"
            ) from error

    def check_precision(self, wanted: str, name: str) -> None:
        """Refuse a file of another precision than was asked for.

        Raises:
            ConfigurationError: nothing is converted in silence.
        """
        if wanted != self.precision:
            raise ConfigurationError(
                f"{name} holds {self.precision} weights, not {wanted}: `merge-ros export --precision {wanted}` writes "
                "such a file"
            )

    def check_input(self, rgb: NDArray[np.uint8]) -> None:
        """Refuse what the network cannot take, before any compute.

        Raises:
            InputError: not [batch, H, W, 3] uint8 with sides on the grid, or another shape than the file was made for.
        """
        check_batch(rgb, self.grid)
        fixed = (self.batch or rgb.shape[0], *(self.size or rgb.shape[1:3]), 3)
        if rgb.shape != fixed:
            raise InputError(f"images of shape {rgb.shape}; this file was exported for {fixed} only")

    def check(self, engine: Callable[[NDArray[np.uint8]], NDArray[np.float32]], precision: str, name: str) -> float:
        """Compare an engine with the fp32 network on the check image.

        Args:
            precision: that the engine computes in, which sets the tolerance.

        Returns:
            The largest absolute difference.

        Raises:
            BackendError: it is above the tolerance of this precision, or not a number.
        """
        images = np.repeat(check_image(*self.check_output.shape), self.batch or 1, axis=0)
        difference = float(np.abs(engine(images) - self.check_output).max())
        if not difference <= TOLERANCES[precision]:
            raise BackendError(
                f"{name} computes wrong depth: it differs from fp32 by {difference:.3g} on the check image, "
                f"allowed for {precision} is {TOLERANCES[precision]:.3g}; it is not used"
            )
        return difference


def check_batch(rgb: NDArray[np.uint8], grid: int) -> None:
    """Refuse what no engine takes.

    Raises:
        InputError: not [batch, H, W, 3] uint8, or a side that is not a multiple of the grid.
    """
    if not isinstance(rgb, np.ndarray):
        raise InputError(f"images must be a NumPy array, not {type(rgb).__name__}")
    if rgb.dtype != np.uint8 or rgb.ndim != 4 or rgb.shape[3] != 3 or 0 in rgb.shape:
        raise InputError(
            f"images of shape {rgb.shape} and type {rgb.dtype}; allowed: [batch, height, width, 3] of uint8, RGB"
        )
    if rgb.shape[1] % grid or rgb.shape[2] % grid:
        raise InputError(
            f"images of {rgb.shape[2]}x{rgb.shape[1]} pixels; both sides must be multiples of {grid} (the estimator "
            "scales and pads)"
        )


def check_size(native_pixels: int, grid: int) -> tuple[int, int]:
    """(height, width) that a 4:3 camera's image has inside: what an engine is checked at is what it will run."""
    framing = plan_framing(640, 480, native_pixels, grid)
    return framing.padded_height, framing.padded_width
