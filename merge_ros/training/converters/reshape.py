"""Converters of another number or width, begun as trained ones: what was learnt need not be learnt again."""

from __future__ import annotations

import torch
from torch import Tensor

from merge_ros.errors import ConfigurationError
from merge_ros.model.converter import PixArtConverter
from merge_ros.model.network import group_size


def reshaped(trained: PixArtConverter, blocks: int, groups: int, ff_mult: int) -> PixArtConverter:
    """New converters that compute what trained ones do, as nearly as their shape allows.

    More groups are copies: where each trained group is split evenly, the depth is the same bit for bit. Where a
    feed-forward part is narrowed, those hidden units stay whose weights in and out have the largest product of norms.

    Args:
        trained: taken from, left as it is.
        blocks: frozen blocks of the backbone.
        groups: converter blocks, a multiple of the trained ones' number, up to `blocks`.
        ff_mult: width multiplier of the feed-forward parts, at most the trained ones'.

    Raises:
        ConfigurationError: fewer groups or wider feed-forward parts, which copies cannot make.
    """
    had = trained.config
    if groups % had.num_layers or not had.num_layers <= groups <= blocks:
        raise ConfigurationError(f"groups={groups} must be a multiple of the trained {had.num_layers}, up to {blocks}")
    if not 1 <= ff_mult <= had.ff_mult:
        raise ConfigurationError(f"ff_mult={ff_mult} must lie between 1 and the trained converters' {had.ff_mult}")
    made: PixArtConverter = PixArtConverter.from_config({**had, "num_layers": groups, "ff_mult": ff_mult})
    wide, narrow = group_size(blocks, had.num_layers), group_size(blocks, groups)
    state = {name: value for name, value in trained.state_dict().items() if not name.startswith("transformer_blocks.")}
    for index, block in enumerate(made.transformer_blocks):
        source = trained.transformer_blocks[min(index * narrow // wide, had.num_layers - 1)].state_dict()
        kept = _strongest(source, ff_mult * source["ff.net.2.weight"].shape[0])
        for name in block.state_dict():
            value = source[name]
            if name.startswith("ff.net.0."):
                value = value[kept]
            elif name == "ff.net.2.weight":
                value = value[:, kept]
            state[f"transformer_blocks.{index}.{name}"] = value
    made.load_state_dict(state)
    return made


def _strongest(block: dict[str, Tensor], count: int) -> Tensor:
    into, out = block["ff.net.0.proj.weight"], block["ff.net.2.weight"]
    strength = torch.linalg.vector_norm(into, dim=1) * torch.linalg.vector_norm(out, dim=0)
    kept: Tensor = strength.topk(count).indices.sort().values
    return kept
