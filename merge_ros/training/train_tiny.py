"""All of merge-tiny in one command: data, autoencoder, text to image, depth converters, figures.

    python -m merge_ros.training.train_tiny --out DIR --minutes 81

Minutes mean those of the machine that made the shipped model (two cores shared with other work, see the model card):
they set the number of steps, which are the same on every machine, so the same call gives the same model. A run that was
killed goes on where it was. The model comes out in `DIR/model`.
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

# Share of the minutes, and steps per minute there, of each stage.
STAGES = {"vae": (0.185, 97), "text_to_image": (0.16, 39), "depth_converters": (0.655, 35)}
FEWEST_STEPS = 50


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="work folder; a run that was killed there goes on")
    parser.add_argument(
        "--minutes", type=float, default=81, help="of training, without rendering (default %(default)s)"
    )
    parser.add_argument("--frames", type=int, default=16000, help="training frames (default %(default)s)")
    parser.add_argument("--held-out", type=int, default=300, help="frames to measure on (default %(default)s)")
    parser.add_argument("--processes", type=int, default=2, help="one-thread processes (default %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of weights, batches and noise (default %(default)s)")
    arguments = start_stage(parser.parse_args())
    if arguments.minutes <= 0:
        raise ConfigurationError(f"--minutes {arguments.minutes} must be greater than 0")
    out: Path = arguments.out
    train, held_out = out / "data" / "train", out / "data" / "held_out"
    make_dataset(train, arguments.frames, workers=arguments.processes)
    make_dataset(held_out, arguments.held_out, seed=HELD_OUT_SEED, workers=arguments.processes)
    for stage, steps in planned_steps(arguments.minutes).items():
        if not (out / f"stage_{stage}" / SUMMARY).is_file():
            options = ["--data", train, "--out", out, "--steps", steps]
            _run(stage, *options, "--processes", arguments.processes, "--seed", arguments.seed)
    figures = ["--json", out / "held_out.json", "--sheet", out / "held_out.png"]
    _run("held_out", "--model", out / "model", "--data", held_out, "--train", train, *figures)


def planned_steps(minutes: float) -> dict[str, int]:
    """Steps of each stage for a number of minutes."""
    return {stage: max(FEWEST_STEPS, int(share * minutes * rate)) for stage, (share, rate) in STAGES.items()}


def _run(stage: str, *options: object) -> None:
    # A process of its own, so that nothing of a stage stays in memory.
    subprocess.run([sys.executable, "-m", f"merge_ros.training.{stage}", *map(str, options)], check=True)


if __name__ == "__main__":
    main()
