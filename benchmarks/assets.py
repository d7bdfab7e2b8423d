"""Assets of simulated frames: time by stage, size, and agreement with the source: python benchmarks/assets.py

Each frame becomes an asset twice, from its true depth and from a model's estimate, is written in all formats, rendered
in MuJoCo from the source camera, and compared. Prints the table of docs/assets.md; --sheet draws its picture.
"""

from __future__ import annotations

import argparse
import math
import tempfile
import time
from collections import defaultdict
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from merge_ros.config import ASSET_FORMATS, AssetScaleSettings, AssetSettings, EstimatorSettings
from merge_ros.errors import MergeError
from merge_ros.estimator import DepthEstimator
from merge_ros.evaluation.asset_agreement import check_agreement, render_asset
from merge_ros.evaluation.metrics import abs_rel
from merge_ros.simulation.frame import Frame
from merge_ros.simulation.kinds import scene_views
from merge_ros.synthesis.asset import build_asset
from merge_ros.synthesis.metric import metric_view
from merge_ros.synthesis.provenance import Provenance
from merge_ros.synthesis.view import View
from merge_ros.synthesis.write import write_asset

Image = NDArray[np.uint8]
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
    parser.add_argument("--sheet", type=Path, help="a picture: source, asset, asset from the side, for both depths")
    arguments = parser.parse_args()
    estimator = DepthEstimator(EstimatorSettings(model=arguments.model, threads=1))
    settings = AssetSettings(formats=ASSET_FORMATS, part=arguments.part)
    rows: dict[str, dict[str, list[float]]] = {name: defaultdict(list) for name in ("true depth", arguments.model)}
    pictures: list[list[Image]] = []
    frames = (
        frame
        for seed in range(arguments.seed, arguments.seed + 9 * arguments.count)
        for frame in _view(seed, arguments.kind)
    )
    for frame, _ in zip(frames, tqdm(range(arguments.count), unit="frame", disable=None), strict=False):
        shown = [frame.rgb]
        for name, row in rows.items():
            try:
                view = _source(frame, name, estimator, arguments.pitch)
                shown += _measure(view, frame, settings, row)
            except MergeError as error:
                row["failed"].append(1)
                tqdm.write(f"{name}: {error}")
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


def _source(frame: Frame, name: str, estimator: DepthEstimator, tell_pitch: bool) -> View:
    if name == "true depth":
        return View(frame.rgb, frame.depth, frame.camera)
    pitch = frame.camera_pitch if tell_pitch else None
    scale = AssetScaleSettings("camera_height", frame.camera_height, pitch)
    return metric_view(frame.rgb, estimator(frame.rgb), frame.camera, scale)


def _measure(view: View, frame: Frame, settings: AssetSettings, row: dict[str, list[float]]) -> list[Image]:
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
    row["depth AbsRel of the source to truth"].append(abs_rel(asset.surface.depth[used], frame.depth[used]))
    return pictures


if __name__ == "__main__":
    main()
