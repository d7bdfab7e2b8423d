"""`merge-ros view`: image, depth, cloud and scale state of a running depth node, live in Rerun."""

from __future__ import annotations

import argparse

from merge_ros.cli.ros_client import ros_client
from merge_ros.ros.view_options import add_view_options, view_options

DESCRIPTION = """\
Show what a running depth node sees: camera image, metric depth, coloured cloud, the state of the metric scale and the
latency over time. In a window where there is a display; elsewhere it serves a web page and prints its address.

  merge-ros view                                     window, or web page at http://localhost:9090
  merge-ros view --node /front_depth --image /front/image_raw
  merge-ros view --web --record drive.rrd            and keep it: `rerun drive.rrd` shows it again

It is a process of its own that only listens: it costs the node what any subscriber costs. Needs the extra `view`
(Rerun) and ROS. `ros2 launch merge_ros depth.launch.py view:=true` starts it beside the node. Ctrl-C ends it.
"""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register the verb."""
    parser = subparsers.add_parser(
        "view",
        help="image, depth, cloud and scale of a running depth node, live",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_view_options(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Show until Ctrl-C."""
    options = view_options(arguments)
    with ros_client("showing what a node publishes"):
        from merge_ros.ros.view import view
    return view(options)
