"""Cost against image size and batch, and how near each engine comes to what the processor can do at most.

    python benchmarks/engine_sizes.py [--threads 2] [--runs 10] [--json sizes.json] [--plot sizes.png]

The physical limit is the work of a frame (counted: matrix products, convolutions, attention) over the rate of this
machine, which is measured as the best of many matrix products in torch, in fp32 and bf16, before and after the rest.
"""

from __future__ import annotations

import argparse
import functools
import json
import time
from pathlib import Path
from typing import Any

from merge_ros.config import EstimatorSettings
from merge_ros.evaluation.speed import Workload, measure
from merge_ros.runtime.engine import load_engine

SIZES = ((160, 120), (256, 192), (320, 240), (480, 360), (640, 480))
BATCHES = (1, 2, 4)
ENGINES = (("onnx", "fp32"), ("openvino", "fp32"), ("openvino", "bf16"))
SIDE, PRODUCTS = 1536, 20


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default=EstimatorSettings().model)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--runs", type=int, default=10)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--plot", type=Path)
    arguments = parser.parse_args()
    flops = _counted(arguments.model)
    peaks = _peaks(arguments.threads)
    rows: list[dict[str, Any]] = []
    # Batches at one size, sizes at one image.
    cases = [(size, 1) for size in SIZES] + [((256, 192), batch) for batch in BATCHES if batch > 1]
    for (width, height), batch in cases:
        # The network sees the camera's own size: nothing is scaled but to the grid.
        workload = Workload(width, height, batch, width * height)
        loaders = {}
        for backend, precision in ENGINES:
            settings = EstimatorSettings(
                model=arguments.model, backend=backend, device="cpu", precision=precision, threads=arguments.threads
            )
            loaders[f"{backend} {precision}"] = functools.partial(load_engine, settings)
        for measurement in measure(loaders, workload, arguments.runs):
            row = measurement.summary(batch) | {"width": width, "height": height, "batch": batch}
            if not measurement.problem:
                row["gflop"] = flops(batch, *reversed(measurement.network_size)) / 1e9
            rows.append(row)
    after = _peaks(arguments.threads)
    peaks = {name: max(peaks[name], after[name]) for name in peaks}
    print(f"{arguments.threads} thread(s), {arguments.runs} runs in turn; the best matrix products: " + _said(peaks))
    heads = ("p50 ms", "frames/s", "limit", "GFLOP/s", "of peak")
    print(f"{'engine':<15} {'size':>9} {'batch':>5} " + " ".join(f"{head:>8}" for head in heads))
    for row in rows:
        if row["problem"]:
            print(f"{row['name']}: left out: {row['problem']}")
            continue
        peak = peaks[row["name"].split()[1]]
        row["limit_frames_per_second"] = row["batch"] * peak / row["gflop"]
        row["gflop_per_second"] = row["gflop"] / (row["network_ms_p50"] / 1e3)
        row["share_of_peak"] = row["gflop_per_second"] / peak
        print(
            f"{row['name']:<15} {row['width']:>5}x{row['height']} {row['batch']:>5} {row['ms_p50']:>8.1f} "
            f"{row['frames_per_second']:>8.1f} {row['limit_frames_per_second']:>8.1f} {row['gflop_per_second']:>8.0f} "
            f"{row['share_of_peak']:>8.0%}"
        )
    if arguments.json:
        report = {"threads": arguments.threads, "runs": arguments.runs, "peak_gflop_per_second": peaks, "rows": rows}
        arguments.json.write_text(json.dumps(report, indent=2) + "\n")
    if arguments.plot:
        _plot([row for row in rows if not row["problem"] and row["batch"] == 1], arguments.plot)


def _counted(model: str) -> Any:
    """A function of (batch, height, width) to the operations of the folded network."""
    from merge_ros.model.checkpoint import load_checkpoint
    from merge_ros.runtime.counting import stage_flops
    from merge_ros.runtime.graph import fold_checkpoint

    graph = fold_checkpoint(load_checkpoint(model, codec=EstimatorSettings().codec))
    return lambda batch, height, width: stage_flops(graph, (batch, height, width))["frame"]


def _peaks(threads: int) -> dict[str, float]:
    """Best GFLOP/s of a square matrix product by precision."""
    import torch

    torch.set_num_threads(threads)
    best = {}
    for name, dtype in (("fp32", torch.float32), ("bf16", torch.bfloat16)):
        left, right = torch.randn(SIDE, SIDE).to(dtype), torch.randn(SIDE, SIDE).to(dtype)
        times = []
        for _ in range(PRODUCTS):
            start = time.perf_counter()
            left @ right
            times.append(time.perf_counter() - start)
        best[name] = 2 * SIDE**3 / min(times) / 1e9
    return best


def _said(peaks: dict[str, float]) -> str:
    return ", ".join(f"{peak:.0f} GFLOP/s in {name}" for name, peak in peaks.items())


def _plot(rows: list[dict[str, Any]], path: Path) -> None:
    from matplotlib.figure import Figure

    axes = (figure := Figure(figsize=(7, 4.5), layout="constrained")).subplots()
    for name in sorted({row["name"] for row in rows}):
        own = [row for row in rows if row["name"] == name]
        pixels = [row["width"] * row["height"] for row in own]
        (line,) = axes.loglog(pixels, [row["frames_per_second"] for row in own], marker="o", label=name)
        limit = [row["limit_frames_per_second"] for row in own]
        axes.loglog(pixels, limit, linestyle=":", color=line.get_color(), label=f"limit in {name.split()[1]}")
    axes.set_xlabel("pixels of an image")
    axes.set_ylabel("frames per second")
    axes.legend()
    figure.savefig(path, dpi=120)


if __name__ == "__main__":
    main()
