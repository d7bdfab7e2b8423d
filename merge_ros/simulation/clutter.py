"""What lies about on floors: small and low, too unclear to be named in captions, but in a robot's way."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np

from merge_ros.simulation.draft import CLOTH, PAINT, Draft, add_small_item, new_draft, other_colour
from merge_ros.simulation.palette import FURNITURE, VIVID


def small_item(rng: np.random.Generator) -> Draft:
    draft = new_draft(rng, 0.12, 0.12, VIVID, (PAINT,))
    add_small_item(rng, draft, 0.0, 0.0, 0.0)
    return draft


def toys(rng: np.random.Generator) -> Draft:
    """Building blocks and balls on a heap."""
    draft = new_draft(rng, 0.3, 0.3, VIVID, (PAINT,))
    for _ in range(int(rng.integers(3, 9))):
        x, y, half = rng.uniform(-0.25, 0.25), rng.uniform(-0.25, 0.25), rng.uniform(0.02, 0.05)
        if rng.random() < 0.3:
            draft.add("sphere", (half, 0, 0), (x, y, half), rgb=other_colour(rng))
        else:
            turn = rng.uniform(0, math.pi)
            quaternion = (math.cos(turn / 2), 0.0, 0.0, math.sin(turn / 2))
            size = (half * rng.uniform(1, 2.5), half, half)
            draft.add("box", size, (x, y, half), rgb=other_colour(rng), quaternion=quaternion)
    return draft


def cable(rng: np.random.Generator) -> Draft:
    """A cable that wanders over the floor."""
    draft = new_draft(rng, 0.6, 0.6, ("black", "black", "white", "grey", "orange"), (PAINT,))
    radius = rng.uniform(0.004, 0.012)
    heading, at = rng.uniform(-math.pi, math.pi), np.array([rng.uniform(-0.3, 0.3), rng.uniform(-0.3, 0.3)])
    points = []
    for _ in range(int(rng.integers(6, 14))):
        points.append((float(at[0]), float(at[1]), radius))
        heading += rng.normal(0, 0.6)
        at = np.clip(at + 0.1 * np.array([math.cos(heading), math.sin(heading)]), -0.55, 0.55)
    for start, end in pairwise(points):
        if math.dist(start, end) > 1e-3:
            draft.rod(start, end, radius)
    return draft


def shoes(rng: np.random.Generator) -> Draft:
    draft = new_draft(rng, 0.16, 0.16, FURNITURE, (CLOTH,))
    for side in (-1, 1):
        x, y = rng.uniform(-0.03, 0.03), side * rng.uniform(0.06, 0.1)
        draft.add("ellipsoid", (0.14, 0.045, 0.04), (x, y, 0.035))
        draft.add("ellipsoid", (0.05, 0.04, 0.05), (x - 0.08, y, 0.06))
    return draft


def papers(rng: np.random.Generator) -> Draft:
    """Sheets and folders, nearly flat."""
    draft = new_draft(rng, 0.25, 0.25, FURNITURE, (PAINT,))
    for index in range(int(rng.integers(1, 5))):
        turn = rng.uniform(0, math.pi)
        quaternion = (math.cos(turn / 2), 0.0, 0.0, math.sin(turn / 2))
        rgb = (0.95, 0.95, 0.93) if rng.random() < 0.6 else other_colour(rng)
        at = (rng.uniform(-0.12, 0.12), rng.uniform(-0.12, 0.12), 0.004 + 0.004 * index)
        draft.add("box", (0.1, 0.07, 0.003), at, rgb=rgb, quaternion=quaternion)
    return draft


def heap(rng: np.random.Generator) -> Draft:
    """Clothes thrown on the floor: flat, round lumps."""
    draft = new_draft(rng, 0.3, 0.3, FURNITURE, (CLOTH,))
    for _ in range(int(rng.integers(2, 6))):
        size = (rng.uniform(0.08, 0.2), rng.uniform(0.08, 0.2), rng.uniform(0.03, 0.1))
        rgb = draft.rgb if rng.random() < 0.6 else other_colour(rng)
        draft.add("ellipsoid", size, (rng.uniform(-0.12, 0.12), rng.uniform(-0.12, 0.12), 0.02), rgb=rgb)
    return draft
