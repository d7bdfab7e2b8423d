"""One drive of the simulated robot to a goal under Nav2, seeing only through the depth node, with a film of it.

    python -m merge_ros.demo.nav_demo --out nav_demo_output

Writes nav_demo.gif, nav_demo.png (its last picture), drive.json (the verdict) and the logs.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

from merge_ros.demo.nav2 import nav2_environment
from merge_ros.demo.nav_drive import EXACT, SETTINGS, run_drive
from merge_ros.demo.nav_film import draw_film, write_gif
from merge_ros.errors import MergeError
from merge_ros.files import atomic_write
from merge_ros.simulation.errand import FIRST_SEED, make_errands

ROOM = 1  # the one of docs/images/nav_demo.gif
RESULTS = ("drive.json", "drive.npz", "nav_demo.gif", "nav_demo.png")


def main() -> int:
    """Run as a process; returns 0 when the goal was reached without touching anything, 1 when not, 2 when it could
    not be tried."""
    parser = argparse.ArgumentParser(
        prog="merge_ros.demo.nav_demo", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=Path("nav_demo_output"), help="folder (%(default)s)")
    parser.add_argument(
        "--depth",
        default=EXACT,
        help="the depth model, merge-tiny say; exact: the true depth under a random affine change in every frame "
        "(%(default)s)",
    )
    parser.add_argument("--room", type=int, default=ROOM, help="number of the room, from 0 (%(default)s)")
    parser.add_argument(
        "--archives",
        type=Path,
        default=Path(os.environ.get("ROS2_REAL", "../shared/ros2_real")),
        help="folder with an archive of Nav2, for where Nav2 is not installed (%(default)s)",
    )
    arguments = parser.parse_args()
    try:
        return _run(arguments)
    except MergeError as error:
        print(f"nav_demo: error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("nav_demo: interrupted", file=sys.stderr)
        return 130


def _run(arguments: argparse.Namespace) -> int:
    out: Path = arguments.out
    for name in RESULTS:  # what an earlier run left must not pass for the result of this one
        (out / name).unlink(missing_ok=True)
    errand = make_errands(arguments.room + 1, SETTINGS, FIRST_SEED)[-1]
    print(f"room {arguments.room} (seed {errand.seed}), depth: {arguments.depth}; starting Nav2 ...", flush=True)
    with tempfile.TemporaryDirectory(prefix="nav2_") as work:
        environment = nav2_environment(arguments.archives, Path(work))
        verdict = run_drive(errand, arguments.depth, out, environment, _tell)
    print()
    for name in ("outcome", "seconds", "path_length", "goal_error", "clearance", "with_metres"):
        print(f"  {name:12} {verdict.get(name, '')}")
    if (out / "drive.npz").is_file():
        pictures = draw_film(errand, SETTINGS, out / "drive.npz", verdict["outcome"])
        write_gif(pictures, out / "nav_demo.gif")
        with atomic_write(out / "nav_demo.png") as temporary:
            pictures[-1].save(temporary, optimize=True)
        print(f"\nresults in {out}: {', '.join(RESULTS)}")
    return 0 if verdict["outcome"] == "goal" else 1


def _tell(event: dict[str, Any]) -> None:
    if "left" in event and sys.stdout.isatty():
        print(f"\r{event['seconds']:6.1f} s, {event['left']:.1f} m to go ", end="", flush=True)


if __name__ == "__main__":
    sys.exit(main())
