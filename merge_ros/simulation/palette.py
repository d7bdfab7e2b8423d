"""Colours that captions can name."""

from __future__ import annotations

import colorsys

import numpy as np

# name: hue range in degrees, saturation range, value range
COLOURS: dict[str, tuple[tuple[float, float], tuple[float, float], tuple[float, float]]] = {
    "white": ((30, 60), (0.00, 0.06), (0.88, 1.00)),
    "grey": ((0, 360), (0.00, 0.06), (0.42, 0.66)),
    "black": ((0, 360), (0.00, 0.20), (0.07, 0.17)),
    "red": ((-8, 6), (0.72, 0.95), (0.60, 0.90)),
    "orange": ((20, 32), (0.75, 0.95), (0.80, 0.98)),
    "yellow": ((46, 56), (0.65, 0.92), (0.82, 0.98)),
    "green": ((95, 145), (0.45, 0.80), (0.38, 0.72)),
    "teal": ((168, 184), (0.50, 0.80), (0.45, 0.70)),
    "blue": ((208, 230), (0.58, 0.88), (0.50, 0.85)),
    "purple": ((270, 290), (0.42, 0.72), (0.42, 0.70)),
    "pink": ((325, 345), (0.30, 0.52), (0.85, 0.98)),
    "brown": ((18, 30), (0.48, 0.70), (0.32, 0.52)),
    "beige": ((32, 44), (0.18, 0.32), (0.78, 0.90)),
}

COLOUR_NAMES = tuple(COLOURS)
VIVID = ("red", "orange", "yellow", "green", "teal", "blue", "purple", "pink")
WALL = (
    *("white",) * 6,
    *("beige",) * 4,
    *("grey",) * 3,
    *("yellow", "green", "teal", "blue", "pink", "red", "orange", "purple", "brown"),
)
FLOOR = ("brown", "brown", "beige", "grey", "grey", "white", "black", "red", "green", "blue", "teal")
FURNITURE = ("brown", "brown", "white", "black", "grey", "beige", *VIVID)


def sample_rgb(rng: np.random.Generator, name: str) -> tuple[float, float, float]:
    """A shade of the named colour, each channel in [0, 1]."""
    hue, saturation, value = (rng.uniform(low, high) for low, high in COLOURS[name])
    return colorsys.hsv_to_rgb((hue % 360) / 360, saturation, value)
