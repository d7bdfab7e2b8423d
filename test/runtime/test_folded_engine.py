"""The folded network in torch: what each mode gives, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from merge_ros.config import EstimatorSettings  # noqa: E402
from merge_ros.errors import BackendError, ConfigurationError, InputError  # noqa: E402
from merge_ros.runtime.engine import load_engine  # noqa: E402
from merge_ros.runtime.exported import ExportedModel  # noqa: E402
from merge_ros.runtime.folded_engine import FoldedEngine  # noqa: E402
from merge_ros.runtime.graph import DepthGraph  # noqa: E402
from merge_ros.runtime.torch_engine import TorchEngine  # noqa: E402


def _settings(model: Path, **more: str) -> EstimatorSettings:
    return EstimatorSettings(model=str(model), backend="torch", **more)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (2, 48, 64, 3), np.uint8)


@pytest.fixture(scope="module")
def eager(random_model: Path, images: np.ndarray) -> np.ndarray:
    return load_engine(_settings(random_model, torch_mode="eager", device="cpu"))(images)


def test_folded_equals_eager(random_model: Path, images: np.ndarray, eager: np.ndarray) -> None:
    engine = load_engine(_settings(random_model, device="cpu"))
    assert isinstance(engine, FoldedEngine)
    assert "mode folded" in engine.description
    assert np.abs(engine(images) - eager).max() <= 1e-5


def test_a_multi_step_checkpoint_stays_eager(reference_base: Path) -> None:
    with pytest.raises(ConfigurationError, match="only one-step checkpoints can be folded"):
        load_engine(_settings(reference_base, torch_mode="folded"))


def test_merge_tiny_folds_exactly() -> None:
    """The shipped weights, eager against folded, at the size that cameras have inside."""
    image = np.random.default_rng(1).integers(0, 256, (1, 96, 128, 3), np.uint8)
    settings = EstimatorSettings(backend="torch", device="cpu")
    assert np.abs(FoldedEngine(settings)(image) - TorchEngine(settings)(image)).max() <= 1e-5


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_lower_precision_is_checked_against_fp32(
    random_model: Path, images: np.ndarray, eager: np.ndarray, precision: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    checked = []
    check = ExportedModel.check
    monkeypatch.setattr(ExportedModel, "check", lambda *words: checked.append(words[2]) or check(*words))
    engine = load_engine(_settings(random_model, device="cpu", precision=precision))
    assert checked == [precision]
    assert 0 < np.abs(engine(images) - eager).max() < 0.05


def test_wrong_arithmetic_is_refused(random_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As an engine would be whose half precision is broken."""
    forward = DepthGraph.forward

    def broken(self: DepthGraph, rgb: torch.Tensor) -> torch.Tensor:
        depth = forward(self, rgb)
        return depth + 0.5 if self.transformer.patch.weight.dtype == torch.bfloat16 else depth

    monkeypatch.setattr(DepthGraph, "forward", broken)
    with pytest.raises(BackendError, match=r"differs from fp32 by 0\.\d+ on the check image, allowed for bf16 is 0.05"):
        load_engine(_settings(random_model, device="cpu", precision="bf16"))


@pytest.mark.slow
@pytest.mark.timeout(1200)  # two sizes through a C++ compiler
def test_compiled(random_model: Path, images: np.ndarray, eager: np.ndarray) -> None:
    """With a C++ compiler the result is the same; without one the error says so."""
    try:
        engine = load_engine(_settings(random_model, device="cpu", torch_mode="compiled"))
    except BackendError as error:
        assert "torch.compile failed" in str(error)
        pytest.skip("torch.compile found no compiler here")
    assert np.abs(engine(images) - eager).max() <= 1e-4


def test_out_of_memory_is_an_error_of_the_backend(
    random_model: Path, images: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    """torch's own error, raised where a GPU would; the engine works again afterwards."""
    engine = load_engine(_settings(random_model, device="cpu"))
    before = engine(images)

    def exhausted(self: DepthGraph, rgb: torch.Tensor) -> torch.Tensor:
        raise torch.OutOfMemoryError("tried to allocate 20.00 GiB")

    with monkeypatch.context() as patched:
        patched.setattr(DepthGraph, "forward", exhausted)
        with pytest.raises(
            BackendError, match=r"out of memory for images of shape \(2, 48, 64, 3\): tried to allocate"
        ):
            engine(images)
    assert np.array_equal(engine(images), before)


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"torch_mode": "cuda_graph", "device": "cpu"}, ConfigurationError, "needs a CUDA device, not 'cpu'"),
        ({"torch_mode": "folded", "device": "cuda:63"}, BackendError, "Nothing falls back"),
    ],
)
def test_what_it_cannot_do(random_model: Path, settings: dict, error: type, message: str) -> None:
    with pytest.raises(error, match=message):
        load_engine(_settings(random_model, **settings))


def test_images_off_the_grid(random_model: Path) -> None:
    with pytest.raises(InputError, match="60x48 pixels; both sides must be multiples of 8"):
        load_engine(_settings(random_model, device="cpu"))(np.zeros((1, 48, 60, 3), np.uint8))


@pytest.mark.gpu
@pytest.mark.parametrize("mode", ["eager", "folded", "compiled", "cuda_graph"])
@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_on_a_gpu(random_model: Path, images: np.ndarray, eager: np.ndarray, mode: str, precision: str) -> None:
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device here")
    engine = load_engine(_settings(random_model, device="cuda:0", torch_mode=mode, precision=precision))
    for _ in range(2):  # recorded, then replayed
        assert np.abs(engine(images) - eager).max() < (1e-3 if precision == "fp32" else 0.02)
