"""The folded depth path on OpenVINO: the fast engine for CPUs with bf16 arithmetic, and for Intel's iGPU and NPU."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from merge_ros.config import EstimatorSettings
from merge_ros.errors import BackendError, CheckpointError, ConfigurationError, MissingDependencyError
from merge_ros.runtime.export_cache import exported_model
from merge_ros.runtime.exported import ExportedModel
from merge_ros.runtime.recent_shapes import RecentShapes

_HINTS = {"fp32": "f32", "bf16": "bf16", "fp16": "f16"}
_CAPABILITIES = {"fp32": "FP32", "bf16": "BF16", "fp16": "FP16"}


class OpenVinoEngine:
    """Runs an exported model with OpenVINO; a `merge_ros.runtime.engine.DepthEngine`.

    The device goes by OpenVINO's name, in any case: "cpu", "gpu" (Intel's), "npu", "gpu.1"; "auto" is the CPU. The
    graph is compiled once per batch and image size, at the first image of that size.

    Raises:
        MissingDependencyError: openvino is not installed.
        BackendError: the device is not there, it lacks the precision, or the engine computes wrong depth.
        CheckpointError: the model cannot be loaded.
        ConfigurationError: a number of steps that this engine does not have.
    """

    def __init__(self, settings: EstimatorSettings) -> None:
        try:
            import openvino
        except ImportError as error:
            raise MissingDependencyError("openvino", "openvino", "backend 'openvino'") from error
        if settings.steps > 1:
            raise ConfigurationError(f"backend 'openvino' runs one step, not {settings.steps}")
        self._core = openvino.Core()
        self._device = "CPU" if settings.device == "auto" else settings.device.upper()
        precision = "fp32" if settings.precision == "auto" else settings.precision
        _check_device(self._core, self._device, precision)
        self._options: dict[str, Any] = {
            "INFERENCE_PRECISION_HINT": _HINTS[precision],
            "PERFORMANCE_HINT": "LATENCY",
        }
        if settings.threads and self._device == "CPU":
            self._options["INFERENCE_NUM_THREADS"] = settings.threads
        self._path = exported_model(settings)
        try:
            model = self._core.read_model(self._path)
        except RuntimeError as error:
            raise CheckpointError(f"{self._path} cannot be loaded by OpenVINO: {error}") from error
        self._exported = ExportedModel.from_metadata(_metadata(model), str(self._path))
        self._exported.check_precision("fp32", str(self._path))  # OpenVINO itself lowers the precision
        self.grid, self.native_pixels = self._exported.grid, self._exported.native_pixels
        self.description = (
            f"model {settings.model}, backend openvino, device {self._device}, precision {precision}, steps 1"
        )
        self._compiled: RecentShapes[Any] = RecentShapes()
        self._exported.check(self, precision, self.description)
        self._compiled.clear()  # 80 to 150 MB each; the camera may well have another size than the check's picture

    def __call__(self, rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
        """See `DepthEngine.__call__`."""
        self._exported.check_input(rgb)
        try:
            compiled = self._compiled.get(rgb.shape, lambda: self._compile(rgb.shape))
            return np.array(compiled(rgb)[0], np.float32)
        except RuntimeError as error:  # a device out of memory, or one that went away
            raise BackendError(f"OpenVINO failed on {self._device} for images of shape {rgb.shape}: {error}") from error

    def _compile(self, shape: tuple[int, ...]) -> Any:
        model = self._core.read_model(self._path)
        model.reshape(shape)
        return self._core.compile_model(model, self._device, self._options)


def _check_device(core: Any, device: str, precision: str) -> None:
    if device not in core.available_devices:
        raise BackendError(
            f"backend 'openvino' has no device {device!r}; here are {', '.join(core.available_devices)}. "
            "Nothing falls back by itself"
        )
    capabilities = core.get_property(device, "OPTIMIZATION_CAPABILITIES")
    if _CAPABILITIES[precision] not in capabilities:
        raise BackendError(
            f"OpenVINO's {device} has no {precision} arithmetic here; it has {', '.join(sorted(capabilities))}"
        )


def _metadata(model: Any) -> dict[str, str]:
    """The ONNX metadata, which OpenVINO keeps under `framework` in the model's runtime information."""
    if "framework" not in model.rt_info:
        return {}
    return {key: str(entry.value) for key, entry in model.rt_info["framework"].items()}
