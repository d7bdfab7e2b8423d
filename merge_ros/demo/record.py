"""Makes a recording: a simulated robot drives through a room that no model was trained on.

    python -m merge_ros.demo.record OUT             # what made merge_ros/demo/recording
    python -m merge_ros.demo.record OUT --seed 7 --seconds 20 --size 320 240

Needs the extras `sim` and `demo`; no ROS. True depth is stored in whole centimetres, which halves its size and costs
half a centimetre at most.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from merge_ros.demo.bag import RecordedFrame, write_recording
from merge_ros.errors import MergeError
from merge_ros.simulation.dataset import DRIVE_SEED
from merge_ros.simulation.drive import DriveSettings, drive
from merge_ros.simulation.frame import Frame

SEED = 5  # of the shipped recording, counted from DRIVE_SEED
SECONDS, FPS, SIZE = 8.0, 10.0, (640, 480)
JPEG_QUALITY = 80
DEPTH_STEP = 10  # millimetres
FARTHEST = 65_000  # millimetres that 16 bits hold, in whole steps


def recorded(frame: Frame, time: float) -> RecordedFrame:
    """A simulated frame as the recording keeps it."""
    steps = np.rint(frame.depth * (1000 / DEPTH_STEP)).astype(np.int64) * DEPTH_STEP
    depth_mm = np.where(steps <= FARTHEST, steps, 0).astype(np.uint16)
    return RecordedFrame(time, frame.rgb, depth_mm, frame.camera)


def simulated_drive(seed: int, settings: DriveSettings) -> Iterator[RecordedFrame]:
    """The frames of a drive, `seed` counted from `DRIVE_SEED`."""
    for index, frame in enumerate(drive(DRIVE_SEED + seed, settings)):
        yield recorded(frame, index / settings.fps)


def main() -> int:
    """Run as a command; returns its exit status."""
    parser = argparse.ArgumentParser(prog="merge_ros.demo.record", description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path, help="folder to make; must not exist")
    parser.add_argument("--seed", type=int, default=SEED, help="of room and path, >= 0 (%(default)s)")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="length of the drive (%(default)s)")
    parser.add_argument("--fps", type=float, default=FPS, help="frames per second (%(default)s)")
    parser.add_argument("--size", type=int, nargs=2, default=SIZE, metavar=("WIDTH", "HEIGHT"), help="pixels")
    arguments = parser.parse_args()
    try:
        settings = DriveSettings(seconds=arguments.seconds, fps=arguments.fps, size=tuple(arguments.size), speed=0.5)
        pitch = float(np.deg2rad(settings.camera_pitch))
        frames = simulated_drive(arguments.seed, settings)
        write_recording(arguments.out, frames, settings.camera_height, pitch, JPEG_QUALITY)
    except MergeError as error:
        print(f"merge_ros.demo.record: error: {error}", file=sys.stderr)
        return 2
    size = sum(file.stat().st_size for file in arguments.out.iterdir())
    print(f"{arguments.out}: {size / 2**20:.2f} MiB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
