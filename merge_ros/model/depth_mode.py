"""Depth mode: from an image latent to relative depth, in the steps that the converters were trained for."""

from __future__ import annotations

from torch import Tensor

from merge_ros.errors import ConfigurationError
from merge_ros.model.autoencoder import decode_depth, downsampling
from merge_ros.model.checkpoint import Checkpoint
from merge_ros.model.conditioning import Conditioning
from merge_ros.model.sampling import INITIAL_NOISE_SEED, denoise, denoise_flow, denoise_in_one_step, initial_noise


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
        noise = initial_noise(image_latent, self.noise_seed) if self.draws_noise else None
        return predict_latent(self.checkpoint, image_latent, self._conditioning, self.steps, noise)


def predict_latent(
    checkpoint: Checkpoint, image_latent: Tensor, conditioning: Conditioning, steps: int, noise: Tensor | None = None
) -> Tensor:
    """What the converters that are plugged in see in a picture, in the way that they were trained for.

    Args:
        image_latent: [batch, C, h, w], scaled as `autoencoder.encode` returns it.
        steps: of denoising; not looked at for one-step converters.
        noise: where denoising starts, of the latent's shape; None: the same for every picture (`initial_noise`).

    Returns:
        [batch, C, h, w], the latent of a depth map or of whatever else the converters were trained on.
    """
    network, config = checkpoint.network, checkpoint.converter.config
    factor, (height, width) = downsampling(checkpoint.vae), image_latent.shape[-2:]
    conditioning = conditioning.sized(height * factor, width * factor)
    if config.depth_timestep is not None:
        return denoise_in_one_step(
            network,
            image_latent,
            conditioning,
            config.depth_timestep,
            config.prediction_type,
            checkpoint.alphas_cumprod,
        )
    noise, scheduler = initial_noise(image_latent) if noise is None else noise, checkpoint.depth_scheduler()
    if config.prediction_type == "flow":
        tokens = height * width // network.token_side**2
        return denoise_flow(network, image_latent, conditioning, scheduler, steps, noise, tokens)
    return denoise(network, image_latent, conditioning, scheduler, steps, noise)


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
