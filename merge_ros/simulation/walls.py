"""The four walls of a room, in coordinates of their own, and the holes in them through which one sees on."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from merge_ros.simulation.palette import sample_rgb
from merge_ros.simulation.scene import Part, Surface, Vector
from merge_ros.simulation.surroundings import Style, ceiling_surface, floor_surface, wall_surface

_Q = math.sqrt(0.5)
# Turn a plane's normal (+z) into the room, its texture's y axis staying upright; in the order of `Wall.index`.
_INWARD = ((0.0, 0.0, _Q, _Q), (_Q, _Q, 0.0, 0.0), (0.5, 0.5, 0.5, 0.5), (0.5, 0.5, -0.5, -0.5))
_DOWN = (0.0, 1.0, 0.0, 0.0)
DOOR_HEIGHT = 2.05
# Metres by which surfaces reach past their edges: rasterised edges that only meet let single pixels through.
LAP, SMALL_LAP = 0.02, 0.003


@dataclass(frozen=True)
class Opening:
    """A hole in a wall from the floor up to `top`, `half` metres to either side of `along`."""

    along: float
    half: float
    top: float


@dataclass
class Wall:
    """A wall of a room that spans x in [0, length], y in [0, width].

    Its coordinates: `along` metres from the corner with the smaller x or y, `out` metres from the wall into the room
    (negative: behind the wall), z up.

    Args:
        index: 0 at y = 0, 1 at y = width, 2 at x = 0, 3 at x = length.
    """

    index: int
    length: float
    width: float
    openings: list[Opening] = field(default_factory=list)

    @property
    def span(self) -> float:
        return self.length if self.index < 2 else self.width

    def point(self, along: float, out: float, z: float) -> Vector:
        """Wall coordinates to the world's."""
        return (
            (along, out, z),
            (along, self.width - out, z),
            (out, along, z),
            (self.length - out, along, z),
        )[self.index]

    def box(
        self, along: float, out: float, z: float, half: Vector, rgb: Vector, material: str = "", thing: int = -1
    ) -> Part:
        """A box around a point; `half` sizes are along, out and up."""
        size = half if self.index < 2 else (half[1], half[0], half[2])
        return Part("box", size, self.point(along, out, z), rgb=rgb, material=material, thing=thing)

    def plane(self, along: tuple[float, float], z: tuple[float, float], material: str, out: float = 0.0) -> Part:
        """A piece of wall that faces the room."""
        at = self.point(sum(along) / 2, out, sum(z) / 2)
        return Part(
            "plane", ((along[1] - along[0]) / 2, (z[1] - z[0]) / 2, 0), at, _INWARD[self.index], (1, 1, 1), material
        )

    def side(self, along: float, out: tuple[float, float], z: tuple[float, float], material: str, low: bool) -> Part:
        """A piece of wall at a right angle to this one; it faces towards growing `along` when `low`."""
        index = (2 if low else 3) if self.index < 2 else (0 if low else 1)
        at = self.point(along, sum(out) / 2, sum(z) / 2)
        size = (abs(out[1] - out[0]) / 2, (z[1] - z[0]) / 2, 0.0)
        return Part("plane", size, at, _INWARD[index], (1, 1, 1), material)

    def flat(self, along: tuple[float, float], out: tuple[float, float], z: float, material: str, up: bool) -> Part:
        """A piece of floor (`up`) or ceiling."""
        half = ((along[1] - along[0]) / 2, abs(out[1] - out[0]) / 2)
        size = (half[0], half[1], 0.0) if self.index < 2 else (half[1], half[0], 0.0)
        at = self.point(sum(along) / 2, sum(out) / 2, z)
        return Part("plane", size, at, (1.0, 0.0, 0.0, 0.0) if up else _DOWN, (1, 1, 1), material)

    def is_closed(self, low: float, high: float) -> bool:
        """No opening between two places along the wall."""
        return all(high < hole.along - hole.half - 0.1 or low > hole.along + hole.half + 0.1 for hole in self.openings)

    def rectangle(self, along: tuple[float, float], out: tuple[float, float]) -> tuple[float, float, float, float]:
        """The floor between places along and out, in the world: lowest x, lowest y, highest x, highest y."""
        a, b = self.point(along[0], out[0], 0), self.point(along[1], out[1], 0)
        return min(a[0], b[0]), min(a[1], b[1]), max(a[0], b[0]), max(a[1], b[1])


@dataclass(frozen=True)
class SideRoom:
    """A room behind an opening: its floor's rectangle (lowest x, lowest y, highest x, highest y) and height."""

    rectangle: tuple[float, float, float, float]
    height: float


def build_shell(walls: list[Wall], height: float, parts: list[Part]) -> None:
    """Floor, ceiling and walls of the room, with the openings left out."""
    half_x, half_y = walls[0].length / 2, walls[0].width / 2
    size = (half_x + LAP, half_y + LAP, 0.0)
    parts.append(Part("plane", size, (half_x, half_y, 0), material="floor"))
    parts.append(Part("plane", size, (half_x, half_y, height), _DOWN, material="ceiling"))
    for wall in walls:
        start = -LAP
        for hole in sorted(wall.openings, key=lambda hole: hole.along):
            low, high = hole.along - hole.half, hole.along + hole.half
            parts.append(wall.plane((start, low), (-LAP, height + LAP), "wall"))
            if hole.top < height - 0.01:
                above = (low - SMALL_LAP, high + SMALL_LAP)
                parts.append(wall.plane(above, (hole.top, height + LAP), "wall"))
            start = high
        parts.append(wall.plane((start, wall.span + LAP), (-LAP, height + LAP), "wall"))


def cut_openings(rng: np.random.Generator, walls: list[Wall], height: float) -> list[tuple[Wall, Opening]]:
    """Choose doorways and wide openings: in most rooms none or one, at times two."""
    cut = []
    for _ in range(int(rng.choice([0, 1, 2], p=[0.45, 0.4, 0.15]))):
        wall = walls[int(rng.integers(4))]
        doorway = rng.random() < 0.55
        half = rng.uniform(0.4, 0.55) if doorway else rng.uniform(0.5, max(0.5, min(2.2, wall.span / 2 - 0.3)))
        top = min(DOOR_HEIGHT, height - 0.1) if doorway else min(rng.uniform(1.9, 1.3 * height), height)
        if wall.openings or wall.span < 2 * half + 0.4:
            continue
        hole = Opening(rng.uniform(half + 0.15, wall.span - half - 0.15), half, top)
        wall.openings.append(hole)
        cut.append((wall, hole))
    return cut


def build_side_room(
    rng: np.random.Generator,
    wall: Wall,
    hole: Opening,
    number: int,
    style: Style,
    parts: list[Part],
    surfaces: dict[str, Surface],
) -> SideRoom:
    """What lies behind an opening: a niche, or another room, often in other colours."""
    thick = rng.uniform(0.08, 0.3)
    niche = rng.random() < 0.3
    low, high = hole.along - hole.half, hole.along + hole.half
    if niche:
        deep, height = rng.uniform(0.4, 1.6), hole.top
    else:
        low, high = low - rng.uniform(0.0, 2.5), high + rng.uniform(0.0, 2.5)
        deep, height = rng.uniform(1.2, 6.0), max(hole.top + 0.05, rng.uniform(2.2, 3.2))
    names = {"floor": "floor", "wall": "wall", "ceiling": "ceiling"}
    if not niche and rng.random() < 0.7:
        names = {name: f"{name} {number}" for name in names}
        surfaces[names["wall"]] = wall_surface(rng, style)[0]
        surfaces[names["ceiling"]] = ceiling_surface(rng, style)
        surfaces[names["floor"]] = floor_surface(rng, style)[0]
    near, far = -thick, -thick - deep
    along, back, upright = (low - LAP, high + LAP), (near, far - LAP), (-LAP, height + LAP)
    parts.append(wall.flat(along, back, 0.0, names["floor"], up=True))
    parts.append(wall.flat(along, back, height, names["ceiling"], up=False))
    parts.append(wall.plane(along, upright, names["wall"], out=far))
    parts.append(wall.side(low, back, upright, names["wall"], low=True))
    parts.append(wall.side(high, back, upright, names["wall"], low=False))
    _frame(rng, wall, hole, thick, parts)
    return SideRoom(wall.rectangle((low, high), (near, far)), height)


def _frame(rng: np.random.Generator, wall: Wall, hole: Opening, thick: float, parts: list[Part]) -> None:
    """The inner faces of the hole, its sill, perhaps a frame around it and a door that stands open."""
    rgb = sample_rgb(rng, str(rng.choice(["white", "white", "brown", "grey"])))
    # A few millimetres behind the wall, so that the two never fight for a pixel.
    middle, half_out = -thick / 2 - 0.002, thick / 2
    for side in (-1, 1):
        at = hole.along + side * (hole.half + 0.03)
        parts.append(wall.box(at, middle, hole.top / 2, (0.03, half_out, hole.top / 2), rgb))
    parts.append(wall.box(hole.along, middle, hole.top + 0.03, (hole.half + 0.06, half_out, 0.03), rgb))
    parts.append(wall.box(hole.along, middle, -0.02, (hole.half, half_out, 0.022), rgb))
    if rng.random() < 0.6:
        edge = rng.uniform(0.03, 0.06)
        for side in (-1, 1):
            at = hole.along + side * (hole.half + edge)
            parts.append(wall.box(at, 0.0, hole.top / 2, (edge, 0.015, hole.top / 2), rgb))
        parts.append(wall.box(hole.along, 0.0, hole.top + edge, (hole.half + 2 * edge, 0.015, edge), rgb))
    if hole.half < 0.6 and rng.random() < 0.6:
        _open_door(rng, wall, hole, thick, parts)


def _open_door(rng: np.random.Generator, wall: Wall, hole: Opening, thick: float, parts: list[Part]) -> None:
    side = 1 if rng.random() < 0.5 else -1
    angle = math.radians(rng.uniform(35, 100))  # 0: closed, 90: straight back into the room behind
    rgb = sample_rgb(rng, str(rng.choice(["white", "brown", "beige", "grey", "blue", "green", "red"])))
    half = hole.half - 0.02
    hinge = hole.along + side * hole.half
    along, out = hinge - side * half * math.cos(angle), -thick - half * math.sin(angle)
    a, b = wall.point(hinge, -thick, 0), wall.point(along, out, 0)
    yaw = math.atan2(b[1] - a[1], b[0] - a[0])
    turn = (math.cos(yaw / 2), 0.0, 0.0, math.sin(yaw / 2))
    position = (b[0], b[1], hole.top / 2)
    parts.append(Part("box", (half, 0.02, hole.top / 2 - 0.01), position, turn, rgb, "wood"))
