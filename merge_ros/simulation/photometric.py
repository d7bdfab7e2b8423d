"""What a real camera does to a clean picture: exposure, colour cast, blur, noise, JPEG."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from merge_ros.errors import ConfigurationError, InputError


@dataclass(frozen=True)
class Photometric:
    """Strengths of the camera's faults; each frame draws its own within them. Zero switches one off.

    Args:
        exposure: largest change of brightness in stops, either way.
        gamma: largest relative change of the contrast curve, either way.
        colour_cast: standard deviation of the gain of each channel.
        saturation: largest relative change of how colourful the picture is, either way.
        vignette: largest loss of brightness in the corners, in [0, 1).
        blur: largest standard deviation of the blur in pixels, at 256 pixels of width.
        noise: largest standard deviation of the sensor noise, of 255.
        jpeg_quality: (lowest, highest) of the compression, 1 to 100.

    Raises:
        ConfigurationError: a negative strength or an impossible quality.
    """

    exposure: float = 0.5
    gamma: float = 0.2
    colour_cast: float = 0.05
    saturation: float = 0.0
    vignette: float = 0.0
    blur: float = 0.8
    noise: float = 6.0
    jpeg_quality: tuple[int, int] = (60, 98)

    def __post_init__(self) -> None:
        strengths = (self.exposure, self.gamma, self.colour_cast, self.saturation, self.vignette, self.blur, self.noise)
        if min(strengths) < 0 or max(self.gamma, self.vignette) >= 1:
            raise ConfigurationError(f"{self}: strengths must be at least 0, and gamma and vignette below 1")
        low, high = self.jpeg_quality
        if not 1 <= low <= high <= 100:
            raise ConfigurationError(f"jpeg_quality={self.jpeg_quality} must be (lowest, highest) within 1..100")


def photograph(
    rgb: NDArray[np.uint8], rng: np.random.Generator, camera: Photometric | None = None
) -> NDArray[np.uint8]:
    """The picture as an imperfect camera would deliver it, [height, width, 3] uint8 as it came.

    Raises:
        InputError: not an [height, width, 3] uint8 image.
    """
    if rgb.ndim != 3 or rgb.shape[2] != 3 or rgb.dtype != np.uint8:
        raise InputError(f"image is {rgb.dtype} {rgb.shape}; allowed: uint8 [height, width, 3]")
    camera = camera or Photometric()
    image = np.asarray(rgb / np.float32(255), np.float32)
    grey = image.mean(axis=2, keepdims=True)
    image = grey + (image - grey) * np.float32(1 + rng.uniform(-camera.saturation, camera.saturation))
    image = image * _vignette(rgb.shape[0], rgb.shape[1], rng.uniform(0, camera.vignette))
    gain = 2 ** rng.uniform(-camera.exposure, camera.exposure) * np.exp(rng.normal(0, camera.colour_cast, 3))
    gamma = 1 + rng.uniform(-camera.gamma, camera.gamma)
    image = np.power(np.clip(image * gain, 0, 1), gamma).astype(np.float32)
    sigma = rng.uniform(0, camera.blur) * rgb.shape[1] / 256
    if sigma > 0.2:  # below that a Gaussian of whole pixels is the identity
        image = np.asarray(cv2.GaussianBlur(image, (0, 0), sigma), np.float32)
    image += rng.normal(0, rng.uniform(0, camera.noise) / 255, image.shape).astype(np.float32)
    noisy = (np.clip(image, 0, 1) * 255).round().astype(np.uint8)
    quality = int(rng.integers(camera.jpeg_quality[0], camera.jpeg_quality[1] + 1))
    _, packed = cv2.imencode(".jpg", noisy[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    decoded = np.asarray(cv2.imdecode(packed, cv2.IMREAD_COLOR), np.uint8)
    return np.ascontiguousarray(decoded[..., ::-1])


def _vignette(height: int, width: int, loss: float) -> NDArray[np.float32]:
    """Brightness factors [height, width, 1] that fall with the square of the distance from the centre."""
    y = np.linspace(-1, 1, height, dtype=np.float32)[:, None, None]
    x = np.linspace(-1, 1, width, dtype=np.float32)[None, :, None]
    return np.asarray(1 - np.float32(loss / 2) * (x**2 + y**2), np.float32)
