"""Asset scenes: one to three objects on a floor before a wall, and where to stand to see them well."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from merge_ros.simulation.captions import with_article
from merge_ros.simulation.catalogue import ASSET_NAMES, KINDS
from merge_ros.simulation.draft import PAINT, PATTERNS, Draft
from merge_ros.simulation.palette import COLOUR_NAMES, VIVID, sample_rgb
from merge_ros.simulation.placing import place
from merge_ros.simulation.scene import Light, Part, Scene, Surface, Thing
from merge_ros.simulation.surroundings import (
    Style,
    choose,
    floor_words,
    object_surfaces,
    pattern_surfaces,
    wall_words,
)
from merge_ros.simulation.textures import make_texture
from merge_ros.simulation.walls import Wall, build_shell

FLOORS = {"plain": 1.2, "planks": 2.5, "tiles": 1.5, "checker": 0.6, "carpet": 2.0, "plaster": 1.0}
WALLS = {"plain": 5.0, "plaster": 1.0, "bricks": 0.8, "stripes": 0.5, "tiles": 0.6, "planks": 0.4}
FLOOR_COLOURS = ("grey", "grey", "beige", "white", "brown", "black", "red", "green", "blue", "teal", "purple")
WALL_COLOURS = ("white", "white", "white", "beige", "beige", "grey", "grey", "yellow", "green", "teal", "blue", "pink")
SIDE, HEIGHT = 9.0, 3.2  # metres: far enough for every camera
PATTERN_SHARE = 0.15
LARGEST_RATIO = 3.0  # between the heights of objects in one picture


@dataclass(frozen=True)
class AssetScene:
    """A scene and its objects' box: centre (x, y), half width to the sides as the camera sees it, height in metres."""

    scene: Scene
    centre: tuple[float, float]
    half_width: float
    top: float
    facing: float


def make_assets(rng: np.random.Generator) -> AssetScene:
    """Random objects before a wall (or in a corner), which the camera faces along `facing` (radians about Z).

    Args:
        rng: where all choices come from; the same state gives the same scene.
    """
    surfaces = {**object_surfaces(rng, Style(flat=rng.random() < 0.3)), **pattern_surfaces(rng)}
    background, taken = _background(rng, surfaces)
    parts: list[Part] = []
    build_shell([Wall(index, SIDE, SIDE) for index in range(4)], HEIGHT, parts)

    drafts = _drafts(rng, taken)
    corner = rng.random() < 0.25
    facing = math.radians(rng.uniform(65, 115) if not corner else rng.uniform(30, 60))
    # Objects stand in a row across the view; `depth` is how far each is behind the row's line.
    gap = rng.uniform(0.05, 0.3) * max(draft.half_y + draft.half_x for _, draft in drafts)
    widths = [2 * math.hypot(draft.half_x, draft.half_y) for _, draft in drafts]
    row = sum(widths) + gap * (len(drafts) - 1)
    deepest = max(widths)
    centre = _stand(rng, row, deepest, corner, facing)
    things: list[Thing] = []
    at = -row / 2
    right = (math.sin(facing), -math.cos(facing))
    for (name, draft), width in zip(drafts, widths, strict=True):
        aside, behind = at + width / 2, rng.uniform(-0.3, 0.3) * deepest * (len(drafts) > 1)
        x = centre[0] + aside * right[0] + behind * math.cos(facing)
        y = centre[1] + aside * right[1] + behind * math.sin(facing)
        # Fronts look towards the camera, more or less.
        place(draft, name, x, y, facing + math.pi + rng.uniform(-0.9, 0.9), HEIGHT, things, parts)
        at += width + gap
    scene = Scene(
        "asset", SIDE, SIDE, HEIGHT, tuple(parts), surfaces, _lights(rng, centre, facing), rng.uniform(0.35, 0.48),
        tuple(things), background,
    )  # fmt: skip
    return AssetScene(scene, centre, row / 2, max(draft.top for _, draft in drafts), facing)


def _background(rng: np.random.Generator, surfaces: dict[str, Surface]) -> tuple[str, set[str]]:
    """The caption's end, and the colours of floor and wall."""
    floor_texture, wall_texture = choose(rng, FLOORS), choose(rng, WALLS)
    floor_colour, wall_colour = str(rng.choice(FLOOR_COLOURS)), str(rng.choice(WALL_COLOURS))
    if floor_texture == "planks":
        floor_colour = "brown"
    if wall_texture == "bricks":
        wall_colour = str(rng.choice(["red", "brown", "white", "grey"]))
    second = "white" if floor_colour in ("black", "grey", "red", "green", "blue", "teal", "purple") else "black"
    tile = rng.uniform(0.4, 1.0)
    surfaces["floor"] = Surface(
        make_texture(rng, floor_texture, sample_rgb(rng, floor_colour), sample_rgb(rng, second)),
        (1 / tile, 1 / tile),
        on_plane=True,
        specular=0.05,
    )
    tile = rng.uniform(0.5, 1.2)
    surfaces["wall"] = Surface(
        make_texture(rng, wall_texture, sample_rgb(rng, wall_colour), sample_rgb(rng, "white")),
        (1 / tile, 1 / tile),
        on_plane=True,
        specular=0.0,
    )
    surfaces["ceiling"] = Surface(make_texture(rng, "plain", (0.95, 0.95, 0.95), (1, 1, 1)), (1, 1), on_plane=True)
    floor = floor_words(floor_colour, floor_texture)
    if floor_texture == "planks" and rng.random() < 0.5:
        floor = "wooden floor"
    wall = wall_words(wall_colour, wall_texture, "wall")
    return f"on {with_article(floor)} in front of {with_article(wall)}", {floor_colour, wall_colour}


def _drafts(rng: np.random.Generator, taken: set[str]) -> list[tuple[str, Draft]]:
    count = int(rng.choice([1, 2, 3], p=[0.4, 0.4, 0.2]))
    weights = {name: KINDS[name].alone for name in ASSET_NAMES}
    drafts: list[tuple[str, Draft]] = []
    while len(drafts) < count:
        name = choose(rng, weights)
        draft = KINDS[name].build(rng)
        tops = [draft.top, *(other.top for _, other in drafts)]
        if max(tops) > LARGEST_RATIO * min(tops):
            continue
        if KINDS[name].any_colour:
            colour = str(rng.choice(VIVID if rng.random() < 0.7 else COLOUR_NAMES))
            if colour in taken:
                continue
            draft.recolour(colour, sample_rgb(rng, colour))
            if draft.material == PAINT and rng.random() < PATTERN_SHARE and name != "lamp":
                pattern = str(rng.choice(PATTERNS))
                draft.change_material(pattern)
                draft.colour = f"{pattern} {colour}"
        taken = taken | {draft.colour.split()[-1]}
        drafts.append((name, draft))
    return drafts


def _stand(rng: np.random.Generator, row: float, deepest: float, corner: bool, facing: float) -> tuple[float, float]:
    """Where the row's middle stands: before the wall at y = SIDE, or near the corner at (SIDE, SIDE)."""
    reach = row / 2 * abs(math.cos(facing)) + deepest * 0.8
    behind = reach + rng.uniform(0.05, 1.0)
    if corner:
        side = row / 2 * abs(math.sin(facing)) + deepest * 0.8 + rng.uniform(0.05, 0.8)
        return SIDE - side, SIDE - behind
    return SIDE / 2 + rng.uniform(-0.5, 0.5), SIDE - behind


def _lights(rng: np.random.Generator, centre: tuple[float, float], facing: float) -> tuple[Light, ...]:
    """One lamp that casts shadows, above and before the objects, and a weaker one from the other side."""
    aside = rng.uniform(0.4, 1.6) * (1 if rng.random() < 0.5 else -1)
    lights = []
    for side, strength, shadow in ((aside, rng.uniform(0.6, 0.85), rng.random() < 0.85), (-aside, 0.25, False)):
        back = rng.uniform(0.6, 1.8)
        position = (
            centre[0] - back * math.cos(facing) + side * math.sin(facing),
            centre[1] - back * math.sin(facing) - side * math.cos(facing),
            HEIGHT - 0.2,
        )
        direction = (centre[0] - position[0], centre[1] - position[1], -position[2])
        rgb = (strength, strength * rng.uniform(0.92, 1.0), strength * rng.uniform(0.85, 1.0))
        lights.append(Light(position, direction, rgb, 75.0, shadow))
    return tuple(lights)
