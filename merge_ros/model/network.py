"""A frozen text-to-image transformer with converters that can be plugged into it, of whatever family."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, Generic, TypeVar

from diffusers import ModelMixin
from torch import Tensor, nn

from merge_ros.errors import CheckpointError, InputError
from merge_ros.model.conditioning import Conditioning

logger = logging.getLogger(__name__)

Backbone = TypeVar("Backbone", bound=ModelMixin)
Converter = TypeVar("Converter", bound=ModelMixin)


class MergeNetwork(nn.Module, ABC, Generic[Backbone, Converter]):
    """The two networks joined: depth mode runs both, image mode only the frozen one.

    The backbone is diffusers' own module, held and never changed: image mode *is* that module, so it stays bit for bit
    what it was, whatever converters are plugged in.

    Args:
        backbone: the text-to-image transformer; its parameters stop requiring gradients.
        converter: the converters; None leaves the model in image mode only.

    Raises:
        CheckpointError: the two do not fit each other; the message names the setting.
    """

    def __init__(self, backbone: Backbone, converter: Converter | None = None) -> None:
        super().__init__()
        self.backbone: Backbone = backbone.requires_grad_(False)
        self.converter: Converter | None = None
        if converter is not None:
            self.plug(converter)

    def plug(self, converter: Converter) -> None:
        """Put converters in, in the place of those that are there. No weight of the backbone is touched or copied.

        Raises:
            CheckpointError: the converters were made for another backbone.
        """
        self.check_fit(converter)
        self.converter = converter

    def unplug(self) -> Converter | None:
        """Take the converters out, and return them."""
        converter, self.converter = self.converter, None
        return converter

    @property
    @abstractmethod
    def latent_channels(self) -> int:
        """Channels C of an image latent."""

    @property
    @abstractmethod
    def token_side(self) -> int:
        """Latent pixels per token along one side."""

    @property
    @abstractmethod
    def text_channels(self) -> int:
        """Channels of a token of text."""

    @abstractmethod
    def check_fit(self, converter: Converter) -> None:
        """Check that converters were made for a backbone like this one.

        Raises:
            CheckpointError: naming the first setting that does not fit, with both values.
        """

    @abstractmethod
    def forward(
        self, image_latent: Tensor, depth_latent: Tensor, timestep: Tensor, conditioning: Conditioning
    ) -> Tensor:
        """Depth mode: what the converters predict for the depth slot.

        Args:
            image_latent: [batch, C, h, w], the VAE latent of the image as the backbone wants its latents.
            depth_latent: [batch, C, h, w], noisy depth latent, or zeros in one-step inference.
            timestep: [batch], in the scheduler's units of 0 to 1000, that the frozen blocks are told.
            conditioning: text, the empty prompt for depth.

        Returns:
            [batch, C, h, w] of what `converter.config.prediction_type` says.

        Raises:
            InputError: no converters are plugged in, or the latents do not fit the grid of tokens.
        """

    def plugged(self) -> Converter:
        """The converters that are in.

        Raises:
            InputError: none are.
        """
        if self.converter is None:
            raise InputError("depth mode needs converters, and none are plugged in")
        return self.converter

    def check_latents(self, image_latent: Tensor, depth_latent: Tensor) -> None:
        """Raise InputError unless both are [batch, C, h, w] of the same shape on the grid of tokens."""
        channels, side = self.latent_channels, self.token_side
        for name, latent in (("image_latent", image_latent), ("depth_latent", depth_latent)):
            if latent.ndim != 4 or latent.shape[1] != channels:
                raise InputError(f"{name} has shape {tuple(latent.shape)}; allowed: [batch, {channels}, h, w]")
        if image_latent.shape != depth_latent.shape:
            raise InputError(
                f"latents differ in shape: image {tuple(image_latent.shape)}, depth {tuple(depth_latent.shape)}"
            )
        if image_latent.shape[-2] % side or image_latent.shape[-1] % side:
            raise InputError(
                f"latent size {tuple(image_latent.shape[-2:])} must be a multiple of the patch size {side}"
            )


def group_size(blocks: int, groups: int) -> int:
    """Frozen blocks served by one converter: ceil(N / G), so that any G works (arXiv 2510.23574, group reuse)."""
    return -(-blocks // groups)


def check_settings(checks: Sequence[tuple[str, Any, Sequence[Any]]]) -> None:
    """Raise CheckpointError at the first (setting, found, allowed values) that does not fit."""
    for name, found, allowed in checks:
        if found not in allowed:
            wanted = f"{allowed[0]} to {allowed[-1]}" if isinstance(allowed, range) else " or ".join(map(str, allowed))
            raise CheckpointError(f"converters do not fit the backbone: {name} is {found}, the backbone needs {wanted}")


def warn_of_idle_blocks(blocks: int, groups: int) -> None:
    """Log when the last converters serve no frozen block, as ceil-sized groups may leave it."""
    used = -(-blocks // group_size(blocks, groups))
    if used < groups:
        logger.warning(
            "%d of %d converter blocks never run: %d frozen blocks make %d groups",
            groups - used,
            groups,
            blocks,
            used,
        )
