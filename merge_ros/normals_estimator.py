"""Camera image in, surface normals out, at any image size."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from merge_ros.config import NORMALS_TASK, EstimatorSettings
from merge_ros.errors import MissingDependencyError
from merge_ros.estimator import check_image, frame_image, unframe_depth
from merge_ros.geometry.framing import plan_framing

SHORTEST = 1e-6  # of a vector that has a direction


class NormalsEstimator:
    """A loaded MERGE model with converters that see surface normals.

    Not thread-safe: one call at a time.

    Args:
        settings: which model, and how to run it; its task becomes "normals" where it is "depth".

    Raises:
        CheckpointError, BackendError, ConfigurationError, MissingDependencyError: see `NormalsEngine`.
    """

    def __init__(self, settings: EstimatorSettings) -> None:
        try:
            from merge_ros.runtime.normals_engine import NormalsEngine
        except ModuleNotFoundError as error:
            raise MissingDependencyError(str(error.name), "torch", "estimating normals") from error
        if settings.task == EstimatorSettings.task:
            settings = replace(settings, task=NORMALS_TASK)
        self._engine = NormalsEngine(settings)
        self._pixels = settings.processing_pixels or self._engine.native_pixels
        self.description: str = self._engine.description

    def __call__(self, rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Estimate normals.

        Args:
            rgb: [H, W, 3] uint8, red first.

        Returns:
            [H, W, 3] float32 unit vectors in the axes that the converters were trained with.

        Raises:
            InputError: not an [H, W, 3] uint8 array, or an empty one.
            BackendError: the device ran out of memory.
        """
        check_image(rgb)
        height, width = rgb.shape[:2]
        framing = plan_framing(width, height, self._pixels, self._engine.grid)
        normals = self._engine(frame_image(rgb, framing)[None])[0]
        scaled = unframe_depth(normals, framing, width, height)
        lengths = np.linalg.norm(scaled, axis=2, keepdims=True)
        return np.asarray(scaled / np.maximum(lengths, SHORTEST), np.float32)
