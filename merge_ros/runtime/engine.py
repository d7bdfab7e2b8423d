"""The contract that every inference engine keeps, and the place where one is chosen by name."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from merge_ros.config import EstimatorSettings
from merge_ros.errors import MissingDependencyError


class DepthEngine(Protocol):
    """A loaded model, ready to estimate relative depth."""

    @property
    def description(self) -> str:
        """One line: model, backend, device, precision, steps."""

    @property
    def grid(self) -> int:
        """Image sides must be multiples of this many pixels."""

    @property
    def native_pixels(self) -> int:
        """Number of pixels of an image that the model was made for."""

    def __call__(self, rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
        """[batch, H, W, 3] uint8 RGB, H and W multiples of `grid` -> [batch, H, W] relative depth in [0, 1], 0 near."""


def load_engine(settings: EstimatorSettings) -> DepthEngine:
    """Load the model that the settings ask for with the backend that they name; never with another one.

    Raises:
        CheckpointError: the model cannot be loaded.
        BackendError: the device is not there.
        ConfigurationError: the checkpoint cannot be run with these steps.
        MissingDependencyError: the backend's package is not installed.
    """
    try:
        import diffusers  # noqa: F401
        import torch  # noqa: F401
    except ImportError as error:
        raise MissingDependencyError(str(error.name), "torch", f"backend {settings.backend!r}") from error
    from merge_ros.runtime.torch_engine import TorchEngine

    return TorchEngine(settings)
