"""Depth mode: from an image latent to relative depth, in the steps that the converters were trained for."""

from __future__ import annotations

from torch import Tensor

from merge_ros.errors import ConfigurationError
from merge_ros.model.autoencoder import decode_depth
from merge_ros.model.checkpoint import Checkpoint
from merge_ros.model.sampling import INITIAL_NOISE_SEED, denoise, denoise_in_one_step, initial_noise


class DepthMode:
    """The depth estimator of a checkpoint, from the latent on.

    Args:
        checkpoint: with converters plugged in; its network and autoencoder are used as they are, nothing is copied.
        steps: denoising steps; 0 takes the checkpoint's own number.

    Attributes:
        noise_seed: of the noise that several steps start from, >= 0.

    Raises:
        CheckpointError: no converters, or no empty prompt.
        ConfigurationError: the checkpoint cannot be run with these steps.
    """

    def __init__(self, checkpoint: Checkpoint, steps: int = 0) -> None:
        self.checkpoint = checkpoint
        self.steps = choose_steps(checkpoint, steps)
        self.noise_seed = INITIAL_NOISE_SEED
        self._conditioning = checkpoint.conditioning()

    @property
    def draws_noise(self) -> bool:
        """Whether depth starts from noise, which one step does not."""
        return self.checkpoint.converter.config.depth_timestep is None

    def __call__(self, image_latent: Tensor) -> Tensor:
        """Relative depth of what a latent shows.

        Args:
            image_latent: [batch, C, h, w], scaled as `autoencoder.encode` returns it, and as image mode makes it.

        Returns:
            [batch, h * f, w * f] in [0, 1], 0 nearest.
        """
        return decode_depth(self.checkpoint.vae, self._depth_latent(image_latent), image_latent)

    def _depth_latent(self, image_latent: Tensor) -> Tensor:
        checkpoint, config = self.checkpoint, self.checkpoint.converter.config
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
            self.steps,
            initial_noise(image_latent, self.noise_seed),
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
