"""Furniture, each piece a small function from random numbers to boxes, cylinders and balls.

Every builder works in a local frame with the floor at z = 0, the object's centre at x = y = 0 and its front towards
+x, and returns a `Draft`. Sizes are those of everyday things, in metres.
"""

from __future__ import annotations

import numpy as np

from merge_ros.simulation.draft import CLOTH, PAINT, WOOD, Draft, add_legs, add_small_item, new_draft, other_colour
from merge_ros.simulation.palette import FURNITURE, sample_rgb


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


def desk(rng: np.random.Generator) -> Draft:
    x, y, top = rng.uniform(0.3, 0.4), rng.uniform(0.5, 0.8), rng.uniform(0.7, 0.78)
    draft = new_draft(rng, x, y, FURNITURE, (WOOD, PAINT))
    draft.box((-x, x), (-y, y), (top - 0.04, top))
    draft.box((-x, x), (-y, -y + 0.04), (0, top))
    draft.box((-x, x), (y - 0.4, y), (0, top - 0.04))
    for z in (0.2, 0.42):
        draft.box((x, x + 0.004), (y - 0.37, y - 0.03), (z, z + 0.012), rgb=(0.1, 0.1, 0.1))
    if rng.random() < 0.6:  # a screen, its face towards whoever sits at the front
        screen = rng.uniform(0.2, 0.3)
        draft.box((-x + 0.1, -x + 0.13), (-screen, screen), (top + 0.08, top + 0.42), rgb=(0.08, 0.08, 0.09))
        glass = (0.2, 0.45, 0.75) if rng.random() < 0.5 else (0.15, 0.16, 0.18)
        draft.box((-x + 0.13, -x + 0.135), (-screen + 0.02, screen - 0.02), (top + 0.1, top + 0.4), rgb=glass)
        draft.box((-x + 0.08, -x + 0.15), (-0.08, 0.08), (top, top + 0.1), rgb=(0.1, 0.1, 0.1))
    for _ in range(int(rng.integers(0, 3))):
        add_small_item(rng, draft, rng.uniform(0, x - 0.1), rng.uniform(-y + 0.15, y - 0.15), top)
    return draft


def armchair(rng: np.random.Generator) -> Draft:
    x, y = rng.uniform(0.36, 0.45), rng.uniform(0.38, 0.48)
    draft = new_draft(rng, x, y, FURNITURE, (CLOTH,))
    draft.box((-x, x), (-y, y), (0.08, 0.42))
    draft.box((-x, -x + 0.18), (-y, y), (0.42, rng.uniform(0.8, 1.0)))
    for side in (-1, 1):
        draft.add("cylinder", (0.08, x, 0), (0, side * (y - 0.04), 0.56), quaternion=(0.7071, 0.0, 0.7071, 0.0))
        draft.box((-x, x), (side * (y - 0.04) - 0.07, side * (y - 0.04) + 0.07), (0.1, 0.56))
    add_legs(draft, x - 0.06, y - 0.06, 0.1, 0.025, rgb=(0.2, 0.12, 0.07))
    return draft


def bench(rng: np.random.Generator) -> Draft:
    x, y, top = rng.uniform(0.17, 0.25), rng.uniform(0.5, 0.9), rng.uniform(0.4, 0.5)
    draft = new_draft(rng, x, y, FURNITURE, (WOOD, PAINT))
    draft.box((-x, x), (-y, y), (top - 0.05, top))
    for side in (-1, 1):
        draft.box((-x * 0.8, x * 0.8), (side * y * 0.75 - 0.03, side * y * 0.75 + 0.03), (0, top - 0.05))
    return draft
