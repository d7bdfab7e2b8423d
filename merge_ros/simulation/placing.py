"""Putting drafts onto a floor: where they fit, and the solids they become there."""

from __future__ import annotations

import math

import numpy as np

from merge_ros.simulation.catalogue import KINDS
from merge_ros.simulation.draft import Draft
from merge_ros.simulation.scene import Part, Thing

Rectangle = tuple[float, float, float, float]  # lowest x, lowest y, highest x, highest y
KeepOut = tuple[float, float, float]  # x, y, radius
WALL_GAP = 0.03


def furnish(
    rng: np.random.Generator,
    rectangle: Rectangle,
    ceiling: float,
    count: int,
    things: list[Thing],
    parts: list[Part],
    keep_out: list[KeepOut] | None = None,
) -> None:
    """Place up to `count` random things in a rectangle, clear of each other, of walls and of the circles to keep."""
    names = list(KINDS)
    weights = np.array([KINDS[name].weight for name in names])
    for name in rng.choice(names, count, p=weights / weights.sum()):
        kind = KINDS[str(name)]
        draft = kind.build(rng)
        for _attempt in range(8):
            x, y, yaw = _somewhere(rng, rectangle, draft, kind.at_wall)
            if _is_free(x, y, draft, yaw, rectangle, things, kind.solid, keep_out or []):
                place(draft, str(name), x, y, yaw, ceiling, things, parts, solid=kind.solid)
                break


def place(
    draft: Draft,
    name: str,
    x: float,
    y: float,
    yaw: float,
    ceiling: float,
    things: list[Thing],
    parts: list[Part],
    *,
    solid: bool = True,
) -> None:
    """Put a draft onto the floor; what would begin above the ceiling is left out."""
    turn = (math.cos(yaw / 2), 0.0, 0.0, math.sin(yaw / 2))
    cos, sin = math.cos(yaw), math.sin(yaw)
    things.append(Thing(name, draft.colour, x, y, math.hypot(draft.half_x, draft.half_y), solid))
    for shape, size, (px, py, pz), quaternion, rgb, material in draft.solids:
        if pz - size[2] <= ceiling:
            position = (x + cos * px - sin * py, y + sin * px + cos * py, pz)
            parts.append(Part(shape, size, position, _multiply(turn, quaternion), rgb, material, len(things) - 1))


def _somewhere(
    rng: np.random.Generator, rectangle: Rectangle, draft: Draft, at_wall: bool
) -> tuple[float, float, float]:
    left, low, right, high = rectangle
    x, y = rng.uniform(left, right), rng.uniform(low, high)
    if not at_wall:
        return x, y, rng.uniform(-math.pi, math.pi)
    gap = draft.half_x + WALL_GAP + (0.05 if draft.half_x > 0.9 else 0.0)  # beds have a headboard behind them
    places = (
        (left + gap, y, 0.0),
        (right - gap, y, math.pi),
        (x, low + gap, math.pi / 2),
        (x, high - gap, -math.pi / 2),
    )
    return places[int(rng.integers(4))]


def _is_free(
    x: float,
    y: float,
    draft: Draft,
    yaw: float,
    rectangle: Rectangle,
    things: list[Thing],
    solid: bool,
    keep_out: list[KeepOut],
) -> bool:
    left, low, right, high = rectangle
    cos, sin = abs(math.cos(yaw)), abs(math.sin(yaw))
    reach_x = cos * draft.half_x + sin * draft.half_y + 0.01
    reach_y = sin * draft.half_x + cos * draft.half_y + 0.01
    if not (left + reach_x <= x <= right - reach_x and low + reach_y <= y <= high - reach_y):
        return False
    if not solid:
        return True
    radius = math.hypot(draft.half_x, draft.half_y)
    if any(math.hypot(x - cx, y - cy) < radius + clear for cx, cy, clear in keep_out):
        return False
    return all(not t.solid or math.hypot(x - t.x, y - t.y) > 0.9 * (radius + t.radius) for t in things)


def _multiply(a: tuple[float, ...], b: tuple[float, ...]) -> tuple[float, float, float, float]:
    aw, ax, ay, az = a
    bw, bx, by, bz = b
    return (
        aw * bw - ax * bx - ay * by - az * bz,
        aw * bx + ax * bw + ay * bz - az * by,
        aw * by - ax * bz + ay * bw + az * bx,
        aw * bz + ax * by - ay * bx + az * bw,
    )
