"""The reference engine: the MERGE network as it was trained, in eager torch."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from merge_ros.config import EstimatorSettings
from merge_ros.errors import BackendError, ConfigurationError
from merge_ros.model.autoencoder import encode
from merge_ros.model.checkpoint import load_checkpoint
from merge_ros.model.depth_mode import DepthMode
from merge_ros.model.family import FLUX, family_of
from merge_ros.model.locate import find_model
from merge_ros.model.memory import MemoryPlan
from merge_ros.model.pixels import encoder_pixels
from merge_ros.runtime.exported import check_batch
from merge_ros.runtime.torch_device import DTYPES, find_device


class TorchEngine:
    """Runs a checkpoint with torch; a `merge_ros.runtime.engine.DepthEngine`.

    The precision is that of the weights and of all activations: there is no autocast. `settings.threads` sets torch's
    thread count, which is one for the whole process.

    Attributes:
        settings: as they came.
        depth_mode: the loaded checkpoint, from the latent on; image mode can share its weights.

    Raises:
        BackendError: the device does not exist here.
        CheckpointError: the model cannot be loaded.
        ConfigurationError: the checkpoint cannot be run with the steps that were asked for.
    """

    def __init__(self, settings: EstimatorSettings) -> None:
        self.settings = settings
        self._device = find_device(settings.device)
        plan = MemoryPlan(settings.offload, settings.quantization)
        if settings.offload != "none" and self._device.type == "cpu":
            raise ConfigurationError(f"offload {settings.offload!r} is for a GPU, and the device is {self._device}")
        precision = _precision(settings, self._device)
        if settings.threads:
            torch.set_num_threads(settings.threads)
        checkpoint = load_checkpoint(
            settings.model,
            settings.converters,
            task=settings.task,
            codec=settings.codec,
            device=str(self._device),
            dtype=DTYPES[precision],
            plan=plan,
        )
        # Convolutions are a third faster with channels last (docs/performance.md), and differ by rounding only.
        checkpoint.vae.to(memory_format=torch.channels_last)
        self.depth_mode = DepthMode(checkpoint, settings.steps)
        self.description = (
            f"model {settings.model} with {type(checkpoint.vae).__name__}, backend torch, device {self._device}, "
            f"precision {precision}, mode eager, steps {self.depth_mode.steps}{plan}"
        )
        self.grid = checkpoint.grid
        self.native_pixels = checkpoint.native_pixels

    def __call__(self, rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
        """See `DepthEngine.__call__`.

        Raises:
            InputError: images that no network takes.
            BackendError: the device ran out of memory.
        """
        return self._compute(rgb, self.depth_mode)

    def _compute(self, rgb: NDArray[np.uint8], seen: Callable[[Tensor], Tensor]) -> NDArray[np.float32]:
        check_batch(rgb, self.grid)
        try:
            with torch.inference_mode():
                result: NDArray[np.float32] = seen(self._encode(rgb)).float().cpu().numpy()
                return result
        except torch.OutOfMemoryError as error:
            raise BackendError(f"{self._device} ran out of memory for images of shape {rgb.shape}: {error}") from error

    @property
    def draws_noise(self) -> bool:
        """Whether depth starts from noise, which one step does not."""
        return self.depth_mode.draws_noise

    def reseed(self, seed: int) -> None:
        """Start the next estimates from the noise of another seed, >= 0."""
        self.depth_mode.noise_seed = seed

    def _encode(self, rgb: NDArray[np.uint8]) -> Tensor:
        checkpoint = self.depth_mode.checkpoint
        vae, pixels = checkpoint.vae, torch.from_numpy(rgb).to(self._device)
        return encode(vae, encoder_pixels(pixels, vae.dtype, checkpoint.min_brightness))


def _precision(settings: EstimatorSettings, device: torch.device) -> str:
    """What "auto" is: fp32, but for FLUX on a GPU, whose 12 G parameters were released in bf16."""
    if settings.precision != "auto":
        return settings.precision
    is_flux = family_of(find_model(settings.model, ("transformer",))) == FLUX
    return "bf16" if is_flux and device.type == "cuda" else "fp32"
