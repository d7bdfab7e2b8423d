"""Things that stand about, each a small function from random numbers to boxes, cylinders and balls.

As in `furniture`: the floor at z = 0, the centre at x = y = 0, the front towards +x, metres.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from merge_ros.simulation.draft import CLOTH, PAINT, WOOD, Draft, new_draft, other_colour
from merge_ros.simulation.palette import FURNITURE, VIVID, sample_rgb


def crate(rng: np.random.Generator) -> Draft:
    x, y, z = rng.uniform(0.15, 0.4, 3)
    draft = new_draft(rng, x, y, ("brown", "brown", "beige", "grey", "green", "blue", "red"), (WOOD,))
    draft.box((-x * 0.96, x * 0.96), (-y * 0.96, y * 0.96), (0, 2 * z))
    batten = 0.16 * min(x, y, z)  # along the edges: what tells a crate from a box
    for i in (-1, 1):
        for j in (-1, 1):
            draft.box((i * x - batten, i * x + batten), (j * y - batten, j * y + batten), (0, 2 * z))
            height = z + j * (z - batten)
            draft.box((-x, x), (i * y - batten, i * y + batten), (height - batten, height + batten))
            draft.box((i * x - batten, i * x + batten), (-y, y), (height - batten, height + batten))
    return draft


def stack(rng: np.random.Generator) -> Draft:
    """Two or three boxes on each other."""
    x, y, z = rng.uniform(0.15, 0.4, 3)
    draft = new_draft(rng, x, y, FURNITURE, (WOOD, PAINT))
    draft.box((-x, x), (-y, y), (0, 2 * z))
    height = 2 * z
    for _ in range(int(rng.integers(1, 3))):
        a, b, c = rng.uniform(0.5, 0.85, 3)
        draft.box((-x * a, x * a), (-y * b, y * b), (height, height + 2 * z * c), rgb=other_colour(rng))
        height += 2 * z * c
    return draft


def carton(rng: np.random.Generator) -> Draft:
    x, y, z = rng.uniform(0.1, 0.35, 3)
    draft = new_draft(rng, x, y, (*VIVID, "white", "black", "brown", "beige"), (PAINT, CLOTH))
    draft.box((-x, x), (-y, y), (0, 2 * z))
    if rng.random() < 0.4:  # a strip of tape
        draft.box(
            (-x - 0.001, x + 0.001), (-0.15 * y, 0.15 * y), (1.6 * z, 2 * z + 0.001), rgb=sample_rgb(rng, "beige")
        )
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


def rug(rng: np.random.Generator) -> Draft:
    x, y = rng.uniform(0.5, 1.1, 2)
    draft = new_draft(rng, x, y, FURNITURE, (CLOTH,))
    draft.box((-x, x), (-y, y), (0.002, 0.012))
    draft.box((-x * 0.85, x * 0.85), (-y * 0.85, y * 0.85), (0.012, 0.016), rgb=other_colour(rng))
    return draft


def cone(rng: np.random.Generator) -> Draft:
    radius, height = rng.uniform(0.12, 0.2), rng.uniform(0.35, 0.75)
    draft = new_draft(rng, radius * 1.3, radius * 1.3, ("orange", "orange", "red", "yellow", "green", "blue"), (PAINT,))
    side = radius * 1.3
    draft.box((-side, side), (-side, side), (0, 0.03))
    draft.cone(radius, 0.03, (0.03, height), 14)
    if rng.random() < 0.6:
        at = rng.uniform(0.4, 0.6)
        wide, narrow = (radius + (0.03 - radius) * share + 0.004 for share in (at, at + 0.18))
        draft.cone(wide, narrow, (at * height, (at + 0.18) * height), 4, rgb=(0.95, 0.95, 0.95))
    return draft


def bucket(rng: np.random.Generator) -> Draft:
    radius, height = rng.uniform(0.11, 0.18), rng.uniform(0.22, 0.38)
    draft = new_draft(rng, radius, radius, (*VIVID, "grey", "black", "white"), (PAINT,))
    draft.cone(radius * 0.72, radius, (0, height), 8)
    draft.add("cylinder", (radius * 0.88, 0.003, 0), (0, 0, height + 0.002), rgb=(0.06, 0.06, 0.06))
    steps = np.linspace(0, np.pi, 7)
    arc = [(0.0, radius * float(np.cos(a)), height + radius * float(np.sin(a))) for a in steps]
    for start, end in pairwise(arc):
        draft.rod(start, end, 0.008, rgb=(0.3, 0.3, 0.3))
    return draft


def vase(rng: np.random.Generator) -> Draft:
    radius, height = rng.uniform(0.09, 0.17), rng.uniform(0.25, 0.6)
    draft = new_draft(rng, radius, radius, (*VIVID, "white", "black", "beige"), (PAINT,))
    draft.add("ellipsoid", (radius, radius, height * 0.38), (0, 0, height * 0.38))
    draft.add("cylinder", (radius * 0.45, height * 0.2, 0), (0, 0, height * 0.75))
    draft.add("cylinder", (radius * 0.6, 0.012, 0), (0, 0, height * 0.95))
    return draft


def bottle(rng: np.random.Generator) -> Draft:
    radius, height = rng.uniform(0.05, 0.09), rng.uniform(0.28, 0.42)
    draft = new_draft(rng, radius, radius, (*VIVID, "brown", "white"), (PAINT,))
    draft.add("cylinder", (radius, height * 0.3, 0), (0, 0, height * 0.3))
    draft.add("ellipsoid", (radius, radius, height * 0.14), (0, 0, height * 0.6))
    draft.add("cylinder", (radius * 0.33, height * 0.17, 0), (0, 0, height * 0.83))
    if rng.random() < 0.5:
        draft.add("cylinder", (radius * 1.02, height * 0.1, 0), (0, 0, height * 0.3), rgb=(0.94, 0.93, 0.88))
    return draft


def mug(rng: np.random.Generator) -> Draft:
    radius, height = rng.uniform(0.05, 0.09), rng.uniform(0.1, 0.2)
    draft = new_draft(rng, radius, radius * 1.5, (*VIVID, "white", "black"), (PAINT,))
    draft.add("cylinder", (radius, height / 2, 0), (0, 0, height / 2))
    draft.add("cylinder", (radius * 0.85, 0.002, 0), (0, 0, height + 0.001), rgb=(0.16, 0.08, 0.04))
    handle = [(0.0, radius * y, height * z) for y, z in ((0.95, 0.8), (1.5, 0.75), (1.5, 0.3), (0.95, 0.22))]
    for start, end in pairwise(handle):
        draft.rod(start, end, radius * 0.14)
    return draft


def bag(rng: np.random.Generator) -> Draft:
    x, y, z = rng.uniform(0.1, 0.16), rng.uniform(0.15, 0.24), rng.uniform(0.16, 0.26)
    draft = new_draft(rng, x, y, (*VIVID, "black", "grey", "brown"), (CLOTH,))
    draft.add("ellipsoid", (x, y, z), (0, 0, z * 0.9))
    draft.box((-x * 0.85, x * 0.85), (-y * 0.85, y * 0.85), (0, z))
    draft.add("ellipsoid", (x * 0.4, y * 0.6, z * 0.45), (x * 0.8, 0, z * 0.6))
    for start, end in pairwise(
        [(0.0, -0.06, z * 1.8), (0.0, -0.04, z * 2.1), (0.0, 0.04, z * 2.1), (0.0, 0.06, z * 1.8)]
    ):
        draft.rod(start, end, 0.012, rgb=(0.1, 0.1, 0.1))
    return draft


def car(rng: np.random.Generator) -> Draft:
    """A toy car, its length along y."""
    length = rng.uniform(0.18, 0.45)
    x, y, wheel = 0.45 * length, length, 0.2 * length
    draft = new_draft(rng, x, y, (*VIVID, "white", "black"), (PAINT,))
    draft.box((-x, x), (-y, y), (wheel * 0.7, wheel * 2.1))
    draft.box((-x * 0.85, x * 0.85), (-y * 0.5, y * 0.6), (wheel * 2.1, wheel * 3.4))
    draft.box((-x * 0.87, x * 0.87), (-y * 0.42, y * 0.52), (wheel * 2.3, wheel * 3.1), rgb=(0.15, 0.2, 0.25))
    axle = (0.7071, 0.0, 0.7071, 0.0)
    for i in (-1, 1):
        for j in (-1, 1):
            at = (i * x, j * y * 0.62, wheel)
            draft.add("cylinder", (wheel, 0.05 * length, 0), at, rgb=(0.06, 0.06, 0.06), quaternion=axle)
            draft.add("cylinder", (wheel * 0.5, 0.055 * length, 0), at, rgb=(0.7, 0.7, 0.7), quaternion=axle)
    return draft


def ladder(rng: np.random.Generator) -> Draft:
    half, height = rng.uniform(0.18, 0.26), rng.uniform(0.9, 2.0)
    spread = 0.22 * height
    draft = new_draft(rng, spread, half, ("grey", "yellow", "orange", "red", "brown"), (PAINT, WOOD))
    for side in (-half, half):
        draft.rod((spread, side, 0.02), (0.0, side * 0.7, height), 0.022)
        draft.rod((-spread, side, 0.02), (0.0, side * 0.7, height), 0.018)
    for share in np.arange(0.25, height, 0.27) / height:
        reach = half * (1 - 0.3 * float(share))
        at, z = spread * (1 - float(share)), float(share) * height
        draft.box((at - 0.04, at + 0.04), (-reach, reach), (z - 0.012, z + 0.012))
    return draft
