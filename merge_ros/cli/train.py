"""`merge-ros train`: converters for a frozen text-to-image transformer, from your data."""

from __future__ import annotations

import argparse
from pathlib import Path

DESCRIPTION = """\
Train converters on a frozen text-to-image transformer: depth or normals, as published or in one step.

All settings stand in a YAML file (config/train_merge_base.yaml explains each); --set changes single ones. A training
that was stopped, or killed, goes on where it was when the same command is given again, and gives the same weights as
one that was not. A finished one is never overwritten unless --overwrite says so.

  OUT/depth_converters/     the result: `merge-ros depth --model MODEL --converters OUT`
  OUT/board/                curves and pictures: tensorboard --logdir OUT
  OUT/log.jsonl  OUT/checkpoint.pt  OUT/summary.json

Needs `pip install 'merge_ros[train]'`. Several GPUs, or several processes on a CPU, through accelerate:

  accelerate launch --num_processes 8 -m merge_ros.cli.main train --config FILE
"""

EXAMPLES = """\
examples:
  merge-ros train --config train.yaml --dry-run               what it would take: data, memory, disk, time
  merge-ros train --config train.yaml --out runs/first
  merge-ros train --config train.yaml --out runs/g7 --set converters.groups=7 --set optimizer.rate=3e-4
  merge-ros train --config train.yaml --data-root /data --dry-run --check-frames 0      read every frame once
"""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register the verb."""
    parser = subparsers.add_parser(
        "train",
        help="train converters on a frozen text-to-image transformer",
        description=DESCRIPTION,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--config", type=Path, required=True, help="YAML file with the settings")
    parser.add_argument("--model", help="in place of the file's model: folder, Hugging Face id, or merge-tiny")
    parser.add_argument("--out", help="in place of the file's work folder")
    parser.add_argument("--data-root", type=Path, help="where the data sources' relative paths begin (here)")
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="change one setting; may be given often"
    )
    parser.add_argument("--dry-run", action="store_true", help="check all, measure a few updates, write no training")
    parser.add_argument("--overwrite", action="store_true", help="begin anew where a finished training lies")
    parser.add_argument(
        "--check-frames",
        type=int,
        default=16,
        metavar="N",
        help="frames of each source that are read before anything else; 0: all (%(default)s)",
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Train, or say what training would take; always 0, problems raise.

    Raises:
        MissingDependencyError: the extra 'train' is not installed.
    """
    from merge_ros.errors import ConfigurationError, MissingDependencyError

    try:
        from merge_ros.training.converters.dry_run import dry_run
        from merge_ros.training.converters.loop import say, train
        from merge_ros.training.converters.settings_file import read_settings
    except ModuleNotFoundError as error:
        raise MissingDependencyError(str(error.name), "train", "training") from error
    if arguments.check_frames < 0:
        raise ConfigurationError(f"--check-frames {arguments.check_frames} must be at least 0")
    given = [f"{name}={value}" for name in ("model", "out") if (value := getattr(arguments, name))]
    settings = read_settings(arguments.config, [*given, *arguments.set], arguments.data_root)
    if arguments.dry_run:
        say(dry_run(settings, arguments.check_frames))
        return 0
    converters = train(settings, overwrite=arguments.overwrite, checked_frames=arguments.check_frames)
    say(f"converters written to {converters}")
    return 0
