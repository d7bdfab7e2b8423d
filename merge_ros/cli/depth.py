"""`merge-ros depth`: depth of image files and folders, without ROS."""

from __future__ import annotations

import argparse
import math
import sys
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from merge_ros.cli.options import add_model_options, estimator_settings
from merge_ros.config import OutputSettings, ScaleSettings
from merge_ros.errors import ConfigurationError, InputError, MergeError, ScaleError
from merge_ros.estimator import DepthEstimator
from merge_ros.files import atomic_write
from merge_ros.geometry.alignment import Affine
from merge_ros.geometry.camera import Camera
from merge_ros.geometry.depth import clip_range, colourise
from merge_ros.geometry.pointcloud import back_project, write_ply
from merge_ros.scale import make_reference

SINGLE_IMAGE_SOURCES = ("none", "fixed", "ground_plane")  # the others need a sensor beside the camera
IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp")

DESCRIPTION = """\
Estimate depth of single images, or of every image in a folder.

For each IMAGE two files are written to --out:
  NAME_depth.npy      float32 [height, width]; relative depth in [0, 1] (0 nearest), or metres when a scale is given
  NAME_depth.png      the same in colours, red near to blue far
and with a metric scale and --hfov also
  NAME_cloud.ply      the coloured point cloud in metres (x right, y down, z forward)

Relative depth is affine-invariant: metres = scale * value + shift with both unknown. To get metres, give the two
numbers (--scale-source fixed), or the camera's height and pitch over a visible floor (--scale-source ground_plane).
"""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register the verb."""
    defaults = ScaleSettings()
    parser = subparsers.add_parser(
        "depth",
        help="depth of image files and folders",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("images", nargs="+", type=Path, metavar="IMAGE", help="image files or folders of images")
    parser.add_argument("--out", type=Path, required=True, help="folder for the results; made if missing")
    add_model_options(parser)
    scale = parser.add_argument_group("metric scale")
    scale.add_argument("--scale-source", choices=SINGLE_IMAGE_SOURCES, default=defaults.source, help="(%(default)s)")
    scale.add_argument("--scale", type=float, default=defaults.scale, help="metres per unit, for 'fixed'")
    scale.add_argument("--shift", type=float, default=defaults.shift, help="metres at relative depth 0, for 'fixed'")
    scale.add_argument(
        "--camera-height",
        type=float,
        default=defaults.camera_height,
        help="metres over the floor, for 'ground_plane'",
    )
    scale.add_argument(
        "--camera-pitch",
        type=float,
        default=defaults.camera_pitch,
        help="radians, positive looks down (%(default)s)",
    )
    scale.add_argument("--hfov", type=float, help="horizontal field of view in degrees; needed for metric clouds")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Estimate, write, and return 1 when an image could not be done."""
    scale = ScaleSettings(
        source=arguments.scale_source,
        scale=arguments.scale,
        shift=arguments.shift,
        camera_height=arguments.camera_height,
        camera_pitch=arguments.camera_pitch,
    )
    if scale.source == "ground_plane" and arguments.hfov is None:
        raise ConfigurationError("--scale-source ground_plane needs --hfov, the horizontal field of view in degrees")
    jobs = _jobs(arguments.images, arguments.out)
    estimator = DepthEstimator(estimator_settings(arguments))
    failed = 0
    for image, target in tqdm(jobs, unit="image", disable=None):
        try:
            _one_image(estimator, scale, arguments.hfov, image, target)
        except MergeError as error:  # the others are still worth doing
            print(f"merge-ros: {image}: {error}", file=sys.stderr)
            failed += 1
    done = len(jobs) - failed
    print(f"{done} of {len(jobs)} images done, results in {arguments.out}")
    return 1 if failed else 0


def _jobs(sources: list[Path], out: Path) -> list[tuple[Path, Path]]:
    """Pairs of (image file, result path without suffix); folders keep their structure below `out`."""
    jobs: dict[Path, Path] = {}
    for source in sources:
        if source.is_dir():
            found = sorted(path for path in source.rglob("*") if path.suffix.lower() in IMAGE_SUFFIXES)
            if not found:
                raise InputError(f"folder {source} holds no image; allowed: {', '.join(IMAGE_SUFFIXES)}")
            pairs = [(path, out / path.relative_to(source).with_suffix("")) for path in found]
        elif source.is_file():
            pairs = [(source, out / source.stem)]
        else:
            raise InputError(f"{source} does not exist")
        for path, target in pairs:
            if target in jobs:
                raise InputError(f"{jobs[target]} and {path} would both be written to {target}_depth.npy")
            jobs[target] = path
    return [(path, target) for target, path in jobs.items()]


def _one_image(
    estimator: DepthEstimator, settings: ScaleSettings, hfov: float | None, image: Path, target: Path
) -> None:
    rgb = read_rgb(image)
    height, width = rgb.shape[:2]
    camera = Camera.from_fov(width, height, math.radians(hfov)) if hfov is not None else None
    depth = estimator(rgb)
    if settings.source == "none":
        _write_depth(target, depth, 0.0, 1.0)
        return
    affine = _metric_scale(settings, depth, camera)
    limits = OutputSettings()
    metres = clip_range(affine.apply(depth), limits.near, limits.far)
    finite = metres[np.isfinite(metres)]
    near, far = (float(finite.min()), float(finite.max())) if finite.size else (limits.near, limits.far)
    _write_depth(target, metres, near, max(far, near + 1e-3))
    if camera is not None:
        with atomic_write(_beside(target, "_cloud.ply")) as temporary:
            write_ply(temporary, back_project(metres, camera), rgb)


def _metric_scale(settings: ScaleSettings, depth: NDArray[np.float32], camera: Camera | None) -> Affine:
    """By this image alone: a single image has no frames before it that could confirm anything."""
    if settings.source == "fixed":
        return Affine(settings.scale, settings.shift)
    if camera is None:
        raise InputError(f"scale source {settings.source!r} needs the camera's field of view")
    try:
        affine = make_reference(settings).read(depth, camera, frame="", stamp=0.0).affine()
    except ScaleError as error:
        raise InputError(f"no metric scale: {error}") from error
    if affine is None:
        raise InputError("no metric scale: the reference knows the depth at one place only")
    return affine


def read_rgb(path: Path) -> NDArray[np.uint8]:
    """Read an image file as [H, W, 3] uint8 RGB.

    Raises:
        InputError: the file is not an image that OpenCV reads.
    """
    bgr = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if bgr is None:
        raise InputError("not an image that can be read")
    return np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), np.uint8)


def _write_depth(target: Path, depth: NDArray[np.float32], near: float, far: float) -> None:
    with atomic_write(_beside(target, "_depth.npy")) as temporary:
        np.save(temporary, depth)
    with atomic_write(_beside(target, "_depth.png")) as temporary:
        cv2.imwrite(str(temporary), cv2.cvtColor(colourise(depth, near, far), cv2.COLOR_RGB2BGR))


def _beside(target: Path, ending: str) -> Path:
    return target.with_name(target.name + ending)
