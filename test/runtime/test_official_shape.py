"""The official size, with random weights: folded, counted, exported in fp16 at 512x512, compiled for four GPUs."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("torch")
pytest.importorskip("onnxscript", reason="the exporter needs the extra [export]")

from merge_ros.model.official_shape import GRID, SIDE, light_autoencoder, official_network, official_prompt
from merge_ros.runtime.autoencoder_folding import fold_autoencoder
from merge_ros.runtime.counting import count_folding, count_parameters
from merge_ros.runtime.export import ExportOptions, write_onnx
from merge_ros.runtime.folding import fold_network
from merge_ros.runtime.graph import DepthGraph
from merge_ros.runtime.tensorrt_build import BuildOptions, build_plan

TARGETS = ("sm80", "sm86", "sm89", "sm120")

# A minute of processor time and 8 GB of memory; a shared machine takes several minutes.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]


@pytest.fixture(scope="module")
def graph() -> DepthGraph:
    folded = fold_network(official_network(), official_prompt(), 50).half()
    encoder, decoder = fold_autoencoder(light_autoencoder())
    return DepthGraph(encoder.half(), folded, decoder.half()).eval().requires_grad_(False)


def test_what_folding_saves(graph: DepthGraph) -> None:
    """The transformer and its converters, and with the light autoencoder the whole frame."""
    counts = count_folding(official_network(device="meta"), official_prompt(), graph, SIDE)
    assert counts.unfolded_flops == pytest.approx(1828e9, rel=0.005)  # both were counted apart from this code
    assert counts.folded_flops == pytest.approx(1640e9, rel=0.005)
    assert {tensor.device.type for tensor in graph.state_dict().values()} == {"cpu"}  # as it was before
    assert counts.folded_parameters < 0.8 * counts.unfolded_parameters
    assert counts.frame_flops == pytest.approx(counts.folded_flops + (122 + 141) * 1e9, rel=0.01)


def test_compiled_ahead_of_time_for_four_gpus(graph: DepthGraph, tmp_path: Path) -> None:
    trt = pytest.importorskip("tensorrt_rtx", reason="not installed: pip install 'merge_ros[tensorrt_rtx]'")
    path = tmp_path / "depth.onnx"
    write_onnx(graph, GRID, path, ExportOptions("fp16", batch=1, size=(SIDE, SIDE)), {})  # has the whole file checked
    weights = 2 * count_parameters(graph)
    assert path.stat().st_size >= weights
    plan = build_plan(trt, path, BuildOptions((1, SIDE, SIDE), "fp16", targets=TARGETS))
    assert len(plan) >= weights
