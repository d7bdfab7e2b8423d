"""The MERGE-L converter set: all the weights that depth estimation adds to a frozen FLUX transformer.

Source: Lin et al., "More Than Generation: Unifying Generation and Depth Estimation via Text-to-Image Diffusion
Models" (MERGE), NeurIPS 2025, arXiv 2510.23574, section 3, and the layout of their `depth_converters/` folder.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from diffusers import FluxTransformer2DModel, ModelMixin
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.normalization import AdaLayerNormContinuous
from diffusers.models.transformers.transformer_flux import FluxPosEmbed, FluxSingleTransformerBlock
from torch import nn

from merge_ros.errors import ConfigurationError
from merge_ros.model.converter import DEFAULT_STEPS, InitReport
from merge_ros.model.network import group_size

PREDICTION_TYPES = ("flow", "sample")
ROTARY_THETA = 10000  # FLUX's own (diffusers FluxTransformer2DModel)
TRAINING_PIXELS = 640 * 480  # the published converters were trained on Hypersim at that size (config/dataset)


class FluxConverter(ModelMixin, ConfigMixin):
    """Token embedding, one converter block per group of frozen double blocks and of single blocks, and the output head.

    Every converter block is a FLUX single block. Attribute and parameter names are those of the authors'
    `depth_converters/` folder, so that its `diffusion_pytorch_model.safetensors` loads key by key.

    Args:
        patch_size: of the backbone; 1 for FLUX, whose latents are packed 2x2 beforehand.
        in_channels: of a token: packed depth latent plus packed image latent, twice the backbone's.
        out_channels: of a token that is predicted; the backbone's.
        num_single_layers: number of converter blocks G, of each of the two sets.
        attention_head_dim, num_attention_heads: their product is the width, which must be the backbone's.
        axes_dims_rope: channels of a head that are rotated by index, row and column; the backbone's.
        merge_flux_transformer: True; the authors' class is a whole transformer where it is False.
        merge_dual_rotary_emb_type: how the blocks among the double blocks, which see no text, get their rotation. Empty
            or False: cut out of that for text and image; anything else, as published "new": made for the image alone.
            A token's rotation depends on its own place only, so both give the same numbers.
        prediction_type: what the output means: "flow" (noise minus latent) or "sample" (x0).
        depth_timestep: the timestep in [0, 999] that the frozen blocks are told in one-step inference, for "sample".
        num_inference_steps: denoising steps that the converters were trained for, >= 1.
        processing_pixels: image pixels (width x height) that the converters were trained at.
        depth_guidance: what the guidance embedding of the backbone, where it has one, is told in depth mode; the
            published converters were trained and run with 0.

    Raises:
        ConfigurationError: an unknown prediction type, steps that contradict, or the configuration of a transformer
            that is not a converter set.
    """

    config_name = "config.json"

    @register_to_config
    def __init__(
        self,
        patch_size: int = 1,
        in_channels: int = 128,
        out_channels: int = 64,
        num_single_layers: int = 5,
        attention_head_dim: int = 128,
        num_attention_heads: int = 24,
        axes_dims_rope: Sequence[int] = (16, 56, 56),
        merge_flux_transformer: bool = True,
        merge_dual_rotary_emb_type: str | bool | None = "new",
        prediction_type: str = "flow",
        depth_timestep: int | None = None,
        num_inference_steps: int = DEFAULT_STEPS,
        processing_pixels: int = TRAINING_PIXELS,
        depth_guidance: float = 0.0,
    ) -> None:
        super().__init__()
        if not merge_flux_transformer:
            raise ConfigurationError(
                f"merge_flux_transformer={merge_flux_transformer} describes a whole transformer; converters have true"
            )
        if num_single_layers < 1:
            raise ConfigurationError(f"num_single_layers={num_single_layers} must be at least 1")
        _check_inference_settings(prediction_type, depth_timestep, num_inference_steps)
        width = num_attention_heads * attention_head_dim
        self.pos_embed = FluxPosEmbed(theta=ROTARY_THETA, axes_dim=tuple(axes_dims_rope))
        self.x_embedder = nn.Linear(in_channels, width)
        self.single_transformer_blocks_in_dual = nn.ModuleList(
            FluxSingleTransformerBlock(width, num_attention_heads, attention_head_dim) for _ in range(num_single_layers)
        )
        self.single_transformer_blocks = nn.ModuleList(
            FluxSingleTransformerBlock(width, num_attention_heads, attention_head_dim) for _ in range(num_single_layers)
        )
        self.norm_out = AdaLayerNormContinuous(width, width, elementwise_affine=False, eps=1e-6)
        self.proj_out = nn.Linear(width, patch_size * patch_size * out_channels)

    def native_pixels(self, downsampling: int) -> int:
        """Number of image pixels (width x height) that the converters were made for."""
        return int(self.config.processing_pixels)

    @classmethod
    def for_backbone(
        cls,
        backbone: FluxTransformer2DModel,
        groups: int,
        *,
        copy_into_dual: bool = False,
        prediction_type: str = "flow",
        depth_timestep: int | None = None,
        num_inference_steps: int = DEFAULT_STEPS,
        processing_pixels: int = TRAINING_PIXELS,
    ) -> FluxConverter:
        """New converters that fit a backbone, initialised from it (see `init_flux_from_backbone`).

        Args:
            backbone: the frozen transformer.
            groups: number of converter blocks G of each set, 1 to the number of the backbone's single blocks.
            copy_into_dual: start the blocks among the double blocks as copies of the others, not at random.

        Raises:
            ConfigurationError: G is out of range, or settings contradict.
        """
        frozen = backbone.config
        most = max(frozen.num_layers, frozen.num_single_layers)
        if not 1 <= groups <= most:
            raise ConfigurationError(f"groups={groups} must lie between 1 and the backbone's {most} blocks of a kind")
        converter: FluxConverter = cls(
            patch_size=frozen.patch_size,
            in_channels=2 * frozen.in_channels,
            out_channels=frozen.in_channels,
            num_single_layers=groups,
            attention_head_dim=frozen.attention_head_dim,
            num_attention_heads=frozen.num_attention_heads,
            axes_dims_rope=tuple(frozen.axes_dims_rope),
            prediction_type=prediction_type,
            depth_timestep=depth_timestep,
            num_inference_steps=num_inference_steps,
            processing_pixels=processing_pixels,
        )
        init_flux_from_backbone(converter, backbone, copy_into_dual=copy_into_dual)
        return converter


def init_flux_from_backbone(
    converter: FluxConverter, backbone: FluxTransformer2DModel, *, copy_into_dual: bool = False
) -> InitReport:
    """Start every single-block converter as the first frozen block of its group, as the published code does.

    The token embedding reads the depth latent as the backbone reads its noisy latent, and does not see the image latent
    yet (its weights there are 0); the head is the backbone's. Blocks among the double blocks have no counterpart in the
    backbone: they stay random, as published, or become copies of the other set.

    Returns:
        The names of the converter's tensors, sorted into copied and random.
    """
    copied: list[str] = []
    blocks, frozen = converter.single_transformer_blocks, backbone.single_transformer_blocks
    size = group_size(len(frozen), len(blocks))
    with torch.no_grad():
        for name in ("norm_out", "proj_out"):
            getattr(converter, name).load_state_dict(getattr(backbone, name).state_dict())
            copied += [f"{name}.{key}" for key in getattr(backbone, name).state_dict()]
        converter.x_embedder.weight.zero_()
        converter.x_embedder.weight[:, : backbone.config.in_channels] = backbone.x_embedder.weight
        converter.x_embedder.bias.copy_(backbone.x_embedder.bias)
        copied += ["x_embedder.weight", "x_embedder.bias"]
        for index, block in enumerate(blocks):
            if index * size < len(frozen):
                block.load_state_dict(frozen[index * size].state_dict())
                copied += [f"single_transformer_blocks.{index}.{key}" for key in block.state_dict()]
        if copy_into_dual:
            converter.single_transformer_blocks_in_dual.load_state_dict(blocks.state_dict())
            copied += [f"single_transformer_blocks_in_dual.{key}" for key in blocks.state_dict()]
    return InitReport(tuple(copied), tuple(sorted(set(converter.state_dict()) - set(copied))))


def _check_inference_settings(prediction_type: str, depth_timestep: int | None, steps: int) -> None:
    if prediction_type not in PREDICTION_TYPES:
        raise ConfigurationError(
            f"prediction_type={prediction_type!r} is unknown; allowed: {', '.join(PREDICTION_TYPES)}"
        )
    if steps < 1:
        raise ConfigurationError(f"num_inference_steps={steps} must be at least 1")
    if (prediction_type == "sample") != (depth_timestep is not None):
        raise ConfigurationError(
            f"prediction_type={prediction_type!r} with depth_timestep={depth_timestep}: 'sample' is for one step at a "
            "depth_timestep, 'flow' for the scheduler's own timesteps"
        )
    if depth_timestep is not None and not 0 <= depth_timestep < 1000:
        raise ConfigurationError(f"depth_timestep={depth_timestep} must lie in 0..999")
    if depth_timestep is not None and steps != 1:
        raise ConfigurationError(f"depth_timestep={depth_timestep} fixes one step, but num_inference_steps={steps}")
