"""`merge-ros asset`: a simulation asset from a picture, from a picture with measured depth, or from a robot's view."""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

from tqdm import tqdm

from merge_ros.cli.asset_options import add_asset_options, asset_settings
from merge_ros.cli.asset_source import add_source_options, read_source, source_name
from merge_ros.config import AssetSettings
from merge_ros.errors import InputError
from merge_ros.synthesis.asset import Asset, build_asset
from merge_ros.synthesis.names import place_in
from merge_ros.synthesis.provenance import Provenance
from merge_ros.synthesis.write import METADATA, write_asset, write_into

if TYPE_CHECKING:
    from merge_ros.evaluation.asset_agreement import Agreement

DESCRIPTION = """\
Make a simulation asset of one picture: a textured mesh in metres, Z up, with a collision body, for Gazebo, MuJoCo,
Isaac Sim (USD) and whatever reads glTF or OBJ.

  --from-image PICTURE                  depth is estimated; metres come from --camera-height, --width or --height
  --from-rgbd PICTURE DEPTH CAMERA      depth is measured: 16-bit PNG in millimetres or .npy in metres, and a JSON
                                        object with width, height, fx, fy, cx, cy
  --from-topic IMAGE                    the next image of a running robot, by its camera info; else as --from-image
  --from-topic IMAGE DEPTH              with depth in metres of the same camera: of the depth node once it knows its
                                        scale (/merge/depth), or of a depth camera registered to the image

The result is OUT/NAME/, which appears whole or not at all, with metadata.json beside what --format asks for:

  glb   NAME.glb, turned to glTF's Y up           mjcf  mjcf/NAME.xml, MuJoCo
  obj   obj/NAME.obj, .mtl, .png                  usd   usd/NAME.usdc, textures/NAME.png
  sdf   sdf/NAME/, a Gazebo model folder          ply   NAME.ply, the point cloud
                                                  rgbd  rgbd/: picture, depth, intrinsics

One view gives a 2.5-D shell, open at the back: keep it static. Needs pip install 'merge_ros[assets]'.
"""

EXAMPLES = """\
examples:
  merge-ros asset --from-image photo.jpg --format sdf mjcf usd glb --out assets/ --hfov 69 --camera-height 0.4
  merge-ros asset --from-image crate.jpg --format glb --out assets/ --part subject --height 0.35
  merge-ros asset --from-rgbd rgb.png depth.png camera.json --format mjcf --out assets/ --check
  merge-ros asset --from-topic /camera/image_raw --camera-height 0.35 --format sdf --out worlds/ --name hall
  merge-ros asset --from-topic /camera/image_raw /merge/depth --format sdf usd --out worlds/ --name hall
"""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register the verb."""
    parser = subparsers.add_parser(
        "asset",
        help="a simulation asset from a picture",
        description=DESCRIPTION,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_source_options(parser)
    parser.add_argument("--out", type=Path, required=True, help="folder of all assets; made if missing")
    parser.add_argument("--name", default="", help="letters, digits and underscores; default: from the file or topic")
    parser.add_argument("--overwrite", action="store_true", help="replace an asset of that name")
    parser.add_argument(
        "--check",
        action="store_true",
        help="render the asset in MuJoCo from the source camera and print how far it agrees with the source; needs "
        "pip install 'merge_ros[sim]'",
    )
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    add_asset_options(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Make one asset."""
    settings = asset_settings(arguments)
    name = arguments.name or source_name(arguments)
    if place_in(arguments.out, name).exists() and not arguments.overwrite:
        raise InputError(f"{arguments.out / name} exists already; --overwrite replaces it, --name gives another")
    seconds: dict[str, float] = {}
    with tqdm(total=4 + len(settings.formats), unit="stage", disable=None) as bar:
        stages = _Stages(bar, seconds)
        stages("depth")
        view, provenance = read_source(arguments)
        asset = build_asset(view, settings, stages)
        files = write_asset(asset, name, arguments.out, settings, provenance, stages, overwrite=arguments.overwrite)
        agreement = None
        if arguments.check:
            stages("check")
            agreement = _check(asset, settings, provenance)
        stages.end()
    place = arguments.out / name
    result = json.loads((place / METADATA).read_text()) | {
        "bytes": {str(file.relative_to(place)): file.stat().st_size for file in files},
        "seconds": {stage: round(duration, 3) for stage, duration in seconds.items()},
        "agreement": asdict(agreement) if agreement else None,
    }
    if arguments.json:
        print(json.dumps(result, indent=2))
        return 0
    size = " x ".join(f"{side:.2f}" for side in asset.size)
    print(f"{place}: {size} m, {len(asset.mesh.faces)} triangles, {len(asset.collision)} collision pieces")
    if agreement:
        print(
            f"seen from the source camera: {agreement.covered:.1%} covered, PSNR {agreement.psnr:.1f} dB, depth AbsRel "
            f"{agreement.abs_rel:.4f}"
        )
    return 0


class _Stages:
    """Shows the stages in a progress bar and takes their times."""

    def __init__(self, bar: tqdm, seconds: dict[str, float]) -> None:
        self._bar, self._seconds = bar, seconds
        self._stage, self._start = "", time.perf_counter()

    def __call__(self, stage: str) -> None:
        self.end()
        self._stage = stage
        self._bar.set_description(stage)

    def end(self) -> None:
        """The last stage is over."""
        now = time.perf_counter()
        if self._stage:
            self._seconds[self._stage] = now - self._start
            self._bar.update()
        self._stage, self._start = "", now


def _check(asset: Asset, settings: AssetSettings, provenance: Provenance) -> Agreement:
    from merge_ros.evaluation.asset_agreement import check_agreement

    with tempfile.TemporaryDirectory() as folder:
        write_into(Path(folder), asset, "check", replace(settings, formats=("mjcf",)), provenance)
        return check_agreement(asset, Path(folder) / "mjcf" / "check.xml")
