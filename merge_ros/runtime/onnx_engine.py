"""The folded depth path on ONNX Runtime: the portable engine for CPUs."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from merge_ros.config import EstimatorSettings
from merge_ros.errors import BackendError, CheckpointError, ConfigurationError, MissingDependencyError
from merge_ros.runtime.export_cache import exported_model
from merge_ros.runtime.exported import INPUT, ExportedModel

_PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}


class OnnxEngine:
    """Runs an exported model with ONNX Runtime in fp32; a `merge_ros.runtime.engine.DepthEngine`.

    Raises:
        MissingDependencyError: onnxruntime is not installed.
        BackendError: the device is not there, or the engine computes wrong depth.
        CheckpointError: the model cannot be loaded.
        ConfigurationError: a precision or a number of steps that this engine does not have.
    """

    def __init__(self, settings: EstimatorSettings) -> None:
        try:
            import onnxruntime
        except ImportError as error:
            raise MissingDependencyError("onnxruntime", "onnx", "backend 'onnx'") from error
        if settings.precision != "fp32":
            raise ConfigurationError(f"backend 'onnx' runs in fp32, not {settings.precision!r}")
        if settings.steps > 1:
            raise ConfigurationError(f"backend 'onnx' runs one step, not {settings.steps}")
        kind, _, index = settings.device.partition(":")
        provider = _PROVIDERS.get(kind)
        if provider not in onnxruntime.get_available_providers():
            raise BackendError(
                f"backend 'onnx' has no provider for device {settings.device!r}; this onnxruntime has "
                f"{', '.join(onnxruntime.get_available_providers())}"
            )
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = settings.threads
        # Spinning workers would take the processor from the threads of ROS between two frames.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        path = exported_model(settings)
        placement = (provider, {"device_id": index or "0"}) if kind == "cuda" else provider
        try:
            self._session = onnxruntime.InferenceSession(path, options, providers=[placement])
        except Exception as error:  # onnxruntime's errors share no base but Exception
            raise CheckpointError(f"{path} cannot be loaded by onnxruntime: {error}") from error
        exported = ExportedModel.from_metadata(self._session.get_modelmeta().custom_metadata_map, str(path))
        self.grid, self.native_pixels = exported.grid, exported.native_pixels
        self.description = f"model {settings.model}, backend onnx, device {settings.device}, precision fp32, steps 1"
        exported.check(self, "fp32", self.description)

    def __call__(self, rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
        """See `DepthEngine.__call__`."""
        (depth,) = self._session.run(None, {INPUT: rgb})
        return np.asarray(depth, np.float32)
