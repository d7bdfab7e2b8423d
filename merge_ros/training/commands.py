"""What the command lines of all stages share."""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

from merge_ros.errors import ConfigurationError
from merge_ros.training.compute import LOG_FORMAT


def stage_parser(text: str | None, steps: int) -> argparse.ArgumentParser:
    """A parser with the arguments every stage has."""
    parser = argparse.ArgumentParser(description=text, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder made by merge-ros make-dataset")
    parser.add_argument("--out", type=Path, required=True, help="work folder; a stage that was killed there goes on")
    parser.add_argument("--steps", type=int, default=steps, help="updates of this stage (default %(default)s)")
    parser.add_argument("--frames", type=int, help="use only the first frames of the data (default: all)")
    parser.add_argument("--processes", type=int, default=2, help="one-thread processes (default %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of weights, batches and noise (default %(default)s)")
    return parser


def add_start(parser: argparse.ArgumentParser) -> None:
    """Add `--start`, for stages that can go on from the weights of a finished model."""
    parser.add_argument(
        "--start",
        type=Path,
        help="model folder to go on from, with its tokenizer and autoencoder (default: new weights)",
    )


def start_stage(arguments: argparse.Namespace) -> argparse.Namespace:
    """Set up logging and check what was given.

    Raises:
        ConfigurationError: fewer than one step.
    """
    logging.basicConfig(level=logging.INFO, format=LOG_FORMAT, datefmt="%H:%M:%S")
    if getattr(arguments, "steps", 1) < 1:
        raise ConfigurationError(f"--steps {arguments.steps} must be at least 1")
    return arguments
