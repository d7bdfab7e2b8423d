"""What hangs on walls and ceilings: doors, windows, pictures, radiators, boards, pipes, beams, skirting."""

from __future__ import annotations

import numpy as np

from merge_ros.simulation.draft import CLOTH, GLOW
from merge_ros.simulation.palette import FURNITURE, sample_rgb
from merge_ros.simulation.scene import Part, Vector
from merge_ros.simulation.walls import DOOR_HEIGHT, Wall

Place = tuple[Wall, float, float]  # a wall, metres along it, height


def hang_fittings(rng: np.random.Generator, walls: list[Wall], height: float, parts: list[Part]) -> list[Place]:
    """Fill the walls where they have no openings; returns the windows' centres."""
    windows: list[Place] = []
    density = rng.uniform(0.2, 1.0)
    for wall in walls:
        along = 0.0
        while along < wall.span - 1.2:
            centre = along + rng.uniform(0.6, 0.9)
            if wall.is_closed(centre - 0.6, centre + 0.6) and rng.random() < density:
                choice = rng.random()
                if choice < 0.25:
                    _door(rng, wall, centre, height, parts)
                elif choice < 0.5:
                    windows.append(_window(rng, wall, centre, height, parts))
                elif choice < 0.72:
                    _picture(rng, wall, centre, height, parts)
                elif choice < 0.84:
                    _radiator(rng, wall, centre, parts)
                elif choice < 0.93:
                    _wall_shelf(rng, wall, centre, height, parts)
                else:
                    _board(rng, wall, centre, height, parts)
            along = centre + rng.uniform(0.6, 1.6)
    return windows


def _any_colour(rng: np.random.Generator) -> Vector:
    return sample_rgb(rng, str(rng.choice(FURNITURE)))


def _door(rng: np.random.Generator, wall: Wall, centre: float, height: float, parts: list[Part]) -> None:
    frame, door = sample_rgb(rng, str(rng.choice(["white", "brown", "grey"]))), _any_colour(rng)
    top = min(DOOR_HEIGHT, height - 0.1)
    parts.append(wall.box(centre, 0, top / 2, (0.5, 0.02, top / 2), frame))
    parts.append(wall.box(centre, 0, top / 2 - 0.03, (0.43, 0.03, top / 2 - 0.03), door))
    parts.append(wall.box(centre + 0.35, 0, 1.0, (0.05, 0.07, 0.015), (0.7, 0.7, 0.72)))


def _window(rng: np.random.Generator, wall: Wall, centre: float, height: float, parts: list[Part]) -> Place:
    half, half_z = rng.uniform(0.35, 0.55), rng.uniform(0.35, 0.6)
    z = min(1.5, height - half_z - 0.15)
    white = sample_rgb(rng, "white")
    parts.append(wall.box(centre, 0, z, (half + 0.05, 0.03, half_z + 0.05), white))
    bright = rng.uniform(0.15, 1.0)
    sky = ((0.75, 0.87, 1.0), (1.0, 1.0, 0.95), (1.0, 0.75, 0.5))[int(rng.integers(3))]
    parts.append(wall.box(centre, 0, z, (half, 0.035, half_z), _scaled(sky, bright), GLOW))
    if rng.random() < 0.4:  # what grows or stands outside
        below = half_z * rng.uniform(0.2, 0.6)
        outside = sample_rgb(rng, str(rng.choice(["green", "grey", "brown"])))
        parts.append(wall.box(centre, 0, z - half_z + below, (half, 0.0355, below), _scaled(outside, bright), GLOW))
    parts.append(wall.box(centre, 0, z, (0.02, 0.04, half_z), white))
    if rng.random() < 0.3:
        parts.append(wall.box(centre, 0, z, (half, 0.04, 0.02), white))
    if rng.random() < 0.35:  # curtains
        rgb = _any_colour(rng)
        reach = rng.uniform(half_z + 0.1, z)
        for side in (-1, 1):
            parts.append(wall.box(centre + side * (half + 0.02), 0.04, z, (0.14, 0.03, reach), rgb, CLOTH))
    return wall, centre, z


def _picture(rng: np.random.Generator, wall: Wall, centre: float, height: float, parts: list[Part]) -> None:
    half, half_z = rng.uniform(0.15, 0.45), rng.uniform(0.15, 0.4)
    z = min(rng.uniform(1.2, 1.7), height - half_z - 0.15)
    parts.append(wall.box(centre, 0, z, (half + 0.03, 0.015, half_z + 0.03), _any_colour(rng)))
    parts.append(wall.box(centre, 0, z, (half, 0.02, half_z), _any_colour(rng), CLOTH))
    for _ in range(int(rng.integers(0, 4))):
        a, b = rng.uniform(0.1, 0.5) * half, rng.uniform(0.1, 0.5) * half_z
        at = (centre + rng.uniform(-1, 1) * (half - a), z + rng.uniform(-1, 1) * (half_z - b))
        parts.append(wall.box(at[0], 0, at[1], (a, rng.uniform(0.0205, 0.022), b), _any_colour(rng)))


def _radiator(rng: np.random.Generator, wall: Wall, centre: float, parts: list[Part]) -> None:
    half, top = rng.uniform(0.3, 0.55), rng.uniform(0.5, 0.8)
    rgb = sample_rgb(rng, "white")
    parts.append(wall.box(centre, 0.05, (top + 0.12) / 2, (half, 0.03, (top - 0.12) / 2), _scaled(rgb, 0.8)))
    for at in np.arange(centre - half + 0.03, centre + half, 0.08):
        parts.append(wall.box(float(at), 0.07, (top + 0.12) / 2, (0.028, 0.03, (top - 0.12) / 2), rgb))


def _wall_shelf(rng: np.random.Generator, wall: Wall, centre: float, height: float, parts: list[Part]) -> None:
    half, z = rng.uniform(0.25, 0.55), min(rng.uniform(1.1, 1.7), height - 0.5)
    parts.append(wall.box(centre, 0.08, z, (half, 0.08, 0.015), _any_colour(rng), "wood"))
    for at in np.arange(centre - half + 0.05, centre + half - 0.05, rng.uniform(0.06, 0.2)):
        if rng.random() < 0.7:
            top = rng.uniform(0.04, 0.15)
            parts.append(wall.box(float(at), 0.08, z + 0.015 + top, (0.025, 0.06, top), _any_colour(rng)))


def _board(rng: np.random.Generator, wall: Wall, centre: float, height: float, parts: list[Part]) -> None:
    half, half_z = rng.uniform(0.4, 0.6), rng.uniform(0.25, 0.45)
    z = min(1.4, height - half_z - 0.15)
    dark = rng.random() < 0.6  # a television, or a white board
    parts.append(wall.box(centre, 0, z, (half, 0.04, half_z), (0.06, 0.06, 0.07) if dark else (0.6, 0.6, 0.62)))
    face = (0.12, 0.13, 0.15) if dark else (0.96, 0.96, 0.97)
    parts.append(wall.box(centre, 0, z, (half - 0.02, 0.041, half_z - 0.02), face))


def skirt(rng: np.random.Generator, walls: list[Wall], parts: list[Part]) -> None:
    """Skirting boards, and at times a lower half of the walls in another colour."""
    if rng.random() < 0.6:
        rgb, half = sample_rgb(rng, str(rng.choice(["white", "brown", "grey", "black"]))), rng.uniform(0.025, 0.075)
        _band(walls, half, half, 0.012, rgb, parts)
    if rng.random() < 0.12:
        top = rng.uniform(0.8, 1.3)
        _band(walls, top / 2, top / 2, 0.006, _any_colour(rng), parts)


def _band(walls: list[Wall], z: float, half_z: float, out: float, rgb: Vector, parts: list[Part]) -> None:
    for wall in walls:
        start = 0.0
        for hole in [*sorted(wall.openings, key=lambda hole: hole.along), None]:
            end = hole.along - hole.half if hole else wall.span
            if end - start > 0.02:
                parts.append(wall.box((start + end) / 2, 0, z, ((end - start) / 2, out, half_z), rgb))
            start = hole.along + hole.half if hole else end


def hang_ceiling(rng: np.random.Generator, size: Vector, parts: list[Part]) -> None:
    """Beams or pipes under the ceiling; in most rooms neither. All stay above 2 m."""
    length, width, height = size
    choice = rng.random()
    if choice < 0.12 and height > 2.3:
        rgb = sample_rgb(rng, str(rng.choice(["brown", "brown", "white", "black", "grey"])))
        half = rng.uniform(0.05, min(0.12, (height - 2.05) / 2))
        for x in np.arange(rng.uniform(0.3, 1.0), length, rng.uniform(0.8, 2.0)):
            at = (float(x), width / 2, height - half)
            parts.append(Part("box", (0.08, width / 2, half), at, rgb=rgb, material="wood"))
    elif choice < 0.24 and height > 2.4:
        for _ in range(int(rng.integers(1, 4))):
            radius, y = rng.uniform(0.03, 0.12), rng.uniform(0.1, 0.9) * width
            rgb = sample_rgb(rng, str(rng.choice(["grey", "white", "red", "yellow", "black"])))
            along_x = (0.7071, 0.0, 0.7071, 0.0)
            at = (length / 2, y, height - radius - 0.05)
            parts.append(Part("cylinder", (radius, length / 2, 0), at, along_x, rgb))


def _scaled(rgb: Vector, factor: float) -> Vector:
    return rgb[0] * factor, rgb[1] * factor, rgb[2] * factor
