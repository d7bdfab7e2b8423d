"""What "auto" comes to, on machines of every kind; and what bf16 has to prove."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import numpy as np
import pytest

from merge_ros.config import BF16_COST, EstimatorSettings
from merge_ros.errors import BackendError, CheckpointError, MissingDependencyError
from merge_ros.runtime import bf16_cost, selection
from merge_ros.runtime.check_set import abs_rel, check_set
from merge_ros.runtime.installed import BackendReport, survey
from merge_ros.runtime.selection import choose

STEP = '{"depth_timestep": 50}'
CPU, GPU = ("cpu",), ("cuda:0",)


@pytest.fixture
def model(tmp_path: Path) -> str:
    """A model that is exported already: any file of that name will do, none is loaded."""
    path = tmp_path / "depth.onnx"
    path.write_bytes(b"")
    return str(path)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """As much of a model folder as is looked at before loading."""
    for part, config in (("transformer", '{"_class_name": "PixArtTransformer2DModel"}'), ("depth_converters", STEP)):
        (tmp_path / "model" / part).mkdir(parents=True)
        (tmp_path / "model" / part / "config.json").write_text(config)
    return tmp_path / "model"


def _machine(
    monkeypatch: pytest.MonkeyPatch, *, bf16: tuple[bool, str] | None = None, **devices: tuple[str, ...]
) -> None:
    """A machine with these backends and their devices; `bf16`: the verdict where the processor has it."""
    names = ("tensorrt", "tensorrt_rtx", "torch", "onnx", "openvino")
    reports = [
        BackendReport(
            name, "1.0" if name in devices else "", devices.get(name, ()), "" if name in devices else "not here"
        )
        for name in names
    ]
    monkeypatch.setattr(selection, "survey", lambda: reports)
    monkeypatch.setattr(selection, "gpu_count", lambda: int(any(GPU[0] in own for own in devices.values())))
    monkeypatch.setattr(selection, "has_bf16", lambda: bf16 is not None)
    monkeypatch.setattr(selection, "export_problem", lambda settings: "")
    monkeypatch.setattr(bf16_cost, "bf16_verdict", lambda settings: bf16)


CASES = {
    "a PC without a GPU": ({"onnx": CPU, "openvino": CPU}, None, "onnx cpu fp32", "no bf16 arithmetic"),
    "a new Intel or AMD": ({"onnx": CPU, "openvino": CPU}, (True, "it is free"), "openvino cpu bf16", "it is free"),
    "bf16 that costs": ({"onnx": CPU, "openvino": CPU}, (False, "0.01 apart"), "onnx cpu fp32", "0.01 apart"),
    "only OpenVINO": ({"openvino": CPU}, (False, "0.01 apart"), "openvino cpu fp32", "no faster engine"),
    "a Jetson": (
        {"tensorrt": GPU, "onnx": CPU, "torch": ("cpu", *GPU)},
        None,
        "tensorrt cuda:0 auto",
        "TensorRT are here",
    ),
    "a PC with RTX": ({"tensorrt_rtx": GPU, "onnx": CPU}, None, "tensorrt_rtx cuda:0 auto", "TensorRT-RTX are here"),
    "RTX without a GPU": ({"tensorrt_rtx": (), "onnx": CPU}, None, "onnx cpu fp32", "fastest in fp32"),
    "CUDA in ONNX Runtime": ({"onnx": ("cpu", "cuda")}, None, "onnx cuda fp32", "ONNX Runtime with CUDA"),
}


@pytest.mark.parametrize("case", CASES)
def test_an_exported_model(monkeypatch: pytest.MonkeyPatch, model: str, case: str) -> None:
    devices, bf16, expected, reason = CASES[case]
    _machine(monkeypatch, bf16=bf16, **devices)
    choice = choose(EstimatorSettings(model=model))
    assert f"{choice.settings.backend} {choice.settings.device} {choice.settings.precision}" == expected
    assert reason in choice.reason


def test_a_folder_on_a_machine_with_torch_only(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    _machine(monkeypatch, torch=CPU)
    choice = choose(EstimatorSettings(model=str(folder)))
    assert (choice.settings.backend, choice.settings.device, choice.settings.precision) == ("torch", "cpu", "fp32")
    _machine(monkeypatch, torch=("cpu", *GPU), onnx=CPU)
    choice = choose(EstimatorSettings(model=str(folder)))
    assert (choice.settings.backend, choice.settings.device, choice.settings.precision) == ("torch", "cuda:0", "fp16")


def test_several_steps_are_for_torch(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    config = {"depth_timestep": None, "num_inference_steps": 20}
    (folder / "depth_converters" / "config.json").write_text(json.dumps(config))
    _machine(monkeypatch, onnx=CPU, torch=CPU)
    choice = choose(EstimatorSettings(model=str(folder)))
    assert choice.settings.backend == "torch"
    assert "20 denoising steps" in choice.reason
    _machine(monkeypatch, onnx=CPU)
    with pytest.raises(MissingDependencyError, match=r"20 denoising steps .* pip install 'merge_ros\[torch\]'"):
        choose(EstimatorSettings(model=str(folder)))


def test_what_is_asked_for_is_kept(monkeypatch: pytest.MonkeyPatch, model: str, folder: Path) -> None:
    _machine(monkeypatch, bf16=(True, "free"), tensorrt=GPU, onnx=CPU, openvino=("cpu", "npu"), torch=CPU)
    asked = {
        "openvino": {"device": "cpu"},
        "onnx": {"device": "cpu", "precision": "fp32"},
        "tensorrt": {"device": "cuda:0"},
    }
    for backend, values in asked.items():
        chosen = choose(EstimatorSettings(model=model, **values)).settings
        assert chosen.backend == backend
        assert all(getattr(chosen, name) == value for name, value in values.items())
    assert choose(EstimatorSettings(model=model, device="npu")).settings.backend == "openvino"
    assert choose(EstimatorSettings(model=str(folder), torch_mode="eager")).settings.backend == "torch"


def test_nothing_fits(monkeypatch: pytest.MonkeyPatch, model: str) -> None:
    _machine(monkeypatch, onnx=CPU)
    with pytest.raises(BackendError, match="runs device 'cuda:1' in precision 'auto': no engine sees an NVIDIA GPU"):
        choose(EstimatorSettings(model=model, device="cuda:1"))
    _machine(monkeypatch)
    with pytest.raises(MissingDependencyError, match=r"pip install 'merge_ros\[onnx\]'"):
        choose(EstimatorSettings(model=model))


def test_what_is_installed_here() -> None:
    reports = {report.backend: report for report in survey()}
    for backend, module in (("onnx", "onnxruntime"), ("openvino", "openvino"), ("torch", "torch")):
        try:
            found = __import__(module).__version__
        except ImportError:
            assert reports[backend].version == "" and "pip install" in reports[backend].note
        else:
            assert found.startswith(reports[backend].version.split("+")[0].split("-")[0])
            assert "cpu" in reports[backend].devices


class _Predicting:
    """An engine that knows the answer, up to noise."""

    grid, native_pixels, description = 16, 256 * 192, "a fake"

    def __init__(self, noise: float) -> None:
        self._noise, self._truth = noise, iter([depth for _, depth in check_set()])
        self._random = np.random.default_rng(0)

    def __call__(self, rgb: np.ndarray) -> np.ndarray:
        depth = next(self._truth)
        assert rgb.shape == (1, *depth.shape, 3)
        return (depth * (1 + self._noise * self._random.standard_normal(depth.shape)) / 20)[None].astype(np.float32)


def test_the_metric_of_the_check_set() -> None:
    """Zero for the truth in any scale; for relative noise of deviation s, its mean absolute value s sqrt(2/pi)."""
    assert abs_rel(_Predicting(0.0)) < 1e-5
    assert abs_rel(_Predicting(0.02)) == pytest.approx(0.02 * (2 / np.pi) ** 0.5, rel=0.05)


def test_the_check_set_is_read_strictly(tmp_path: Path) -> None:
    assert len(list(check_set())) == 8
    (tmp_path / "noise.npz").write_bytes(b"noise")
    with pytest.raises(CheckpointError, match="cannot be read"):
        list(check_set(tmp_path / "noise.npz"))


@pytest.mark.parametrize(
    ("moved", "allowed"), [(0.9 * BF16_COST, True), (-0.9 * BF16_COST, True), (1.1 * BF16_COST, False)]
)
def test_bf16_must_move_the_metric_by_less(
    monkeypatch: pytest.MonkeyPatch, model: str, tmp_path: Path, moved: float, allowed: bool
) -> None:
    """The verdict is measured once and kept; a damaged file is measured again."""
    pytest.importorskip("openvino")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    loaded = []

    class Engine:
        def __init__(self, settings: EstimatorSettings) -> None:
            loaded.append(settings.precision)
            self.precision = settings.precision

    monkeypatch.setattr(bf16_cost, "OpenVinoEngine", Engine)
    monkeypatch.setattr(bf16_cost, "abs_rel", lambda engine: 0.2 + (moved if engine.precision == "bf16" else 0))
    for _ in range(2):
        verdict, line = bf16_cost.bf16_verdict(EstimatorSettings(model=model))
        assert verdict is allowed
        assert "0.2000" in line
    assert loaded == ["fp32", "bf16"]
    (file,) = (tmp_path / "merge_ros").glob("bf16-*.json")
    file.write_text("{}")
    bf16_cost.bf16_verdict(EstimatorSettings(model=model))
    assert loaded == ["fp32", "bf16"] * 2


def test_auto_says_what_it_takes(monkeypatch: pytest.MonkeyPatch, model: str, caplog: pytest.LogCaptureFixture) -> None:
    from merge_ros.runtime import engine

    _machine(monkeypatch, onnx=CPU)
    monkeypatch.setitem(engine._LOADERS, "onnx", lambda settings: settings)
    with caplog.at_level(logging.INFO):
        loaded = engine.load_engine(EstimatorSettings(model=model))
    assert loaded.backend == "onnx"
    assert "backend auto: onnx on cpu: the fastest in fp32" in caplog.text
