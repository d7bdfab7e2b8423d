"""Milliseconds of each stage of a depth frame: encoder, transformer, decoder.

    python benchmarks/stages.py [--model merge-tiny] [--threads 1] [--runs 30] [--json stages.json]

The folded network runs in torch, in fp32 and, where the processor multiplies it in hardware, in bf16; clocks are read
before and after each part. Engines fuse more and are faster as a whole (`merge-ros benchmark`); the shares are alike.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from pathlib import Path
from typing import Any

import torch

from merge_ros.config import EstimatorSettings
from merge_ros.model.checkpoint import load_checkpoint
from merge_ros.runtime.counting import stage_flops
from merge_ros.runtime.graph import DepthGraph, fold_checkpoint
from merge_ros.training.compute import has_fast_bf16

STAGES = ("encoder", "transformer", "decoder")
FRAME = "frame"  # all of it, as `stage_flops` calls it
WARM_UP = 3  # first calls choose kernels


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default=EstimatorSettings().model)
    parser.add_argument("--codec", default=EstimatorSettings().codec)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--runs", type=int, default=30)
    parser.add_argument("--size", type=int, nargs=2, default=(256, 192), metavar=("WIDTH", "HEIGHT"))
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    graph = fold_checkpoint(load_checkpoint(arguments.model, codec=arguments.codec))
    width, height = arguments.size
    frame = torch.randint(256, (1, height, width, 3), dtype=torch.uint8)
    flops = stage_flops(graph, (1, height, width))
    precisions = {"fp32": torch.float32} | ({"bf16": torch.bfloat16} if has_fast_bf16() else {})
    rows = []
    for name, dtype in precisions.items():
        rows += timed(graph.to(dtype), frame, name, arguments.runs)
    print(f"{width}x{height}, {arguments.threads} thread(s), medians of {arguments.runs} runs")
    for row in rows:
        work = flops[row["stage"]] / 1e9
        print(f"{row['precision']}  {row['stage']:<12} {row['ms']:7.1f} ms   {row['share']:6.1%}   {work:6.2f} GFLOP")
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=2) + "\n")


def timed(graph: DepthGraph, frame: torch.Tensor, precision: str, runs: int) -> list[dict[str, Any]]:
    """Median milliseconds of each stage and of the whole frame."""
    spent: dict[str, list[float]] = {stage: [] for stage in (*STAGES, FRAME)}
    started: dict[str, float] = {}

    def begin(stage: str) -> None:
        started[stage] = time.perf_counter()

    def end(stage: str) -> None:
        spent[stage].append(time.perf_counter() - started[stage])

    hooks = []
    for stage in STAGES:
        part = getattr(graph, stage)
        hooks.append(part.register_forward_pre_hook(lambda *_, stage=stage: begin(stage)))
        hooks.append(part.register_forward_hook(lambda *_, stage=stage: end(stage)))
    with torch.inference_mode():
        for _ in range(WARM_UP + runs):
            begin(FRAME)
            graph(frame)
            end(FRAME)
    for hook in hooks:
        hook.remove()
    medians = {stage: statistics.median(times[WARM_UP:]) for stage, times in spent.items()}
    whole = medians[FRAME]
    return [
        {"precision": precision, "stage": stage, "ms": 1000 * median, "share": median / whole}
        for stage, median in medians.items()
    ]


if __name__ == "__main__":
    main()
