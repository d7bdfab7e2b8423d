"""`merge-ros engines`, `export` and `benchmark` as a user types them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture(scope="module")
def exported(merge_ros: Any, random_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Exported for one batch and size by the verb itself."""
    pytest.importorskip("onnxscript", reason="the exporter needs the extra [export]")
    path = tmp_path_factory.mktemp("exported") / "depth.onnx"
    result = merge_ros("export", "--model", random_model, "--batch", 2, "--size", "64x48", "--out", path)
    assert result.returncode == 0, result.stderr
    assert "MB, checked" in result.stdout
    return path


def test_export_for_one_batch_and_size(exported: Path) -> None:
    import numpy as np

    from merge_ros.config import EstimatorSettings
    from merge_ros.errors import InputError
    from merge_ros.runtime.engine import load_engine

    engine = load_engine(EstimatorSettings(model=str(exported), backend="onnx", device="cpu"))
    assert engine.native_pixels == 64 * 48
    assert engine(np.zeros((2, 48, 64, 3), np.uint8)).shape == (2, 48, 64)
    with pytest.raises(InputError, match=r"shape \(1, 48, 64, 3\); this file was exported for \(2, 48, 64, 3\) only"):
        engine(np.zeros((1, 48, 64, 3), np.uint8))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--size", "64x50"], "size 64x50: both sides must be multiples of 8"),
        (["--batch", "0"], "batch=0 must lie between 1 and 64"),
        (["--targets", "sm89"], "--targets needs --size"),
    ],
)
def test_what_export_refuses(
    merge_ros: Any, random_model: Path, tmp_path: Path, words: list[str], message: str
) -> None:
    pytest.importorskip("onnxscript", reason="the exporter needs the extra [export]")
    result = merge_ros("export", "--model", random_model, "--out", tmp_path / "x.onnx", *words)
    assert result.returncode == 2
    assert message in result.stderr
    assert not list(tmp_path.iterdir())


def test_engines(merge_ros: Any, exported: Path) -> None:
    result = merge_ros("engines", "--model", exported, "--precision", "fp32", "--device", "cpu", "--json")
    assert result.returncode == 0, result.stdout + result.stderr
    report = json.loads(result.stdout)
    assert {entry["backend"] for entry in report["engines"]} == {
        "torch",
        "onnx",
        "openvino",
        "tensorrt",
        "tensorrt_rtx",
    }
    assert report["chosen"]["backend"] == "onnx"
    assert "fp32" in report["chosen"]["reason"]
    shown = merge_ros("engines", "--model", exported, "--precision", "fp32", "--device", "cpu").stdout
    assert "would run with backend onnx, device cpu, precision fp32" in shown
    for entry in report["engines"]:
        assert entry["note"] in shown


def test_engines_when_nothing_fits(merge_ros: Any, exported: Path) -> None:
    result = merge_ros("engines", "--model", exported, "--device", "cuda:63")
    assert result.returncode == 1
    assert "nothing can run it" in result.stdout


def test_benchmark(merge_ros: Any, exported: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    words = ("--engines", "onnx,onnx/fp16", "--runs", 3, "--batch", 2, "--size", "80x60", "--threads", 1)
    files = ("--json", tmp_path / "b.json", "--plot", tmp_path / "b.png")
    result = merge_ros("benchmark", "--model", exported, *words, *files)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "onnx/fp16: left out: backend 'onnx' runs in fp32 on cpu" in result.stdout
    assert "2 image(s) of 80x60, 64x48 inside, 3 runs in turn" in result.stdout
    report = json.loads((tmp_path / "b.json").read_text())
    row = report["engines"][0]
    assert len(row["times_ms"]) == 3
    assert row["ms_p50"] == sorted(row["times_ms"])[1]
    assert row["frames_per_second"] == pytest.approx(2e3 / row["ms_p50"])
    assert row["network_ms_p50"] < row["ms_p50"] <= row["ms_p95"]
    assert 20 < row["peak_mb"] < 2000
    assert (tmp_path / "b.png").read_bytes().startswith(b"\x89PNG")


def test_a_benchmark_of_nothing(merge_ros: Any) -> None:
    result = merge_ros("benchmark", "--engines", "abacus")
    assert result.returncode == 2
    assert "backend='abacus' is unknown" in result.stderr
    result = merge_ros("benchmark", "--engines", "onnx/quickly")
    assert result.returncode == 2
    assert "'quickly' is neither a precision, nor a torch mode, nor a device" in result.stderr
