"""The depth path of MERGE-B, collapsed to a plain encoder of Linear layers.

With one fixed timestep, one text token and an empty depth slot, most of the network is constant:

- cross-attention: the softmax over one key is 1, so the layer adds the same vector to every token: a bias;
- adaLN: shift, scale and gate are constants, which multiply into the Linear layers beside them;
- Q, K and V read the same tokens: one Linear;
- the depth half of the patch embedding sees zeros: it goes; so do the learned-sigma rows of the head;
- text encoder, caption projection and timestep embedding are evaluated once, here.

Everything is folded in fp64 and cast afterwards. The result equals the unfolded model up to rounding.
"""

from __future__ import annotations

import copy
from typing import Any

import torch
from diffusers.models.activations import GELU
from diffusers.models.attention import BasicTransformerBlock
from torch import Tensor, nn
from torch.nn import functional

from merge_ros.errors import ConfigurationError
from merge_ros.model.conditioning import Conditioning
from merge_ros.model.converter import PixArtConverter
from merge_ros.model.network import group_size
from merge_ros.model.pixart import MergePixArt
from merge_ros.runtime.layers import bias_of, convolution, linear


class FoldedBlock(nn.Module):
    """x + attention(norm(x)), then x + feed_forward(norm(x)), all modulation inside the Linear layers.

    Args:
        qkv: width -> 3 width, with norm1's affine and adaLN's shift and scale inside.
        out: width -> width, with adaLN's gate and the cross-attention's constant inside.
        up, down: the two Linear layers of the feed-forward part, with shift, scale and gate inside.
        heads: number of attention heads.
        eps: of both layer norms.
    """

    def __init__(self, qkv: nn.Linear, out: nn.Linear, up: nn.Linear, down: nn.Linear, heads: int, eps: float) -> None:
        super().__init__()
        self.qkv, self.out, self.up, self.down = qkv, out, up, down
        self.heads, self.eps = heads, eps

    def forward(self, tokens: Tensor) -> Tensor:
        """[batch, tokens, width] -> the same shape."""
        batch, length, width = tokens.shape
        normed = functional.layer_norm(tokens, (width,), eps=self.eps)
        query, key, value = self.qkv(normed).reshape(batch, length, 3, self.heads, -1).permute(2, 0, 3, 1, 4).unbind(0)
        attended = functional.scaled_dot_product_attention(query, key, value)
        tokens = tokens + self.out(attended.transpose(1, 2).reshape(batch, length, width))
        normed = functional.layer_norm(tokens, (width,), eps=self.eps)
        widened = functional.gelu(self.up(normed), approximate="tanh")
        return torch.add(tokens, self.down(widened))


class SinCosPosition(nn.Module):
    """The 2-D sine-cosine position embedding of PixArt, for any grid of tokens, as plain tensor operations.

    The numbers are those of diffusers' `get_2d_sincos_pos_embed`: columns first, then rows; of each, sines first.

    Args:
        width: channels of a token, a multiple of 4.
        base_size, interpolation_scale: a grid spans positions 0 to base_size / interpolation_scale, whatever its size.
    """

    def __init__(self, width: int, base_size: int, interpolation_scale: float) -> None:
        super().__init__()
        self.width, self.base_size, self.interpolation_scale = width, base_size, interpolation_scale

    def forward(self, features: Tensor) -> Tensor:
        """[batch, width, rows, columns], of which only the size counts -> [1, rows * columns, width]."""
        rows, columns = features.shape[-2:]
        # Never below fp32, whatever the network runs in: in fp16 an angle of 32 rad would be off by 0.01.
        device, exact = features.device, torch.promote_types(features.dtype, torch.float32)
        quarter = self.width // 4
        frequencies = 10000.0 ** -(torch.arange(quarter, device=device, dtype=exact) / quarter)
        halves = []
        for count, along in ((columns, 1), (rows, 0)):
            place = torch.arange(count, device=device, dtype=exact)
            place = place * (self.base_size / self.interpolation_scale) / count
            angles = place[:, None] * frequencies
            half = torch.cat([angles.sin(), angles.cos()], dim=1)
            half = half[None].expand(rows, -1, -1) if along else half[:, None].expand(-1, columns, -1)
            halves.append(half)
        return torch.cat(halves, dim=-1).flatten(0, 1)[None].to(features.dtype)


class FoldedTransformer(nn.Module):
    """Image latent in, the converters' prediction out, for any latent size.

    Args:
        patch: convolution from C latent channels to tokens.
        position: position embedding of any grid.
        blocks: converter and frozen blocks in running order; a converter block stands in several places.
        head: width -> patch * patch * C.
        eps: of the last layer norm.
    """

    def __init__(
        self, patch: nn.Conv2d, position: SinCosPosition, blocks: nn.ModuleList, head: nn.Linear, eps: float
    ) -> None:
        super().__init__()
        self.patch, self.position, self.blocks, self.head, self.eps = patch, position, blocks, head, eps

    def forward(self, image_latent: Tensor) -> Tensor:
        """[batch, C, h, w] -> [batch, C, h, w]."""
        features = self.patch(image_latent)
        rows, columns = features.shape[-2:]
        tokens = features.flatten(2).transpose(1, 2) + self.position(features)
        for block in self.blocks:
            tokens = block(tokens)
        patches = self.head(functional.layer_norm(tokens, tokens.shape[-1:], eps=self.eps))
        side, channels = self.patch.kernel_size[0], self.patch.in_channels
        patches = patches.reshape(-1, rows, columns, side, side, channels).permute(0, 5, 1, 3, 2, 4)
        latent: Tensor = patches.reshape(-1, channels, rows * side, columns * side)
        return latent


@torch.no_grad()
def fold_network(network: MergePixArt, conditioning: Conditioning, timestep: int) -> FoldedTransformer:
    """Fold the transformer and its converters for one text token and one timestep.

    Args:
        network: with converters plugged in; it is not changed.
        conditioning: of the empty prompt; exactly one token valid.
        timestep: what the frozen blocks are told.

    Returns:
        A module in fp64, equal to `network(latent, zeros, timestep, conditioning)[:, :C]` up to rounding.

    Raises:
        ConfigurationError: more than one text token is valid (then cross-attention is not constant: its spread is
            2.5 to 5 % of the output), no converters are plugged in, or the network has a part that cannot be folded.
    """
    if conditioning.valid_tokens() != 1 or conditioning.text.shape[0] != 1:
        raise ConfigurationError(
            f"folding needs a text of exactly one valid token for all images; here "
            f"{conditioning.valid_tokens()} tokens are valid for {conditioning.text.shape[0]} prompt(s)"
        )
    if network.converter is None:
        raise ConfigurationError("folding needs converters, and none are plugged in")
    backbone, converter = network.backbone, network.converter
    if backbone.use_additional_conditions:
        raise ConfigurationError(
            "this PixArt is told the size of each picture, which is no constant to fold; allowed: backend 'torch' with "
            "torch_mode 'eager'"
        )
    text = conditioning.text[:, conditioning.mask[0] > 0].double().cpu()
    if backbone.caption_projection is not None:
        text = _in_fp64(backbone.caption_projection)(text)
    modulation, embedded = _in_fp64(backbone.adaln_single)(
        torch.tensor([timestep]), batch_size=1, hidden_dtype=torch.float64
    )

    # One block at a time in fp64: all of the official model at once would take 5 GB more.
    converters = [_fold_block(_in_fp64(block), modulation, text) for block in converter.transformer_blocks]
    frozen = [_fold_block(_in_fp64(block), modulation, text) for block in backbone.transformer_blocks]
    size = group_size(len(frozen), len(converters))
    blocks = [block for index, own in enumerate(frozen) for block in (converters[index // size], own)]

    embed = converter.pos_embed
    return FoldedTransformer(
        _image_half(converter),
        SinCosPosition(embed.proj.out_channels, embed.base_size, embed.interpolation_scale),
        nn.ModuleList(blocks),
        _fold_head(converter, embedded),
        converter.norm_out.eps,
    )


def _in_fp64(module: nn.Module) -> Any:
    return copy.deepcopy(module).cpu().double()


def _fold_block(block: BasicTransformerBlock, modulation: Tensor, text: Tensor) -> FoldedBlock:
    """One diffusers block of kind `ada_norm_single`, with or without cross-attention."""
    activation = block.ff.net[0]
    if not isinstance(activation, GELU) or activation.approximate != "tanh":
        raise ConfigurationError(f"only feed-forward parts with 'gelu-approximate' can be folded, not {activation}")
    if block.norm_type != "ada_norm_single" or block.attn1.norm_q is not None:
        raise ConfigurationError("only 'ada_norm_single' blocks without query normalisation can be folded")
    table = block.scale_shift_table + modulation.reshape(6, -1)
    shift_attn, scale_attn, gate_attn, shift_ff, scale_ff, gate_ff = table.unbind(0)

    attention = block.attn1
    joined = _concatenated(attention.to_q, attention.to_k, attention.to_v)
    qkv = _after_norm(joined, block.norm1, scale_attn, shift_attn)
    out = _gated(attention.to_out[0], gate_attn)
    if block.attn2 is not None:
        # One key: every query gets its value, whatever the scores are.
        constant = block.attn2.to_out[0](block.attn2.to_v(text))[0, 0]
        out = linear(out.weight, out.bias + constant)
    up = _after_norm(activation.proj, block.norm2, scale_ff, shift_ff)
    down = _gated(block.ff.net[2], gate_ff)
    return FoldedBlock(qkv, out, up, down, attention.heads, block.norm1.eps)


def _after_norm(layer: nn.Linear, norm: nn.LayerNorm, scale: Tensor, shift: Tensor) -> nn.Linear:
    """W ((n g + c)(1 + scale) + shift) + b, as one Linear on the bare normalised n."""
    gain, offset = (1 + scale), shift
    if norm.elementwise_affine:
        gain, offset = norm.weight * gain, norm.bias * gain + offset
    return linear(layer.weight * gain, layer.weight @ offset + bias_of(layer))


def _gated(layer: nn.Linear, gate: Tensor) -> nn.Linear:
    """gate * (W x + b) as one Linear."""
    return linear(gate[:, None] * layer.weight, gate * bias_of(layer))


def _concatenated(*layers: nn.Linear) -> nn.Linear:
    return linear(torch.cat([layer.weight for layer in layers]), torch.cat([bias_of(layer) for layer in layers]))


def _fold_head(converter: PixArtConverter, embedded: Tensor) -> nn.Linear:
    shift, scale = (converter.scale_shift_table.double().cpu() + embedded).unbind(0)
    full = _after_norm(_in_fp64(converter.proj_out), converter.norm_out, scale, shift)
    side, channels = converter.config.patch_size, converter.config.in_channels // 2
    # Rows are ordered (patch row, patch column, channel); the sigma half comes last in each group of channels.
    keep = torch.arange(side * side * converter.config.out_channels).reshape(side * side, -1)[:, :channels].flatten()
    return linear(full.weight[keep], full.bias[keep])


def _image_half(converter: PixArtConverter) -> nn.Conv2d:
    joint = _in_fp64(converter.pos_embed.proj)
    channels = joint.in_channels // 2
    # The depth half sees zeros and goes.
    return convolution(joint.weight[:, :channels], joint.bias, stride=joint.stride[0])
