"""Camera image in, relative depth map out, at any image size."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from merge_ros.config import NORMALS_TASK, EstimatorSettings
from merge_ros.errors import ConfigurationError, InputError
from merge_ros.geometry.framing import Framing, plan_framing
from merge_ros.runtime.engine import DepthEngine, load_engine


class DepthEstimator:
    """A loaded MERGE model that measures how far things are, up to an unknown scale and shift.

    Not thread-safe: one call at a time.

    Args:
        settings: which model, and how to run it.

    Raises:
        CheckpointError, BackendError, ConfigurationError, MissingDependencyError: see `load_engine`.
    """

    def __init__(self, settings: EstimatorSettings) -> None:
        if settings.task == NORMALS_TASK:
            raise ConfigurationError("task 'normals' gives no depth; NormalsEstimator runs it")
        self._engine: DepthEngine | None = load_engine(settings)
        self._pixels = settings.processing_pixels or self._engine.native_pixels
        self._grid = self._engine.grid
        self.description: str = self._engine.description

    def __call__(self, rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Estimate depth.

        Args:
            rgb: [H, W, 3] uint8, red first.

        Returns:
            [H, W] float32 in [0, 1], 0 nearest: metres = scale * value + shift, with both unknown (affine-invariant
            *linear* depth, as the converters were trained; arXiv 2510.23574).

        Raises:
            InputError: not an [H, W, 3] uint8 array, or an empty one, or the estimator was closed.
            BackendError: the device ran out of memory.
        """
        return self.batch([rgb])[0]

    def batch(self, images: Sequence[NDArray[np.uint8]]) -> list[NDArray[np.float32]]:
        """Estimate depth of several images. Those that the network sees in one size go through it together.

        Args:
            images: each as for one; sizes may differ.

        Returns:
            One map for each image, as for one.

        Raises:
            InputError, BackendError: as for one.
        """
        if self._engine is None:
            raise InputError("the estimator was closed")
        for rgb in images:
            check_image(rgb)
        framings = [plan_framing(rgb.shape[1], rgb.shape[0], self._pixels, self._grid) for rgb in images]
        alike: dict[tuple[int, int], list[int]] = {}
        for index, framing in enumerate(framings):
            alike.setdefault((framing.padded_height, framing.padded_width), []).append(index)
        depths: dict[int, NDArray[np.float32]] = {}
        for members in alike.values():
            framed = np.stack([frame_image(images[index], framings[index]) for index in members])
            for index, depth in zip(members, self._engine(framed), strict=True):
                height, width = images[index].shape[:2]
                depths[index] = unframe_depth(depth, framings[index], width, height)
        return [depths[index] for index in range(len(images))]

    @property
    def draws_noise(self) -> bool:
        """Whether estimates start from noise, so that another seed gives another estimate."""
        return bool(getattr(self._engine, "draws_noise", False))

    def reseed(self, seed: int) -> None:
        """Start the next estimates from other noise; each seed gives the same estimates again.

        Raises:
            InputError: a negative seed, or a model that draws no noise.
        """
        if seed < 0 or not self.draws_noise:
            raise InputError(f"seed {seed}: allowed are seeds >= 0, for models that start from noise (several steps)")
        engine: Any = self._engine
        engine.reseed(seed)

    @property
    def engine(self) -> DepthEngine | None:
        """What runs the model, so that image mode can share its weights; None once the estimator was closed."""
        return self._engine

    def warm_up(self, width: int, height: int) -> None:
        """Run once on a grey image of this size, so that the first real frame is not the slow one."""
        self(np.full((height, width, 3), 128, np.uint8))

    def close(self) -> None:
        """Let go of the model and its memory; later calls raise InputError. Closing twice is allowed."""
        self._engine = None


def frame_image(rgb: NDArray[np.uint8], framing: Framing) -> NDArray[np.uint8]:
    """Scale and pad an image as planned: [H, W, 3] -> [padded_height, padded_width, 3]."""
    shrinking = framing.width * framing.height < rgb.shape[0] * rgb.shape[1]
    # Area averaging is the one that does not alias when an image gets smaller (OpenCV's documentation of resize).
    scaled = cv2.resize(
        np.ascontiguousarray(rgb),
        (framing.width, framing.height),
        interpolation=cv2.INTER_AREA if shrinking else cv2.INTER_CUBIC,
    )
    padded = cv2.copyMakeBorder(scaled, framing.top, framing.bottom, framing.left, framing.right, cv2.BORDER_REPLICATE)
    return np.asarray(padded, np.uint8)


def unframe_depth(estimated: NDArray[np.float32], framing: Framing, width: int, height: int) -> NDArray[np.float32]:
    """Cut the padding off and scale back: [padded_height, padded_width(, 3)] -> [height, width(, 3)]."""
    inner = estimated[framing.top : framing.top + framing.height, framing.left : framing.left + framing.width]
    resized = cv2.resize(np.ascontiguousarray(inner), (width, height), interpolation=cv2.INTER_LINEAR)
    return np.asarray(resized, np.float32)


def check_image(rgb: NDArray[np.uint8]) -> None:
    """Raise InputError unless it is an [H, W, 3] uint8 array with something in it."""
    if not isinstance(rgb, np.ndarray):
        raise InputError(f"an image must be a NumPy array, not {type(rgb).__name__}")
    if rgb.dtype != np.uint8 or rgb.ndim != 3 or rgb.shape[2] != 3 or 0 in rgb.shape:
        raise InputError(f"image of shape {rgb.shape} and type {rgb.dtype}; allowed: [height, width, 3] of uint8, RGB")
