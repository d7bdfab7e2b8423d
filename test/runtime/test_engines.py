"""Every engine gives the same depth, and says so when it cannot run."""

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("onnxscript", reason="the exporter needs the extra [export]")

from merge_ros.config import EstimatorSettings
from merge_ros.errors import BackendError, CheckpointError, ConfigurationError, InputError
from merge_ros.runtime.engine import load_engine


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(autouse=True)
def _own_cache(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))


@pytest.fixture(scope="module")
def exported(random_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    from merge_ros.model.checkpoint import load_checkpoint
    from merge_ros.runtime.export import export_onnx

    path = tmp_path_factory.mktemp("exported") / "depth.onnx"
    export_onnx(load_checkpoint(str(random_model)), path)
    return path


def _images(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (*shape, 3), np.uint8)


@pytest.mark.parametrize(("backend", "precision", "limit"), [("onnx", "fp32", 1e-5), ("openvino", "fp32", 1e-5)])
def test_same_depth_at_any_batch_and_size(
    exported: Path, random_model: Path, backend: str, precision: str, limit: float
) -> None:
    pytest.importorskip("onnxruntime" if backend == "onnx" else "openvino")
    reference = load_engine(EstimatorSettings(model=str(random_model), backend="torch", torch_mode="eager"))
    engine = load_engine(EstimatorSettings(model=str(exported), backend=backend, precision=precision, threads=1))
    assert (engine.grid, engine.native_pixels) == (reference.grid, reference.native_pixels)
    for images in (_images(1, 48, 64), _images(3, 48, 64), _images(1, 64, 40), _images(1, 8, 8)):
        assert np.abs(engine(images) - reference(images)).max() <= limit


def test_openvino_bf16_where_the_processor_has_it(exported: Path, random_model: Path) -> None:
    openvino = pytest.importorskip("openvino")
    settings = EstimatorSettings(model=str(exported), backend="openvino", precision="bf16", threads=1)
    if "BF16" not in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        with pytest.raises(BackendError, match="no bf16 arithmetic"):
            load_engine(settings)
        pytest.skip("this processor has no bf16 arithmetic")
    images = _images(1, 48, 64)
    reference = load_engine(EstimatorSettings(model=str(random_model), backend="torch"))(images)
    assert 0 < np.abs(load_engine(settings)(images) - reference).max() < 0.05


def test_a_folder_is_exported_once(random_model: Path, cache: Path) -> None:
    pytest.importorskip("onnxruntime")
    settings = EstimatorSettings(model=str(random_model), backend="onnx")
    load_engine(settings)
    (file,) = (cache / "merge_ros").glob("*.onnx")
    stamp = file.stat().st_mtime_ns
    load_engine(settings)
    assert file.stat().st_mtime_ns == stamp


def test_a_wrong_engine_is_refused(exported: Path, tmp_path: Path) -> None:
    """A file whose weights were changed after its check output was stored: as a faulty engine would be."""
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    model = onnx.load(exported)
    largest = max(model.graph.initializer, key=lambda tensor: np.prod(tensor.dims))
    weights = onnx.numpy_helper.to_array(largest) + 0.5
    largest.CopyFrom(onnx.numpy_helper.from_array(weights.astype(np.float32), largest.name))
    onnx.save(model, tmp_path / "wrong.onnx")
    with pytest.raises(BackendError, match="computes wrong depth"):
        load_engine(EstimatorSettings(model=str(tmp_path / "wrong.onnx"), backend="onnx"))


def test_foreign_and_damaged_files(exported: Path, tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    (tmp_path / "cut.onnx").write_bytes(exported.read_bytes()[:1000])
    foreign = onnx.load(exported)
    del foreign.metadata_props[:]
    onnx.save(foreign, tmp_path / "foreign.onnx")
    for backend in ("onnx", "openvino"):
        pytest.importorskip("openvino" if backend == "openvino" else "onnxruntime")
        for name, message in (("cut", "cannot be loaded"), ("foreign", "not a depth model written by")):
            with pytest.raises(CheckpointError, match=message):
                load_engine(EstimatorSettings(model=str(tmp_path / f"{name}.onnx"), backend=backend))


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"backend": "onnx", "precision": "bf16"}, ConfigurationError, "runs in fp32"),
        ({"backend": "onnx", "steps": 5}, ConfigurationError, "runs one step"),
        ({"backend": "openvino", "steps": 5}, ConfigurationError, "runs one step"),
        ({"backend": "onnx", "device": "tpu"}, BackendError, "no provider for device 'tpu'"),
        ({"backend": "openvino", "device": "tpu"}, BackendError, "no device 'TPU'"),
        ({"backend": "onnx", "device": "cuda"}, BackendError, "no provider for device .cuda.; this onnxruntime has"),
        ({"backend": "onnx", "torch_mode": "folded"}, ConfigurationError, "torch_mode 'folded' is for backend 'torch'"),
    ],
)
def test_what_an_engine_cannot_do(exported: Path, settings: dict, error: type, message: str) -> None:
    pytest.importorskip("onnxruntime" if settings["backend"] == "onnx" else "openvino")
    with pytest.raises(error, match=message):
        load_engine(EstimatorSettings(model=str(exported), **settings))


@pytest.mark.parametrize("backend", ["onnx", "openvino", "torch"])
def test_images_that_no_network_takes(exported: Path, random_model: Path, backend: str) -> None:
    model = random_model if backend == "torch" else exported
    engine = load_engine(EstimatorSettings(model=str(model), backend=backend))
    for images, message in (
        (_images(1, 48, 64).astype(np.float32), "type float32; allowed: .batch, height, width, 3. of uint8"),
        (_images(48, 64), "shape .48, 64, 3. and type uint8"),
        (_images(1, 48, 60), "60x48 pixels; both sides must be multiples of 8"),
        (_images(0, 48, 64), "shape .0, 48, 64, 3."),
    ):
        with pytest.raises(InputError, match=message):
            engine(images)


def test_a_multi_step_checkpoint_is_refused(reference_base: Path) -> None:
    pytest.importorskip("onnxruntime")
    with pytest.raises(ConfigurationError, match="only one-step checkpoints can be folded"):
        load_engine(EstimatorSettings(model=str(reference_base), backend="onnx"))


def test_depth_without_torch(exported: Path, tmp_path: Path) -> None:
    """With an exported file, neither torch nor diffusers is imported."""
    import subprocess
    import sys

    pytest.importorskip("onnxruntime")
    script = (
        "import sys, numpy as np\n"
        "from merge_ros.config import EstimatorSettings\n"
        "from merge_ros.estimator import DepthEstimator\n"
        f"estimator = DepthEstimator(EstimatorSettings(model={str(exported)!r}, backend='onnx'))\n"
        "print(estimator(np.zeros((60, 80, 3), np.uint8)).shape, 'torch' in sys.modules, 'diffusers' in sys.modules)\n"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=120)
    assert result.stdout.strip() == "(60, 80) False False"
