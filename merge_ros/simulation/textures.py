"""Procedural textures: tileable [side, side, 3] uint8 images in shades around given colours."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

SIDE = 128

Colour = tuple[float, float, float]
Shade = NDArray[np.float64]  # [SIDE, SIDE], 1 = the base colour, below darker, above lighter


def smooth_noise(rng: np.random.Generator, cells_y: int, cells_x: int) -> Shade:
    """Tileable noise in about [-1, 1] with the given number of cells per side."""
    coarse = rng.uniform(-1, 1, (cells_y, cells_x))
    wrapped = np.pad(coarse, 2, mode="wrap")
    scale_y, scale_x = SIDE // cells_y, SIDE // cells_x
    fine = cv2.resize(wrapped, (wrapped.shape[1] * scale_x, wrapped.shape[0] * scale_y), interpolation=cv2.INTER_CUBIC)
    return np.asarray(fine, np.float64)[
        2 * scale_y : 2 * scale_y + cells_y * scale_y, 2 * scale_x : 2 * scale_x + cells_x * scale_x
    ]


def cloudy(rng: np.random.Generator) -> Shade:
    """Noise of several octaves, as plaster, carpet and concrete have it."""
    octaves = [smooth_noise(rng, cells, cells) * 0.5**octave for octave, cells in enumerate((4, 8, 16, 32))]
    return np.asarray(np.sum(octaves, axis=0) / 1.6)


def _mix(shade: Shade, base: Colour) -> NDArray[np.float64]:
    return np.asarray(np.clip(shade[..., None] * np.array(base), 0, 1))


def plain(rng: np.random.Generator, base: Colour, other: Colour) -> NDArray[np.float64]:
    return _mix(1 + 0.04 * cloudy(rng), base)


def plaster(rng: np.random.Generator, base: Colour, other: Colour) -> NDArray[np.float64]:
    return _mix(1 + 0.16 * cloudy(rng), base)


def carpet(rng: np.random.Generator, base: Colour, other: Colour) -> NDArray[np.float64]:
    return _mix(1 + 0.08 * cloudy(rng) + 0.13 * rng.standard_normal((SIDE, SIDE)), base)


def planks(rng: np.random.Generator, base: Colour, other: Colour) -> NDArray[np.float64]:
    shade = np.ones((SIDE, SIDE))
    rows = int(rng.choice([4, 8]))
    height = SIDE // rows
    grain = smooth_noise(rng, 64, 4) * 0.09
    for row in range(rows):
        band = slice(row * height, (row + 1) * height)
        cut = int(rng.integers(SIDE))
        tone = rng.uniform(0.80, 1.12, 2)
        shade[band] = np.roll(np.where(np.arange(SIDE) < SIDE // 2, tone[0], tone[1]), cut)[None]
        shade[band, cut] = shade[band, (cut + SIDE // 2) % SIDE] = 0.5
        shade[row * height] = 0.5
    return _mix(shade + grain, base)


def tiles(rng: np.random.Generator, base: Colour, other: Colour) -> NDArray[np.float64]:
    count = int(rng.choice([2, 4]))
    size = SIDE // count
    tone = rng.uniform(0.92, 1.06, (count, count)).repeat(size, 0).repeat(size, 1) + 0.04 * cloudy(rng)
    joint = max(1, size // 20)
    index = np.arange(SIDE) % size < joint
    tone[index, :] = tone[:, index] = rng.choice([0.55, 0.7, 1.25])
    return _mix(tone, base)


def checker(rng: np.random.Generator, base: Colour, other: Colour) -> NDArray[np.float64]:
    size = SIDE // int(rng.choice([2, 4]))
    cell = (np.arange(SIDE) // size) % 2
    odd = (cell[:, None] ^ cell[None, :]).astype(bool)[..., None]
    return np.asarray(np.where(odd, _mix(1 + 0.05 * cloudy(rng), base), _mix(1 + 0.05 * cloudy(rng), other)))


def bricks(rng: np.random.Generator, base: Colour, other: Colour) -> NDArray[np.float64]:
    rows, columns = 8, 4
    height, width = SIDE // rows, SIDE // columns
    shade = np.ones((SIDE, SIDE))
    for row in range(rows):
        line = rng.uniform(0.82, 1.1, columns).repeat(width)
        line[::width] = 0.6
        shade[row * height : (row + 1) * height] = np.roll(line, width // 2 * (row % 2))[None]
        shade[row * height] = 0.6
    return _mix(shade + 0.06 * cloudy(rng), base)


def stripes(rng: np.random.Generator, base: Colour, other: Colour) -> NDArray[np.float64]:
    size = SIDE // int(rng.choice([4, 8]))
    odd = ((np.arange(SIDE) // (size // 2)) % 2).astype(bool)[None, :, None]
    image = np.where(odd, np.array(base), 0.65 * np.array(base) + 0.35 * np.array(other))
    return np.asarray(np.broadcast_to(image, (SIDE, SIDE, 3)))


def dotted(rng: np.random.Generator, base: Colour, other: Colour) -> NDArray[np.float64]:
    image = _mix(1 + 0.03 * cloudy(rng), base)
    step = SIDE // 4
    for index in range(16):
        centre = (index % 4 * step + step // 2, index // 4 * step + step // 2)
        cv2.circle(image, centre, step // 4, other, -1, cv2.LINE_AA)
    return image


TEXTURES: dict[str, Callable[[np.random.Generator, Colour, Colour], NDArray[np.float64]]] = {
    "plain": plain,
    "plaster": plaster,
    "carpet": carpet,
    "wooden": planks,
    "tiled": tiles,
    "checkered": checker,
    "brick": bricks,
    "striped": stripes,
    "dotted": dotted,
}


def make_texture(rng: np.random.Generator, name: str, base: Colour, other: Colour) -> NDArray[np.uint8]:
    """The named texture in a base colour, with a second colour where the pattern has one: [SIDE, SIDE, 3] uint8."""
    return np.ascontiguousarray(np.clip(TEXTURES[name](rng, base, other) * 255, 0, 255).astype(np.uint8))
