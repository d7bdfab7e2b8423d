"""Entry point of the `merge-ros` command."""

from __future__ import annotations

import argparse
import importlib
import logging
import sys
from collections.abc import Sequence

from merge_ros import __version__
from merge_ros.errors import MergeError

VERBS = (
    "depth",
    "generate",
    "asset",
    "randomize",
    "evaluate",
    "verify",
    "export",
    "convert",
    "fetch",
    "engines",
    "benchmark",
    "demo",
    "view",
    "make_dataset",
    "train",
)

EXAMPLES = """\
examples:
  merge-ros demo                                  a recorded robot drive through the ROS 2 node, with pictures
  merge-ros depth photo.jpg --out depth/          relative depth of single images or folders
  merge-ros depth photo.jpg --out depth/ --scale-source ground_plane --camera-height 0.4 --camera-pitch 0.1 --hfov 69
                                                  metres and a point cloud, from the camera's height over the floor
  merge-ros generate "a red crate on a wooden floor" --out crates/ --depth
                                                  images from text, with their relative depth
  merge-ros asset --from-image photo.jpg --format sdf mjcf usd glb --out assets/ --hfov 69 --camera-height 0.4
                                                  a Gazebo, MuJoCo, USD and glTF model of what a picture shows
  ros2 launch merge_ros depth.launch.py           the node itself
  merge-ros view                                  what a running node sees, live

`merge-ros VERB --help` explains one verb.
"""


def build_parser() -> argparse.ArgumentParser:
    """The whole command line."""
    parser = argparse.ArgumentParser(
        prog="merge-ros",
        description="Depth from one camera, and images from text: one frozen diffusion transformer, MERGE converters.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"merge-ros {__version__}")
    parser.add_argument("--verbose", "-v", action="store_true", help="log what is being done")
    subparsers = parser.add_subparsers(title="verbs", metavar="VERB", required=True)
    for verb in VERBS:
        importlib.import_module(f"merge_ros.cli.{verb}").add_parser(subparsers)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        argv: arguments without the program name; None takes the process's.

    Returns:
        Exit status: 0 done, 1 a check failed, 2 a wrong call or bad input, 130 interrupted.
    """
    arguments = build_parser().parse_args(argv)
    logging.basicConfig(
        level=logging.INFO if arguments.verbose else logging.WARNING,
        format="merge-ros: %(levelname)s: %(message)s",
    )
    try:
        return int(arguments.run(arguments))
    except MergeError as error:
        print(f"merge-ros: error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("merge-ros: interrupted", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
