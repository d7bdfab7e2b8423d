"""Procedural textures: tileable [side, side, 3] uint8 images in shades around given colours."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

SIDE = 128

Colour = tuple[float, float, float]
Shade = NDArray[np.float64]  # [SIDE, SIDE], 1 = the base colour, below darker, above lighter
Image = NDArray[np.float64]  # [SIDE, SIDE, 3] in [0, 1]


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


def _mix(shade: Shade, base: Colour) -> Image:
    return np.asarray(np.clip(shade[..., None] * np.array(base), 0, 1))


def _blend(share: Shade, base: Colour, other: Colour) -> Image:
    weight = np.clip(share, 0, 1)[..., None]
    return np.asarray((1 - weight) * np.array(base) + weight * np.array(other))


def plain(rng: np.random.Generator, base: Colour, other: Colour) -> Image:
    return _mix(1 + 0.04 * cloudy(rng), base)


def plaster(rng: np.random.Generator, base: Colour, other: Colour) -> Image:
    return _mix(1 + 0.16 * cloudy(rng), base)


def carpet(rng: np.random.Generator, base: Colour, other: Colour) -> Image:
    return _mix(1 + 0.08 * cloudy(rng) + 0.13 * rng.standard_normal((SIDE, SIDE)), base)


def planks(rng: np.random.Generator, base: Colour, other: Colour) -> Image:
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


def parquet(rng: np.random.Generator, base: Colour, other: Colour) -> Image:
    """Squares of four strips each, alternately lengthwise and across."""
    count = int(rng.choice([2, 4]))
    size = SIDE // count
    strip = size // 4
    shade = np.ones((SIDE, SIDE))
    for row in range(count):
        for column in range(count):
            lines = rng.uniform(0.82, 1.1, 4).repeat(strip)
            lines[::strip] = 0.6
            square = np.broadcast_to(lines[:, None], (size, size))
            square = square if (row + column) % 2 else square.T
            shade[row * size : (row + 1) * size, column * size : (column + 1) * size] = square
    return _mix(shade + 0.05 * cloudy(rng), base)


def tiles(rng: np.random.Generator, base: Colour, other: Colour) -> Image:
    count = int(rng.choice([2, 4]))
    size = SIDE // count
    tone = rng.uniform(0.92, 1.06, (count, count)).repeat(size, 0).repeat(size, 1) + 0.04 * cloudy(rng)
    joint = max(1, size // 20)
    index = np.arange(SIDE) % size < joint
    tone[index, :] = tone[:, index] = rng.choice([0.55, 0.7, 1.25])
    return _mix(tone, base)


def checker(rng: np.random.Generator, base: Colour, other: Colour) -> Image:
    size = SIDE // int(rng.choice([2, 4]))
    cell = (np.arange(SIDE) // size) % 2
    odd = (cell[:, None] ^ cell[None, :]).astype(bool)[..., None]
    return np.asarray(np.where(odd, _mix(1 + 0.05 * cloudy(rng), base), _mix(1 + 0.05 * cloudy(rng), other)))


def bricks(rng: np.random.Generator, base: Colour, other: Colour) -> Image:
    rows, columns = 8, 4
    height, width = SIDE // rows, SIDE // columns
    shade = np.ones((SIDE, SIDE))
    for row in range(rows):
        line = rng.uniform(0.82, 1.1, columns).repeat(width)
        line[::width] = 0.6
        shade[row * height : (row + 1) * height] = np.roll(line, width // 2 * (row % 2))[None]
        shade[row * height] = 0.6
    return _mix(shade + 0.06 * cloudy(rng), base)


def stripes(rng: np.random.Generator, base: Colour, other: Colour) -> Image:
    size = SIDE // int(rng.choice([4, 8]))
    odd = ((np.arange(SIDE) // (size // 2)) % 2).astype(bool)[None, :, None]
    image = np.where(odd, np.array(base), 0.65 * np.array(base) + 0.35 * np.array(other))
    return np.asarray(np.broadcast_to(image, (SIDE, SIDE, 3)))


def dotted(rng: np.random.Generator, base: Colour, other: Colour) -> Image:
    image = _mix(1 + 0.03 * cloudy(rng), base)
    step = SIDE // 4
    for index in range(16):
        centre = (index % 4 * step + step // 2, index // 4 * step + step // 2)
        cv2.circle(image, centre, step // 4, other, -1, cv2.LINE_AA)
    return image


def stones(rng: np.random.Generator, base: Colour, other: Colour) -> Image:
    """Slabs of random outline: each pixel belongs to the nearest of some points, with joints between them."""
    points = rng.uniform(0, SIDE, (14, 2))
    offsets = np.array([(y, x) for y in (-SIDE, 0, SIDE) for x in (-SIDE, 0, SIDE)])
    grid = np.moveaxis(np.mgrid[0:SIDE:2, 0:SIDE:2], 0, -1).astype(np.float32)
    around = (points[None] + offsets[:, None]).reshape(-1, 2).astype(np.float32)
    distance = np.linalg.norm(grid[:, :, None] - around, axis=-1)
    nearest = np.partition(distance, 1, axis=-1)[..., :2]
    tone = rng.uniform(0.75, 1.12, 14)[distance.argmin(-1) % 14]
    shade = np.where(nearest[..., 1] - nearest[..., 0] < 2.5, 0.55, tone)
    return _mix(cv2.resize(shade, (SIDE, SIDE), interpolation=cv2.INTER_LINEAR) + 0.06 * cloudy(rng), base)


def marble(rng: np.random.Generator, base: Colour, other: Colour) -> Image:
    veins = np.abs(np.sin(3 * np.pi * (cloudy(rng) + 0.4 * smooth_noise(rng, 4, 4))))
    return _blend(0.7 * np.clip(1 - 3 * veins, 0, 1), base, other) * (1 + 0.05 * cloudy(rng)[..., None])


def speckled(rng: np.random.Generator, base: Colour, other: Colour) -> Image:
    """Chips in a ground, as in terrazzo and linoleum."""
    image = _mix(1 + 0.03 * cloudy(rng), base)
    for _ in range(90):
        tone = rng.uniform(0.5, 1.2)
        shade = (other if rng.random() < 0.5 else base)[0:3]
        chip = tuple(float(min(1.0, tone * channel)) for channel in shade)
        centre = (int(rng.integers(3, SIDE - 3)), int(rng.integers(3, SIDE - 3)))
        cv2.circle(image, centre, int(rng.integers(1, 4)), chip, -1, cv2.LINE_AA)
    return image


def patterned(rng: np.random.Generator, base: Colour, other: Colour) -> Image:
    """One motif of squares, rings or lines, repeated as on wallpaper and rugs."""
    count = int(rng.choice([2, 4, 8]))
    size = SIDE // count
    motif = np.zeros((size, size), np.float32)
    for _ in range(int(rng.integers(1, 4))):
        a, b = (int(value) for value in rng.integers(0, size, 2))
        width = max(1, size // 10)
        kind = int(rng.integers(4))
        if kind == 0:
            cv2.circle(motif, (size // 2, size // 2), max(2, a // 2), 1.0, width)
        elif kind == 1:
            cv2.rectangle(motif, (min(a, b), min(a, b)), (max(a, b), max(a, b)), 1.0, width)
        elif kind == 2:
            cv2.line(motif, (0, a), (size - 1, a), 1.0, width)
        else:
            cv2.line(motif, (0, 0), (size - 1, size - 1), 1.0, width, cv2.LINE_AA)
    strength = rng.uniform(0.3, 0.9)
    return _blend(strength * np.tile(motif, (count, count)).astype(np.float64), base, other)


def noisy(rng: np.random.Generator, base: Colour, other: Colour) -> Image:
    """Coarse blotches between two colours: no real material, a challenge for whoever relies on materials."""
    cells = int(rng.choice([4, 8, 16, 32]))
    return _blend(0.7 * smooth_noise(rng, cells, cells), base, other)


TEXTURES: dict[str, Callable[[np.random.Generator, Colour, Colour], Image]] = {
    "plain": plain,
    "plaster": plaster,
    "carpet": carpet,
    "planks": planks,
    "parquet": parquet,
    "tiles": tiles,
    "checker": checker,
    "bricks": bricks,
    "stripes": stripes,
    "dotted": dotted,
    "stones": stones,
    "marble": marble,
    "speckled": speckled,
    "patterned": patterned,
    "noisy": noisy,
}


def make_texture(rng: np.random.Generator, name: str, base: Colour, other: Colour) -> NDArray[np.uint8]:
    """The named texture in a base colour, with a second colour where the pattern has one: [SIDE, SIDE, 3] uint8."""
    return np.ascontiguousarray(np.clip(TEXTURES[name](rng, base, other) * 255, 0, 255).astype(np.uint8))
