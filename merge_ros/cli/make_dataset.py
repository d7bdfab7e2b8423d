"""`merge-ros make-dataset`: simulated rooms with exact depth, for training and for measuring."""

from __future__ import annotations

import argparse
from pathlib import Path

from merge_ros.cli.options import image_size

DESCRIPTION = """\
Render frames of random indoor scenes with exact depth and a caption, a mix of three kinds of view:

  robot   furnished rooms from a mobile robot's camera, 0.15 to 1.2 m high, looking down 28 degrees or up 8 at most
  wide    the same rooms from anywhere: 0.1 to 1.8 m, up and down 35 degrees, rolled by 20, 45 to 110 degrees wide
  asset   one to three objects on a floor before a wall, large in the picture

  OUT/rgb/NAME.jpg      8-bit colour
  OUT/depth/NAME.png    16-bit millimetres along the optical axis, 0 = unknown
  OUT/frames.jsonl      per frame: kind of view, caption, camera matrix, height, pitch and roll, scene's seed
  OUT/dataset.json      the settings

The same seed gives the same frames, whatever the number of workers. A folder that was begun is continued, so a killed
run loses at most one scene, and a larger --count later adds to what is there. Needs `pip install 'merge_ros[sim]'` and
libEGL or libOSMesa; no GPU. A frame of 256x192 takes about 55 ms of one core.
"""

EXAMPLES = """\
examples:
  merge-ros make-dataset --out data/train --count 16000
  merge-ros make-dataset --out data/held_out --count 300 --seed 10000000      scenes that training never sees
  merge-ros make-dataset --out data/robots --count 400 --seed 10000000 --kinds robot=1 --evaluation-ranges
  merge-ros make-dataset --out data/clean --count 100 --size 640x480 --clean  without camera noise, blur and JPEG
"""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register the verb."""
    parser = subparsers.add_parser(
        "make-dataset",
        help="render simulated rooms with exact depth",
        description=DESCRIPTION,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--out", type=Path, required=True, help="folder to fill; a begun one is continued")
    parser.add_argument("--count", type=int, required=True, help="frames in the folder afterwards")
    parser.add_argument("--size", type=image_size, default=(256, 192), metavar="WxH", help="pixels (256x192)")
    parser.add_argument("--seed", type=int, default=0, help="of the first scene; each takes the next (%(default)s)")
    parser.add_argument("--views", type=int, default=4, help="frames taken of each scene (%(default)s)")
    parser.add_argument(
        "--kinds", type=shares, metavar="KIND=SHARE,...", help="mix of the views (robot=0.5,wide=0.2,asset=0.3)"
    )
    parser.add_argument(
        "--evaluation-ranges",
        action="store_true",
        help="robot views from exactly the cameras of the evaluation: 0.2-1.0 m, down 25 to up 5 degrees, 60-90 wide",
    )
    parser.add_argument("--workers", type=int, default=2, help="processes (%(default)s)")
    parser.add_argument(
        "--clean", action="store_true", help="perfect pictures: no exposure change, noise, blur or JPEG"
    )
    parser.add_argument(
        "--normals", action="store_true", help="write normals/NAME.npy too: float16, x right, y down, z forward"
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Make the data set; always 0, problems raise."""
    from merge_ros.simulation.dataset import make_dataset
    from merge_ros.simulation.kinds import DEFAULT_MIX

    rendered = make_dataset(
        arguments.out,
        arguments.count,
        size=arguments.size,
        seed=arguments.seed,
        workers=arguments.workers,
        views_per_room=arguments.views,
        photometric=not arguments.clean,
        kinds=DEFAULT_MIX if arguments.kinds is None else arguments.kinds,
        evaluation_ranges=arguments.evaluation_ranges,
        normals=arguments.normals,
    )
    print(f"{rendered} frames rendered; {arguments.out} holds {arguments.count}")
    return 0


def shares(text: str) -> dict[str, float]:
    """`robot=0.5,asset=0.5` to a dictionary.

    Raises:
        argparse.ArgumentTypeError: not names with numbers.
    """
    try:
        return {name.strip(): float(share) for name, share in (item.split("=") for item in text.split(","))}
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is not KIND=SHARE,..., such as robot=0.5,wide=0.5") from error
