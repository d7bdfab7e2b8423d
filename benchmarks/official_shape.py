"""What folding saves at the official size, and what exporting and compiling it for NVIDIA GPUs takes. Random weights.

    python benchmarks/official_shape.py [--layers 28] [--targets sm80,sm86,sm89,sm120] [--json official.json]

Needs 8 GB of memory and a few minutes, but no GPU.
"""

from __future__ import annotations

import argparse
import json
import resource
import tempfile
import time
from dataclasses import asdict
from pathlib import Path

from merge_ros.model.official_shape import GRID, SIDE, light_autoencoder, official_network, official_prompt
from merge_ros.runtime.autoencoder_folding import fold_autoencoder
from merge_ros.runtime.counting import count_folding
from merge_ros.runtime.export import ExportOptions, write_onnx
from merge_ros.runtime.folding import fold_network
from merge_ros.runtime.graph import DepthGraph
from merge_ros.runtime.tensorrt_build import BuildOptions, build_plan, import_tensorrt


def main() -> None:
    """Fold, count, export, compile, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--layers", type=int, default=28)
    parser.add_argument("--targets", default="sm80,sm86,sm89,sm120")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    trt = import_tensorrt("tensorrt_rtx")
    report: dict[str, object] = {"layers": arguments.layers, "side": SIDE, "tensorrt_rtx": trt.__version__}
    clock = _Clock(report)
    folded = fold_network(official_network(arguments.layers), official_prompt(), 50).half()
    encoder, decoder = fold_autoencoder(light_autoencoder())
    graph = DepthGraph(encoder.half(), folded, decoder.half()).eval().requires_grad_(False)
    clock.lap("fold")
    report["counts"] = counts = asdict(
        count_folding(official_network(arguments.layers, device="meta"), official_prompt(), graph, SIDE)
    )
    clock.lap("count")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "depth.onnx"
        write_onnx(graph, GRID, path, ExportOptions("fp16", batch=1, size=(SIDE, SIDE)), {})
        report["onnx_mb"] = path.stat().st_size / 1e6
        clock.lap("export")
        options = BuildOptions((1, SIDE, SIDE), "fp16", targets=tuple(arguments.targets.split(",")))
        report["plan_mb"] = len(build_plan(trt, path, options)) / 1e6
        clock.lap("compile")
    report["peak_gb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    for name, value in counts.items():
        print(f"{name:<24} {value / 1e9:>10.2f} G" if "flops" in name else f"{name:<24} {value / 1e6:>10.1f} M")
    for name, value in report.items():
        if isinstance(value, float):
            print(f"{name:<24} {value:>10.1f}")
    if arguments.json:
        arguments.json.write_text(json.dumps(report, indent=2) + "\n")


class _Clock:
    """Wall and processor seconds of each part."""

    def __init__(self, report: dict[str, object]) -> None:
        self._report = report
        self._wall, self._processor = time.perf_counter(), time.process_time()

    def lap(self, name: str) -> None:
        """Write down what passed since the last lap."""
        wall, processor = time.perf_counter(), time.process_time()
        self._report[f"{name}_s"] = wall - self._wall
        self._report[f"{name}_processor_s"] = processor - self._processor
        self._wall, self._processor = wall, processor


if __name__ == "__main__":
    main()
