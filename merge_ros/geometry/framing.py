"""How an image of any size meets a network that wants multiples of its patch grid.

The rule: scale the image, aspect kept, to about the number of pixels that the model was made for; then pad both sides
up to the next multiple of the grid by repeating the border. The result is cropped and scaled back to the input size.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from merge_ros.errors import InputError


@dataclass(frozen=True)
class Framing:
    """Where the scaled image lies inside the padded one; all in pixels.

    Args:
        width, height: of the scaled image.
        left, top, right, bottom: padding.
    """

    width: int
    height: int
    left: int
    top: int
    right: int
    bottom: int

    @property
    def padded_width(self) -> int:
        """Width that the network sees, a multiple of the grid."""
        return self.left + self.width + self.right

    @property
    def padded_height(self) -> int:
        """Height that the network sees, a multiple of the grid."""
        return self.top + self.height + self.bottom


def plan_framing(width: int, height: int, pixels: int, grid: int) -> Framing:
    """Plan the scaling and padding of one image size.

    Args:
        width, height: of the input image, >= 1.
        pixels: about how many pixels the scaled image shall have.
        grid: sides must become multiples of this.

    Raises:
        InputError: the image has no pixels.
    """
    if width < 1 or height < 1:
        raise InputError(f"image size {width}x{height}: both sides must be at least 1 pixel")
    factor = math.sqrt(pixels / (width * height))
    scaled_width, scaled_height = max(1, round(width * factor)), max(1, round(height * factor))
    extra_x, extra_y = -scaled_width % grid, -scaled_height % grid
    return Framing(
        scaled_width,
        scaled_height,
        extra_x // 2,
        extra_y // 2,
        extra_x - extra_x // 2,
        extra_y - extra_y // 2,
    )
