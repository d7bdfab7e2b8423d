"""Image mode: the frozen backbone on its own, in diffusers' own pipeline.

No converter runs here, and none has to be taken out: image mode *is* the backbone that depth mode runs too. Nothing of
the pipeline is written again; what it is given beforehand (embeddings) and what is done after it (decoding) are its own
methods. So images are bit for bit those of the plain pipeline on the same weights.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderKL, PixArtAlphaPipeline, PixArtTransformer2DModel, SchedulerMixin
from numpy.typing import NDArray
from torch import Tensor

from merge_ros.config import GenerationRequest
from merge_ros.model.conditioning import Conditioning

OnStep = Callable[[int, Tensor], None]
"""(number of steps done, what the image latent looks like so far [1, C, h, w])"""


class ImageMode:
    """Text embeddings to latents, and latents to pictures.

    Args:
        backbone: of PixArt, with or without converters plugged in around it; used as it is, nothing is copied.
        vae: the one that the backbone was trained with.
        scheduler: of image mode; a copy is made, because a scheduler remembers its steps.
    """

    def __init__(self, backbone: PixArtTransformer2DModel, vae: AutoencoderKL, scheduler: SchedulerMixin) -> None:
        own_scheduler = type(scheduler).from_config(scheduler.config)
        # The text encoder is not here: it comes and goes (`model/prompts.py`).
        text: dict[str, Any] = {"tokenizer": None, "text_encoder": None}
        self._pipeline = PixArtAlphaPipeline(vae=vae, transformer=backbone, scheduler=own_scheduler, **text)
        self._pipeline.set_progress_bar_config(disable=True)

    def draw(
        self, request: GenerationRequest, prompt: Conditioning, negative: Conditioning | None, on_step: OnStep
    ) -> Tensor:
        """Denoise one image.

        Args:
            request: of one image, with its seed (> 0) and its size, multiples of the grid.
            prompt, negative: embeddings, padded to the same length; negative where the request is guided, else None.
            on_step: called after each step; what it raises ends the work.

        Returns:
            The image latent [1, C, height / f, width / f], scaled as `autoencoder.encode` returns it.
        """

        def tell(step: int, timestep: Tensor, latent: Tensor) -> None:
            on_step(step + 1, self._clean(latent))

        latent: Tensor = self._pipeline(
            prompt=None,
            negative_prompt=None,
            prompt_embeds=prompt.text,
            prompt_attention_mask=prompt.mask,
            negative_prompt_embeds=negative.text if negative else None,
            negative_prompt_attention_mask=negative.mask if negative else None,
            num_inference_steps=request.steps,
            guidance_scale=float(request.guidance),
            height=request.height,
            width=request.width,
            # Drawn on the CPU: every device starts from the same noise.
            generator=torch.Generator("cpu").manual_seed(request.seed),
            output_type="latent",
            use_resolution_binning=False,
            callback=tell,
        ).images
        return latent

    def picture(self, latent: Tensor) -> NDArray[np.uint8]:
        """Decode a latent [1, C, h, w] to [h * f, w * f, 3] uint8 RGB, rounded as the pipeline rounds."""
        vae = self._pipeline.vae
        decoded = vae.decode(latent / vae.config.scaling_factor, return_dict=False)[0]
        values: NDArray[np.float32] = self._pipeline.image_processor.postprocess(decoded, output_type="np")[0]
        return np.asarray((values * 255).round(), np.uint8)

    def _clean(self, latent: Tensor) -> Tensor:
        """What the noisy latent will come to, where the scheduler knows: DPM-Solver++ predicts it in each step."""
        scheduler = self._pipeline.scheduler
        if "++" in str(scheduler.config.get("algorithm_type")) and scheduler.model_outputs[-1] is not None:
            predicted: Tensor = scheduler.model_outputs[-1]
            return predicted
        return latent
