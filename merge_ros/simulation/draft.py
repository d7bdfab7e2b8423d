"""Objects before they are placed: solids in a local frame, and the strokes that several objects share."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from merge_ros.simulation.palette import FURNITURE, sample_rgb
from merge_ros.simulation.scene import Vector

WOOD, CLOTH, PAINT, GLOW = "wood", "cloth", "paint", "glow"
PATTERNS = ("striped", "dotted", "checkered")  # materials that captions name
UP = (1.0, 0.0, 0.0, 0.0)


@dataclass
class Draft:
    """An object in its local frame: solids as (shape, size, position, quaternion, rgb, material), half footprint."""

    colour: str
    half_x: float
    half_y: float
    rgb: Vector
    material: str = PAINT
    solids: list[tuple[str, Vector, Vector, tuple[float, float, float, float], Vector, str]] = field(
        default_factory=list
    )

    def add(
        self,
        shape: str,
        size: Vector,
        position: Vector,
        *,
        rgb: Vector | None = None,
        material: str | None = None,
        quaternion: tuple[float, float, float, float] = UP,
    ) -> None:
        """Add a solid; without colour or material it takes the object's own."""
        self.solids.append((shape, size, position, quaternion, rgb or self.rgb, material or self.material))

    def rod(self, start: Vector, end: Vector, radius: float, **look: object) -> None:
        """Add a capsule between two points."""
        along = np.subtract(end, start)
        length = float(np.linalg.norm(along))
        centre = tuple(float(value) for value in np.add(start, end) / 2)
        self.add("capsule", (radius, length / 2, 0), centre, quaternion=from_upright(along / length), **look)  # type: ignore[arg-type]

    def cone(self, bottom: float, top: float, z: tuple[float, float], slices: int = 9, **look: object) -> None:
        """Add a cone, or a part of one, as a pile of discs: from one radius to another between two heights."""
        step = (z[1] - z[0]) / slices
        for index in range(slices):
            radius = bottom + (top - bottom) * (index + 0.5) / slices
            self.add("cylinder", (radius, step / 2, 0), (0, 0, z[0] + (index + 0.5) * step), **look)  # type: ignore[arg-type]

    def recolour(self, colour: str, rgb: Vector) -> None:
        """Paint the parts that have the object's own colour in another one."""
        self.solids = [
            (shape, size, position, quaternion, rgb if old == self.rgb else old, material)
            for shape, size, position, quaternion, old, material in self.solids
        ]
        self.colour, self.rgb = colour, rgb

    def change_material(self, material: str) -> None:
        """Give the parts of the object's own material another one."""
        self.solids = [(*solid[:5], material if solid[5] == self.material else solid[5]) for solid in self.solids]
        self.material = material

    @property
    def top(self) -> float:
        """Height of the highest point over the floor in metres, taking each solid as upright."""
        return max(
            position[2] + {"box": size[2], "ellipsoid": size[2], "sphere": size[0]}.get(shape, size[1])
            for shape, size, position, *_ in self.solids
        )

    def box(self, x: tuple[float, float], y: tuple[float, float], z: tuple[float, float], **look: object) -> None:
        """Add a box between the given limits."""
        size = ((x[1] - x[0]) / 2, (y[1] - y[0]) / 2, (z[1] - z[0]) / 2)
        self.add("box", size, (sum(x) / 2, sum(y) / 2, sum(z) / 2), **look)  # type: ignore[arg-type]


def from_upright(direction: Vector) -> tuple[float, float, float, float]:
    """The quaternion (w, x, y, z) that turns +z into a unit direction."""
    x, y, z = (float(value) for value in direction)
    if z < -0.999999:
        return (0.0, 1.0, 0.0, 0.0)
    w = math.sqrt((1 + z) / 2)
    return (w, -y / (2 * w), x / (2 * w), 0.0)


def new_draft(
    rng: np.random.Generator, half_x: float, half_y: float, colours: tuple[str, ...], materials: tuple[str, ...]
) -> Draft:
    """An empty draft in one of some colours and materials."""
    colour = str(rng.choice(colours))
    return Draft(colour, half_x, half_y, sample_rgb(rng, colour), str(rng.choice(materials)))


def other_colour(rng: np.random.Generator) -> Vector:
    """A colour for a part that captions do not name."""
    return sample_rgb(rng, str(rng.choice(FURNITURE)))


def add_legs(draft: Draft, half_x: float, half_y: float, top: float, radius: float, rgb: Vector | None = None) -> None:
    """Four square legs at the corners of a rectangle, from the floor up to `top`."""
    for x in (-half_x, half_x):
        for y in (-half_y, half_y):
            draft.box((x - radius, x + radius), (y - radius, y + radius), (0, top), rgb=rgb)


def add_small_item(rng: np.random.Generator, draft: Draft, x: float, y: float, z: float) -> None:
    """A book, bottle, cup, ball or packet standing at a point."""
    kind, rgb = int(rng.integers(5)), sample_rgb(rng, str(rng.choice(FURNITURE)))
    if kind == 0:
        draft.box((x - 0.07, x + 0.07), (y - 0.02, y + 0.02), (z, z + rng.uniform(0.15, 0.28)), rgb=rgb)
    elif kind == 1:
        draft.add("cylinder", (0.035, 0.1, 0), (x, y, z + 0.1), rgb=rgb)
        draft.add("cylinder", (0.013, 0.04, 0), (x, y, z + 0.24), rgb=rgb)
    elif kind == 2:
        draft.add("cylinder", (0.045, 0.05, 0), (x, y, z + 0.05), rgb=rgb)
    elif kind == 3:
        radius = rng.uniform(0.05, 0.1)
        draft.add("sphere", (radius, 0, 0), (x, y, z + radius), rgb=rgb)
    else:
        a, b, c = rng.uniform(0.04, 0.12, 3)
        draft.box((x - a / 2, x + a / 2), (y - b, y + b), (z, z + 2 * c), rgb=rgb)
