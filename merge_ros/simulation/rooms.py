"""Furnished rooms by seed: size, surfaces, things on the floor, windows and lights."""

from __future__ import annotations

import math

import numpy as np

from merge_ros.simulation.draft import CLOTH, PAINT, WOOD, Draft
from merge_ros.simulation.furniture import KINDS
from merge_ros.simulation.palette import FLOOR, FURNITURE, WALL, sample_rgb
from merge_ros.simulation.scene import Light, Part, Scene, Surface, Thing, Vector
from merge_ros.simulation.textures import make_texture

FLOOR_TEXTURES = (
    "plain",
    "wooden",
    "wooden",
    "wooden",
    "tiled",
    "tiled",
    "tiled",
    "checkered",
    "carpet",
    "carpet",
    "plaster",
)
WALL_TEXTURES = ("plain", "plain", "plaster", "plaster", "brick", "striped", "wooden", "tiled", "dotted")
SIZES = {  # kind: probability, length, width, height in metres, things per square metre
    "room": (0.7, (3.5, 8.0), (3.0, 6.5), (2.3, 3.2), (0.25, 0.65)),
    "corridor": (0.15, (6.0, 13.0), (1.7, 2.7), (2.3, 3.0), (0.10, 0.4)),
    "hall": (0.15, (8.0, 13.0), (6.0, 10.0), (2.8, 4.5), (0.12, 0.35)),
}
WALL_GAP = 0.03


def make_room(rng: np.random.Generator) -> Scene:
    """A random room.

    Args:
        rng: where all choices come from; the same state gives the same room.
    """
    kinds = list(SIZES)
    kind = str(rng.choice(kinds, p=[SIZES[name][0] for name in kinds]))
    _, lengths, widths, heights, densities = SIZES[kind]
    length, width, height = rng.uniform(*lengths), rng.uniform(*widths), rng.uniform(*heights)

    surfaces: dict[str, Surface] = _object_surfaces(rng)
    parts: list[Part] = []
    caption_start = _shell(rng, kind, (length, width, height), parts, surfaces)
    things = _furnish(rng, (length, width, height), rng.uniform(*densities), parts)
    openings = _openings(rng, (length, width, height), parts)
    lights = _lights(rng, (length, width, height), openings, parts)
    return Scene(
        kind,
        length,
        width,
        height,
        tuple(parts),
        surfaces,
        tuple(lights),
        rng.uniform(0.25, 0.5),
        tuple(things),
        caption_start,
    )


def _object_surfaces(rng: np.random.Generator) -> dict[str, Surface]:
    # Greyscale detail around white: the part's own colour multiplies it, so captions can name the colour.
    white = (0.97, 0.97, 0.97)
    cloth = str(rng.choice(["carpet", "striped", "dotted", "plaster"]))
    return {
        WOOD: Surface(make_texture(rng, "wooden", white, white), specular=rng.uniform(0, 0.3)),
        CLOTH: Surface(make_texture(rng, cloth, white, (0.6, 0.6, 0.6)), specular=0.0),
        PAINT: Surface(
            make_texture(rng, "plain", white, white), specular=rng.uniform(0.05, 0.5), shininess=rng.uniform(0.1, 0.8)
        ),
        "glow": Surface(None, emission=0.9),
    }


def _shell(rng: np.random.Generator, kind: str, size: Vector, parts: list[Part], surfaces: dict[str, Surface]) -> str:
    length, width, height = size
    floor_colour, floor_texture = str(rng.choice(FLOOR)), str(rng.choice(FLOOR_TEXTURES))
    wall_colour, wall_texture = str(rng.choice(WALL)), str(rng.choice(WALL_TEXTURES))
    tile = rng.uniform(0.5, 1.4)
    surfaces["floor"] = Surface(
        make_texture(
            rng,
            floor_texture,
            sample_rgb(rng, floor_colour),
            sample_rgb(rng, str(rng.choice(["white", "black", "beige", "grey"]))),
        ),
        (1 / tile, 1 / tile),
        on_plane=True,
        specular=rng.uniform(0, 0.3),
        reflectance=rng.uniform(0.05, 0.22) if rng.random() < 0.2 else 0.0,
    )
    tile = rng.uniform(0.6, 1.6)
    surfaces["wall"] = Surface(
        make_texture(rng, wall_texture, sample_rgb(rng, wall_colour), sample_rgb(rng, "white")),
        (1 / tile, 1 / tile),
        on_plane=True,
        specular=0.0,
    )
    ceiling = str(rng.choice(["white", "white", "white", "beige", "grey"]))
    surfaces["ceiling"] = Surface(
        make_texture(
            rng, str(rng.choice(["plain", "plain", "tiled", "plaster", "wooden"])), sample_rgb(rng, ceiling), (1, 1, 1)
        ),
        (0.9, 0.9),
        on_plane=True,
        specular=0.0,
    )
    half_x, half_y, half_z = length / 2, width / 2, height / 2
    q = math.sqrt(0.5)
    parts.append(Part("plane", (half_x, half_y, 0), (half_x, half_y, 0), material="floor"))
    parts.append(Part("plane", (half_x, half_y, 0), (half_x, half_y, height), (0, 1, 0, 0), material="ceiling"))
    # Quaternions that turn a plane's normal (+z) into the room, its texture's y axis staying upright.
    parts.append(Part("plane", (half_x, half_z, 0), (half_x, 0, half_z), (0, 0, q, q), material="wall"))
    parts.append(Part("plane", (half_x, half_z, 0), (half_x, width, half_z), (q, q, 0, 0), material="wall"))
    parts.append(Part("plane", (half_y, half_z, 0), (0, half_y, half_z), (0.5, 0.5, 0.5, 0.5), material="wall"))
    parts.append(Part("plane", (half_y, half_z, 0), (length, half_y, half_z), (0.5, 0.5, -0.5, -0.5), material="wall"))
    if rng.random() < 0.6:
        _skirting(
            sample_rgb(rng, str(rng.choice(["white", "brown", "grey", "black"]))), size, rng.uniform(0.05, 0.15), parts
        )
    floor = (
        "floor" if floor_texture == "plain" else f"{'concrete' if floor_texture == 'plaster' else floor_texture} floor"
    )
    wall = "walls" if wall_texture in ("plain", "plaster") else f"{wall_texture} walls"
    return f"a {kind} with {wall_colour} {wall} and a {floor_colour} {floor}"


def _skirting(rgb: Vector, size: Vector, height: float, parts: list[Part]) -> None:
    length, width, _ = size
    for y in (0.0, width):
        parts.append(Part("box", (length / 2, 0.012, height / 2), (length / 2, y, height / 2), rgb=rgb))
    for x in (0.0, length):
        parts.append(Part("box", (0.012, width / 2, height / 2), (x, width / 2, height / 2), rgb=rgb))


def _furnish(rng: np.random.Generator, size: Vector, density: float, parts: list[Part]) -> list[Thing]:
    length, width, height = size
    names = list(KINDS)
    weights = np.array([KINDS[name].weight for name in names])
    things: list[Thing] = []
    for _ in range(int(min(26, max(2, density * length * width)))):
        name = str(rng.choice(names, p=weights / weights.sum()))
        kind = KINDS[name]
        draft = kind.build(rng)
        for _attempt in range(8):
            x, y, yaw = _placement(rng, size, draft, kind.at_wall)
            radius = math.hypot(draft.half_x, draft.half_y)
            if _is_free(x, y, draft, yaw, size, things, kind.solid):
                things.append(Thing(name, draft.colour, x, y, radius, kind.solid))
                parts.extend(_placed(draft, x, y, yaw, len(things) - 1, height))
                break
    return things


def _placement(rng: np.random.Generator, size: Vector, draft: Draft, at_wall: bool) -> tuple[float, float, float]:
    length, width, _ = size
    if not at_wall:
        return rng.uniform(0, length), rng.uniform(0, width), rng.uniform(-math.pi, math.pi)
    gap = draft.half_x + WALL_GAP + (0.05 if draft.half_x > 0.9 else 0.0)  # beds have a headboard behind them
    wall = int(rng.integers(4))
    x, y = rng.uniform(0, length), rng.uniform(0, width)
    places = ((gap, y, 0.0), (length - gap, y, math.pi), (x, gap, math.pi / 2), (x, width - gap, -math.pi / 2))
    return places[wall]


def _is_free(x: float, y: float, draft: Draft, yaw: float, size: Vector, things: list[Thing], solid: bool) -> bool:
    cos, sin = abs(math.cos(yaw)), abs(math.sin(yaw))
    reach_x = cos * draft.half_x + sin * draft.half_y + 0.01
    reach_y = sin * draft.half_x + cos * draft.half_y + 0.01
    if not (reach_x <= x <= size[0] - reach_x and reach_y <= y <= size[1] - reach_y):
        return False
    if not solid:
        return True
    radius = math.hypot(draft.half_x, draft.half_y)
    return all(not t.solid or math.hypot(x - t.x, y - t.y) > 0.9 * (radius + t.radius) for t in things)


def _placed(draft: Draft, x: float, y: float, yaw: float, thing: int, ceiling: float) -> list[Part]:
    half = yaw / 2
    turn = (math.cos(half), 0.0, 0.0, math.sin(half))
    cos, sin = math.cos(yaw), math.sin(yaw)
    parts = []
    for shape, size, (px, py, pz), quaternion, rgb, material in draft.solids:
        if pz - size[2] > ceiling:
            continue
        position = (x + cos * px - sin * py, y + sin * px + cos * py, pz)
        parts.append(Part(shape, size, position, _multiply(turn, quaternion), rgb, material, thing))
    return parts


def _multiply(a: tuple[float, ...], b: tuple[float, ...]) -> tuple[float, float, float, float]:
    aw, ax, ay, az = a
    bw, bx, by, bz = b
    return (
        aw * bw - ax * bx - ay * by - az * bz,
        aw * bx + ax * bw + ay * bz - az * by,
        aw * by - ax * bz + ay * bw + az * bx,
        aw * bz + ax * by - ay * bx + az * bw,
    )


def _scaled(rgb: Vector, factor: float) -> Vector:
    return rgb[0] * factor, rgb[1] * factor, rgb[2] * factor


def _on_wall(
    size: Vector,
    wall: int,
    along: float,
    z: float,
    half_along: float,
    half_z: float,
    thickness: float,
    rgb: Vector,
    material: str = "",
) -> Part:
    length, width, _ = size
    if wall < 2:
        return Part(
            "box", (half_along, thickness, half_z), (along, 0.0 if wall == 0 else width, z), rgb=rgb, material=material
        )
    return Part(
        "box", (thickness, half_along, half_z), (0.0 if wall == 2 else length, along, z), rgb=rgb, material=material
    )


def _openings(rng: np.random.Generator, size: Vector, parts: list[Part]) -> list[Vector]:
    """Doors, windows and pictures on the walls; returns the windows' centres."""
    length, width, height = size
    windows: list[Vector] = []
    for wall in range(4):
        span = length if wall < 2 else width
        along = 0.0
        while along < span - 1.2:
            choice = rng.random()
            centre = along + rng.uniform(0.6, 0.9)
            if choice < 0.18:
                frame, door = (
                    sample_rgb(rng, str(rng.choice(["white", "brown", "grey"]))),
                    sample_rgb(rng, str(rng.choice(FURNITURE))),
                )
                top = min(2.05, height - 0.1)
                parts.append(_on_wall(size, wall, centre, top / 2, 0.5, top / 2, 0.02, frame))
                parts.append(_on_wall(size, wall, centre, top / 2 - 0.03, 0.43, top / 2 - 0.03, 0.03, door))
                parts.append(_on_wall(size, wall, centre + 0.35, 1.0, 0.05, 0.015, 0.07, (0.7, 0.7, 0.72)))
            elif choice < 0.38:
                half, half_z = rng.uniform(0.35, 0.55), rng.uniform(0.35, 0.6)
                z = min(1.5, height - half_z - 0.15)
                parts.append(
                    _on_wall(size, wall, centre, z, half + 0.05, half_z + 0.05, 0.03, sample_rgb(rng, "white"))
                )
                sky = _scaled((0.75, 0.87, 1.0), rng.uniform(0.75, 1.0))
                parts.append(_on_wall(size, wall, centre, z, half, half_z, 0.035, sky, "glow"))
                parts.append(_on_wall(size, wall, centre, z, 0.02, half_z, 0.04, sample_rgb(rng, "white")))
                windows.append((centre, z, float(wall)))
            elif choice < 0.5:
                half, half_z = rng.uniform(0.15, 0.45), rng.uniform(0.15, 0.4)
                z = min(1.5, height - half_z - 0.15)
                parts.append(_on_wall(size, wall, centre, z, half + 0.03, half_z + 0.03, 0.015, (0.1, 0.1, 0.1)))
                parts.append(
                    _on_wall(
                        size, wall, centre, z, half, half_z, 0.02, sample_rgb(rng, str(rng.choice(FURNITURE))), CLOTH
                    )
                )
            along = centre + rng.uniform(0.6, 1.6)
    return windows


def _lights(rng: np.random.Generator, size: Vector, windows: list[Vector], parts: list[Part]) -> list[Light]:
    length, width, height = size
    count = int(rng.integers(1, 4))
    shadows = rng.random() < 0.75
    lights = []
    for index in range(count):
        x, y = rng.uniform(0.2, 0.8) * length, rng.uniform(0.2, 0.8) * width
        tint = (1.0, rng.uniform(0.85, 1.0), rng.uniform(0.7, 1.0))
        rgb = _scaled(tint, rng.uniform(0.6, 1.0) / math.sqrt(count))
        direction = (rng.normal(0, 0.25), rng.normal(0, 0.25), -1.0)
        # Shadow passes cost as much as the picture: one caster is enough to see where things stand.
        lights.append(Light((x, y, height - 0.12), direction, rgb, 88.0, shadows and index == 0))
        if rng.random() < 0.8:
            parts.append(
                Part("box", (rng.uniform(0.1, 0.5), 0.12, 0.03), (x, y, height), rgb=(1, 1, 1), material="glow")
            )
    if windows:
        along, z, wall = windows[int(rng.integers(len(windows)))]
        places = (
            ((along, 0.1, z), (rng.normal(0, 0.4), 1.0, -0.7)),
            ((along, width - 0.1, z), (rng.normal(0, 0.4), -1.0, -0.7)),
            ((0.1, along, z), (1.0, rng.normal(0, 0.4), -0.7)),
            ((length - 0.1, along, z), (-1.0, rng.normal(0, 0.4), -0.7)),
        )
        position, direction = places[int(wall)]
        rgb = _scaled((0.95, 0.97, 1.0), rng.uniform(0.2, 0.6))
        lights.append(Light(position, direction, rgb, 70.0, False))
    return lights
