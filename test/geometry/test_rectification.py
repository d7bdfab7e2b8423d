"""Rectification against lens models written out by hand: where a point appears in the distorted picture, and where it
must be in the rectified one."""

from __future__ import annotations

import math

import numpy as np
import pytest

from merge_ros.errors import CalibrationError
from merge_ros.geometry.rectification import DistortedCamera, rectification

WIDTH, HEIGHT = 320, 240
K = (200.0, 0.0, 155.0, 0.0, 205.0, 121.0, 0.0, 0.0, 1.0)
NEW_K = (170.0, 0.0, 162.0, 0.0, 172.0, 118.0, 0.0, 0.0, 1.0)
NO_TURN = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)
LENSES = {
    "plumb_bob": (-0.25, 0.06, 0.002, -0.001, 0.003),
    "rational_polynomial": (0.3, -0.05, 0.001, 0.0005, 0.01, 0.6, -0.02, 0.005),
    "equidistant": (-0.02, 0.004, -0.002, 0.0005),
}


def distorted(model: str, d: tuple[float, ...], x: float, y: float) -> tuple[float, float]:
    """Where the lens puts the ray (x, y, 1): OpenCV's documented formulas (calib3d, fisheye)."""
    r2 = x * x + y * y
    if model == "equidistant":
        r = math.sqrt(r2)
        theta = math.atan(r)
        bent = theta * (1 + d[0] * theta**2 + d[1] * theta**4 + d[2] * theta**6 + d[3] * theta**8)
        return (x * bent / r, y * bent / r) if r else (0.0, 0.0)
    k1, k2, p1, p2, k3 = d[:5]
    radial = 1 + k1 * r2 + k2 * r2**2 + k3 * r2**3
    if model == "rational_polynomial":
        radial /= 1 + d[5] * r2 + d[6] * r2**2 + d[7] * r2**3
    return (
        x * radial + 2 * p1 * x * y + p2 * (r2 + 2 * x * x),
        y * radial + p1 * (r2 + 2 * y * y) + 2 * p2 * x * y,
    )


def spots(places: list[tuple[float, float]]) -> np.ndarray:
    """A picture with a soft spot at each place."""
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    light = sum(np.exp(-((columns - u) ** 2 + (rows - v) ** 2) / (2 * 2.0**2)) for u, v in places)
    return np.repeat(np.rint(255 * np.clip(light, 0, 1)).astype(np.uint8)[..., None], 3, axis=2)


def centre(picture: np.ndarray, u: float, v: float) -> tuple[float, float]:
    """Centre of light within 8 pixels."""
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    light = picture[..., 0] * ((abs(columns - u) <= 8) & (abs(rows - v) <= 8)).astype(float)
    return (light * columns).sum() / light.sum(), (light * rows).sum() / light.sum()


@pytest.mark.parametrize("model", LENSES)
@pytest.mark.parametrize("turn", [0.0, 0.03])
def test_points_come_to_lie_where_a_pinhole_camera_sees_them(model: str, turn: float) -> None:
    d = LENSES[model]
    r = (math.cos(turn), 0.0, math.sin(turn), 0.0, 1.0, 0.0, -math.sin(turn), 0.0, math.cos(turn))
    rays = [np.array([x, y, 1.0]) for x in (-0.55, -0.2, 0.0, 0.3, 0.5) for y in (-0.4, -0.1, 0.15, 0.4)]
    places, wanted = [], []
    for ray in rays:
        x, y = distorted(model, d, ray[0], ray[1])
        places.append((K[0] * x + K[2], K[4] * y + K[5]))
        turned = np.reshape(r, (3, 3)) @ ray
        wanted.append((NEW_K[0] * turned[0] / turned[2] + NEW_K[2], NEW_K[4] * turned[1] / turned[2] + NEW_K[5]))
    moved = max(math.dist(a, b) for a, b in zip(places, wanted, strict=True))
    assert moved > 10, "the lens must do something for this test to say anything"

    lens = rectification(DistortedCamera(WIDTH, HEIGHT, K, model, d, r, NEW_K))
    rectified = lens.rectify(spots(places))

    for u, v in wanted:
        assert math.dist(centre(rectified, u, v), (u, v)) < 0.15


def test_what_the_camera_did_not_see_is_marked() -> None:
    wide = (100.0, 0.0, 160.0, 0.0, 100.0, 120.0, 0.0, 0.0, 1.0)
    lens = rectification(DistortedCamera(WIDTH, HEIGHT, K, "plumb_bob", (0.0,) * 5, NO_TURN, wide))
    # Without distortion: half the focal length shows a frame around the picture. By hand, along the middle row.
    seen = [0 - 0.5 <= K[0] * (u - 160) / 100 + K[2] <= WIDTH - 0.5 for u in range(WIDTH)]
    np.testing.assert_array_equal(lens.seen[120], seen)
    assert 0 < lens.seen.mean() < 0.5


def test_maps_are_made_once_and_nothing_is_done_where_nothing_is_to_be_done() -> None:
    camera = DistortedCamera(WIDTH, HEIGHT, K, "plumb_bob", LENSES["plumb_bob"], NO_TURN, NEW_K)
    assert rectification(camera) is rectification(DistortedCamera(**vars(camera)))
    for model, d, r in (("", (), (0.0,) * 9), ("plumb_bob", (0.0,) * 5, NO_TURN), ("odd", (0.0,), NO_TURN)):
        lens = rectification(DistortedCamera(WIDTH, HEIGHT, K, model, d, r, K))
        picture = spots([(50, 50)])
        assert lens.rectify(picture) is picture and lens.seen is None


@pytest.mark.parametrize(
    ("model", "d", "words"),
    [
        ("kannala_brandt", (0.1,) * 4, "'kannala_brandt' cannot be rectified; allowed: plumb_bob"),
        ("", (0.1,) * 5, "distortion_model ''"),
        ("plumb_bob", (0.1,) * 8, "4 or 5 coefficients D, not 8"),
        ("equidistant", (0.1,) * 5, "4 coefficients"),
        ("plumb_bob", (math.nan,) * 5, "not finite"),
    ],
)
def test_what_cannot_be_rectified_is_refused_with_the_reason(model: str, d: tuple[float, ...], words: str) -> None:
    with pytest.raises(CalibrationError, match=words):
        DistortedCamera(WIDTH, HEIGHT, K, model, d, NO_TURN, NEW_K)
