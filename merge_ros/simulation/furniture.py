"""Objects that stand in rooms, each a small function from random numbers to boxes, cylinders and balls.

Every builder works in a local frame with the floor at z = 0, the object's centre at x = y = 0 and its front towards
+x, and returns a `Draft`. Sizes are those of everyday things, in metres.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from merge_ros.simulation.draft import CLOTH, PAINT, WOOD, Draft, add_legs, add_small_item, new_draft, other_colour
from merge_ros.simulation.palette import FURNITURE, VIVID, sample_rgb


def table(rng: np.random.Generator) -> Draft:
    x, y, top = rng.uniform(0.35, 0.55), rng.uniform(0.45, 0.95), rng.uniform(0.6, 0.8)
    draft = new_draft(rng, x, y, FURNITURE, (WOOD, PAINT))
    draft.box((-x, x), (-y, y), (top - 0.05, top))
    add_legs(draft, x - 0.06, y - 0.06, top - 0.05, 0.03)
    for _ in range(int(rng.integers(0, 4))):
        add_small_item(rng, draft, rng.uniform(-x + 0.15, x - 0.15), rng.uniform(-y + 0.15, y - 0.15), top)
    return draft


def chair(rng: np.random.Generator) -> Draft:
    half, seat, back = rng.uniform(0.2, 0.26), rng.uniform(0.4, 0.5), rng.uniform(0.8, 1.0)
    draft = new_draft(rng, half, half, FURNITURE, (WOOD, PAINT, CLOTH))
    draft.box((-half, half), (-half, half), (seat - 0.05, seat))
    draft.box((-half, -half + 0.05), (-half, half), (seat, back))
    add_legs(draft, half - 0.04, half - 0.04, seat - 0.05, 0.025)
    return draft


def stool(rng: np.random.Generator) -> Draft:
    radius, top = rng.uniform(0.16, 0.22), rng.uniform(0.4, 0.7)
    draft = new_draft(rng, radius, radius, FURNITURE, (WOOD, PAINT))
    draft.add("cylinder", (radius, 0.03, 0), (0, 0, top))
    add_legs(draft, radius * 0.6, radius * 0.6, top, 0.02)
    return draft


def sofa(rng: np.random.Generator) -> Draft:
    x, y = rng.uniform(0.4, 0.5), rng.uniform(0.7, 1.1)
    draft = new_draft(rng, x, y, FURNITURE, (CLOTH,))
    draft.box((-x, x), (-y, y), (0.06, 0.42))
    draft.box((-x, -x + 0.22), (-y, y), (0.42, 0.85))
    for side in (-1, 1):
        draft.box((-x, x), (side * y - 0.08, side * y + 0.08), (0.06, 0.6))
    if rng.random() < 0.6:
        draft.box((-x + 0.24, -x + 0.36), (-0.2, 0.2), (0.43, 0.78), rgb=other_colour(rng))
    return draft


def bed(rng: np.random.Generator) -> Draft:
    x, y = rng.uniform(0.95, 1.05), rng.uniform(0.45, 0.9)
    draft = new_draft(rng, x, y, FURNITURE, (CLOTH,))
    draft.box((-x, x), (-y, y), (0.05, 0.3), rgb=sample_rgb(rng, "brown"), material=WOOD)
    draft.box((-x + 0.05, x), (-y + 0.03, y - 0.03), (0.3, 0.52))
    draft.box((-x - 0.05, -x), (-y, y), (0, 0.95), rgb=sample_rgb(rng, "brown"), material=WOOD)
    draft.box((-x + 0.08, -x + 0.42), (-y * 0.7, y * 0.7), (0.52, 0.62), rgb=sample_rgb(rng, "white"))
    return draft


def shelf(rng: np.random.Generator) -> Draft:
    x, y, height = rng.uniform(0.14, 0.22), rng.uniform(0.35, 0.7), rng.uniform(0.9, 2.1)
    draft = new_draft(rng, x, y, FURNITURE, (WOOD, PAINT))
    for side in (-y, y):
        draft.box((-x, x), (side - 0.02, side + 0.02), (0, height))
    draft.box((-x, -x + 0.02), (-y, y), (0, height))
    boards = int(height // 0.38)
    for level in range(boards + 1):
        z = 0.04 + level * (height - 0.06) / boards
        draft.box((-x, x), (-y, y), (z - 0.015, z + 0.015))
        if level < boards:
            for _ in range(int(rng.integers(0, 5))):
                add_small_item(rng, draft, rng.uniform(-x + 0.08, x - 0.04), rng.uniform(-y + 0.1, y - 0.1), z + 0.015)
    return draft


def cabinet(rng: np.random.Generator) -> Draft:
    x, y, height = rng.uniform(0.2, 0.32), rng.uniform(0.3, 0.8), rng.choice([0.5, 0.8, 1.1, 1.9])
    draft = new_draft(rng, x, y, FURNITURE, (WOOD, PAINT))
    draft.box((-x, x), (-y, y), (0.05, float(height)))
    draft.box((-x, x - 0.03), (-y + 0.03, y - 0.03), (0, 0.05), rgb=(0.1, 0.1, 0.1))
    doors = int(rng.integers(2, 4))
    for door in range(1, doors):
        y_cut = -y + 2 * y * door / doors
        draft.box((x, x + 0.004), (y_cut - 0.008, y_cut + 0.008), (0.06, float(height) - 0.02), rgb=(0.1, 0.1, 0.1))
    for door in range(doors):
        y_knob = -y + 2 * y * (door + 0.8) / doors
        draft.box(
            (x, x + 0.03), (y_knob - 0.01, y_knob + 0.01), (height * 0.5, height * 0.5 + 0.1), rgb=(0.8, 0.8, 0.8)
        )
    return draft


def crate(rng: np.random.Generator) -> Draft:
    x, y, z = rng.uniform(0.15, 0.4, 3)
    draft = new_draft(rng, x, y, ("brown", "beige", "grey", "green", "blue", "red"), (WOOD,))
    draft.box((-x, x), (-y, y), (0, 2 * z))
    if rng.random() < 0.35:
        a, b, c = rng.uniform(0.5, 0.85, 3)
        draft.box((-x * a, x * a), (-y * b, y * b), (2 * z, 2 * z + 2 * z * c), rgb=other_colour(rng))
    return draft


def carton(rng: np.random.Generator) -> Draft:
    x, y, z = rng.uniform(0.1, 0.35, 3)
    draft = new_draft(rng, x, y, (*VIVID, "white", "black", "brown", "beige"), (PAINT, CLOTH))
    draft.box((-x, x), (-y, y), (0, 2 * z))
    return draft


def barrel(rng: np.random.Generator) -> Draft:
    radius, height = rng.uniform(0.15, 0.32), rng.uniform(0.3, 0.9)
    draft = new_draft(rng, radius, radius, (*VIVID, "grey", "black", "white"), (PAINT, WOOD))
    draft.add("cylinder", (radius, height / 2, 0), (0, 0, height / 2))
    for z in (0.15, 0.85):
        draft.add("cylinder", (radius * 1.04, 0.02, 0), (0, 0, z * height), rgb=(0.25, 0.25, 0.27))
    return draft


def bin_(rng: np.random.Generator) -> Draft:
    radius, height = rng.uniform(0.12, 0.2), rng.uniform(0.25, 0.5)
    draft = new_draft(rng, radius, radius, (*VIVID, "grey", "black", "white"), (PAINT,))
    draft.add("cylinder", (radius, height / 2, 0), (0, 0, height / 2))
    draft.add("cylinder", (radius * 0.85, 0.004, 0), (0, 0, height + 0.004), rgb=(0.05, 0.05, 0.05))
    return draft


def ball(rng: np.random.Generator) -> Draft:
    radius = rng.uniform(0.08, 0.35)
    draft = new_draft(rng, radius, radius, (*VIVID, "white", "black"), (PAINT, CLOTH))
    draft.add("sphere", (radius, 0, 0), (0, 0, radius))
    return draft


def pillar(rng: np.random.Generator) -> Draft:
    radius = rng.uniform(0.12, 0.28)
    draft = new_draft(rng, radius, radius, ("white", "grey", "beige", "brown", "red", "blue"), (PAINT, WOOD))
    if rng.random() < 0.5:
        draft.add("cylinder", (radius, 2.5, 0), (0, 0, 2.5))
    else:
        draft.box((-radius, radius), (-radius, radius), (0, 5.0))
    return draft


def plant(rng: np.random.Generator) -> Draft:
    pot, height = rng.uniform(0.1, 0.2), rng.uniform(0.4, 1.4)
    draft = Draft("green", 0.28, 0.28, sample_rgb(rng, "green"))
    draft.add("cylinder", (pot, pot, 0), (0, 0, pot), rgb=other_colour(rng))
    draft.add("cylinder", (0.02, height / 2, 0), (0, 0, pot + height / 2), rgb=sample_rgb(rng, "brown"))
    for _ in range(int(rng.integers(5, 11))):
        angle, reach = rng.uniform(0, 2 * np.pi), rng.uniform(0.02, 0.2)
        turn = rng.uniform(-0.6, 0.6)
        draft.add(
            "ellipsoid",
            (rng.uniform(0.06, 0.16), rng.uniform(0.04, 0.12), rng.uniform(0.05, 0.2)),
            (reach * np.cos(angle), reach * np.sin(angle), 2 * pot + height * rng.uniform(0.35, 1.0)),
            rgb=sample_rgb(rng, "green"),
            quaternion=(
                float(np.cos(turn)),
                float(np.sin(turn) * np.cos(angle)),
                float(np.sin(turn) * np.sin(angle)),
                0.0,
            ),
        )
    return draft


def person(rng: np.random.Generator) -> Draft:
    height = rng.uniform(1.5, 1.9)
    draft = new_draft(rng, 0.24, 0.3, FURNITURE, (CLOTH, PAINT))
    tone = rng.uniform(0.35, 1.0)
    skin = (0.95 * tone, 0.75 * tone, 0.6 * tone)
    trousers = other_colour(rng)
    hip, neck = 0.5 * height, 0.82 * height
    step = rng.uniform(0, 0.16)
    for side in (-1, 1):
        draft.add("capsule", (0.075, hip / 2 - 0.07, 0), (side * step, side * 0.1, hip / 2), rgb=trousers)
        draft.box(
            (side * step - 0.08, side * step + 0.16),
            (side * 0.1 - 0.05, side * 0.1 + 0.05),
            (0, 0.07),
            rgb=(0.1, 0.08, 0.08),
        )
        draft.add("capsule", (0.05, 0.24, 0), (-side * step * 0.6, side * 0.25, hip + 0.22))
    draft.add("ellipsoid", (0.13, 0.2, (neck - hip) / 2 + 0.06), (0, 0, (neck + hip) / 2))
    draft.add("ellipsoid", (0.1, 0.09, 0.125), (0, 0, neck + 0.15), rgb=skin)
    draft.add("ellipsoid", (0.105, 0.1, 0.09), (-0.02, 0, neck + 0.21), rgb=other_colour(rng))
    return draft


def lamp(rng: np.random.Generator) -> Draft:
    height = rng.uniform(0.9, 1.7)
    draft = new_draft(rng, 0.2, 0.2, ("white", "yellow", "beige", "orange", "red"), (PAINT,))
    draft.add("cylinder", (0.15, 0.015, 0), (0, 0, 0.015), rgb=(0.15, 0.15, 0.15))
    draft.add("cylinder", (0.015, height / 2, 0), (0, 0, height / 2), rgb=(0.2, 0.2, 0.2))
    draft.add("cylinder", (0.17, 0.12, 0), (0, 0, height), material="glow")
    return draft


def suitcase(rng: np.random.Generator) -> Draft:
    x, y, z = rng.uniform(0.09, 0.14), rng.uniform(0.18, 0.28), rng.uniform(0.45, 0.7)
    draft = new_draft(rng, x, y, (*VIVID, "black", "grey"), (PAINT,))
    draft.box((-x, x), (-y, y), (0.04, z))
    draft.box((-0.01, 0.01), (-y * 0.5, y * 0.5), (z + 0.2, z + 0.22), rgb=(0.15, 0.15, 0.15))
    for side in (-1, 1):
        draft.box((-0.01, 0.01), (side * y * 0.5 - 0.01, side * y * 0.5 + 0.01), (z, z + 0.22), rgb=(0.15, 0.15, 0.15))
    return draft


def clutter(rng: np.random.Generator) -> Draft:
    draft = new_draft(rng, 0.12, 0.12, VIVID, (PAINT,))
    add_small_item(rng, draft, 0.0, 0.0, 0.0)
    return draft


def rug(rng: np.random.Generator) -> Draft:
    x, y = rng.uniform(0.5, 1.1, 2)
    draft = new_draft(rng, x, y, FURNITURE, (CLOTH,))
    draft.box((-x, x), (-y, y), (0.002, 0.012))
    draft.box((-x * 0.85, x * 0.85), (-y * 0.85, y * 0.85), (0.012, 0.016), rgb=other_colour(rng))
    return draft


@dataclass(frozen=True)
class Kind:
    """How an object is placed: against a wall or free, how often, and whether a robot must drive around it."""

    build: Callable[[np.random.Generator], Draft]
    at_wall: bool = False
    weight: float = 1.0
    solid: bool = True


KINDS: dict[str, Kind] = {
    "table": Kind(table, weight=1.4),
    "chair": Kind(chair, weight=1.6),
    "stool": Kind(stool, weight=0.8),
    "sofa": Kind(sofa, at_wall=True, weight=1.0),
    "bed": Kind(bed, at_wall=True, weight=0.7),
    "shelf": Kind(shelf, at_wall=True, weight=1.6),
    "cabinet": Kind(cabinet, at_wall=True, weight=1.4),
    "crate": Kind(crate, weight=1.6),
    "box": Kind(carton, weight=1.8),
    "barrel": Kind(barrel, weight=1.0),
    "bin": Kind(bin_, weight=0.7),
    "ball": Kind(ball, weight=1.2),
    "pillar": Kind(pillar, weight=0.5),
    "plant": Kind(plant, weight=1.0),
    "person": Kind(person, weight=1.0),
    "lamp": Kind(lamp, weight=0.6),
    "suitcase": Kind(suitcase, weight=0.6),
    "clutter": Kind(clutter, weight=1.6),
    "rug": Kind(rug, weight=0.5, solid=False),
}
