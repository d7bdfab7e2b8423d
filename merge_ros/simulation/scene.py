"""What a scene is made of, before any renderer sees it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Vector = tuple[float, float, float]


@dataclass(frozen=True)
class Part:
    """One solid in the world.

    Args:
        shape: "box", "cylinder", "sphere", "ellipsoid", "capsule" or "plane".
        size: metres, MuJoCo's half sizes: box (x, y, z), cylinder and capsule (radius, half length, 0), sphere
            (radius, 0, 0), ellipsoid radii, plane (half x, half y, 0).
        position: of the centre.
        quaternion: w, x, y, z.
        rgb: colour in [0, 1]; it multiplies the material's texture.
        material: name of a `Surface` of the scene, or "" for a plain colour.
        thing: index into the scene's things; -1 for the room itself.
    """

    shape: str
    size: Vector
    position: Vector
    quaternion: tuple[float, float, float, float] = (1.0, 0.0, 0.0, 0.0)
    rgb: Vector = (1.0, 1.0, 1.0)
    material: str = ""
    thing: int = -1


@dataclass(frozen=True)
class Surface:
    """A material.

    Args:
        texture: [side, side, 3] uint8, or None.
        repeat: how often the texture repeats per metre (planes) or per face (other shapes).
        on_plane: the texture is laid flat on planes; otherwise wrapped around solids.
        specular, shininess, reflectance, emission: in [0, 1].
    """

    texture: NDArray[np.uint8] | None = None
    repeat: tuple[float, float] = (1.0, 1.0)
    on_plane: bool = False
    specular: float = 0.1
    shininess: float = 0.2
    reflectance: float = 0.0
    emission: float = 0.0


@dataclass(frozen=True)
class Light:
    """A spot light: position and direction in the world, colour in [0, 1]; cutoff in degrees from the axis."""

    position: Vector
    direction: Vector
    rgb: Vector
    cutoff: float
    shadow: bool


@dataclass(frozen=True)
class Thing:
    """An object that stands in the room: its name and colour for captions, and its footprint as a circle."""

    name: str
    colour: str
    x: float
    y: float
    radius: float
    solid: bool


@dataclass(frozen=True)
class Scene:
    """A furnished room. The floor is the plane Z = 0, spanning x in [0, length] and y in [0, width]; what is seen
    through openings lies outside.

    Args:
        kind: "room", "corridor", "hall", "closet" or "asset".
        length, width, height: metres.
        ambient: light from everywhere, in [0, 1].
        background: the part of the caption that names walls and floor.
    """

    kind: str
    length: float
    width: float
    height: float
    parts: tuple[Part, ...]
    surfaces: dict[str, Surface]
    lights: tuple[Light, ...]
    ambient: float
    things: tuple[Thing, ...]
    background: str
