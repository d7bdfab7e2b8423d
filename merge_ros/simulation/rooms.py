"""Furnished rooms by seed: size, surfaces, openings into other rooms, things on the floor, windows and lights."""

from __future__ import annotations

import numpy as np

from merge_ros.simulation.captions import with_article
from merge_ros.simulation.fittings import hang_ceiling, hang_fittings, skirt
from merge_ros.simulation.lights import light_room
from merge_ros.simulation.placing import KeepOut, furnish
from merge_ros.simulation.scene import Part, Scene, Surface, Thing
from merge_ros.simulation.surroundings import (
    ceiling_surface,
    floor_surface,
    floor_words,
    object_surfaces,
    sample_style,
    wall_surface,
    wall_words,
)
from merge_ros.simulation.walls import Wall, build_shell, build_side_room, cut_openings

SIZES = {  # kind: probability, length, width, height in metres, things per square metre
    "room": (0.56, (3.0, 8.0), (2.6, 6.5), (2.3, 3.3), (0.15, 0.75)),
    "corridor": (0.16, (5.0, 18.0), (1.5, 2.8), (2.2, 3.2), (0.05, 0.4)),
    "hall": (0.18, (8.0, 25.0), (6.0, 16.0), (2.8, 7.0), (0.06, 0.35)),
    "closet": (0.10, (1.6, 3.0), (1.5, 2.4), (2.2, 2.8), (0.3, 1.0)),
}
MAX_THINGS = 32


def make_room(rng: np.random.Generator) -> Scene:
    """A random room.

    Args:
        rng: where all choices come from; the same state gives the same room.
    """
    kinds = list(SIZES)
    kind = str(rng.choice(kinds, p=[SIZES[name][0] for name in kinds]))
    _, lengths, widths, heights, densities = SIZES[kind]
    length, width, height = rng.uniform(*lengths), rng.uniform(*widths), rng.uniform(*heights)
    style = sample_style(rng)

    surfaces: dict[str, Surface] = object_surfaces(rng, style)
    surfaces["floor"], floor_colour, floor_texture = floor_surface(rng, style)
    surfaces["wall"], wall_colour, wall_texture = wall_surface(rng, style)
    surfaces["ceiling"] = ceiling_surface(rng, style)
    parts: list[Part] = []
    walls = [Wall(index, length, width) for index in range(4)]
    openings = cut_openings(rng, walls, height)
    build_shell(walls, height, parts)
    side_rooms = [
        build_side_room(rng, wall, hole, number, style, parts, surfaces) for number, (wall, hole) in enumerate(openings)
    ]
    skirt(rng, walls, parts)
    hang_ceiling(rng, (length, width, height), parts)

    things: list[Thing] = []
    doorways: list[KeepOut] = []
    for wall, hole in openings:
        x, y, _ = wall.point(hole.along, 0, 0)
        doorways.append((x, y, 0.7 * hole.half))
    count = int(min(MAX_THINGS, max(1, rng.uniform(*densities) * length * width)))
    furnish(rng, (0, 0, length, width), height, count, things, parts, doorways)
    for room in side_rooms:
        area = (room.rectangle[2] - room.rectangle[0]) * (room.rectangle[3] - room.rectangle[1])
        furnish(rng, room.rectangle, room.height, int(min(8, rng.uniform(0, 0.6) * area)), things, parts, doorways)
    windows = hang_fittings(rng, walls, height, parts)
    lights, ambient = light_room(rng, (length, width, height), windows, side_rooms, parts)
    floor = with_article(floor_words(floor_colour, floor_texture))
    background = f"a {kind} with {wall_words(wall_colour, wall_texture, 'walls')} and {floor}"
    return Scene(kind, length, width, height, tuple(parts), surfaces, tuple(lights), ambient, tuple(things), background)
