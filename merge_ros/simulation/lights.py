"""Lamps under the ceiling, light through windows and from side rooms, and how bright it is at all."""

from __future__ import annotations

import math

import numpy as np

from merge_ros.simulation.draft import GLOW
from merge_ros.simulation.fittings import Place
from merge_ros.simulation.scene import Light, Part, Vector
from merge_ros.simulation.walls import SideRoom

MAX_LIGHTS = 7  # OpenGL's fixed pipeline has eight, one of which MuJoCo fixes to the camera


def light_room(
    rng: np.random.Generator, size: Vector, windows: list[Place], side_rooms: list[SideRoom], parts: list[Part]
) -> tuple[list[Light], float]:
    """The lights of a room, and its ambient light in [0, 1]."""
    level = rng.uniform(0.4, 1.0)
    lights = _ceiling_lamps(rng, size, level, parts)
    if windows and rng.random() < 0.8:
        wall, along, z = windows[int(rng.integers(len(windows)))]
        position = wall.point(along, 0.1, z)
        towards = wall.point(along + rng.normal(0, 0.6), 1.5, z - 0.7 * 1.5)
        rgb = _scaled((0.95, 0.97, 1.0), rng.uniform(0.15, 0.6))
        lights.append(Light(position, tuple(np.subtract(towards, position)), rgb, 70.0, False))
    for room in side_rooms:
        x, y = (room.rectangle[0] + room.rectangle[2]) / 2, (room.rectangle[1] + room.rectangle[3]) / 2
        if rng.random() < 0.75:
            rgb = _scaled(_tint(rng), rng.uniform(0.2, 0.9))
            lights.append(Light((x, y, room.height - 0.1), (0.0, 0.0, -1.0), rgb, 85.0, False))
    return lights[:MAX_LIGHTS], rng.uniform(0.2, 0.5)


def _ceiling_lamps(rng: np.random.Generator, size: Vector, level: float, parts: list[Part]) -> list[Light]:
    length, width, height = size
    count = int(rng.integers(1, 4)) + (1 if length * width > 60 else 0)
    shadows = rng.random() < 0.7
    look = int(rng.integers(4))  # panels, bulbs, tubes or none to be seen
    lights = []
    for index in range(count):
        x, y = rng.uniform(0.15, 0.85) * length, rng.uniform(0.15, 0.85) * width
        rgb = _scaled(_tint(rng), level * rng.uniform(0.6, 1.0) / math.sqrt(count))
        direction = (rng.normal(0, 0.25), rng.normal(0, 0.25), -1.0)
        # Shadow passes cost as much as the picture: one caster is enough to see where things stand.
        lights.append(Light((x, y, height - 0.12), direction, rgb, 88.0, shadows and index == 0))
        if look == 1:
            parts.append(Part("sphere", (rng.uniform(0.06, 0.16), 0, 0), (x, y, height - 0.08), material=GLOW))
        elif look == 2:
            parts.append(Part("box", (rng.uniform(0.4, 0.8), 0.06, 0.04), (x, y, height), material=GLOW))
    if look == 0:
        half, step = rng.uniform(0.15, 0.45), rng.uniform(1.2, 2.4)
        for x in np.arange(step / 2, length, step):
            for y in np.arange(step / 2, width, step):
                parts.append(Part("box", (half, half, 0.01), (float(x), float(y), height), material=GLOW))
    return lights


def _tint(rng: np.random.Generator) -> Vector:
    if rng.random() < 0.06:  # coloured light
        return tuple(rng.uniform(0.5, 1.0, 3))
    return (1.0, rng.uniform(0.82, 1.0), rng.uniform(0.65, 1.0))


def _scaled(rgb: Vector, factor: float) -> Vector:
    return rgb[0] * factor, rgb[1] * factor, rgb[2] * factor
