"""`merge-ros evaluate`: how good is a model on images with known depth or normals?"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from merge_ros.cli.options import add_model_options, estimator_settings
from merge_ros.errors import ConfigurationError, DatasetError, MissingDependencyError
from merge_ros.files import atomic_write

if TYPE_CHECKING:
    from merge_ros.evaluation.evaluate import Evaluation
    from merge_ros.evaluation.models import DepthModel
    from merge_ros.evaluation.protocol import DepthProtocol
    from merge_ros.evaluation.sample import DepthItem

DESCRIPTION = """\
Estimate depth (or normals) for every image of a set, and compare with the truth by the published protocol: relative
depth is aligned by least squares (scale and shift) per image, errors are averaged per image, then over images.

Your own images:
  DATA/rgb/NAME.(jpg|png)        images
  DATA/depth/NAME.(png|npy)      true depth: 16-bit millimetres (0 unknown), or float metres (NaN or 0 unknown)
`merge-ros make-dataset` makes such folders.

A benchmark (--benchmark), from a local copy in Marigold's layout, unpacked or as a tar:
  depth     nyuv2 kitti eth3d scannet diode hypersim vkitti procedural
  normals   nyuv2_normals scannet_normals ibims_normals sintel_normals

Written to --out: per_image.csv, summary.json (abs_rel, delta1, n), summary.md, and worst.png (image, truth, prediction
and error of the ten worst). A run that was killed goes on when it is called again.

--model takes others too: diffusers:FOLDER (Marigold), transformers:FOLDER (depth-estimation models), and
python:package.module:factory, where factory() gives a callable from RGB [H, W, 3] uint8 to depth [h, w].
"""

EXAMPLES = """\
examples:
  merge-ros evaluate --data data/held_out --out results/tiny
  merge-ros evaluate --benchmark nyuv2 --data nyu_labeled_extracted.tar --model merge-base --out results/nyu
  merge-ros evaluate --benchmark kitti --data kitti/ --split eigen.txt --model diffusers:marigold/ --ensemble 10 --out k
  merge-ros evaluate --data data/held_out --out results/tiny --baselines --mean-map data/train
  merge-ros evaluate --data data/held_out --out results/robustness --robustness
  merge-ros evaluate --table results/tiny results/nyu results/kitti
"""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register the verb."""
    parser = subparsers.add_parser(
        "evaluate",
        help="measure a model on images with true depth or normals",
        description=DESCRIPTION,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--data", type=Path, help="the images with their truth: a folder, or of a benchmark a tar too")
    parser.add_argument("--out", type=Path, help="folder for the results")
    parser.add_argument("--benchmark", metavar="NAME", help="one of those above (none: DATA/rgb and DATA/depth)")
    parser.add_argument("--split", type=Path, metavar="FILE", help="the benchmark's images, one line each: image truth")
    parser.add_argument("--limit", type=int, metavar="N", help="only the first images")
    parser.add_argument(
        "--range",
        type=float,
        nargs=2,
        metavar=("LOW", "HIGH"),
        help="metres of true depth that count, without --benchmark (1e-3 65)",
    )
    parser.add_argument("--ensemble", type=int, default=1, metavar="N", help="estimates per image (%(default)s)")
    parser.add_argument(
        "--reduction", choices=("median", "mean"), default="median", help="of the ensemble (%(default)s)"
    )
    parser.add_argument(
        "--side",
        type=int,
        metavar="PIXELS",
        help="scale images to this longer side before the model gets them; 0: as they are (the benchmark's own: "
        "756 for eth3d, 640 for diode, as they are for the others)",
    )
    parser.add_argument(
        "--space", choices=("depth", "disparity"), help="what the model predicts, where it does not say so itself"
    )
    parser.add_argument(
        "--baselines",
        action="store_true",
        help="measure what needs no model too, and the ceiling of a MERGE model's VAE",
    )
    parser.add_argument("--mean-map", type=Path, metavar="DIR", help="folder for the baseline of the mean depth map")
    parser.add_argument(
        "--robustness",
        action="store_true",
        help="measure under darkening, noise, blur, JPEG, casts, roll, other formats",
    )
    parser.add_argument(
        "--table", type=Path, nargs="+", metavar="OUT", help="merge results that are there; no model runs"
    )
    add_model_options(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Evaluate, print the summary, and return 1 when an image could not be measured."""
    if arguments.table:
        return _table(arguments.table, arguments.out)
    if arguments.data is None or arguments.out is None:
        raise ConfigurationError("--data and --out are needed (or --table OUT... to merge results)")
    if arguments.limit is not None and arguments.limit < 1:
        raise ConfigurationError(f"--limit {arguments.limit} must be at least 1")
    if arguments.mean_map is not None and not arguments.baselines:
        raise ConfigurationError("--mean-map is one of the baselines: add --baselines")
    from merge_ros.evaluation.benchmarks import NORMALS_BENCHMARKS

    if arguments.benchmark in NORMALS_BENCHMARKS:
        return _normals(arguments)
    return _depth(arguments)


def _depth(arguments: argparse.Namespace) -> int:
    from merge_ros.evaluation.ensemble import with_ensemble
    from merge_ros.evaluation.evaluate import evaluate
    from merge_ros.evaluation.models import load_depth_model
    from merge_ros.evaluation.tasks import DepthTask

    items, protocol, about = _depth_set(arguments)
    protocol = replace(protocol, processing_side=_side(arguments, protocol.processing_side))
    model = with_ensemble(
        load_depth_model(estimator_settings(arguments), arguments.space), arguments.ensemble, arguments.reduction
    )
    about = {**about, **_about_model(arguments), "model": model.name, "engine": model.description}
    about |= {"space": model.space, "processing_side": protocol.processing_side}
    if arguments.robustness:
        return _robustness(model, items, protocol, arguments.out, about)
    result = evaluate(DepthTask(model, protocol), items, arguments.out, about, _resume_key(arguments, about))
    if arguments.baselines:
        _baselines(arguments, items, protocol)
    summary = result.summary()
    return _report(f"AbsRel {summary['abs_rel']:.4f}  delta1 {summary['delta1']:.4f}", result, about, arguments.out)


def _normals(arguments: argparse.Namespace) -> int:
    from merge_ros.archive import Archive
    from merge_ros.evaluation.benchmarks import NORMALS_BENCHMARKS
    from merge_ros.evaluation.ensemble import normals_with_ensemble
    from merge_ros.evaluation.evaluate import evaluate
    from merge_ros.evaluation.models import load_normals_model
    from merge_ros.evaluation.tasks import NormalsTask

    for option in ("range", "space", "baselines", "robustness"):
        if getattr(arguments, option):
            raise ConfigurationError(f"--{option} is for depth; {arguments.benchmark} has normals")
    benchmark = NORMALS_BENCHMARKS[arguments.benchmark]
    items = benchmark.items(Archive(arguments.data), arguments.split)[: arguments.limit]
    model = normals_with_ensemble(
        load_normals_model(estimator_settings(arguments)), arguments.ensemble, arguments.reduction
    )
    side = _side(arguments, None)
    about: dict[str, Any] = {"set": benchmark.title, "published_images": benchmark.images, "data": str(arguments.data)}
    about = {**about, **_about_model(arguments), "model": model.name, "engine": model.description}
    about |= {"processing_side": side}
    result = evaluate(NormalsTask(model, side), items, arguments.out, about, _resume_key(arguments, about))
    summary = result.summary()
    figures = (
        f"mean {summary['mean']:.2f} deg  median {summary['median']:.2f} deg  within 11.25/22.5/30 deg "
        f"{summary['within_11_25']:.4f}/{summary['within_22_5']:.4f}/{summary['within_30']:.4f}"
    )
    return _report(figures, result, about, arguments.out)


def _depth_set(arguments: argparse.Namespace) -> tuple[Sequence[DepthItem], DepthProtocol, dict[str, Any]]:
    """The images, the protocol, and what the summary says about both."""
    from merge_ros.archive import Archive
    from merge_ros.evaluation.benchmarks import DEPTH_BENCHMARKS, NORMALS_BENCHMARKS
    from merge_ros.evaluation.folder import find_pairs
    from merge_ros.evaluation.protocol import DepthProtocol

    if arguments.benchmark is None:
        if arguments.split is not None:
            raise ConfigurationError("--split is for a benchmark: name it with --benchmark")
        low, high = arguments.range or (1e-3, 65.0)
        pairs = find_pairs(arguments.data)[: arguments.limit]
        about = {"set": arguments.data.name, "data": str(arguments.data), "valid_range_m": [low, high]}
        return pairs, DepthProtocol((low, high)), about
    if arguments.benchmark not in DEPTH_BENCHMARKS:
        known = ", ".join((*DEPTH_BENCHMARKS, *NORMALS_BENCHMARKS))
        raise ConfigurationError(f"--benchmark {arguments.benchmark!r} is unknown; allowed: {known}")
    if arguments.range is not None:
        raise ConfigurationError("--range is the benchmark's own: leave it out with --benchmark")
    benchmark = DEPTH_BENCHMARKS[arguments.benchmark]
    items = benchmark.items(Archive(arguments.data), arguments.split)[: arguments.limit]
    about = {"set": benchmark.title, "published_images": benchmark.images, "data": str(arguments.data)}
    return items, benchmark.protocol, {**about, "protocol": benchmark.about()}


def _side(arguments: argparse.Namespace, own: int | None) -> int | None:
    if arguments.side is None:
        return own
    if arguments.side < 0:
        raise ConfigurationError(f"--side {arguments.side} must be at least 1, or 0 for images as they are")
    return arguments.side or None


def _about_model(arguments: argparse.Namespace) -> dict[str, Any]:
    return {"ensemble": arguments.ensemble, "reduction": arguments.reduction, "steps": arguments.steps}


def _resume_key(arguments: argparse.Namespace, about: dict[str, Any]) -> dict[str, Any]:
    """What must be the same for a killed run to go on: all options, and weights that have not been touched since."""
    from merge_ros.evaluation.models import split_model

    folder = Path(split_model(arguments.model)[1]).expanduser()
    newest = max((path.stat().st_mtime for path in folder.rglob("*")), default=0.0) if folder.is_dir() else 0.0
    options = {key: str(value) for key, value in asdict(estimator_settings(arguments)).items()}
    return {**about, **options, "split": str(arguments.split), "limit": arguments.limit, "weights_changed": newest}


def _baselines(arguments: argparse.Namespace, items: Sequence[DepthItem], protocol: DepthProtocol) -> None:
    import json

    from merge_ros.evaluation.baselines import mean_map, measure_baselines
    from merge_ros.evaluation.folder import find_pairs
    from merge_ros.evaluation.models import split_model

    mean = None if arguments.mean_map is None else mean_map(find_pairs(arguments.mean_map))
    ceiling = None
    if not split_model(arguments.model)[0] and not arguments.model.endswith(".onnx"):
        try:
            from merge_ros.evaluation.ceiling import RoundTrip
        except ModuleNotFoundError as error:
            raise MissingDependencyError(str(error.name), "torch", "the ceiling of a VAE (--baselines)") from error
        ceiling = RoundTrip(arguments.model)
    rows = measure_baselines(items, protocol, mean, ceiling)
    with atomic_write(arguments.out / "baselines.json") as temporary:
        temporary.write_text(json.dumps(rows, indent=2) + "\n")
    for name, row in rows.items():
        print(f"{name}: AbsRel {row['abs_rel']:.4f}  delta1 {row['delta1']:.4f}")


def _robustness(
    model: DepthModel, items: Sequence[DepthItem], protocol: DepthProtocol, out: Path, about: dict[str, Any]
) -> int:
    from merge_ros.evaluation.robustness import measure_robustness, write_robustness

    print(write_robustness(measure_robustness(model, items, protocol), out, about), end="")
    print(f"{len(items)} frames; results in {out}")
    return 0


def _report(figures: str, result: Evaluation, about: dict[str, Any], out: Path) -> int:
    summary = result.summary()
    print(f"{figures}  over {summary['n']} images; results in {out}")
    published = about.get("published_images")
    if published is not None and summary["n"] != published:
        print(f"note: the published split of {about['set']} has {published} images; these were {summary['n']}")
    for name, reason in result.failed.items():
        print(f"not measured: {name}: {reason}")
    return 1 if result.failed else 0


def _table(folders: list[Path], out: Path | None) -> int:
    from merge_ros.evaluation.table import comparison_table

    table = comparison_table(folders)
    print(table, end="")
    if out is not None:
        try:
            with atomic_write(out) as temporary:
                temporary.write_text(table)
        except OSError as error:
            raise DatasetError(f"{out} cannot be written: {error.strerror or error}") from error
    return 0
