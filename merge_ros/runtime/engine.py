"""The contract that every inference engine keeps, and the place where one is chosen by name."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from merge_ros.config import EstimatorSettings
from merge_ros.errors import ConfigurationError, MissingDependencyError
from merge_ros.runtime.foldable import folding_problem, require_foldable
from merge_ros.runtime.selection import choose, denoising_steps

logger = logging.getLogger(__name__)


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
    """Load the model that the settings ask for with the backend that they name; "auto" is decided, and logged, first.

    Raises:
        CheckpointError: the model cannot be loaded.
        BackendError: the device is not there, or the engine computes wrong depth.
        ConfigurationError: the backend cannot run this checkpoint, precision or number of steps.
        MissingDependencyError: the backend's package is not installed.
    """
    if settings.backend == "auto":
        choice = choose(settings)
        settings = choice.settings
        logger.info("backend auto: %s on %s: %s", settings.backend, settings.device, choice.reason)
    if settings.torch_mode != "auto" and settings.backend != "torch":
        raise ConfigurationError(f"torch_mode {settings.torch_mode!r} is for backend 'torch', not {settings.backend!r}")
    return _LOADERS[settings.backend](settings)


def let_workers_sleep() -> None:
    """Call before torch is first imported: OpenMP reads it then.

    Spinning workers take the processor from everything else between two parallel regions: on a busy machine a frame
    took seven times as long with them (docs/performance.md).
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def _load_torch(settings: EstimatorSettings) -> DepthEngine:
    let_workers_sleep()
    try:
        from merge_ros.runtime.folded_engine import FoldedEngine
        from merge_ros.runtime.torch_engine import TorchEngine
    except ModuleNotFoundError as error:
        raise MissingDependencyError(str(error.name), "torch", "backend 'torch'") from error
    if settings.torch_mode == "eager":
        return TorchEngine(settings)
    if settings.torch_mode == "auto" and (denoising_steps(settings) != 1 or folding_problem(settings)):
        return TorchEngine(settings)
    require_foldable(settings)
    return FoldedEngine(settings)


def _load_onnx(settings: EstimatorSettings) -> DepthEngine:
    from merge_ros.runtime.onnx_engine import OnnxEngine

    return OnnxEngine(settings)


def _load_openvino(settings: EstimatorSettings) -> DepthEngine:
    from merge_ros.runtime.openvino_engine import OpenVinoEngine

    return OpenVinoEngine(settings)


def _load_tensorrt(settings: EstimatorSettings) -> DepthEngine:
    from merge_ros.runtime.tensorrt_engine import TensorRtEngine

    return TensorRtEngine(settings)


_LOADERS: dict[str, Callable[[EstimatorSettings], DepthEngine]] = {
    "torch": _load_torch,
    "onnx": _load_onnx,
    "openvino": _load_openvino,
    "tensorrt": _load_tensorrt,
    "tensorrt_rtx": _load_tensorrt,
}
