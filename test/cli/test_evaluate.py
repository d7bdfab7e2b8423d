"""`merge-ros evaluate` from the command line, with a model of three lines instead of a network."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path

import cv2
import numpy as np
import pytest

from merge_ros.cli.main import main

MODEL = "python:grey_model:factory"


@pytest.fixture(autouse=True)
def grey_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Depth is brightness; normals face the camera."""
    (tmp_path / "grey_model.py").write_text(
        "import numpy as np\n"
        "def factory():\n"
        "    return lambda rgb: rgb[..., 1].astype(np.float32)\n"
        "def normals():\n"
        "    return lambda rgb: np.broadcast_to(np.array([0, 0, -1], np.float32), rgb.shape)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)


def frame() -> tuple[bytes, bytes]:
    """PNG of a picture and of its depth in millimetres, 10 grey levels for a metre."""
    grey = np.random.default_rng(0).integers(10, 90, (480, 640)).astype(np.uint8)
    picture = cv2.imencode(".png", np.repeat(grey[..., None], 3, 2))[1].tobytes()
    return picture, cv2.imencode(".png", grey.astype(np.uint16) * 100)[1].tobytes()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    picture, depth = frame()
    for kind, content in (("rgb", picture), ("depth", depth)):
        (tmp_path / "data" / kind).mkdir(parents=True)
        for name in ("a", "b"):
            (tmp_path / "data" / kind / f"{name}.png").write_bytes(content)
    return tmp_path / "data"


def test_a_benchmark_from_a_tar(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    picture, depth = frame()
    with tarfile.open(tmp_path / "nyu.tar", "w") as archive:
        for name, content in (("rgb_0001.png", picture), ("depth_0001.png", depth)):
            member = tarfile.TarInfo(f"./test/office_0005/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    call = ["evaluate", "--benchmark", "nyuv2", "--data", str(tmp_path / "nyu.tar"), "--model", MODEL]
    assert main([*call, "--out", str(tmp_path / "out")]) == 0
    said = capsys.readouterr().out
    assert "AbsRel 0.0000  delta1 1.0000  over 1 images" in said
    assert "published split of NYUv2 has 654 images; these were 1" in said
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert summary["set"] == "NYUv2"
    assert summary["model"] == "grey_model:factory"
    assert summary["protocol"]["valid_range_m"] == [0.001, 10.0]
    assert summary["protocol"]["window"] == [45, 471, 41, 601]
    assert main(["evaluate", "--table", str(tmp_path / "out"), "--out", str(tmp_path / "table.md")]) == 0
    assert "| grey_model:factory | 0.0 | 100.0 |" in (tmp_path / "table.md").read_text()
    # Two estimates of a model without noise, at half the size.
    assert main([*call, "--out", str(tmp_path / "two"), "--ensemble", "2", "--side", "320"]) == 0
    summary = json.loads((tmp_path / "two" / "summary.json").read_text())
    assert (summary["ensemble"], summary["processing_side"]) == (2, 320)
    assert 0.01 < summary["abs_rel"] < 0.8


def test_normals(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "ibims").mkdir()
    cv2.imwrite(str(tmp_path / "ibims" / "corridor_01_img.png"), np.zeros((4, 6, 3), np.uint8))
    np.save(tmp_path / "ibims" / "corridor_01_normal.npy", np.broadcast_to(np.array([0, 0, 1.0]), (4, 6, 3)))
    call = ["evaluate", "--benchmark", "ibims_normals", "--data", str(tmp_path / "ibims")]
    assert main([*call, "--model", "python:grey_model:normals", "--out", str(tmp_path / "out")]) == 0
    assert "mean 0.00 deg  median 0.00 deg" in capsys.readouterr().out
    assert json.loads((tmp_path / "out" / "summary.json").read_text())["within_11_25"] == 1
    assert main([*call, "--out", str(tmp_path / "out"), "--baselines"]) == 2
    assert "--baselines is for depth" in capsys.readouterr().err


def test_baselines_and_robustness(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    call = ["evaluate", "--data", str(folder), "--model", MODEL, "--limit", "1"]
    assert main([*call, "--out", str(tmp_path / "out"), "--baselines", "--mean-map", str(folder)]) == 0
    baselines = json.loads((tmp_path / "out" / "baselines.json").read_text())
    assert baselines["mean map"]["abs_rel"] < 0.1 < baselines["constant"]["abs_rel"]
    assert "round trip" not in baselines  # it is of a MERGE model's autoencoder
    assert main([*call, "--out", str(tmp_path / "out"), "--robustness"]) == 0
    assert "| clean | 0.000 | 1.000 |" in capsys.readouterr().out
    assert (tmp_path / "out" / "robustness.md").is_file()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--out", "x"], "--data and --out are needed"),
        (["--data", "data", "--out", "x", "--benchmark", "nyu"], "--benchmark 'nyu' is unknown; allowed: nyuv2, kitti"),
        (["--data", "data", "--out", "x", "--benchmark", "nyuv2"], "no image of NYUv2"),
        (
            ["--data", "data", "--out", "x", "--benchmark", "nyuv2", "--range", "1", "2"],
            "--range is the benchmark's own",
        ),
        (["--data", "data", "--out", "x", "--split", "s.txt"], "--split is for a benchmark"),
        (["--data", "data", "--out", "x", "--range", "2", "1"], "must satisfy 0 < low < high"),
        (["--data", "data", "--out", "x", "--limit", "0"], "--limit 0 must be at least 1"),
        (["--data", "data", "--out", "x", "--side", "-1"], "--side -1"),
        (["--data", "data", "--out", "x", "--ensemble", "5"], "draws no noise"),
        (["--data", "data", "--out", "x", "--mean-map", "data"], "add --baselines"),
        (["--data", "nowhere", "--out", "x"], "holds no files"),
        (["--table", "nowhere"], "nowhere/summary.json cannot be read"),
    ],
)
def test_wrong_calls_say_what_is_wrong(
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["evaluate", "--model", MODEL, *arguments]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "x").exists()
