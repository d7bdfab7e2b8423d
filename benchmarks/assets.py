"""Assets of simulated frames: time by stage, size, and agreement with the source: python benchmarks/assets.py

Each frame becomes an asset twice, from its true depth and from a model's estimate, is written in all formats, rendered
in MuJoCo from the source camera, and compared. Prints the table of docs/assets.md; --sheet draws its picture.

With --from-text the captions of the frames are prompts instead: the model draws them, from seed 1 on, and measures the
depth of what it drew. What gives no asset stays black in the sheet, and the reason is printed.
"""

from __future__ import annotations

import argparse
import itertools
import math
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from merge_ros.config import (
    ASSET_FORMATS,
    AssetScaleSettings,
    AssetSettings,
    EstimatorSettings,
    GenerationRequest,
    GeneratorSettings,
)
from merge_ros.errors import MergeError
from merge_ros.estimator import DepthEstimator
from merge_ros.evaluation.asset_agreement import check_agreement, render_asset
from merge_ros.evaluation.metrics import abs_rel
from merge_ros.generator import ImageGenerator
from merge_ros.geometry.depth import colourise
from merge_ros.simulation.frame import Frame
from merge_ros.simulation.kinds import scene_views
from merge_ros.synthesis.asset import build_asset
from merge_ros.synthesis.metric import estimated_view, metric_view
from merge_ros.synthesis.provenance import Provenance
from merge_ros.synthesis.view import View
from merge_ros.synthesis.write import write_asset

Image: TypeAlias = NDArray[np.uint8]
Depth: TypeAlias = NDArray[np.float32]
# Of a frame: the pictures that are shown before the assets, and each view that becomes one, made when it is asked for.
Sources: TypeAlias = Callable[[Frame], tuple[list[Image], dict[str, Callable[[], View]]]]
TURN = math.radians(22)  # of the camera about the asset, for the second picture


def main() -> None:
    """Make, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=10, help="frames (%(default)s)")
    parser.add_argument("--kind", default="asset", choices=("asset", "robot"), help="of view (%(default)s)")
    parser.add_argument("--seed", type=int, default=10_200_000, help="of the first scene (%(default)s)")
    parser.add_argument("--part", default="scene", choices=("scene", "subject"))
    parser.add_argument("--model", default="merge-tiny", help="that estimates depth (%(default)s)")
    parser.add_argument("--pitch", action="store_true", help="tell the camera's pitch; otherwise it is found")
    parser.add_argument("--from-text", action="store_true", help="assets of images that the model makes of captions")
    parser.add_argument("--sheet", type=Path, help="a picture: source, asset, asset from the side, for both depths")
    arguments = parser.parse_args()
    settings = AssetSettings(formats=ASSET_FORMATS, part=arguments.part)
    frames = itertools.islice(
        (frame for seed in itertools.count(arguments.seed) for frame in _view(seed, arguments.kind)), arguments.count
    )
    sources = _drawn(arguments.model) if arguments.from_text else _seen(arguments.model, arguments.pitch)
    rows: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    pictures: list[list[Image]] = []
    for frame in tqdm(frames, total=arguments.count, unit="frame", disable=None):
        shown, views = sources(frame)
        for name, view in views.items():
            try:
                shown += _measure(view(), None if arguments.from_text else frame.depth, settings, rows[name])
            except MergeError as error:
                rows[name]["failed"].append(1)
                tqdm.write(f"{frame.caption}, {name}: {error}")
                shown += [np.zeros_like(frame.rgb)] * 2
        pictures.append(shown)
    for name, row in rows.items():
        print(f"\n{name}: {len(row['triangles'])} assets, {len(row['failed'])} failed")
        for figure, values in row.items():
            if figure != "failed":
                print(f"  {figure:32s} median {np.median(values):10.4g}   {min(values):10.4g} to {max(values):10.4g}")
    if arguments.sheet:
        sheet = np.concatenate([np.concatenate(shown, 1) for shown in pictures])
        cv2.imwrite(str(arguments.sheet), sheet[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 80])


def _view(seed: int, kind: str) -> list[Frame]:
    return scene_views(seed, 1, (256, 192), kind, evaluation_ranges=True)


def _seen(model: str, tell_pitch: bool) -> Sources:
    """Of a frame: its picture, then its true depth and the model's."""
    estimator = DepthEstimator(EstimatorSettings(model=model, threads=1))

    def sources(frame: Frame) -> tuple[list[Image], dict[str, Callable[[], View]]]:
        pitch = frame.camera_pitch if tell_pitch else None
        scale = AssetScaleSettings("camera_height", frame.camera_height, pitch)
        return [frame.rgb], {
            "true depth": lambda: View(frame.rgb, frame.depth, frame.camera),
            model: lambda: metric_view(frame.rgb, estimator(frame.rgb), frame.camera, scale),
        }

    return sources


def _drawn(model: str) -> Sources:
    """Of a frame's caption: the picture that the model makes of it, and its depth."""
    generator = ImageGenerator(GeneratorSettings(model=model, threads=1, keep_text_encoder=True))
    seeds = itertools.count(1)

    def sources(frame: Frame) -> tuple[list[Image], dict[str, Callable[[], View]]]:
        (image,) = generator(GenerationRequest(frame.caption, seed=next(seeds), depth=True))
        assert image.depth is not None
        relative, scale = image.depth, AssetScaleSettings("camera_height", frame.camera_height)
        shown = [image.rgb, colourise(relative, 0.0, 1.0)]
        return shown, {f"{model}, from text": lambda: estimated_view(image.rgb, relative, scale)}

    return sources


def _measure(view: View, truth: Depth | None, settings: AssetSettings, row: dict[str, list[float]]) -> list[Image]:
    """Make, write and render one asset; its pictures from the source camera and from the side."""
    last = ["", time.thread_time()]

    def stage(name: str) -> None:
        now = time.thread_time()
        if last[0]:
            row[f"CPU seconds, {last[0]}"].append(now - float(last[1]))
        last[:] = [name, now]

    asset = build_asset(view, settings, stage)
    with tempfile.TemporaryDirectory() as folder:
        files = write_asset(asset, "asset", Path(folder), settings, Provenance("rgbd"), stage)
        stage("")
        for file_format in settings.formats:
            place, alone = Path(folder) / "asset" / file_format, Path(folder) / "asset" / f"asset.{file_format}"
            mine = [file for file in files if file.is_relative_to(place) or file == alone]
            row[f"kB, {file_format}"].append(sum(file.stat().st_size for file in mine) / 1000)
        mjcf = Path(folder) / "asset" / "mjcf" / "asset.xml"
        agreement = check_agreement(asset, mjcf)
        cos, sin = math.cos(TURN), math.sin(TURN)
        turned = np.array([[cos, -sin, 0, 0], [sin, cos, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1.0]]) @ asset.pose
        pictures = [render_asset(mjcf, view.camera, pose)[0] for pose in (asset.pose, turned)]
    used = asset.surface.used
    row["triangles"].append(len(asset.mesh.faces))
    row["collision pieces"].append(len(asset.collision))
    row["covered"].append(agreement.covered)
    row["PSNR, dB"].append(agreement.psnr)
    row["depth AbsRel to its own source"].append(agreement.abs_rel)
    if truth is not None:
        row["depth AbsRel of the source to truth"].append(abs_rel(asset.surface.depth[used], truth[used]))
    return pictures


if __name__ == "__main__":
    main()
