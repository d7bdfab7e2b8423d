"""The contract that every inference engine keeps, and the place where one is chosen by name."""

from __future__ import annotations

import os
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from merge_ros.config import EstimatorSettings
from merge_ros.errors import MissingDependencyError


class DepthEngine(Protocol):
    """A loaded model, ready to estimate relative depth.

    Attributes:
        description: one line with model, backend, device, precision and steps.
        grid: image sides must be multiples of this many pixels.
        native_pixels: number of pixels of an image that the model was made for.
    """

    description: str
    grid: int
    native_pixels: int

    def __call__(self, rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
        """[batch, H, W, 3] uint8 RGB, H and W multiples of `grid` -> [batch, H, W] relative depth in [0, 1], 0 near."""


def load_engine(settings: EstimatorSettings) -> DepthEngine:
    """Load the model that the settings ask for with the backend that they name; never with another one.

    Raises:
        CheckpointError: the model cannot be loaded.
        BackendError: the device is not there, or the engine computes wrong depth.
        ConfigurationError: the backend cannot run this checkpoint, precision or number of steps.
        MissingDependencyError: the backend's package is not installed.
    """
    if settings.backend == "onnx":
        from merge_ros.runtime.onnx_engine import OnnxEngine

        return OnnxEngine(settings)
    if settings.backend == "openvino":
        from merge_ros.runtime.openvino_engine import OpenVinoEngine

        return OpenVinoEngine(settings)
    # OpenMP reads this when torch is first imported. Spinning workers take the processor from everything else between
    # two parallel regions: on a busy machine a frame took seven times as long with them (docs/performance.md).
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        from merge_ros.runtime.torch_engine import TorchEngine
    except ModuleNotFoundError as error:
        raise MissingDependencyError(str(error.name), "torch", "backend 'torch'") from error
    return TorchEngine(settings)
