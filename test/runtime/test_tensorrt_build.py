"""From ONNX to plans: what each TensorRT release is told, and real ahead-of-time builds with TensorRT-RTX."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from merge_ros.config import EstimatorSettings
from merge_ros.errors import BackendError, ConfigurationError, MissingDependencyError
from merge_ros.runtime.engine import load_engine
from merge_ros.runtime.nvidia import gpu_count
from merge_ros.runtime.plan_cache import PlanKey, cached_plan
from merge_ros.runtime.tensorrt_build import BuildOptions, build_plan, import_tensorrt, opset

OPTIONS = BuildOptions((1, 48, 64), "fp16")


class _Timing:
    def __init__(self, stored: bytes) -> None:
        self.stored = stored

    def serialize(self) -> bytes:
        return self.stored + b"+"


class _Config:
    """Keeps what the builder was told."""

    def __init__(self) -> None:
        self.on: set[str] = set()
        self.off: set[str] = set()
        self.pools: dict[str, int] = {}
        self.profiles: list[Any] = []
        self.timing: Any = None

    def set_flag(self, flag: str) -> None:
        self.on.add(flag)

    def clear_flag(self, flag: str) -> None:
        self.off.add(flag)

    def set_memory_pool_limit(self, pool: str, size: int) -> None:
        self.pools[pool] = size

    def add_optimization_profile(self, profile: Any) -> None:
        self.profiles.append(profile)

    def create_timing_cache(self, stored: bytes) -> Any:
        return None if stored == b"rotten" else _Timing(stored)

    def set_timing_cache(self, timing: Any, ignore_mismatch: bool) -> bool:
        assert ignore_mismatch is False
        if timing.stored.startswith(b"foreign"):
            return False
        self.timing = timing
        return True


def _release(
    version: str, *, flags: tuple[str, ...], builder_flags: tuple[str, ...], plan: bytes | None = b"plan"
) -> Any:
    """A stand-in for `tensorrt` that has exactly the names that a release has, and remembers what it was told."""
    said = SimpleNamespace(config=_Config(), network_flags=None)

    class Builder:
        def __init__(self, log: Any) -> None:
            self.log = log

        def create_network(self, network_flags: int) -> Any:
            said.network_flags = network_flags
            image = SimpleNamespace(name="rgb", shape=(-1, -1, -1, 3))
            return SimpleNamespace(get_input=lambda index: image)

        def create_builder_config(self) -> _Config:
            return said.config

        def create_optimization_profile(self) -> Any:
            shapes: dict[str, Any] = {}
            return SimpleNamespace(shapes=shapes, set_shape=lambda name, *three: shapes.update({name: three}))

        def build_serialized_network(self, network: Any, config: Any) -> bytes | None:
            if plan is None:
                self.log.log(Module.ILogger.ERROR, "out of tactics")
            return plan

    class ILogger:
        INTERNAL_ERROR, ERROR, WARNING = range(3)

    class Module:
        pass

    Module.ILogger = ILogger
    Module.Builder = Builder
    Module.OnnxParser = lambda network, log: SimpleNamespace(parse_from_file=lambda path: True, num_errors=0)
    Module.NetworkDefinitionCreationFlag = SimpleNamespace(**{name: index for index, name in enumerate(flags)})
    Module.BuilderFlag = SimpleNamespace(**{name: name for name in builder_flags})
    Module.MemoryPoolType = SimpleNamespace(WORKSPACE="workspace")
    Module.__name__ = "tensorrt"
    Module.__version__ = version
    Module.said = said
    return Module


def _tensorrt_8(**more: Any) -> Any:
    flags = ("FP16", "TF32", "OBEY_PRECISION_CONSTRAINTS")
    return _release("8.6.2", flags=("EXPLICIT_BATCH",), builder_flags=flags, **more)


def _tensorrt_10(**more: Any) -> Any:
    flags = ("FP16", "TF32", "OBEY_PRECISION_CONSTRAINTS")
    return _release("10.3.0", flags=("EXPLICIT_BATCH", "STRONGLY_TYPED"), builder_flags=flags, **more)


def _tensorrt_11(**more: Any) -> Any:
    return _release("11.0.0", flags=(), builder_flags=("TF32",), **more)


def test_8_6_is_weakly_typed_and_told_to_obey() -> None:
    trt = _tensorrt_8()
    assert build_plan(trt, Path("x.onnx"), OPTIONS) == b"plan"
    assert trt.said.network_flags == 1  # EXPLICIT_BATCH
    assert trt.said.config.on == {"FP16", "OBEY_PRECISION_CONSTRAINTS"}
    assert trt.said.config.off == {"TF32"}
    assert trt.said.config.pools == {"workspace": OPTIONS.workspace}
    assert trt.said.config.profiles[0].shapes == {"rgb": ((1, 48, 64, 3),) * 3}


def test_10_is_strongly_typed() -> None:
    trt = _tensorrt_10()
    build_plan(trt, Path("x.onnx"), OPTIONS)
    assert trt.said.network_flags == 1 << 1  # STRONGLY_TYPED
    assert trt.said.config.on == set()


def test_11_has_no_flag_for_what_it_always_does() -> None:
    trt = _tensorrt_11()
    build_plan(trt, Path("x.onnx"), OPTIONS)
    assert trt.said.network_flags == 0
    assert trt.said.config.on == set()


def test_operator_sets() -> None:
    versions = {"8.6.2": 18, "10.3.0": 20, "11.0.0": 20}
    for version, expected in versions.items():
        assert opset(SimpleNamespace(__name__="tensorrt", __version__=version)) == expected
    assert opset(SimpleNamespace(__name__="tensorrt_rtx", __version__="1.7.1.116")) == 20


@pytest.mark.parametrize(("stored", "read"), [(None, b""), (b"good", b"good"), (b"foreign", b""), (b"rotten", b"")])
def test_the_timing_cache_is_read_and_extended(tmp_path: Path, stored: bytes | None, read: bytes) -> None:
    file = tmp_path / "times"
    if stored is not None:
        file.write_bytes(stored)
    build_plan(_tensorrt_10(), Path("x.onnx"), OPTIONS, file)
    assert file.read_bytes() == read + b"+"


def test_a_failed_build_says_why() -> None:
    with pytest.raises(BackendError, match=r"tensorrt 10.3.0 cannot build x.onnx: out of tactics"):
        build_plan(_tensorrt_10(plan=None), Path("x.onnx"), OPTIONS)


def test_only_rtx_compiles_for_other_machines() -> None:
    with pytest.raises(ConfigurationError, match="only tensorrt_rtx compiles"):
        build_plan(_tensorrt_10(), Path("x.onnx"), BuildOptions((1, 48, 64), "fp16", targets=("sm89",)))


def test_a_missing_package_is_named() -> None:
    for backend in ("tensorrt", "tensorrt_rtx"):
        try:
            import_tensorrt(backend)
        except MissingDependencyError as error:
            assert f"merge_ros[{backend}]" in str(error)


@pytest.fixture(scope="module")
def rtx() -> Any:
    return pytest.importorskip(
        "tensorrt_rtx", reason="TensorRT-RTX is not installed: pip install 'merge_ros[tensorrt_rtx]'"
    )


@pytest.fixture(scope="module")
def half(random_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The random model in fp16, for any batch and size, as TensorRT-RTX wants it."""
    pytest.importorskip("onnxscript", reason="the exporter needs the extra [export]")
    from merge_ros.model.checkpoint import load_checkpoint
    from merge_ros.runtime.export import ExportOptions, export_onnx

    path = tmp_path_factory.mktemp("half") / "depth.onnx"
    export_onnx(load_checkpoint(str(random_model)), path, ExportOptions("fp16"))
    return path


def test_compiled_ahead_of_time_and_kept(rtx: Any, half: Path, tmp_path: Path) -> None:
    """Two architectures, no GPU; each plan is another, and the second time comes from the cache."""
    plans = {}
    for target in ("sm86", "sm120"):
        options = BuildOptions((2, 48, 64), "fp16", targets=(target,))
        key = PlanKey("hash", f"tensorrt_rtx {rtx.__version__}", target, options.shape, "fp16", options.flags())
        plans[target] = cached_plan(tmp_path, key, lambda options=options: build_plan(rtx, half, options), "seconds")
        again = cached_plan(tmp_path, key, lambda: pytest.fail("built again"), "seconds")
        assert again == plans[target]
    assert plans["sm86"] != plans["sm120"]
    assert all(len(plan) > 10_000 for plan in plans.values())


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        (BuildOptions((1, 48, 64), "fp16", targets=("sm42",)), ConfigurationError, "allowed: .*sm75.*sm120"),
    ],
)
def test_what_rtx_refuses(rtx: Any, half: Path, options: BuildOptions, error: type, message: str) -> None:
    with pytest.raises(error, match=message):
        build_plan(rtx, half, options)


def test_a_file_that_is_no_graph(rtx: Any, tmp_path: Path) -> None:
    (tmp_path / "noise.onnx").write_bytes(b"noise")
    with pytest.raises(BackendError, match="cannot parse"):
        build_plan(rtx, tmp_path / "noise.onnx", OPTIONS)


@pytest.mark.parametrize("backend", ["tensorrt", "tensorrt_rtx"])
def test_without_a_gpu_the_engine_says_so(half: Path, backend: str) -> None:
    if gpu_count():
        pytest.skip("there is a GPU here")
    pytest.importorskip(backend)
    pytest.importorskip("cuda.bindings", reason="cuda-bindings is not installed")
    with pytest.raises(BackendError, match=r"cudaGetDeviceCount failed|the driver shows 0"):
        load_engine(EstimatorSettings(model=str(half), backend=backend))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"device": "cpu"}, "runs on 'cuda' or 'cuda:N', not on 'cpu'"),
        ({"precision": "bf16"}, "runs in fp16 or fp32"),
        ({"steps": 4}, "runs one step"),
    ],
)
def test_what_the_engine_cannot_do(rtx: Any, half: Path, settings: dict, message: str) -> None:
    pytest.importorskip("cuda.bindings", reason="cuda-bindings is not installed")
    with pytest.raises(ConfigurationError, match=message):
        load_engine(EstimatorSettings(model=str(half), backend="tensorrt_rtx", **settings))


@pytest.mark.gpu
@pytest.mark.parametrize("backend", ["tensorrt", "tensorrt_rtx"])
def test_same_depth_on_a_gpu(
    half: Path, random_model: Path, backend: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Numbers need a GPU; the plan is built once and found again."""
    if not gpu_count():
        pytest.skip("no NVIDIA GPU here")
    np = pytest.importorskip("numpy")
    pytest.importorskip(backend)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    images = np.random.default_rng(0).integers(0, 256, (2, 48, 64, 3), np.uint8)
    reference = load_engine(EstimatorSettings(model=str(random_model), backend="torch", device="cpu"))(images)
    for _ in range(2):
        engine = load_engine(EstimatorSettings(model=str(random_model), backend=backend))
        assert np.abs(engine(images) - reference).max() < 0.02
    assert len(list((tmp_path / "merge_ros" / backend).glob("*.plan"))) == 2  # the check image's size, and this one
