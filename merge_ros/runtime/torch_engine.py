"""The reference engine: the MERGE network as it was trained, in eager torch."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from merge_ros.config import EstimatorSettings
from merge_ros.errors import BackendError, ConfigurationError
from merge_ros.model.autoencoder import decode_depth, encode
from merge_ros.model.checkpoint import Checkpoint, load_checkpoint
from merge_ros.model.sampling import INITIAL_NOISE_SEED, denoise, denoise_in_one_step, initial_noise
from merge_ros.runtime.exported import check_batch
from merge_ros.runtime.torch_device import DTYPES, find_device


class TorchEngine:
    """Runs a checkpoint with torch; a `merge_ros.runtime.engine.DepthEngine`.

    The precision is that of the weights and of all activations: there is no autocast. `settings.threads` sets torch's
    thread count, which is one for the whole process.

    Raises:
        BackendError: the device does not exist here.
        CheckpointError: the model cannot be loaded.
        ConfigurationError: the checkpoint cannot be run with the steps that were asked for.
    """

    def __init__(self, settings: EstimatorSettings) -> None:
        self._device = find_device(settings.device)
        precision = "fp32" if settings.precision == "auto" else settings.precision
        if settings.threads:
            torch.set_num_threads(settings.threads)
        self._checkpoint = load_checkpoint(
            settings.model,
            settings.converters,
            codec=settings.codec,
            device=str(self._device),
            dtype=DTYPES[precision],
        )
        # Convolutions are a third faster with channels last (docs/performance.md), and differ by rounding only.
        self._checkpoint.vae.to(memory_format=torch.channels_last)
        self._conditioning = self._checkpoint.conditioning()
        self._steps = choose_steps(self._checkpoint, settings.steps)
        self._noise_seed = INITIAL_NOISE_SEED
        self.description = (
            f"model {settings.model} with {type(self._checkpoint.vae).__name__}, backend torch, "
            f"device {self._device}, precision {precision}, mode eager, steps {self._steps}"
        )
        self.grid = self._checkpoint.grid
        self.native_pixels = self._checkpoint.native_pixels

    def __call__(self, rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
        """See `DepthEngine.__call__`.

        Raises:
            InputError: images that no network takes.
            BackendError: the device ran out of memory.
        """
        check_batch(rgb, self.grid)
        checkpoint = self._checkpoint
        try:
            with torch.inference_mode():
                images = self._to_network(rgb)
                image_latent = encode(checkpoint.vae, images)
                depth_latent = self._estimate(image_latent)
                depth = decode_depth(checkpoint.vae, depth_latent, image_latent)
                return depth.float().cpu().numpy()
        except torch.OutOfMemoryError as error:
            raise BackendError(f"{self._device} ran out of memory for images of shape {rgb.shape}: {error}") from error

    @property
    def draws_noise(self) -> bool:
        """Whether depth starts from noise, which one step does not."""
        return self._checkpoint.converter.config.depth_timestep is None

    def reseed(self, seed: int) -> None:
        """Start the next estimates from the noise of another seed, >= 0."""
        self._noise_seed = seed

    def _to_network(self, rgb: NDArray[np.uint8]) -> Tensor:
        images = torch.from_numpy(rgb).to(self._device).permute(0, 3, 1, 2)
        return images.to(self._checkpoint.vae.dtype) / 127.5 - 1

    def _estimate(self, image_latent: Tensor) -> Tensor:
        checkpoint, config = self._checkpoint, self._checkpoint.converter.config
        if config.depth_timestep is not None:
            return denoise_in_one_step(
                checkpoint.network,
                image_latent,
                self._conditioning,
                config.depth_timestep,
                config.prediction_type,
                checkpoint.scheduler.alphas_cumprod,
            )
        return denoise(
            checkpoint.network,
            image_latent,
            self._conditioning,
            checkpoint.depth_scheduler(),
            self._steps,
            initial_noise(image_latent, self._noise_seed),
        )


def choose_steps(checkpoint: Checkpoint, requested: int) -> int:
    """The number of denoising steps: what was asked for, if the checkpoint can do it; 0 asks for its own number.

    Raises:
        ConfigurationError: several steps for converters that were trained for one.
    """
    config = checkpoint.converter.config
    if config.depth_timestep is not None and requested > 1:
        raise ConfigurationError(
            f"steps={requested}, but these converters estimate depth in one step (depth_timestep="
            f"{config.depth_timestep}); allowed: 0 or 1"
        )
    return requested or int(config.num_inference_steps)
