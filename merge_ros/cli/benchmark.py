"""`merge-ros benchmark`: engines side by side on this machine."""

from __future__ import annotations

import argparse
import functools
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from merge_ros.cli.export import image_size
from merge_ros.cli.options import add_model_options, estimator_settings
from merge_ros.config import EstimatorSettings
from merge_ros.errors import ConfigurationError, MissingDependencyError
from merge_ros.evaluation.speed import STAGES, Workload, measure
from merge_ros.runtime.engine import load_engine

if TYPE_CHECKING:
    from merge_ros.runtime.graph import DepthGraph

DESCRIPTION = """\
Time engines on the same weights and images: each in a process of its own, taking turns, so that the ratios hold on a
busy machine too. Printed are medians and 95th percentiles of whole frames, scaling of the images included.

  merge-ros benchmark                                       every engine that is installed
  merge-ros benchmark --engines torch/folded,onnx/fp32,openvino/bf16 --threads 2 --plot engines.png --json engines.json
  merge-ros benchmark --engines openvino --batch 4 --size 320x240

An engine is BACKEND, or BACKEND/WORD... with words for precision (fp32, fp16, bf16), torch mode (eager, folded,
compiled, cuda_graph) and device (cpu, cuda:0).
"""
ALL = "torch/eager/fp32,torch/folded/fp32,torch/folded/bf16,onnx/fp32,openvino/fp32,openvino/bf16,tensorrt,tensorrt_rtx"


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register the verb."""
    parser = subparsers.add_parser(
        "benchmark",
        help="time the engines side by side",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_model_options(parser)
    work = Workload()
    parser.add_argument("--engines", default=ALL, help="comma-separated; those that cannot run are left out (all)")
    parser.add_argument(
        "--size", type=image_size, default=(work.height, work.width), metavar="WxH", help="of the camera (640x480)"
    )
    parser.add_argument("--batch", type=int, default=work.batch, help="images at once (%(default)s)")
    parser.add_argument("--runs", type=int, default=20, help="measured runs of each engine (%(default)s)")
    parser.add_argument("--json", type=Path, help="write all figures, every single time among them")
    parser.add_argument("--plot", type=Path, help="write a picture (.png, .svg)")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Measure, print, and return 1 when no engine could run."""
    if arguments.plot is not None:
        _require_matplotlib()
    settings = estimator_settings(arguments)
    engines = {name: _engine_settings(settings, name) for name in arguments.engines.split(",")}
    height, width = arguments.size
    workload = Workload(width, height, arguments.batch, settings.processing_pixels)
    loaders = {name: functools.partial(load_engine, named) for name, named in engines.items()}
    measurements = measure(loaders, workload, arguments.runs)
    rows = [measurement.summary(workload.batch) for measurement in measurements]
    ran = [row for row in rows if not row["problem"]]
    for row in rows:
        if row["problem"]:
            print(f"{row['name']}: left out: {row['problem']}")
    if not ran:
        return 1
    counts = _count(settings, workload, ran[0]["network_size"])
    _print_table(rows, workload, arguments.runs, counts)
    if arguments.json is not None:
        report = {
            "model": settings.model,
            "threads": settings.threads,
            "size": [width, height],
            "batch": workload.batch,
            "runs": arguments.runs,
            "counts": counts,
            "engines": [
                row | {"times_ms": measurement.total_ms()} for row, measurement in zip(rows, measurements, strict=True)
            ],
        }
        arguments.json.write_text(json.dumps(report, indent=2) + "\n")
    if arguments.plot is not None:
        _plot(ran, workload, arguments.plot)
    return 0


def _engine_settings(settings: EstimatorSettings, name: str) -> EstimatorSettings:
    """The settings with the words of an engine's name put in; whatever is wrong is said by `EstimatorSettings`."""
    backend, *words = name.split("/")
    changes: dict[str, Any] = {"backend": backend}
    for word in words:
        if word in ("fp32", "fp16", "bf16"):
            changes["precision"] = word
        elif word in ("eager", "folded", "compiled", "cuda_graph"):
            changes["torch_mode"] = word
        elif word.partition(":")[0] in ("cpu", "cuda", "gpu", "npu", "tensorrt"):
            changes["device"] = word
        else:
            raise ConfigurationError(
                f"engine {name!r}: {word!r} is neither a precision, nor a torch mode, nor a device"
            )
    return replace(settings, **changes)


def _count(settings: EstimatorSettings, workload: Workload, size: Sequence[int]) -> dict[str, float]:
    """GFLOP of a batch by stage of the folded network, and the bytes of its weights; {} without torch or a folder."""
    if settings.model.endswith(".onnx"):
        return {}
    try:
        from merge_ros.model.checkpoint import load_checkpoint
        from merge_ros.runtime.counting import count_parameters, stage_flops
        from merge_ros.runtime.graph import fold_checkpoint
    except ModuleNotFoundError:
        return {}
    graph: DepthGraph = fold_checkpoint(
        load_checkpoint(settings.model, settings.converters, task=settings.task, codec=settings.codec)
    )
    stages = stage_flops(graph, (workload.batch, size[1], size[0]))
    counts = {f"gflop_{stage}": flops / 1e9 for stage, flops in stages.items()}
    return counts | {"weights_mb_fp32": 4 * count_parameters(graph) / 1e6}


def _print_table(rows: list[dict[str, Any]], workload: Workload, runs: int, counts: dict[str, float]) -> None:
    ran = [row for row in rows if not row["problem"]]
    width, height = ran[0]["network_size"]
    print(
        f"{workload.batch} image(s) of {workload.width}x{workload.height}, {width}x{height} inside, {runs} runs in turn"
    )
    if counts:
        parts = ", ".join(f"{name.removeprefix('gflop_')} {counts[name]:.2f}" for name in counts if "gflop" in name)
        print(f"GFLOP of the folded network: {parts}; weights {counts['weights_mb_fp32']:.1f} MB in fp32")
    heads = (
        *(f"{stage} p50" for stage in STAGES),
        "p50 ms",
        "p95 ms",
        "frames/s",
        "faster",
        "CPU ms",
        "peak MB",
        "load s",
    )
    print(f"{'engine':<20}" + "".join(f"{head:>14}" for head in heads))
    for row in ran:
        stages = [row[f"{stage}_ms_p50"] for stage in STAGES]
        ratio = ran[0]["ms_p50"] / row["ms_p50"]
        figures = (*stages, row["ms_p50"], row["ms_p95"], row["frames_per_second"], ratio, row["processor_ms_p50"])
        rest = (row["peak_mb"], row["load_s"])
        print(f"{row['name']:<20}" + "".join(f"{figure:>14.1f}" for figure in (*figures, *rest)))


def _require_matplotlib() -> None:
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise MissingDependencyError("matplotlib", "plot", "--plot") from error


def _plot(rows: list[dict[str, Any]], workload: Workload, path: Path) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 1.2 + 0.45 * len(rows)), layout="constrained")
    axes = figure.subplots()
    names = [row["name"] for row in rows]
    left = [0.0] * len(rows)
    for stage in STAGES:
        widths = [row[f"{stage}_ms_p50"] for row in rows]
        axes.barh(names, widths, left=left, label=stage.replace("_", " "))
        left = [start + width for start, width in zip(left, widths, strict=True)]
    for index, row in enumerate(rows):
        axes.plot([row["ms_p50"], row["ms_p95"]], [index, index], color="black", marker="|", linewidth=1)
        axes.annotate(f" {row['frames_per_second']:.1f} frames/s", (row["ms_p95"], index), va="center")
    axes.invert_yaxis()
    axes.margins(x=0.2)
    axes.set_xlabel(f"ms for {workload.batch} image(s) of {workload.width}x{workload.height}: medians; lines to p95")
    axes.legend(loc="lower right")
    figure.savefig(path, dpi=120)
