"""The loop around the protocol: results on disk, runs that were killed, ensembles, other people's models, tables."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pytest

from merge_ros.config import EstimatorSettings
from merge_ros.errors import ConfigurationError, DatasetError, InputError
from merge_ros.evaluation.ensemble import combine, normals_with_ensemble, with_ensemble
from merge_ros.evaluation.evaluate import evaluate
from merge_ros.evaluation.journal import FILE
from merge_ros.evaluation.models import DepthModel, NormalsModel, load_depth_model, load_normals_model
from merge_ros.evaluation.protocol import DepthProtocol
from merge_ros.evaluation.sample import DepthSample, NormalsSample
from merge_ros.evaluation.table import comparison_table
from merge_ros.evaluation.tasks import DepthTask, NormalsTask

PROTOCOL = DepthProtocol((0.1, 65.0))
SHAPE = (6, 8)
SHARES = {"within_11_25": 0.521, "within_22_5": 0.7, "within_30": 0.8}


@dataclass(frozen=True)
class Made:
    """An item whose image says which it is."""

    index: int

    @property
    def name(self) -> str:
        return f"image_{self.index}"

    def read(self) -> DepthSample:
        if self.index == 99:
            raise DatasetError("image_99 is damaged")
        depth = np.random.default_rng(self.index).uniform(1, 9, SHAPE).astype(np.float32)
        return DepthSample(np.full((*SHAPE, 3), self.index, np.uint8), depth)


ITEMS = [Made(index) for index in range(5)]


class Counting:
    """A poor model that knows how often it was asked, and may be stopped."""

    def __init__(self, stop_at: int | None = None) -> None:
        self.asked: list[int] = []
        self.stop_at = stop_at

    def __call__(self, rgb: np.ndarray) -> np.ndarray:
        if len(self.asked) == self.stop_at:
            raise KeyboardInterrupt
        self.asked.append(int(rgb[0, 0, 0]))
        return np.random.default_rng(int(rgb[0, 0, 0]) + 7).random(SHAPE, np.float32)


def depth_task(estimate: Callable) -> DepthTask:
    return DepthTask(DepthModel("m", estimate), PROTOCOL)


def test_what_is_written(tmp_path: Path) -> None:
    about = {"set": "made", "model": "m"}
    result = evaluate(depth_task(Counting()), [*ITEMS, Made(99)], tmp_path / "out", about)
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    with (tmp_path / "out" / "per_image.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["name"] for row in rows] == [item.name for item in ITEMS]
    assert summary["abs_rel"] == pytest.approx(np.mean([float(row["abs_rel"]) for row in rows]), abs=1e-5)
    assert (summary["n"], summary["failed"], summary["set"]) == (5, 1, "made")
    assert summary["failures"] == {"image_99": "image_99 is damaged"} == result.failed
    text = (tmp_path / "out" / "summary.md").read_text()
    assert f"| {summary['abs_rel']:.4f} | {summary['delta1']:.4f} | 5 | 1 |" in text
    assert "image_99 is damaged" in text
    assert cv2.imread(str(tmp_path / "out" / "worst.png")).shape[0] == 5 * 160


def test_a_run_that_was_killed_goes_on(tmp_path: Path) -> None:
    key = {"model": "m", "limit": None}
    with pytest.raises(KeyboardInterrupt):
        evaluate(depth_task(Counting(stop_at=3)), ITEMS, tmp_path, resume_as=key)
    assert not (tmp_path / "summary.json").exists()
    journal = tmp_path / FILE
    journal.write_text(journal.read_text()[:-20])  # killed while it wrote the third line
    second = Counting()
    result = evaluate(depth_task(second), ITEMS, tmp_path, resume_as=key)
    assert second.asked[:3] == [2, 3, 4]  # then the worst are estimated again, for the sheet
    assert not journal.exists()
    whole = evaluate(depth_task(Counting()), ITEMS, tmp_path / "whole")
    assert result.rows == whole.rows
    assert (tmp_path / "per_image.csv").read_text() == (tmp_path / "whole" / "per_image.csv").read_text()
    third = Counting()
    evaluate(depth_task(third), ITEMS, tmp_path, resume_as=key)  # finished: a new call measures anew
    assert third.asked[:5] == [0, 1, 2, 3, 4]


def test_a_killed_run_of_something_else_is_not_mixed_in(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        evaluate(depth_task(Counting(stop_at=3)), ITEMS, tmp_path, resume_as={"model": "m", "steps": 1})
    with pytest.raises(ConfigurationError, match=r"unfinished run with other settings \(steps differ\)"):
        evaluate(depth_task(Counting()), ITEMS, tmp_path, resume_as={"model": "m", "steps": 2})


def test_normals_are_written_too(tmp_path: Path) -> None:
    facing = np.broadcast_to(np.array([0, 0, -1], np.float32), (*SHAPE, 3))

    @dataclass(frozen=True)
    class Item:
        name: str = "one"

        def read(self) -> NormalsSample:
            return NormalsSample(np.zeros((*SHAPE, 3), np.uint8), facing)

    tilted = np.array([0, np.sin(np.radians(20)), -np.cos(np.radians(20))], np.float32)
    task = NormalsTask(NormalsModel("m", lambda _: np.broadcast_to(tilted, (*SHAPE, 3))))
    summary = evaluate(task, [Item()], tmp_path, resume_as={}).summary()
    assert summary["mean"] == pytest.approx(20, abs=1e-3) == summary["median"]
    assert (summary["within_11_25"], summary["within_22_5"], summary["within_30"]) == (0, 1, 1)
    assert "median_deg" in (tmp_path / "per_image.csv").read_text()
    sheet = cv2.imread(str(tmp_path / "worst.png"))
    width = sheet.shape[1] // 4
    assert sheet[80, width + width // 2].tolist() == [255, 128, 128]  # facing the camera is blue (OpenCV: BGR)


def test_an_ensemble_aligns_before_it_takes_the_median() -> None:
    truth = np.random.default_rng(0).uniform(1, 9, (20, 30)).astype(np.float32)
    affines = ((1, 0), (0.2, 3), (7, -4), (0.5, 1), (2, 2))
    members = np.stack([scale * truth + shift for scale, shift in affines]).astype(np.float32)
    members[1:, 3, 3] = members[1:, 4, 4]  # four of five are wrong at one pixel; the fifth cannot save it
    members[2, 5, 5] = 0  # one of five is wrong at another: the median does not care
    for reduction in ("median", "mean"):
        found = combine(members, reduction)
        scale, shift = np.polyfit(found.ravel(), truth.ravel(), 1)
        error = np.abs(scale * found + shift - truth)
        error[3, 3] = 0
        if reduction == "mean":
            error[5, 5] = 0
        assert error.max() < 0.2, reduction


def test_members_start_from_their_own_noise() -> None:
    seeds = []
    truth = np.random.default_rng(0).uniform(1, 9, SHAPE)

    def estimate(_: np.ndarray) -> np.ndarray:
        return (truth + np.random.default_rng(seeds[-1]).normal(0, 1, SHAPE)).astype(np.float32)

    model = DepthModel("m", estimate, reseed=seeds.append)
    rgb = np.zeros((*SHAPE, 3), np.uint8)
    errors = []
    for members in (1, 20):
        seeds.append(0)
        found = with_ensemble(model, members, "mean").estimate(rgb)
        scale, shift = np.polyfit(found.ravel(), truth.ravel(), 1)
        errors.append(np.abs(scale * found + shift - truth).mean())
    assert seeds == [0, 0, *range(20)]
    assert errors[1] < 0.5 * errors[0]


def test_a_model_without_noise_sees_the_mirror_image() -> None:
    rgb = np.random.default_rng(0).integers(0, 255, (*SHAPE, 3), np.uint8)

    def leans_left(image: np.ndarray) -> np.ndarray:
        return image[..., 0] + np.linspace(0, 90, SHAPE[1], dtype=np.float32)

    found = with_ensemble(DepthModel("m", leans_left), 2, "mean").estimate(rgb)
    plain = leans_left(rgb)
    assert np.corrcoef(found.ravel(), rgb[..., 0].ravel())[0, 1] > np.corrcoef(plain.ravel(), rgb[..., 0].ravel())[0, 1]
    normals = normals_with_ensemble(NormalsModel("m", lambda image: np.stack([image[..., 0]] * 3, -1) * 1.0), 2, "mean")
    assert normals.estimate(rgb)[..., 0] == pytest.approx(0, abs=1e-6)  # x points the other way in the mirror


def test_ensembles_that_make_no_sense() -> None:
    model = DepthModel("m", Counting())
    with pytest.raises(ConfigurationError, match="draws no noise"):
        with_ensemble(model, 3)
    with pytest.raises(ConfigurationError, match="allowed: 1 or more"):
        with_ensemble(model, 0)
    with pytest.raises(ConfigurationError, match="allowed: median, mean"):
        with_ensemble(model, 2, "mode")


def test_a_python_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "their_models.py").write_text(
        "class Model:\n"
        "    space = 'disparity'\n"
        "    def __call__(self, rgb):\n"
        "        return 1.0 / (1 + rgb[..., 0])\n"
        "    def reseed(self, seed):\n"
        "        self.seed = seed\n"
        "def text():\n"
        "    return lambda rgb: 'far away'\n"
        "number = 3\n"
        "def none():\n"
        "    return None\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    model = load_depth_model(EstimatorSettings(model="python:their_models:Model"))
    assert (model.name, model.space) == ("their_models:Model", "disparity")
    assert model.reseed is not None
    assert model.estimate(np.full((2, 3, 3), 3, np.uint8)).tolist() == [[0.25] * 3] * 2
    assert load_depth_model(EstimatorSettings(model="python:their_models:Model"), "depth").space == "depth"
    with pytest.raises(ConfigurationError, match=r"has no use for backend, steps; it takes model$"):
        load_depth_model(EstimatorSettings(model="python:their_models:Model", backend="onnx", steps=2))
    with pytest.raises(ConfigurationError, match="has no use for precision; it takes model, device, steps"):
        load_depth_model(EstimatorSettings(model="diffusers:somewhere", precision="fp16"))
    for where, message in (
        ("nowhere:Model", "No module named"),
        ("their_models:Other", "no attribute"),
        ("their_models", "allowed: package.module:factory"),
        ("their_models:number", "not callable"),
        ("their_models:none", "which is no callable"),
    ):
        with pytest.raises(ConfigurationError, match=message):
            load_depth_model(EstimatorSettings(model=f"python:{where}"))
    with pytest.raises(InputError, match=r"allowed: \[h, w\] depth"):
        load_depth_model(EstimatorSettings(model="python:their_models:text")).estimate(np.zeros((2, 2, 3), np.uint8))
    with pytest.raises(ConfigurationError, match="give no normals"):
        load_normals_model(EstimatorSettings(model="transformers:somewhere"))


def test_a_merge_model_of_normals(random_model: Path, tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="normals run in torch")
    shutil.copytree(random_model, tmp_path / "model")
    (tmp_path / "model" / "depth_converters").rename(tmp_path / "model" / "normals_converters")
    model = load_normals_model(
        EstimatorSettings(model=str(tmp_path / "model"), device="cpu", processing_pixels=32 * 24)
    )
    normals = model.estimate(np.random.default_rng(0).integers(0, 256, (24, 32, 3), np.uint8))
    assert normals.shape == (24, 32, 3)
    assert np.linalg.norm(normals, axis=2) == pytest.approx(1, abs=1e-4)
    assert "torch" in model.description


def test_one_table_of_many_results(tmp_path: Path) -> None:
    nyu = {"abs_rel": 0.0752, "delta1": 0.942, "n": 654, "set": "NYUv2"}
    runs = {
        "a": {"model": "ours", **nyu},
        "b": {"model": "theirs", **nyu, "abs_rel": 0.055},
        "c": {"model": "ours", **nyu, "set": "DIODE", "abs_rel": 0.325},
        "d": {"model": "ours", "set": "NYUv2 normals", "mean": 21.6, "median": 12.0, **SHARES},
    }
    for name, summary in runs.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "summary.json").write_text(json.dumps(summary))
    (tmp_path / "a" / "baselines.json").write_text(json.dumps({"constant": {"abs_rel": 0.4, "delta1": 0.3}}))
    lines = comparison_table([tmp_path / name for name in runs]).splitlines()
    assert lines[0].startswith(
        "| model | NYUv2 AbsRel % | NYUv2 delta1 % | DIODE AbsRel % | DIODE delta1 % | NYUv2 nor"
    )
    assert lines[2] == "| ours | 7.5 | 94.2 | 32.5 | 94.2 | 21.6 | 12.0 | 52.1 | 70.0 | 80.0 |"
    assert lines[3].startswith("| constant | 40.0 | 30.0 |  |  |")
    assert lines[4].startswith("| theirs | 5.5 | 94.2 |  |  |")
    with pytest.raises(DatasetError, match="ours on NYUv2 is there twice"):
        comparison_table([tmp_path / "a", tmp_path / "a"])
    with pytest.raises(DatasetError, match=r"summary\.json cannot be read"):
        comparison_table([tmp_path])
