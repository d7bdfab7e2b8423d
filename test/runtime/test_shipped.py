"""Depth without torch: files with weights in half precision, and the exported merge-tiny that ships."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("onnxscript", reason="the exporter needs the extra [export]")
pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

import onnx
import onnxruntime

from merge_ros.config import BUNDLED_MODEL, EstimatorSettings
from merge_ros.errors import ConfigurationError
from merge_ros.runtime import shipped
from merge_ros.runtime.engine import load_engine
from merge_ros.runtime.export_cache import exported_model, model_fingerprint
from merge_ros.runtime.exported import FINGERPRINT
from merge_ros.runtime.half_storage import SMALLEST

# What `pip install .` does not bring.
NOT_IN_BASE = ["torch", "diffusers", "transformers", "safetensors", "tokenizers", "huggingface_hub", "openvino"]
NOT_IN_BASE += ["onnx", "onnxscript", "filelock"]


@pytest.fixture(scope="module")
def half(random_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small model, exported with its weights in half precision."""
    from merge_ros.model.checkpoint import load_checkpoint
    from merge_ros.runtime.export import ExportOptions, export_onnx

    path = tmp_path_factory.mktemp("half") / "depth.onnx"
    fingerprint = model_fingerprint(EstimatorSettings(model=str(random_model)))
    export_onnx(load_checkpoint(str(random_model)), path, ExportOptions(half_weights=True), fingerprint)
    return path


def test_every_large_weight_is_stored_in_half(half: Path) -> None:
    model = onnx.load(half)
    large = [tensor for tensor in model.graph.initializer if np.prod(tensor.dims) >= SMALLEST]
    assert large
    assert {tensor.data_type for tensor in large} == {onnx.TensorProto.FLOAT16}
    assert all(onnx.numpy_helper.to_array(tensor).dtype != np.float64 for tensor in model.graph.initializer)


def test_half_weights_compute_in_fp32(half: Path, random_model: Path) -> None:
    """The file passes the fp32 check against the rounded network, and is as near to the full one as rounding allows."""
    engine = load_engine(EstimatorSettings(model=str(half), backend="onnx", precision="fp32", threads=1))
    exact = load_engine(EstimatorSettings(model=str(random_model), backend="torch", device="cpu", precision="fp32"))
    rgb = np.random.default_rng(0).integers(0, 256, (2, 48, 64, 3), np.uint8)
    assert 0 < np.abs(engine(rgb) - exact(rgb)).max() < 2e-3


def test_half_weights_of_half_precision_make_no_sense() -> None:
    from merge_ros.runtime.export import ExportOptions

    with pytest.raises(ConfigurationError, match="half_weights is for precision fp32"):
        ExportOptions("fp16", half_weights=True)


def test_a_weight_beyond_half_precision_is_refused() -> None:
    import torch

    from merge_ros.runtime.half_storage import round_to_half

    layer = torch.nn.Linear(32, 32)
    with torch.no_grad():
        layer.weight[0, 0] = 1e5
    with pytest.raises(ConfigurationError, match=r"weight reaches 1e\+05; half precision ends at 65504"):
        round_to_half(layer)


def test_a_shipped_file_is_taken_for_its_own_weights_only(
    half: Path, random_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shipped, "FOLDER", tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    settings = EstimatorSettings(model=str(random_model))
    path = shutil.copy(half, tmp_path / shipped.shipped_name(model_fingerprint(settings)))
    assert exported_model(settings) == path
    other = Path(shutil.copytree(random_model, tmp_path / "other"))
    (other / "scheduler" / "scheduler_config.json").open("a").write("\n")
    assert shipped.shipped_model(model_fingerprint(EstimatorSettings(model=str(other)))) is None


def test_what_ships_was_made_from_the_weights_that_ship() -> None:
    files = sorted(shipped.FOLDER.glob("*.onnx"))
    if not files:
        pytest.skip("no exported model is here; make export-tiny writes it")
    fingerprint = model_fingerprint(EstimatorSettings())
    assert files == [shipped.FOLDER / shipped.shipped_name(fingerprint)]
    metadata = onnxruntime.InferenceSession(files[0]).get_modelmeta().custom_metadata_map
    assert metadata[FINGERPRINT] == fingerprint
    rgb = np.random.default_rng(0).integers(0, 256, (1, 192, 256, 3), np.uint8)
    ours = load_engine(EstimatorSettings(backend="onnx", device="cpu", precision="fp32"))(rgb)
    exact = load_engine(EstimatorSettings(backend="torch", device="cpu", precision="fp32"))(rgb)
    assert np.abs(ours - exact).max() < 2e-3


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache folder in which a base installation finds the exported merge-tiny, where none ships yet."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("XDG_CACHE_HOME", str(folder))
        exported_model(EstimatorSettings(model=BUNDLED_MODEL))
    return folder


def test_depth_of_a_photo_in_a_base_installation(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The command as it is typed, all defaults, with nothing importable that the base installation does not bring."""
    import cv2

    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    cv2.imwrite(str(tmp_path / "photo.jpg"), np.random.default_rng(0).integers(0, 256, (120, 160, 3), np.uint8))
    script = (
        "import sys\n"
        f"absent = {NOT_IN_BASE}\n"
        "sys.modules.update(dict.fromkeys(absent))  # None: import says that there is no such module\n"
        "from merge_ros.cli.main import main\n"
        "status = main(['depth', 'photo.jpg', '--out', 'depth'])\n"
        "print(status, [name for name in absent if sys.modules[name] is not None])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, timeout=240, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "0 []"
    assert np.load(tmp_path / "depth" / "photo_depth.npy").shape == (120, 160)
