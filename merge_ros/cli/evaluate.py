"""`merge-ros evaluate`: how good is a model on a folder of images with true depth?"""

from __future__ import annotations

import argparse
from pathlib import Path

from merge_ros.cli.options import add_model_options, estimator_settings

DESCRIPTION = """\
Estimate the depth of every image in a folder and compare it with the truth.

  DATA/rgb/NAME.(jpg|png)        images
  DATA/depth/NAME.(png|npy)      true depth: 16-bit millimetres (0 unknown), or float metres (NaN or 0 unknown)

Relative depth is aligned to the truth by least squares (scale and shift) per image, as in the published protocol.
Written to --out: per_image.csv, summary.json (abs_rel, delta1, n), and worst.png (image, truth, prediction and error of
the ten worst). `merge-ros make-dataset` makes such folders.
"""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register the verb."""
    parser = subparsers.add_parser(
        "evaluate",
        help="measure a model on images with true depth",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--data", type=Path, required=True, help="folder with rgb/ and depth/")
    parser.add_argument("--out", type=Path, required=True, help="folder for the results")
    parser.add_argument(
        "--range",
        type=float,
        nargs=2,
        default=(1e-3, 65.0),
        metavar=("LOW", "HIGH"),
        help="metres of true depth that count (1e-3 65)",
    )
    add_model_options(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Evaluate, print the summary, and return 1 when an image could not be measured."""
    from merge_ros.estimator import DepthEstimator
    from merge_ros.evaluation.evaluate import evaluate_pairs
    from merge_ros.evaluation.folder import find_pairs

    pairs = find_pairs(arguments.data)
    estimator = DepthEstimator(estimator_settings(arguments))
    low, high = arguments.range
    result = evaluate_pairs(estimator, pairs, (low, high), arguments.out)
    summary = result.summary()
    print(
        f"AbsRel {summary['abs_rel']:.4f}  delta1 {summary['delta1']:.4f}  over {summary['n']} images; "
        f"results in {arguments.out}"
    )
    for name, reason in result.failed.items():
        print(f"not measured: {name}: {reason}")
    return 1 if result.failed else 0
