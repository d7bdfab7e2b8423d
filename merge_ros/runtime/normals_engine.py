"""Surface normals by a converter set that was trained on them, in eager torch."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from merge_ros.config import EstimatorSettings
from merge_ros.errors import ConfigurationError
from merge_ros.model.autoencoder import decode_normals
from merge_ros.model.depth_mode import predict_latent
from merge_ros.model.light_codec import LightCodec
from merge_ros.runtime.torch_engine import TorchEngine


class NormalsEngine(TorchEngine):
    """Runs a checkpoint whose converters see normals; loaded like a `TorchEngine`.

    Raises:
        ConfigurationError: another backend or torch mode than eager torch, and what `TorchEngine` raises.
    """

    def __init__(self, settings: EstimatorSettings) -> None:
        if settings.backend not in ("auto", "torch") or settings.torch_mode not in ("auto", "eager"):
            raise ConfigurationError(
                f"normals run on eager torch only, not on backend {settings.backend!r} with torch_mode "
                f"{settings.torch_mode!r}; allowed: backend 'auto' or 'torch', torch_mode 'auto' or 'eager'"
            )
        # A light codec decodes depth and nothing else.
        super().__init__(replace(settings, codec="full") if settings.codec == "auto" else settings)
        if isinstance(self.depth_mode.checkpoint.vae, LightCodec):
            raise ConfigurationError(f"codec {settings.codec!r} decodes depth only; normals need codec 'full'")

    def __call__(self, rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
        """[batch, H, W, 3] uint8 RGB, H and W multiples of `grid` -> [batch, H, W, 3] unit vectors.

        Raises:
            InputError: images that no network takes.
            BackendError: the device ran out of memory.
        """
        return self._compute(rgb, self._normals)

    def _normals(self, image_latent: torch.Tensor) -> torch.Tensor:
        mode = self.depth_mode
        latent = predict_latent(mode.checkpoint, image_latent, mode.checkpoint.conditioning(), mode.steps)
        return decode_normals(mode.checkpoint.vae, latent).permute(0, 2, 3, 1)
