"""`merge-ros engines`: what is installed, what this machine has, and what `--backend auto` would take."""

from __future__ import annotations

import argparse
import dataclasses
import json

from merge_ros.cli.options import add_model_options, estimator_settings

DESCRIPTION = """\
List the inference engines with their versions and the devices that each can use here, and say which one the settings
below come to, and why. Nothing is loaded but what tells whether an engine is there; where this processor has bf16, the
model is run on a few stored pictures, once, to see what bf16 costs.

  merge-ros engines
  merge-ros engines --model depth.onnx --device cpu --precision fp32
"""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register the verb."""
    parser = subparsers.add_parser(
        "engines",
        help="what can run a model here, and what would",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_model_options(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of a table")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print, and return 1 when nothing can run these settings."""
    from merge_ros.errors import MergeError
    from merge_ros.runtime.installed import survey
    from merge_ros.runtime.selection import choose

    settings = estimator_settings(arguments)
    reports = survey()
    chosen, reason = settings, "asked for by name"
    problem = ""
    if settings.backend == "auto":
        try:
            choice = choose(settings)
            chosen, reason = choice.settings, choice.reason
        except MergeError as error:
            problem = str(error)
    if arguments.json:
        fields = ("backend", "device", "precision", "torch_mode")
        taken = None if problem else {name: getattr(chosen, name) for name in fields} | {"reason": reason}
        report = {"engines": [dataclasses.asdict(entry) for entry in reports], "chosen": taken, "problem": problem}
        print(json.dumps(report, indent=2))
        return 1 if problem else 0
    print(f"{'backend':<13} {'version':<14} {'devices':<18} note")
    for entry in reports:
        devices = ", ".join(entry.devices) or "-"
        print(f"{entry.backend:<13} {entry.version or '-':<14} {devices:<18} {entry.note}")
    print()
    if problem:
        print(f"{settings.model}: nothing can run it: {problem}")
        return 1
    named = f"backend {chosen.backend}, device {chosen.device}, precision {chosen.precision}"
    print(f"{settings.model} would run with {named}:\n  {reason}")
    return 0
