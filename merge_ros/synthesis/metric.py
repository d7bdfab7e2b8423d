"""From relative depth to a view in metres, by a rule that the metadata states."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from merge_ros.config import AssetScaleSettings, ScaleSettings
from merge_ros.errors import ConfigurationError, InputError, ScaleError
from merge_ros.geometry.alignment import Affine
from merge_ros.geometry.camera import Camera
from merge_ros.geometry.ground import down_in_camera
from merge_ros.scale import make_reference
from merge_ros.synthesis.plane import Plane, find_wall
from merge_ros.synthesis.view import View

# Where the pitch is looked for when nobody knows it: from looking up a little to looking steeply down.
PITCHES = tuple(math.radians(degrees) for degrees in range(-4, 45, 2))
SAMPLES = 1200  # pixels that say how well a pitch explains the picture
PLANAR = 0.04  # of the depth; so near to a plane a pixel lies on it
ENDS = (0.02, 0.98)  # quantiles of relative depth that count as its nearest and farthest


def metric_view(
    rgb: NDArray[np.uint8], relative: NDArray[np.float32], camera: Camera, settings: AssetScaleSettings
) -> View:
    """A view in metres; with the rules "width" and "height" in a unit that `build_asset` then replaces by metres.

    Args:
        rgb: [camera.height, camera.width, 3] uint8.
        relative: [camera.height, camera.width], 0 near to 1 far, linear in depth.
        camera: the intrinsics.
        settings: the rule.

    Raises:
        ConfigurationError: the rule is "as_measured", which relative depth cannot be.
        InputError: picture, depth and camera do not belong together.
        ScaleError: the floor is not seen well enough to find the depths from it; says what else can be done.
    """
    if settings.size_rule == "as_measured":
        raise ConfigurationError("size_rule 'as_measured' needs depth in metres; this depth is relative")
    if relative.shape != (camera.height, camera.width):
        raise InputError(f"the depth is {relative.shape}; its camera needs {(camera.height, camera.width)}")
    source: dict[str, object] = {
        "rule": settings.size_rule,
        "metres": settings.metres,
        "horizontal_fov": round(camera.horizontal_fov, 6),
    }
    if settings.far_over_near:
        affine, floor = _by_ratio(relative, settings.far_over_near), None
        source |= {"shift_from": "far_over_near", "far_over_near": settings.far_over_near}
    else:
        affine, pitch = _by_floor(relative, camera, settings.camera_pitch)
        floor = Plane(down_in_camera(pitch, 0.0))
        known = settings.camera_pitch is not None
        source |= {
            "shift_from": "floor",
            "camera_pitch": round(pitch, 6),
            "camera_pitch_from": "given" if known else "the floor",
        }
    unit = settings.metres if settings.size_rule == "camera_height" else 1.0
    depth = affine.apply(relative)
    return View(rgb, np.where(depth > 0, depth, np.float32(np.nan)), camera, floor, source).scaled(unit)


def estimated_view(rgb: NDArray[np.uint8], relative: NDArray[np.float32], settings: AssetScaleSettings) -> View:
    """`metric_view` of a picture without intrinsics: those that the assumed field of view gives."""
    camera = Camera.from_fov(rgb.shape[1], rgb.shape[0], settings.horizontal_fov)
    return metric_view(rgb, relative, camera, settings)


def _by_ratio(relative: NDArray[np.float32], far_over_near: float) -> Affine:
    """Nearest at 1, farthest at `far_over_near`."""
    near, far = (float(end) for end in np.nanquantile(relative, ENDS))
    if not far > near:
        raise ScaleError("relative depth is the same everywhere: nothing is nearer than anything else")
    scale = (far_over_near - 1) / (far - near)
    return Affine(scale, 1 - scale * near)


def _by_floor(relative: NDArray[np.float32], camera: Camera, pitch: float | None) -> tuple[Affine, float]:
    """Depths in heights of the camera over the floor, and the pitch in radians.

    A floor fits nearly as well with a wrong pitch, for the shift of relative depth makes up for much of it. But then
    the walls lean. So the pitch that nobody gave is that with which most pixels lie on the floor or an upright plane.
    """
    chosen = np.random.default_rng(0).permutation(relative.size)[:SAMPLES]
    samples, rays = relative.ravel()[chosen], camera.rays().reshape(-1, 3)[chosen]
    reasons: list[str] = []
    fits: list[tuple[float, float, Affine]] = []
    tried = list(PITCHES) if pitch is None else [pitch]
    for angle in tried:
        try:
            affine = _floor_fit(relative, camera, angle)
        except ScaleError as error:
            reasons.append(str(error))
        else:
            fits.append((_planar(affine.apply(samples), rays, angle) if len(tried) > 1 else 1.0, angle, affine))
    if not fits:
        raise ScaleError(
            f"the depths cannot be found from the floor ({reasons[-1]}); give a field of view or camera pitch that is "
            "nearer to the truth, or far_over_near with the rules 'width' and 'height'"
        )
    _, best, affine = max(fits, key=lambda fit: fit[0])
    return affine, best


def _floor_fit(relative: NDArray[np.float32], camera: Camera, pitch: float) -> Affine:
    """The affine with which the floor lies 1 below a camera of this pitch."""
    reference = make_reference(ScaleSettings(source="ground_plane", camera_height=1.0, camera_pitch=pitch))
    affine = reference.read(relative, camera, frame="", stamp=0.0).affine()
    if affine is None or affine.shift <= 0:
        raise ScaleError("with the floor flat, the nearest things would lie behind the camera")
    return affine


def _planar(depth: NDArray[np.float32], rays: NDArray[np.float32], pitch: float) -> float:
    """Share of the pixels that lie on the floor or on the best upright plane."""
    down = down_in_camera(pitch, 0.0)
    off_floor = np.abs(Plane(down).beyond(depth, rays)) > PLANAR
    _, wall = find_wall(depth[off_floor], rays[off_floor], down, PLANAR)
    return float((~off_floor).mean() + wall * off_floor.mean())
