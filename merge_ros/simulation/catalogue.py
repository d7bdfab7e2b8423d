"""All kinds of things by name: how they are placed, and which of them captions and `/merge/generate` can name.

`OBJECT_NAMES` and `palette.COLOUR_NAMES` are the whole vocabulary of objects: whoever must know what can be asked for,
or look for it in a picture, takes it from here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from merge_ros.simulation import clutter, furniture, objects
from merge_ros.simulation.draft import Draft


@dataclass(frozen=True)
class Kind:
    """A kind of thing.

    Args:
        build: makes one from random numbers.
        at_wall: stands with its back to a wall, otherwise anywhere.
        weight: how often it comes in rooms.
        solid: a robot must drive around it.
        named: captions name it.
        alone: how often it is asked for in asset scenes; 0 for never.
        any_colour: it can have every colour of the palette; otherwise only the builder's.
    """

    build: Callable[[np.random.Generator], Draft]
    at_wall: bool = False
    weight: float = 1.0
    solid: bool = True
    named: bool = True
    alone: float = 0.0
    any_colour: bool = True


KINDS: dict[str, Kind] = {
    "table": Kind(furniture.table, weight=1.4, alone=1.0),
    "desk": Kind(furniture.desk, at_wall=True, weight=1.0),
    "chair": Kind(furniture.chair, weight=1.6, alone=1.5),
    "armchair": Kind(furniture.armchair, weight=0.8, alone=0.8),
    "stool": Kind(furniture.stool, weight=0.8, alone=0.9),
    "bench": Kind(furniture.bench, weight=0.6, alone=0.5),
    "sofa": Kind(furniture.sofa, at_wall=True, weight=0.9, alone=0.8),
    "bed": Kind(furniture.bed, at_wall=True, weight=0.7),
    "shelf": Kind(furniture.shelf, at_wall=True, weight=1.6, alone=0.7),
    "cabinet": Kind(furniture.cabinet, at_wall=True, weight=1.4, alone=0.8),
    "crate": Kind(objects.crate, weight=1.2, alone=1.5),
    "stack": Kind(objects.stack, weight=0.8, named=False),
    "box": Kind(objects.carton, weight=1.6, alone=1.5),
    "barrel": Kind(objects.barrel, weight=1.0, alone=1.5),
    "bin": Kind(objects.bin_, weight=0.6),
    "bucket": Kind(objects.bucket, weight=0.6, alone=1.0),
    "ball": Kind(objects.ball, weight=1.0, alone=1.6),
    "cone": Kind(objects.cone, weight=0.7, alone=1.2),
    "vase": Kind(objects.vase, weight=0.3, alone=1.0),
    "bottle": Kind(objects.bottle, weight=0.3, alone=0.9),
    "mug": Kind(objects.mug, weight=0.2, alone=0.9),
    "pillar": Kind(objects.pillar, weight=0.5),
    "plant": Kind(objects.plant, weight=1.0, alone=0.8, any_colour=False),
    "person": Kind(objects.person, weight=1.0, alone=0.6),
    "lamp": Kind(objects.lamp, weight=0.6, alone=0.7),
    "suitcase": Kind(objects.suitcase, weight=0.6, alone=1.0),
    "bag": Kind(objects.bag, weight=0.6, alone=0.9),
    "car": Kind(objects.car, weight=0.4, alone=1.2),
    "ladder": Kind(objects.ladder, weight=0.4),
    "rug": Kind(objects.rug, weight=0.5, solid=False),
    "small item": Kind(clutter.small_item, weight=1.2, named=False),
    "toys": Kind(clutter.toys, weight=0.6, named=False),
    "cable": Kind(clutter.cable, weight=0.5, solid=False, named=False),
    "shoes": Kind(clutter.shoes, weight=0.4, named=False),
    "papers": Kind(clutter.papers, weight=0.4, solid=False, named=False),
    "heap": Kind(clutter.heap, weight=0.4, named=False),
}

OBJECT_NAMES = tuple(name for name, kind in KINDS.items() if kind.named)
ASSET_NAMES = tuple(name for name, kind in KINDS.items() if kind.alone)
