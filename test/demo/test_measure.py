import math

import numpy as np
import pytest

from merge_ros.demo.measure import WAITING, Measurements

SECOND = 10**9
TRUTH_MM = np.array([[1000, 2000, 4000, 0], [1000, 2000, 4000, 25000]], np.uint16)  # 0 unknown, 25 m out of range
TRUTH = TRUTH_MM / np.float32(1000)
RGB = np.zeros((2, 4, 3), np.uint8)
STATUS = {"metric": True, "inference_ms": 30.0, "total_ms": 40.0, "frames_dropped": 0, "error": ""}


def run(measured: Measurements, count: int, factor: float = 1.1) -> None:
    for index in range(count):
        stamp = (5 + index) * SECOND
        measured.add_truth(stamp, TRUTH_MM)
        measured.add_image(stamp, RGB)
        measured.add_relative(stamp, (TRUTH / 30).astype(np.float32))
        measured.add_depth(stamp, TRUTH * np.float32(factor), stamp + 80_000_000 + index * 1_000_000)
        measured.add_status(stamp, **STATUS)


def test_figures_of_a_run() -> None:
    measured = Measurements()
    run(measured, 11)
    figures = measured.figures()
    assert figures["frames"] == figures["frames_sent"] == 11
    assert figures["rate_hz"] == pytest.approx(10 / 10.01, abs=1e-3)
    assert figures["latency_ms_p50"] == pytest.approx(85)
    assert figures["latency_ms_p95"] == pytest.approx(89.5)
    assert figures["abs_rel"] == pytest.approx(0.1, abs=1e-4)
    assert figures["delta1"] == 1
    assert figures["coverage"] == 1
    assert figures["abs_rel_aligned"] == pytest.approx(0, abs=1e-4)
    assert figures["node_overhead_ms_p50"] == 10
    assert figures["last_problem"] is None
    assert measured.is_over()


def test_metric_depth_is_judged_without_alignment() -> None:
    measured = Measurements()
    run(measured, 2, factor=2.0)
    figures = measured.figures()
    assert figures["abs_rel"] == pytest.approx(1.0)
    assert figures["delta1"] == 0
    assert figures["abs_rel_aligned"] == pytest.approx(0, abs=1e-4)


def test_unknown_depth_lowers_the_coverage_only() -> None:
    measured = Measurements()
    measured.add_truth(SECOND, TRUTH_MM)
    depth = TRUTH.copy()
    depth[0, :3] = np.nan, np.inf, 0.0
    measured.add_depth(SECOND, depth, SECOND)
    figures = measured.figures()
    assert figures["coverage"] == 0.5
    assert figures["abs_rel"] == 0


def test_parts_may_come_in_any_order_and_frames_may_lack_some() -> None:
    measured = Measurements()
    measured.add_depth(2 * SECOND, TRUTH, 2 * SECOND + 1)
    measured.add_image(2 * SECOND, RGB)
    measured.add_depth(3 * SECOND, TRUTH, 3 * SECOND + 1)  # whose truth never comes
    measured.add_truth(2 * SECOND, TRUTH_MM)
    assert measured.figures()["frames"] == 2
    assert len(measured.metric) == len(measured.kept) == 1


def test_a_long_run_does_not_grow() -> None:
    measured = Measurements()
    for index in range(5 * WAITING):
        measured.add_truth(index * SECOND, TRUTH_MM)
        measured.add_image(index * SECOND, RGB)
    assert len(measured._waiting) <= WAITING


def test_a_run_without_metric_depth_has_figures_too() -> None:
    measured = Measurements()
    measured.add_truth(SECOND, TRUTH_MM)
    assert not measured.is_over()
    measured.add_status(SECOND, **(STATUS | {"metric": False, "error": "the floor is hardly visible"}))
    assert measured.is_over()
    figures = measured.figures()
    assert figures["frames"] == 0
    assert figures["rate_hz"] is figures["abs_rel"] is figures["latency_ms_p50"] is None
    assert figures["frames_without_scale"] == 1
    assert figures["last_problem"] == "the floor is hardly visible"
    assert measured.arrays() == {}


def test_a_metric_frame_is_over_only_with_its_depth() -> None:
    measured = Measurements()
    measured.add_truth(SECOND, TRUTH_MM)
    measured.add_status(SECOND, **STATUS)
    assert not measured.is_over()
    measured.add_depth(SECOND, TRUTH, SECOND)
    assert measured.is_over()


def test_dropped_frames_do_not_count_as_work() -> None:
    measured = Measurements()
    run(measured, 1)
    dropped = {"metric": False, "inference_ms": math.nan, "total_ms": math.nan, "frames_dropped": 1, "error": "stale"}
    measured.add_truth(9 * SECOND, TRUTH_MM)
    measured.add_status(9 * SECOND, **dropped)
    figures = measured.figures()
    assert figures["frames_without_scale"] == 0
    assert figures["inference_ms_p50"] == 30
    assert figures["frames_dropped"] == 1
