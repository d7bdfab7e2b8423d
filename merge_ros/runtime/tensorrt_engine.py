"""The folded depth path on TensorRT and TensorRT-RTX: the fast engines for NVIDIA GPUs and Jetson."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from merge_ros.config import EstimatorSettings
from merge_ros.errors import BackendError, CheckpointError, ConfigurationError, MissingDependencyError
from merge_ros.files import keep_for_later
from merge_ros.runtime.cuda_buffers import CudaDevice, PinnedBuffer, cuda_runtime
from merge_ros.runtime.export_cache import cache_folder, exported_model, file_hash
from merge_ros.runtime.exported import INPUT, OUTPUT, ExportedModel
from merge_ros.runtime.plan_cache import PlanKey, cached_plan
from merge_ros.runtime.recent_shapes import RecentShapes
from merge_ros.runtime.tensorrt_build import USUAL_TIME, BuildOptions, build_plan, import_tensorrt, make_log, opset


class TensorRtEngine:
    """Runs an exported model with TensorRT or TensorRT-RTX; a `merge_ros.runtime.engine.DepthEngine`.

    A plan is built once per batch and image size, at the first image of that size, and kept in the cache folder. Pixels
    go through page-locked memory; copies and kernels are queued on one stream.

    Raises:
        MissingDependencyError: TensorRT, cuda-bindings or onnx is not installed.
        BackendError: there is no such GPU, a plan cannot be built, or the engine computes wrong depth.
        CheckpointError: the model cannot be loaded.
        ConfigurationError: a device, precision or number of steps that this engine does not have.
    """

    def __init__(self, settings: EstimatorSettings) -> None:
        backend = settings.backend
        self._trt = import_tensorrt(backend)
        if settings.steps > 1:
            raise ConfigurationError(f"backend {backend!r} runs one step, not {settings.steps}")
        if settings.precision == "bf16":
            raise ConfigurationError(f"backend {backend!r} runs in fp16 or fp32, not 'bf16'")
        self._device = CudaDevice(cuda_runtime(backend), _gpu_index(backend, settings.device))
        self._backend = backend
        wanted = "fp16" if settings.precision == "auto" else settings.precision
        self._path = exported_model(settings, wanted, opset(self._trt))
        self._exported = ExportedModel.from_metadata(read_metadata(self._path), str(self._path))
        if settings.precision != "auto":
            self._exported.check_precision(settings.precision, str(self._path))
        self._graph = file_hash(self._path)
        self.grid, self.native_pixels = self._exported.grid, self._exported.native_pixels
        precision = self._exported.precision
        self.description = (
            f"model {settings.model}, backend {backend} {self._trt.__version__}, device cuda:{self._device.index} "
            f"({self._device.name}), precision {precision}, steps 1"
        )
        self._log = make_log(self._trt)
        self._runtime = self._trt.Runtime(self._log)
        self._plans: RecentShapes[_Plan] = RecentShapes()
        self._exported.check(self, precision, self.description)

    def __call__(self, rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
        """See `DepthEngine.__call__`.

        Raises:
            InputError: images that the file does not take.
            BackendError: the GPU ran out of memory or failed, or no plan can be built for this size.
        """
        self._exported.check_input(rgb)
        self._device.use()
        return self._plans.get(rgb.shape, lambda: self._load(rgb.shape))(rgb)

    def _load(self, shape: tuple[int, ...]) -> _Plan:
        options = BuildOptions((shape[0], shape[1], shape[2]), self._exported.precision)
        key = PlanKey(
            self._graph,
            f"{self._backend} {self._trt.__version__}",
            self._device.name,
            options.shape,
            options.precision,
            options.flags(),
        )
        folder = cache_folder() / self._backend
        times = folder / f"{self._device.architecture}-{self._trt.__version__}.timing"
        serialized = cached_plan(
            folder, key, lambda: build_plan(self._trt, self._path, options, times), USUAL_TIME[self._backend]
        )
        engine = self._runtime.deserialize_cuda_engine(serialized)
        if engine is None:
            raise BackendError(f"{self._backend} cannot load its own plan {key.file_name()}: {self._log.said()}")
        kernels = folder / key.file_name().replace(".plan", ".kernels") if self._backend == "tensorrt_rtx" else None
        return _Plan(self._trt, engine, self._device, shape, self._log, kernels)


class _Plan:
    """One shape: its execution context and its buffers."""

    def __init__(
        self, trt: Any, engine: Any, device: CudaDevice, shape: tuple[int, ...], log: Any, kernels: Path | None
    ) -> None:
        self._engine, self._device, self._log = engine, device, log
        self._context, self._cache = _context(trt, engine, kernels)
        if self._context is None:
            raise BackendError(f"no execution context for images of shape {shape}: {log.said()}")
        self._kernels = kernels
        self._input = PinnedBuffer(device, shape, np.uint8)
        self._output = PinnedBuffer(device, shape[:3], np.float32)
        self._context.set_input_shape(INPUT, shape)
        self._context.set_tensor_address(INPUT, self._input.address)
        self._context.set_tensor_address(OUTPUT, self._output.address)

    def __call__(self, rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
        self._input.host[:] = rgb
        self._input.upload()
        if not self._context.execute_async_v3(int(self._device.stream)):
            raise BackendError(f"TensorRT failed on images of shape {rgb.shape}: {self._log.said()}")
        self._output.download()
        self._device.wait()
        if self._kernels is not None and self._cache is not None:
            keep_for_later(self._kernels, bytes(self._cache.serialize()))
            self._kernels = None  # once is enough: the shape is fixed
        return np.array(self._output.host, np.float32)


def _context(trt: Any, engine: Any, kernels: Path | None) -> tuple[Any, Any]:
    """The execution context; for TensorRT-RTX with its cache of kernels, which it compiles when it first runs."""
    if kernels is None:
        return engine.create_execution_context(), None
    config = engine.create_runtime_config()
    config.cuda_graph_strategy = trt.CudaGraphStrategy.WHOLE_GRAPH_CAPTURE
    cache = config.create_runtime_cache()
    if kernels.is_file():
        cache.deserialize(kernels.read_bytes())  # it checks GPU and version itself, and starts empty where they differ
    config.set_runtime_cache(cache)
    return engine.create_execution_context(config), cache


def read_metadata(path: Path) -> dict[str, str]:
    """The properties of an ONNX file, without its weights being used.

    Raises:
        CheckpointError: it is not an ONNX file.
        MissingDependencyError: onnx is not installed.
    """
    try:
        import onnx
    except ImportError as error:
        raise MissingDependencyError("onnx", "tensorrt", "reading an exported model") from error
    try:
        model = onnx.load(path, load_external_data=False)
    except Exception as error:  # protobuf's errors, of which there are several kinds
        raise CheckpointError(f"{path} is not an ONNX file: {error}") from error
    return {entry.key: entry.value for entry in model.metadata_props}


def _gpu_index(backend: str, device: str) -> int:
    kind, _, index = ("cuda", "", "0") if device == "auto" else device.partition(":")
    if kind != "cuda" or not (index.isdigit() or not index):
        raise ConfigurationError(f"backend {backend!r} runs on 'cuda' or 'cuda:N', not on {device!r}")
    return int(index or 0)
