"""Tries every fault as often as docs/reliability.md says, and prints its table.

The cases are tests (test/ros/test_faults_*.py), which an ordinary test run tries a few times only. They run against the
installed package, so from a tree where `make venv` was run:

    python benchmarks/faults.py                                  # all of them
    python benchmarks/faults.py -k 'malformed or clock'          # some, by pytest's -k
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ET
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]


def main() -> int:
    """Run the tests, print their table; the exit status of pytest."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-k", default="", metavar="EXPRESSION", help="only the tests that pytest selects with this")
    options = parser.parse_args()
    tests = sorted(str(path) for path in (REPOSITORY / "test" / "ros").glob("test_faults_*.py"))
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        command = [
            str(Path(sys.executable).with_name("pytest")),  # `-m pytest` would import the source tree
            *tests,
            "-k",
            options.k,
            f"--junitxml={report}",
            "-o",
            "timeout=3600",
        ]
        status = subprocess.run(command, cwd=REPOSITORY, env=os.environ | {"MERGE_ROS_FAULTS": "full"}, check=False)
        print_table(report)
    return status.returncode


def print_table(report: Path) -> None:
    """The table of the cases that passed, and below it those that did not."""
    print("| case | tried | what happened |\n|---|---|---|")
    for test in ET.parse(report).iter("testcase"):
        if any(test.find(kind) is not None for kind in ("failure", "error", "skipped")):
            continue
        for found in test.iter("property"):
            if found.get("name") == "fault":
                print(f"| {' | '.join(json.loads(found.get('value', '')))} |")
    for test in ET.parse(report).iter("testcase"):
        for kind in ("failure", "error", "skipped"):
            if test.find(kind) is not None:
                print(f"{kind}: {test.get('name')}")


if __name__ == "__main__":
    sys.exit(main())
