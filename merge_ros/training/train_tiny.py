"""All of merge-tiny in one command: data, autoencoder, text to image, light codec, depth converters, figures.

    python -m merge_ros.training.train_tiny --out DIR [--share 0.1]

The steps of each stage are fixed, so the same call gives the same model; `--share` takes a part of them all, for a
trial. A run that was killed goes on where it was. The model comes out in `DIR/model`.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

from merge_ros.errors import ConfigurationError
from merge_ros.simulation.dataset import HELD_OUT_SEED, make_dataset
from merge_ros.training.commands import start_stage
from merge_ros.training.run import SUMMARY

STEPS = {"vae": 3600, "text_to_image": 3600, "light_codec": 600, "depth_converters": 3600, "light_codec_refined": 150}
FEWEST_STEPS = 50


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="work folder; a run that was killed there goes on")
    parser.add_argument("--share", type=float, default=1.0, help="of every stage's steps (default %(default)s: all)")
    parser.add_argument("--frames", type=int, default=72000, help="training frames (default %(default)s)")
    parser.add_argument("--held-out", type=int, default=400, help="frames to measure on (default %(default)s)")
    parser.add_argument("--processes", type=int, default=2, help="one-thread processes (default %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of weights, batches and noise (default %(default)s)")
    arguments = start_stage(parser.parse_args())
    if not 0 < arguments.share <= 1:
        raise ConfigurationError(f"--share {arguments.share} must be greater than 0 and at most 1")
    out: Path = arguments.out
    train, held_out = out / "data" / "train", out / "data" / "held_out"
    make_dataset(train, arguments.frames, workers=arguments.processes)
    make_dataset(held_out, arguments.held_out, seed=HELD_OUT_SEED, workers=arguments.processes)
    for stage, steps in planned_steps(arguments.share).items():
        if (out / f"stage_{stage}" / SUMMARY).is_file():
            continue
        options = ["--data", train, "--out", out, "--steps", steps, "--seed", arguments.seed]
        if stage == "light_codec_refined":
            stage = "light_codec"
            options += ["--refine", "--held-out", held_out]
        _run(stage, *options, "--processes", arguments.processes)
    figures = ["--json", out / "held_out.json", "--sheet", out / "held_out.png"]
    _run("held_out", "--model", out / "model", "--data", held_out, "--train", train, *figures)


def planned_steps(share: float) -> dict[str, int]:
    """Steps of each stage for a share of all, in order."""
    return {stage: max(FEWEST_STEPS, round(share * steps)) for stage, steps in STEPS.items()}


def _run(stage: str, *options: object) -> None:
    # A process of its own, so that nothing of a stage stays in memory.
    subprocess.run([sys.executable, "-m", f"merge_ros.training.{stage}", *map(str, options)], check=True)


if __name__ == "__main__":
    main()
