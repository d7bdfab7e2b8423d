"""`merge-ros demo`: a recorded robot drive through the real node over real ROS 2, measured and drawn."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from merge_ros.cli.options import add_model_options, estimator_settings
from merge_ros.config import ScaleSettings
from merge_ros.demo.bag import BUNDLED_RECORDING
from merge_ros.demo.run import HEADLINE, DemoOptions, run_demo

DESCRIPTION = """\
Play a recorded camera over ROS 2 into the depth node, and receive what comes out: three processes, as on a robot.

Results, in --out:
  summary.json     frames, rate_hz, latency_ms_p50 and _p95 (image stamp to depth received), and abs_rel and delta1 of
                   /merge/depth against the true depth: metric, as published, without any alignment
  sheet.png        frames side by side: camera, true depth, our depth, error
  drive.gif        the whole drive
  cloud.ply        one cloud of /merge/points, for MeshLab, CloudCompare or Open3D
  depth_node.log   what the node said

The shipped recording is a simulated robot in a room that no model was trained on. It brings the camera's height and
pitch, from which the node finds its metric scale on the floor (scale source ground_plane).

While it runs, look at it from another terminal with the ROS_DOMAIN_ID that it prints:
  ROS_DOMAIN_ID=40 ros2 topic hz /merge/depth
"""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register the verb."""
    defaults = DemoOptions(Path("demo_output"))
    parser = subparsers.add_parser(
        "demo",
        help="a recorded robot drive through the ROS 2 node, with pictures",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--out", type=Path, default=defaults.out, help="folder for the results (%(default)s)")
    parser.add_argument(
        "--recording", type=Path, default=BUNDLED_RECORDING, help="rosbag2 folder (the shipped recording)"
    )
    parser.add_argument("--frames", type=int, default=0, help="stop after so many frames; 0: all of them")
    parser.add_argument("--rate", type=float, default=defaults.rate, help="speed, 1 is as recorded (%(default)s)")
    parser.add_argument("--loop", action="store_true", help="play until Ctrl-C; the results are written then")
    add_model_options(parser)
    scale = parser.add_argument_group("metric scale")
    scale.add_argument(
        "--scale-source",
        choices=("ground_plane", "fixed"),
        default="ground_plane",
        help="the floor, or the two numbers below (%(default)s)",
    )
    scale.add_argument("--scale", type=float, default=ScaleSettings().scale, help="metres per unit, for 'fixed'")
    scale.add_argument("--shift", type=float, default=ScaleSettings().shift, help="metres at 0, for 'fixed'")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Run the demo and print its figures."""
    fixed = ScaleSettings(source="fixed", scale=arguments.scale, shift=arguments.shift)
    options = DemoOptions(
        out=arguments.out,
        recording=arguments.recording,
        estimator=estimator_settings(arguments),
        scale=fixed if arguments.scale_source == "fixed" else None,
        rate=arguments.rate,
        frames=arguments.frames,
        loop=arguments.loop,
    )
    summary = run_demo(options, _Teller())
    print()
    for key in HEADLINE:
        print(f"  {key:16} {summary[key]}")
    print(f"\nresults in {options.out}: summary.json, sheet.png, drive.gif, cloud.ply")
    return 0


class _Teller:
    """Prints lines; one that starts with a carriage return replaces the line before, on a terminal, and is left out
    elsewhere."""

    def __init__(self) -> None:
        self._open = False

    def __call__(self, line: str) -> None:
        progress = line.startswith("\r")
        if progress and not sys.stdout.isatty():
            return
        if self._open and not progress:
            print()
        print(line, end="" if progress else "\n", flush=True)
        self._open = progress
