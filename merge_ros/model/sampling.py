"""From an image latent to a depth latent: in one step, or by denoising over many.

All take any callable with the signature of `MergePixArt.forward`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from diffusers import FlowMatchEulerDiscreteScheduler
from torch import Tensor

from merge_ros.errors import ConfigurationError
from merge_ros.model.conditioning import Conditioning

DepthModel = Callable[[Tensor, Tensor, Tensor, Conditioning], Tensor]
"""(image latent [B,C,h,w], depth latent [B,C,h,w], timestep [B], conditioning) -> prediction [B,C or 2C,h,w]."""

INITIAL_NOISE_SEED = 0  # multi-step depth starts from this noise, so that the same image gives the same result


def denoise_in_one_step(
    model: DepthModel,
    image_latent: Tensor,
    conditioning: Conditioning,
    timestep: int,
    prediction_type: str,
    alphas_cumprod: Tensor | None,
) -> Tensor:
    """One pass with an empty (zero) depth slot.

    With x_t = 0 the usual identities (Salimans & Ho 2022, arXiv 2202.00512) become x0 = prediction for "sample" and
    x0 = -sqrt(1 - alpha_bar) * v for "v_prediction"; noise in the slot only hurts (E2E-FT, arXiv 2409.11355: zeros 5.2,
    Gaussian 5.3 AbsRel). "epsilon" is refused: at a late step x0 would carry the prediction's error 157-fold.

    Args:
        image_latent: [batch, C, h, w].
        timestep: what the frozen blocks are told; low, because the image latent is clean.
        alphas_cumprod: [1000], of the checkpoint's noise schedule; only "v_prediction" needs them.

    Returns:
        Depth latent [batch, C, h, w].

    Raises:
        ConfigurationError: the prediction type cannot be used in one step.
    """
    if prediction_type not in ("sample", "v_prediction"):
        raise ConfigurationError(
            f"one-step depth needs converters that predict 'sample' or 'v_prediction', not {prediction_type!r}: "
            "run these with more steps"
        )
    if prediction_type == "v_prediction" and alphas_cumprod is None:
        raise ConfigurationError("'v_prediction' belongs to a noise schedule, and this scheduler has none")
    batch, channels = image_latent.shape[:2]
    timesteps = torch.full((batch,), timestep, device=image_latent.device, dtype=torch.long)
    prediction = model(image_latent, torch.zeros_like(image_latent), timesteps, conditioning)[:, :channels]
    if alphas_cumprod is None or prediction_type == "sample":
        return prediction
    return -((1 - alphas_cumprod[timestep]).sqrt().to(prediction)) * prediction


def denoise(
    model: DepthModel,
    image_latent: Tensor,
    conditioning: Conditioning,
    scheduler: Any,
    steps: int,
    noise: Tensor,
) -> Tensor:
    """The published way: start from noise, follow the checkpoint's scheduler.

    Args:
        image_latent: [batch, C, h, w].
        scheduler: a diffusers scheduler; its timesteps are set here.
        steps: number of denoising steps, >= 1.
        noise: [batch, C, h, w], the starting point with unit variance.

    Returns:
        Depth latent [batch, C, h, w].
    """
    channels = image_latent.shape[1]
    scheduler.set_timesteps(steps, device=image_latent.device)
    depth_latent: Tensor = noise * scheduler.init_noise_sigma
    for timestep in scheduler.timesteps:
        model_input = scheduler.scale_model_input(depth_latent, timestep)
        timesteps = timestep.expand(image_latent.shape[0])
        # The learned-sigma half of the output, where there is one, is dropped.
        prediction = model(image_latent, model_input, timesteps, conditioning)[:, :channels]
        depth_latent = scheduler.step(prediction, timestep, depth_latent).prev_sample
    return depth_latent


def denoise_flow(
    model: DepthModel,
    image_latent: Tensor,
    conditioning: Conditioning,
    scheduler: FlowMatchEulerDiscreteScheduler,
    steps: int,
    noise: Tensor,
    tokens: int,
) -> Tensor:
    """The published way of MERGE-L: from noise, along the flow that the model predicts (noise minus latent).

    Args:
        image_latent: [batch, C, h, w].
        scheduler: its timesteps are set here, shifted for the size of the picture as diffusers' FluxPipeline does.
        steps: number of Euler steps, >= 1.
        noise: [batch, C, h, w], the starting point with unit variance.
        tokens: of one image, which the shift depends on.

    Returns:
        Depth latent [batch, C, h, w].
    """
    from diffusers.pipelines.flux.pipeline_flux import calculate_shift  # brings transformers, which takes seconds

    config = scheduler.config
    shift = calculate_shift(
        tokens, config.base_image_seq_len, config.max_image_seq_len, config.base_shift, config.max_shift
    )
    scheduler.set_timesteps(sigmas=np.linspace(1, 1 / steps, steps), mu=shift, device=image_latent.device)
    depth_latent = noise
    for timestep in scheduler.timesteps:
        flow = model(image_latent, depth_latent, timestep.expand(image_latent.shape[0]), conditioning)
        depth_latent = scheduler.step(flow, timestep, depth_latent).prev_sample
    return depth_latent


def initial_noise(like: Tensor, seed: int = INITIAL_NOISE_SEED) -> Tensor:
    """Standard normal noise [batch, C, h, w], for a seed the same at every call and for every image of the batch."""
    generator = torch.Generator("cpu").manual_seed(seed)
    noise = torch.randn((1, *like.shape[1:]), generator=generator)
    return noise.expand_as(like).to(like)
