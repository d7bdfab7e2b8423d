"""Image mode with its weights: those of the depth engine where that can be, otherwise loaded once."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL, PixArtTransformer2DModel, SchedulerMixin
from numpy.typing import NDArray
from torch import Tensor

from merge_ros.config import EstimatorSettings, GenerationRequest, GeneratorSettings
from merge_ros.errors import BackendError, CheckpointError, ConfigurationError, InputError
from merge_ros.model.autoencoder import downsampling
from merge_ros.model.checkpoint import load_checkpoint, load_scheduler
from merge_ros.model.codec import FULL_CODEC, LIGHT_CODEC, find_codec
from merge_ros.model.conditioning import Conditioning
from merge_ros.model.depth_mode import DepthMode
from merge_ros.model.family import FLUX, family_of
from merge_ros.model.fingerprint import fingerprint
from merge_ros.model.image_mode import ImageMode
from merge_ros.model.locate import find_model
from merge_ros.model.parts import load_part
from merge_ros.model.prompts import PromptEncoder
from merge_ros.runtime.engine import DepthEngine
from merge_ros.runtime.exported import check_size
from merge_ros.runtime.torch_device import DTYPES, find_device
from merge_ros.runtime.torch_engine import TorchEngine

logger = logging.getLogger(__name__)

IMAGE_PARTS = ("transformer", FULL_CODEC, "scheduler", "text_encoder", "tokenizer")
PIPELINE_GRID = 8  # diffusers' pipeline wants multiples of it, whatever the model


@dataclass(frozen=True)
class Weights:
    """Everything that image mode needs but the text encoder, and the depth mode on the same backbone.

    Args:
        depth_mode: None where the model has no converters.
        origin: whose weights these are, in words.
    """

    backbone: PixArtTransformer2DModel
    vae: AutoencoderKL
    scheduler: SchedulerMixin
    depth_mode: DepthMode | None
    origin: str


class ImageEngine:
    """Makes latents from prompts, and pictures and depth from latents.

    Args:
        settings: which model, and how to run it.
        depth: the depth engine of this process, whose weights are used where it runs the same model in eager torch.

    Attributes:
        weights: all but the text encoder's.
        description: one line with model, device, precision, and whose weights these are.
        device, precision: by the names that settings use.
        shares_weights: whether backbone and converters are those of the depth engine.
        grid: image sides must be multiples of this many pixels.
        native_size: (width, height) of the images that the model was made for.

    Raises:
        BackendError: the device is not here.
        CheckpointError: the model cannot be loaded.
        ConfigurationError: it is a FLUX model.
    """

    def __init__(self, settings: GeneratorSettings, depth: DepthEngine | None = None) -> None:
        if settings.threads:
            torch.set_num_threads(settings.threads)
        self._folder = find_model(settings.model, (*IMAGE_PARTS, LIGHT_CODEC))
        if family_of(self._folder) == FLUX:
            raise ConfigurationError(
                f"{settings.model} is a FLUX model, and images are made here from PixArt models only; diffusers' "
                "FluxPipeline takes the same backbone"
            )
        self._converters = settings.converters
        problem = _why_not_shared(settings, self._folder, depth)
        self.shares_weights = not problem
        if isinstance(depth, TorchEngine) and not problem:
            weights = _shared(depth, self._folder)
        else:
            weights = _own(settings, self._folder, problem)
        self.weights = weights
        self._image_mode = ImageMode(weights.backbone, weights.vae, weights.scheduler)
        self._device, self._dtype = weights.backbone.device, weights.backbone.dtype
        self._prompts = PromptEncoder(
            self._folder,
            self._device,
            self._dtype,
            keep=settings.keep_text_encoder,
            cached=settings.cached_prompts,
        )
        patch = downsampling(weights.vae) * int(weights.backbone.config.patch_size)
        self.grid = math.lcm(PIPELINE_GRID, patch)
        height, width = check_size(self._native_pixels(), self.grid)
        self.native_size = width, height
        self.device = str(self._device)
        self.precision = next(name for name, dtype in DTYPES.items() if dtype == self._dtype)
        self.description = f"model {settings.model}, device {self.device}, precision {self.precision}, {weights.origin}"
        logger.info("image generation: %s", self.description)

    def check(self, request: GenerationRequest) -> None:
        """Refuse what this model cannot make.

        Raises:
            InputError: a prompt with too many tokens, sides off the grid, or depth without converters.
        """
        self._prompts.check(request.prompt)
        self._prompts.check(request.negative_prompt)
        for name, side in (("width", request.width), ("height", request.height)):
            if side % self.grid:
                below = side // self.grid * self.grid
                near = f"{below} or {below + self.grid}" if below else f"{self.grid}"
                raise InputError(f"{name} is {side}; this model makes multiples of {self.grid}, such as {near}")
        if request.depth and self.weights.depth_mode is None:
            raise InputError(
                f"depth was asked for, but {self._folder} has no depth_converters/, and no other place was named"
            )

    def encode(self, request: GenerationRequest) -> tuple[Conditioning, Conditioning | None]:
        """Embeddings of the prompt and, for a guided request, of the negative one."""
        with self._computing("encoding a prompt"):
            if not request.is_guided:
                return self._prompts.encode(request.prompt)[0], None
            prompt, negative = self._prompts.encode(request.prompt, request.negative_prompt)
            return prompt, negative

    def draw(
        self,
        request: GenerationRequest,
        text: tuple[Conditioning, Conditioning | None],
        on_step: Callable[[int, Callable[[], NDArray[np.uint8]]], None],
    ) -> Tensor:
        """The latent of one image; see `ImageMode.draw`.

        Args:
            on_step: (steps done, a function that decodes what the image looks like so far).
        """

        def tell(done: int, latent: Tensor) -> None:
            on_step(done, lambda: self.picture(latent))

        with self._computing(f"an image of {request.width}x{request.height}"):
            return self._image_mode.draw(request, *text, tell)

    def picture(self, latent: Tensor) -> NDArray[np.uint8]:
        """[height, width, 3] uint8 RGB."""
        with self._computing("decoding an image"):
            return self._image_mode.picture(latent)

    def depth(self, latent: Tensor) -> NDArray[np.float32]:
        """Relative depth [height, width] in [0, 1], 0 nearest, straight from the latent: nothing is encoded again."""
        depth_mode = self.weights.depth_mode
        if depth_mode is None:
            raise CheckpointError(f"{self._folder}: no converters are plugged in")
        with self._computing("the depth of an image"):
            relative: NDArray[np.float32] = depth_mode(latent)[0].float().cpu().numpy()
            return relative

    def fingerprint(self) -> str:
        """A hash over all weights and settings of the model, 32 hexadecimal digits; reads all its files."""
        parts = [self._folder / part for part in IMAGE_PARTS]
        if self.weights.depth_mode is not None:
            converters = find_model(self._converters, ("depth_converters",)) if self._converters else self._folder
            parts += [self._folder / LIGHT_CODEC, converters / "depth_converters"]
        return fingerprint(parts)

    @contextmanager
    def _computing(self, what: str) -> Iterator[None]:
        try:
            with torch.inference_mode():
                yield
        except torch.OutOfMemoryError as error:
            raise BackendError(f"{self._device} ran out of memory for {what}: {error}") from error

    def _native_pixels(self) -> int:
        weights = self.weights
        if weights.depth_mode is not None:
            return weights.depth_mode.checkpoint.native_pixels
        return int((weights.backbone.config.sample_size * downsampling(weights.vae)) ** 2)


def _why_not_shared(settings: GeneratorSettings, folder: Path, depth: DepthEngine | None) -> str:
    """Why the depth engine's weights cannot be used; "" where they can."""
    if depth is None:
        return "no depth engine to share with"
    if not isinstance(depth, TorchEngine):
        return f"depth runs on {type(depth).__name__}, whose weights are folded or exported"
    checkpoint = depth.depth_mode.checkpoint
    if checkpoint.folder.resolve() != folder.resolve() or depth.settings.converters != settings.converters:
        return f"depth runs another model, {depth.settings.model}"
    backbone = checkpoint.network.backbone
    if settings.precision != "auto" and DTYPES[settings.precision] != backbone.dtype:
        return f"depth runs in {backbone.dtype}, images were asked for in {settings.precision}"
    if settings.device != "auto" and find_device(settings.device) != backbone.device:
        return f"depth runs on {backbone.device}, images were asked for on {settings.device}"
    return ""


def _shared(depth: TorchEngine, folder: Path) -> Weights:
    checkpoint = depth.depth_mode.checkpoint
    backbone, vae = checkpoint.network.backbone, checkpoint.vae
    origin = "all weights shared with depth"
    if not isinstance(vae, AutoencoderKL) or find_codec(depth.settings.codec, folder) != folder / FULL_CODEC:
        # Depth has a light codec, which makes no colours.
        vae = _load_vae(folder, backbone.device, backbone.dtype)
        origin = "transformer shared with depth, VAE of its own because depth runs a light codec"
    return Weights(backbone, vae, checkpoint.scheduler, depth.depth_mode, origin)


def _own(settings: GeneratorSettings, folder: Path, why: str) -> Weights:
    device = find_device(settings.device)
    precision = settings.precision
    if precision == "auto":
        precision = "fp32" if device.type == "cpu" else "fp16"
    dtype, origin = DTYPES[precision], f"weights of its own ({why})"
    if not settings.converters and not (folder / "depth_converters").is_dir():
        backbone = load_part(PixArtTransformer2DModel, folder / "transformer", dtype)
        backbone.to(device).eval().requires_grad_(False)
        vae = _load_vae(folder, device, dtype)
        return Weights(backbone, vae, load_scheduler(folder / "scheduler"), None, origin)
    codec = EstimatorSettings().codec
    checkpoint = load_checkpoint(settings.model, settings.converters, codec=codec, device=str(device), dtype=dtype)
    is_full = isinstance(checkpoint.vae, AutoencoderKL)
    vae = checkpoint.vae if is_full else _load_vae(folder, device, dtype)
    return Weights(checkpoint.network.backbone, vae, checkpoint.scheduler, DepthMode(checkpoint), origin)


def _load_vae(folder: Path, device: torch.device, dtype: torch.dtype) -> AutoencoderKL:
    return load_part(AutoencoderKL, folder / FULL_CODEC, dtype).to(device).eval().requires_grad_(False)
