"""The MERGE-B converter set: all the weights that depth estimation adds to a frozen PixArt transformer.

Source: Lin et al., "More Than Generation: Unifying Generation and Depth Estimation via Text-to-Image Diffusion
Models" (MERGE), NeurIPS 2025, arXiv 2510.23574, section 3.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from diffusers import ModelMixin, PixArtTransformer2DModel
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.attention import BasicTransformerBlock
from diffusers.models.embeddings import PatchEmbed
from torch import Tensor, nn

from merge_ros.errors import ConfigurationError
from merge_ros.model.network import group_size

PREDICTION_TYPES = ("epsilon", "sample", "v_prediction")
DEFAULT_STEPS = 20  # the published MERGE-B inference, when the checkpoint's config does not say (arXiv 2510.23574, 4.1)

# What new one-step converters tell the frozen blocks. Low, because the image latent is clean: told a late timestep, the
# frozen blocks look for noise and their pretraining is of no use (measured; docs/merge-tiny.md).
DEPTH_TIMESTEP = 50


class PixArtConverter(ModelMixin, ConfigMixin):
    """Patch embedding, one converter block per group of frozen blocks, and the output head.

    The attribute and parameter names are those of the authors' `depth_converters/` folder, so that its
    `diffusion_pytorch_model.safetensors` loads key by key.

    Args:
        num_attention_heads, attention_head_dim: their product is the width, which must be the backbone's.
        in_channels: image latent plus depth latent, twice the backbone's.
        out_channels: the depth latent's channels, or twice that when a sigma half was learned with it.
        num_layers: number of converter blocks = groups G.
        patch_size: pixels of the latent per token side; the backbone's.
        sample_size: latent side that the position embedding is made for.
        ff_mult: width multiplier of the feed-forward part.
        interpolation_scale: of the position embedding; None: sample_size // 64, at least 1, as PixArt has it.
        prediction_type: what the output means: "epsilon", "sample" (x0) or "v_prediction".
        depth_timestep: the timestep in [0, 999] that the frozen blocks are told in one-step inference; None for
            converters that are meant for the scheduler's own timesteps.
        num_inference_steps: denoising steps that the converters were trained for, >= 1.
        processing_pixels: image pixels (width x height) that the converters were trained at; None: the square of
            sample_size times the VAE's downsampling.
        min_brightness: mean brightness in (0, 1) up to which darker pictures are brightened first; None: never.

    Raises:
        ConfigurationError: an unknown prediction type, a step count below 1, one-step settings that contradict, or a
            brightness outside (0, 1).
    """

    config_name = "config.json"

    @register_to_config
    def __init__(
        self,
        num_attention_heads: int = 16,
        attention_head_dim: int = 72,
        in_channels: int = 8,
        out_channels: int = 8,
        num_layers: int = 14,
        patch_size: int = 2,
        sample_size: int = 64,
        ff_mult: int = 1,
        dropout: float = 0.0,
        activation_fn: str = "gelu-approximate",
        attention_bias: bool = True,
        upcast_attention: bool = False,
        num_embeds_ada_norm: int = 1000,
        norm_elementwise_affine: bool = False,
        norm_eps: float = 1e-6,
        interpolation_scale: int | None = None,
        prediction_type: str = "epsilon",
        depth_timestep: int | None = None,
        num_inference_steps: int = DEFAULT_STEPS,
        processing_pixels: int | None = None,
        min_brightness: float | None = None,
    ) -> None:
        super().__init__()
        _check_inference_settings(prediction_type, depth_timestep, num_inference_steps, num_embeds_ada_norm)
        if min_brightness is not None and not 0 < min_brightness < 1:
            raise ConfigurationError(f"min_brightness={min_brightness} must lie between 0 and 1, or be null for never")
        width = num_attention_heads * attention_head_dim
        self.pos_embed = PatchEmbed(
            height=sample_size,
            width=sample_size,
            patch_size=patch_size,
            in_channels=in_channels,
            embed_dim=width,
            interpolation_scale=interpolation_scale or max(sample_size // 64, 1),
        )
        self.transformer_blocks = nn.ModuleList(
            BasicTransformerBlock(
                width,
                num_attention_heads,
                attention_head_dim,
                dropout=dropout,
                cross_attention_dim=None,  # converters do not look at the text
                activation_fn=activation_fn,
                num_embeds_ada_norm=num_embeds_ada_norm,
                attention_bias=attention_bias,
                upcast_attention=upcast_attention,
                norm_type="ada_norm_single",
                norm_elementwise_affine=norm_elementwise_affine,
                norm_eps=norm_eps,
                ff_inner_dim=ff_mult * width,
            )
            for _ in range(num_layers)
        )
        self.norm_out = nn.LayerNorm(width, elementwise_affine=False, eps=1e-6)
        self.scale_shift_table = nn.Parameter(torch.randn(2, width) / width**0.5)
        self.proj_out = nn.Linear(width, patch_size * patch_size * out_channels)

    def head(self, tokens: Tensor, embedded_timestep: Tensor, grid: tuple[int, int]) -> Tensor:
        """Tokens to a latent: modulated norm, projection, patches put back in place.

        Args:
            tokens: [batch, rows * columns, width].
            embedded_timestep: [batch, width], the frozen model's timestep embedding.
            grid: (rows, columns) of tokens.

        Returns:
            [batch, out_channels, rows * patch_size, columns * patch_size].
        """
        rows, columns = grid
        patch, channels = self.config.patch_size, self.config.out_channels
        shift, scale = (self.scale_shift_table[None] + embedded_timestep[:, None]).chunk(2, dim=1)
        patches = self.proj_out(self.norm_out(tokens) * (1 + scale) + shift)
        patches = patches.reshape(-1, rows, columns, patch, patch, channels)
        return torch.einsum("nhwpqc->nchpwq", patches).reshape(-1, channels, rows * patch, columns * patch)

    def native_pixels(self, downsampling: int) -> int:
        """Number of image pixels (width x height) that the converters were made for, with a VAE of that factor."""
        return int(self.config.processing_pixels or (self.config.sample_size * downsampling) ** 2)

    @classmethod
    def for_backbone(
        cls,
        backbone: PixArtTransformer2DModel,
        groups: int,
        *,
        ff_mult: int = 1,
        prediction_type: str = "sample",
        depth_timestep: int | None = DEPTH_TIMESTEP,
        num_inference_steps: int = 1,
        processing_pixels: int | None = None,
    ) -> PixArtConverter:
        """New converters that fit a backbone, initialised from it (see `init_from_backbone`).

        Args:
            backbone: the frozen transformer with N blocks.
            groups: number of converter blocks G, 1 to N.

        Raises:
            ConfigurationError: G is outside 1..N.
        """
        frozen = backbone.config
        if not 1 <= groups <= frozen.num_layers:
            raise ConfigurationError(
                f"groups={groups} must lie between 1 and the backbone's {frozen.num_layers} blocks"
            )
        converter: PixArtConverter = cls(
            num_attention_heads=frozen.num_attention_heads,
            attention_head_dim=frozen.attention_head_dim,
            in_channels=2 * frozen.in_channels,
            out_channels=frozen.in_channels,
            num_layers=groups,
            patch_size=frozen.patch_size,
            sample_size=frozen.sample_size,
            ff_mult=ff_mult,
            activation_fn=frozen.activation_fn,
            attention_bias=frozen.attention_bias,
            upcast_attention=frozen.upcast_attention,
            num_embeds_ada_norm=frozen.num_embeds_ada_norm,
            norm_elementwise_affine=frozen.norm_elementwise_affine,
            norm_eps=frozen.norm_eps,
            interpolation_scale=frozen.interpolation_scale,
            prediction_type=prediction_type,
            depth_timestep=depth_timestep,
            num_inference_steps=num_inference_steps,
            processing_pixels=processing_pixels,
        )
        init_from_backbone(converter, backbone)
        return converter


@dataclass(frozen=True)
class InitReport:
    """Which converter tensors came from the backbone, and which stayed random because shapes differ."""

    copied: tuple[str, ...]
    random: tuple[str, ...]


def init_from_backbone(converter: PixArtConverter, backbone: PixArtTransformer2DModel) -> InitReport:
    """Start every converter block as the first frozen block of its group, as the paper says.

    (The released code copies blocks 0, 2, .., 12 into converters 0 to 6 and leaves the others random.)
    Tensors whose shape differs, or that the backbone does not have, keep their random values.

    Returns:
        The names of the converter's tensors, sorted into copied and random.
    """
    size = group_size(len(backbone.transformer_blocks), len(converter.transformer_blocks))
    last = len(backbone.transformer_blocks) - 1
    source = backbone.state_dict()
    copied, random = [], []
    with torch.no_grad():
        for name, parameter in converter.state_dict().items():
            source_name = name
            if name.startswith("transformer_blocks."):
                _, index, rest = name.split(".", 2)
                source_name = f"transformer_blocks.{min(int(index) * size, last)}.{rest}"
            found = source.get(source_name)
            if found is not None and found.shape == parameter.shape:
                parameter.copy_(found)
                copied.append(name)
            else:
                random.append(name)
    return InitReport(tuple(copied), tuple(random))


def _check_inference_settings(prediction_type: str, depth_timestep: int | None, steps: int, timesteps: int) -> None:
    if prediction_type not in PREDICTION_TYPES:
        raise ConfigurationError(
            f"prediction_type={prediction_type!r} is unknown; allowed: {', '.join(PREDICTION_TYPES)}"
        )
    if steps < 1:
        raise ConfigurationError(f"num_inference_steps={steps} must be at least 1")
    if depth_timestep is not None and not 0 <= depth_timestep < timesteps:
        raise ConfigurationError(f"depth_timestep={depth_timestep} must lie in 0..{timesteps - 1}")
    if depth_timestep is None and steps == 1 and prediction_type != "epsilon":
        raise ConfigurationError(f"one-step {prediction_type!r} converters need a depth_timestep")
    if depth_timestep is not None and prediction_type == "epsilon":
        raise ConfigurationError("depth_timestep is for one-step 'sample' or 'v_prediction' converters, not 'epsilon'")
    if depth_timestep is not None and steps != 1:
        raise ConfigurationError(f"depth_timestep={depth_timestep} fixes one step, but num_inference_steps={steps}")
