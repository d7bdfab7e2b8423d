"""The folded depth path on ONNX Runtime: the portable engine for CPUs, and NVIDIA GPUs through its providers."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from merge_ros.config import EstimatorSettings
from merge_ros.errors import BackendError, CheckpointError, ConfigurationError, MissingDependencyError
from merge_ros.runtime.export_cache import cache_folder, exported_model
from merge_ros.runtime.exported import INPUT, ExportedModel
from merge_ros.runtime.nvidia import gpu_count

PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider", "tensorrt": "TensorrtExecutionProvider"}


class OnnxEngine:
    """Runs an exported model with ONNX Runtime; a `merge_ros.runtime.engine.DepthEngine`.

    The device names the execution provider: "cpu", "cuda:N" or "tensorrt:N" (TensorRT inside ONNX Runtime, whose
    engines are kept in the cache folder); "auto" takes CUDA where this onnxruntime and this machine have it, else the
    CPU. One copy goes to a GPU and one comes back; ONNX Runtime does both on its own stream.

    Raises:
        MissingDependencyError: onnxruntime is not installed.
        BackendError: the provider is not there or does not start, or the engine computes wrong depth.
        CheckpointError: the model cannot be loaded.
        ConfigurationError: a precision or a number of steps that this engine does not have.
    """

    def __init__(self, settings: EstimatorSettings) -> None:
        try:
            import onnxruntime
        except ImportError as error:
            raise MissingDependencyError("onnxruntime", "onnx", "backend 'onnx'") from error
        if settings.steps > 1:
            raise ConfigurationError(f"backend 'onnx' runs one step, not {settings.steps}")
        kind, index = _device(settings.device, onnxruntime.get_available_providers())
        allowed = ("fp32",) if kind == "cpu" else ("fp32", "fp16")
        if settings.precision not in ("auto", *allowed):
            raise ConfigurationError(
                f"backend 'onnx' runs in {' or '.join(allowed)} on {kind}, not {settings.precision!r}"
            )
        path = exported_model(settings, "fp32" if settings.precision == "auto" else settings.precision)
        self._session = _session(onnxruntime, str(path), kind, index, settings.threads)
        self._exported = ExportedModel.from_metadata(self._session.get_modelmeta().custom_metadata_map, str(path))
        precision = self._exported.precision
        if settings.precision != "auto":
            self._exported.check_precision(settings.precision, str(path))
        if precision not in allowed:
            raise ConfigurationError(f"{path} holds {precision} weights; backend 'onnx' runs them on a GPU only")
        self.grid, self.native_pixels = self._exported.grid, self._exported.native_pixels
        device = kind if kind == "cpu" else f"{kind}:{index}"
        self.description = f"model {settings.model}, backend onnx, device {device}, precision {precision}, steps 1"
        self._exported.check(self, precision, self.description)

    def __call__(self, rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
        """See `DepthEngine.__call__`."""
        self._exported.check_input(rgb)
        try:
            (depth,) = self._session.run(None, {INPUT: rgb})
        except Exception as error:  # onnxruntime's errors share no base but Exception; a GPU out of memory is one
            raise BackendError(f"onnxruntime failed on images of shape {rgb.shape}: {error}") from error
        return np.asarray(depth, np.float32)


def _device(device: str, available: list[str]) -> tuple[str, int]:
    """The provider's word and the GPU's number."""
    if device == "auto":
        return ("cuda", 0) if PROVIDERS["cuda"] in available and gpu_count() else ("cpu", 0)
    kind, _, index = device.partition(":")
    if PROVIDERS.get(kind) not in available or not (index.isdigit() or not index):
        raise BackendError(
            f"backend 'onnx' has no provider for device {device!r}; this onnxruntime has {', '.join(available)} "
            f"(devices: {', '.join(word for word, name in PROVIDERS.items() if name in available)})"
        )
    return kind, int(index or 0)


def _session(onnxruntime: Any, path: str, kind: str, index: int, threads: int) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    # Spinning workers would take the processor from the threads of ROS between two frames.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3  # what it warns of, a provider that does not start, is an error below
    provider = PROVIDERS[kind]
    settings: dict[str, str] = {} if kind == "cpu" else {"device_id": str(index)}
    if kind == "tensorrt":
        cache = cache_folder() / "onnxruntime_tensorrt"
        cache.mkdir(parents=True, exist_ok=True)
        settings |= {"trt_engine_cache_enable": "1", "trt_engine_cache_path": str(cache)}
        settings |= {"trt_timing_cache_enable": "1", "trt_timing_cache_path": str(cache)}
    try:
        session = onnxruntime.InferenceSession(path, options, providers=[(provider, settings)])
    except Exception as error:
        if kind != "cpu":
            raise BackendError(f"{provider} cannot run {path}: {error}") from error
        raise CheckpointError(f"{path} cannot be loaded by onnxruntime: {error}") from error
    if session.get_providers()[0] != provider:
        raise BackendError(
            f"onnxruntime did not start {provider} but {session.get_providers()[0]}: its libraries or the GPU are "
            "missing. Nothing falls back by itself; ask for device 'cpu' if that is what you want"
        )
    return session
