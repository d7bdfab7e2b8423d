"""How often the simulated robot reaches its goal under Nav2, seeing only /merge/points.

    python benchmarks/nav_drives.py --rooms 10 --depth exact
    python benchmarks/nav_drives.py --rooms 10 --depth merge-tiny --json > drives.jsonl

Each drive is `nav2_demo.launch.py` as it is, in a room that no model was trained on, to a goal 4 to 6 m away with
something on the straight line to it. The clock is the simulation's and waits for depth and commands, so that a slow
machine takes longer and changes nothing else. Prints the rows of the table in docs/navigation.md.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
import tempfile
import time
from pathlib import Path

from merge_ros.demo.nav2 import nav2_environment
from merge_ros.demo.nav_drive import EXACT, SETTINGS, run_drive
from merge_ros.demo.nav_film import draw_film
from merge_ros.demo.processes import DemoError
from merge_ros.simulation.errand import make_errands

REPOSITORY = Path(__file__).resolve().parent.parent
ARCHIVES = Path(os.environ.get("ROS2_REAL", REPOSITORY.parent / "shared" / "ros2_real"))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rooms", type=int, default=10, help="rooms, one drive each (%(default)s)")
    parser.add_argument("--first", type=int, default=0, help="number of the first room (%(default)s)")
    parser.add_argument("--depth", default=EXACT, help="exact, or a depth model (%(default)s)")
    parser.add_argument("--json", action="store_true", help="print a line of JSON for each drive instead of the table")
    parser.add_argument("--out", type=Path, help="keep recordings, logs and the last picture of each drive here")
    arguments = parser.parse_args()
    errands = make_errands(arguments.first + arguments.rooms, SETTINGS)[arguments.first :]
    verdicts = []
    failed = 0
    if not arguments.json:
        print("| room | outcome | seconds | way, m | clearance, m | frames with metres |\n|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory(prefix="nav_drives_") as temporary:
        work = Path(temporary, "nav2")
        work.mkdir()
        environment = nav2_environment(ARCHIVES, work)
        for number, errand in enumerate(errands, arguments.first):
            folder = (arguments.out or Path(temporary)) / f"{arguments.depth}_{number}"
            began = time.monotonic()
            try:
                verdict = run_drive(errand, arguments.depth, folder, environment)
            except DemoError as error:  # says nothing of the depth; the other rooms still count
                print(f"room {number}: {error}", file=sys.stderr)
                failed += 1
                continue
            verdict["real_seconds"] = round(time.monotonic() - began)
            verdicts.append(verdict)
            if arguments.json:
                print(json.dumps({"number": number} | verdict), flush=True)
            else:
                print(
                    f"| {number}: {verdict['room']} | {verdict['outcome']} | {verdict['seconds']:.0f} "
                    f"| {verdict['path_length']:.1f} | {verdict.get('clearance', math.nan):.2f} "
                    f"| {verdict['with_metres']:.0%} |",
                    flush=True,
                )
            if arguments.out and (folder / "drive.npz").is_file():  # not where the costmaps never came
                draw_film(errand, SETTINGS, folder / "drive.npz", verdict["outcome"])[-1].save(folder / "end.png")
    reached = sum(verdict["outcome"] == "goal" for verdict in verdicts)
    print(f"{reached} of {len(verdicts)} goals reached without touching anything", file=sys.stderr)
    if failed:
        print(f"{failed} further drives could not be finished, see above", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
