"""Write test/data/regression from two folders that `merge-ros make-dataset` made, or measure the shipped model on it.

merge-ros make-dataset --out data/robot --count 100 --views 2 --seed 10000000 --kinds robot=1 --evaluation-ranges
merge-ros make-dataset --out data/wide --count 20 --views 2 --seed 10100000
python benchmarks/make_regression_set.py --robot data/robot --wide data/wide
python benchmarks/make_regression_set.py --measure

The last command prints the line for merge_ros/merge_tiny/README.md that test/test_regression.py holds the weights to.
The folder has the layout of `merge-ros evaluate --data`; depth is kept at half the size of the pictures, to stay small.
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from merge_ros.config import EstimatorSettings
from merge_ros.evaluation.folder import find_pairs
from merge_ros.evaluation.models import merge_model
from merge_ros.evaluation.protocol import DepthProtocol, measure

FOLDER = Path(__file__).resolve().parent.parent / "test" / "data" / "regression"
KINDS = ("robot", "wide")
FRAMES = 20  # of each kind
JPEG_QUALITY = 85
DEPTH_STEP = 2  # every second row and column of the depth is kept
LINE = (
    "Regression set (40 frames in `test/data/regression`, full VAE, fp32): AbsRel {robot:.4f} robot, {wide:.4f} wide."
)


def write(kind: str, data: Path) -> None:
    """Take frames of one kind that are spread evenly over a folder."""
    pairs = find_pairs(data)
    for pair in pairs[:: max(1, len(pairs) // FRAMES)][:FRAMES]:
        millimetres = np.rint(pair.read_depth()[::DEPTH_STEP, ::DEPTH_STEP] * 1000).astype(np.uint16)
        bgr = cv2.cvtColor(pair.read_image(), cv2.COLOR_RGB2BGR)
        for folder, suffix, array, options in (
            ("rgb", ".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY]),
            ("depth", ".png", millimetres, [cv2.IMWRITE_PNG_COMPRESSION, 9]),
        ):
            path = FOLDER / folder / kind / f"{pair.name}{suffix}"
            path.parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(path), array, options)


def measure_kinds(model: str = "merge-tiny") -> dict[str, float]:
    """AbsRel of a model on each kind of frame, with the full VAE in fp32."""
    settings = EstimatorSettings(model=model, backend="torch", precision="fp32", codec="full", device="cpu")
    loaded, protocol = merge_model(settings), DepthProtocol((1e-3, 65.0))
    found: dict[str, list[float]] = {kind: [] for kind in KINDS}
    for pair in tqdm(find_pairs(FOLDER), unit="frame", disable=None):
        found[pair.name.partition("/")[0]].append(measure(pair.read(), loaded, protocol).metrics.abs_rel)
    return {kind: float(np.mean(errors)) for kind, errors in found.items()}


def card_figures(card: str) -> dict[str, float]:
    """The figures that a model card states.

    Raises:
        ValueError: it has no such line.
    """
    pattern = re.escape(LINE.replace("{robot:.4f}", "ROBOT").replace("{wide:.4f}", "WIDE"))
    figure = r"([0-9.]+)"
    match = re.search(pattern.replace("ROBOT", figure).replace("WIDE", figure), card)
    if match is None:
        raise ValueError("the card has no line 'Regression set ...'; benchmarks/make_regression_set.py prints it")
    return dict(zip(KINDS, map(float, match.groups()), strict=True))


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--robot", type=Path, help="folder of robot views to take frames from")
    parser.add_argument("--wide", type=Path, help="folder of wide views to take frames from")
    parser.add_argument("--measure", action="store_true", help="print the line for the model card")
    parser.add_argument("--model", default="merge-tiny", help="to measure (%(default)s)")
    arguments = parser.parse_args()
    for kind in KINDS:
        if (data := getattr(arguments, kind)) is not None:
            write(kind, data)
    files = [path for path in FOLDER.rglob("*") if path.is_file()]
    print(f"{FOLDER}: {len(files)} files, {sum(path.stat().st_size for path in files) / 1e3:.0f} kB")
    if arguments.measure:
        print(LINE.format(**measure_kinds(arguments.model)))


if __name__ == "__main__":
    main()
