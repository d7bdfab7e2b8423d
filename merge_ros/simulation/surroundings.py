"""Walls, floors and materials by seed: which texture, in which colour, and what captions call it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from merge_ros.simulation.draft import CLOTH, GLOW, PAINT, WOOD
from merge_ros.simulation.palette import COLOUR_NAMES, FLOOR, WALL, sample_rgb
from merge_ros.simulation.scene import Surface
from merge_ros.simulation.textures import TEXTURES, make_texture

# Texture and how often, for natural rooms.
FLOORS = {
    "plain": 1.0,
    "planks": 2.5,
    "parquet": 1.2,
    "tiles": 2.5,
    "checker": 0.8,
    "carpet": 2.2,
    "plaster": 1.2,
    "stones": 0.8,
    "marble": 0.5,
    "speckled": 0.9,
    "patterned": 0.6,
    "stripes": 0.2,
}
WALLS = {
    "plain": 3.0,
    "plaster": 3.0,
    "bricks": 1.2,
    "stripes": 0.8,
    "planks": 0.8,
    "tiles": 0.9,
    "dotted": 0.4,
    "patterned": 1.2,
    "stones": 0.4,
    "marble": 0.3,
    "speckled": 0.2,
}
CEILINGS = {"plain": 4.0, "tiles": 1.5, "plaster": 2.0, "planks": 0.8}

# What captions call a texture on floors and on walls; no entry: nothing.
FLOOR_WORDS = {
    "planks": "wooden",
    "parquet": "wooden",
    "tiles": "tiled",
    "checker": "checkered",
    "plaster": "concrete",
    "stones": "stone",
    "marble": "marble",
    "speckled": "speckled",
    "patterned": "patterned",
    "stripes": "striped",
    "dotted": "dotted",
    "bricks": "brick",
    "noisy": "patterned",
}
WALL_WORDS = {name: word for name, word in FLOOR_WORDS.items() if name != "plaster"}


@dataclass(frozen=True)
class Style:
    """How a whole scene is painted.

    Args:
        flat: plain colours everywhere, as in simple simulators.
        wild: any colour and any texture anywhere.
    """

    flat: bool = False
    wild: bool = False


def sample_style(rng: np.random.Generator) -> Style:
    """Mostly natural, at times plain colours only, at times anything."""
    choice = rng.random()
    return Style(flat=choice < 0.14, wild=choice > 0.86)


def choose(rng: np.random.Generator, weights: dict[str, float]) -> str:
    """A key, as often as its weight says."""
    shares = np.array(list(weights.values()))
    return str(rng.choice(list(weights), p=shares / shares.sum()))


def sample_texture(rng: np.random.Generator, style: Style, weights: dict[str, float]) -> str:
    """A texture's name."""
    if style.flat:
        return "plain"
    return str(rng.choice(list(TEXTURES))) if style.wild else choose(rng, weights)


def floor_surface(rng: np.random.Generator, style: Style) -> tuple[Surface, str, str]:
    """A floor, its colour and its texture."""
    texture = sample_texture(rng, style, FLOORS)
    colour = str(rng.choice(COLOUR_NAMES if style.wild else FLOOR))
    if texture in ("planks", "parquet") and not style.wild and rng.random() < 0.75:
        colour = str(rng.choice(["brown", "brown", "beige"]))
    second = str(rng.choice(["white", "black", "beige", "grey"] if not style.wild else COLOUR_NAMES))
    tile = rng.uniform(0.5, 1.4) if not style.wild else rng.uniform(0.3, 3.0)
    surface = Surface(
        make_texture(rng, texture, sample_rgb(rng, colour), sample_rgb(rng, second)),
        (1 / tile, 1 / tile),
        on_plane=True,
        specular=rng.uniform(0, 0.3),
        reflectance=rng.uniform(0.05, 0.22) if rng.random() < 0.2 else 0.0,
    )
    return surface, colour, texture


def wall_surface(rng: np.random.Generator, style: Style) -> tuple[Surface, str, str]:
    """A wall, its colour and its texture."""
    texture = sample_texture(rng, style, WALLS)
    colour = str(rng.choice(COLOUR_NAMES if style.wild else WALL))
    second = "white" if rng.random() < 0.6 and not style.wild else str(rng.choice(COLOUR_NAMES))
    tile = rng.uniform(0.6, 1.6) if not style.wild else rng.uniform(0.3, 3.0)
    pixels = make_texture(rng, texture, sample_rgb(rng, colour), sample_rgb(rng, second))
    return Surface(pixels, (1 / tile, 1 / tile), on_plane=True, specular=0.0), colour, texture


def ceiling_surface(rng: np.random.Generator, style: Style) -> Surface:
    """A ceiling."""
    colour = str(rng.choice(COLOUR_NAMES if style.wild else ["white", "white", "white", "white", "beige", "grey"]))
    texture = sample_texture(rng, style, CEILINGS)
    return Surface(
        make_texture(rng, texture, sample_rgb(rng, colour), (0.8, 0.8, 0.8)), (0.9, 0.9), on_plane=True, specular=0.0
    )


def object_surfaces(rng: np.random.Generator, style: Style) -> dict[str, Surface]:
    """The materials of `draft`: greyscale detail around white, so that a part's own colour stays the caption's."""
    white, grey = (0.97, 0.97, 0.97), (0.55, 0.55, 0.55)
    cloth = str(rng.choice(["carpet", "carpet", "stripes", "dotted", "plaster", "patterned"]))
    wood, paint = "planks", "plain"
    if style.flat:
        wood, cloth = "plain", "plain"
    if style.wild:
        wood, cloth, paint = (str(name) for name in rng.choice(list(TEXTURES), 3))
    shiny = rng.uniform(0.05, 0.5)
    return {
        WOOD: Surface(make_texture(rng, wood, white, grey), specular=rng.uniform(0, 0.3)),
        CLOTH: Surface(make_texture(rng, cloth, white, grey), specular=0.0),
        PAINT: Surface(make_texture(rng, paint, white, grey), specular=shiny, shininess=rng.uniform(0.1, 0.8)),
        GLOW: Surface(None, emission=0.9),
    }


def pattern_surfaces(rng: np.random.Generator) -> dict[str, Surface]:
    """The materials that captions name, see `draft.PATTERNS`: the colour and white."""
    white, dark = (0.97, 0.97, 0.97), (0.3, 0.3, 0.3)
    names = {"striped": "stripes", "dotted": "dotted", "checkered": "checker"}
    return {name: Surface(make_texture(rng, texture, white, dark), specular=0.1) for name, texture in names.items()}


def floor_words(colour: str, texture: str) -> str:
    """`brown wooden floor`, `grey carpet`."""
    if texture == "carpet":
        return f"{colour} carpet"
    return " ".join(filter(None, (colour, FLOOR_WORDS.get(texture, ""), "floor")))


def wall_words(colour: str, texture: str, noun: str) -> str:
    """`white walls`, `red brick wall`."""
    return " ".join(filter(None, (colour, WALL_WORDS.get(texture, ""), noun)))
