"""The cells of the ablation: what each row of the table changes, and the network that comes of it."""

from __future__ import annotations

from dataclasses import dataclass, replace

from diffusers import PixArtTransformer2DModel
from torch import Tensor, nn

from merge_ros.errors import ConfigurationError
from merge_ros.model.converter import PixArtConverter
from merge_ros.model.network import group_size
from merge_ros.model.pixart import MergePixArt
from merge_ros.training.architecture import TinyArchitecture
from merge_ros.training.compute import use_plain_attention
from merge_ros.training.depth_converters import new_converter

BACKBONES = ("trained", "random", "scratch", "finetuned")
PLACES = ("each", "group", "first")


@dataclass(frozen=True)
class Cell:
    """What one row of the table trains.

    Args:
        name: of the row.
        groups: converter blocks G.
        ff_mult: width multiplier of a converter's feed-forward part; 4 starts as a copy of its frozen block.
        depth_timestep: what the frozen blocks are told in one step.
        backbone: "trained": frozen, as shipped; "random": frozen, never trained; "scratch": random, and all weights
            learn with the converters'; "finetuned": as shipped, and all weights learn.
        place: "each": before every frozen block (MERGE); "group": before the first block of each group only; "first":
            G converters before the first G blocks, one each.
        epsilon: the published kind, which denoises in several steps, in place of one step to x0.

    Raises:
        ConfigurationError: a word that is not known.
    """

    name: str
    groups: int = 4
    ff_mult: int = 4
    depth_timestep: int = 50
    backbone: str = "trained"
    place: str = "each"
    epsilon: bool = False

    def __post_init__(self) -> None:
        if self.backbone not in BACKBONES or self.place not in PLACES:
            raise ConfigurationError(f"{self}: backbone is one of {BACKBONES}, place one of {PLACES}")


BASE = Cell("base")
# Each differs from the base in one thing. The order is that of running: what matters most comes first.
CELLS = (
    BASE,
    replace(BASE, name="random blocks", backbone="random"),
    replace(BASE, name="t=999", depth_timestep=999),
    replace(BASE, name="G=8 (N)", groups=8),
    replace(BASE, name="G=2 (N/4)", groups=2),
    replace(BASE, name="G=1 (N/8)", groups=1),
    replace(BASE, name="once per group", place="group"),
    replace(BASE, name="all from scratch", backbone="scratch"),
    replace(BASE, name="epsilon", epsilon=True),
    replace(BASE, name="t=0", depth_timestep=0),
    replace(BASE, name="t=300", depth_timestep=300),
    replace(BASE, name="ff_mult=1", ff_mult=1),
    replace(BASE, name="first blocks only", place="first"),
    replace(BASE, name="random blocks, t=999", backbone="random", depth_timestep=999),
    replace(BASE, name="t=20", depth_timestep=20),
    replace(BASE, name="t=150", depth_timestep=150),
    replace(BASE, name="all finetuned", backbone="finetuned"),
)


def build(cell: Cell, shipped: PixArtTransformer2DModel) -> tuple[MergePixArt, PixArtConverter]:
    """The network of a cell, and the converters in it, with weights of their own.

    Args:
        cell: what differs.
        shipped: the trained backbone, left as it is.
    """
    backbone = PixArtTransformer2DModel.from_config(shipped.config)
    if cell.backbone in ("trained", "finetuned"):
        backbone.load_state_dict(shipped.state_dict())
    blocks = len(backbone.transformer_blocks)
    learned = TinyArchitecture(
        groups=cell.groups, ff_mult=cell.ff_mult, depth_timestep=cell.depth_timestep, layers=blocks
    )
    converter = new_converter(backbone, learned)
    network = MergePixArt(backbone, converter)
    use_plain_attention(network)
    if cell.place != "each":
        # One entry for each frozen block, so that the network's own loop runs the plan.
        learning = list(converter.transformer_blocks)
        converter.transformer_blocks = nn.ModuleList(
            Skip() if entry is None else learning[entry] for entry in plan(cell, blocks)
        )
    return network, converter


def plan(cell: Cell, blocks: int) -> list[int | None]:
    """Which converter runs before each frozen block; None: none."""
    size = group_size(blocks, cell.groups)
    if cell.place == "each":
        return [index // size for index in range(blocks)]
    if cell.place == "group":
        return [index // size if index % size == 0 else None for index in range(blocks)]
    return [index if index < cell.groups else None for index in range(blocks)]


def steps_of(cell: Cell) -> tuple[int, ...]:
    """Denoising steps that a cell is measured at."""
    return (5, 20) if cell.epsilon else (1,)


class Skip(nn.Module):
    """In the place of a converter block: tokens pass as they are."""

    def forward(self, tokens: Tensor, timestep: Tensor) -> Tensor:
        """[batch, tokens, width] -> the same."""
        return tokens
