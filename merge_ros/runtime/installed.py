"""Which backends are installed here, and which devices each can use.

Nothing is imported that a backend needs to run; only what tells whether it is there.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
from collections.abc import Callable
from dataclasses import dataclass

from merge_ros.runtime.nvidia import gpu_count

# Backend -> the module that it runs on, the extra that brings it, and what to do where no extra can.
PACKAGES = {
    "torch": ("torch", "torch"),
    "onnx": ("onnxruntime", "onnx"),
    "openvino": ("openvino", "openvino"),
    "tensorrt": ("tensorrt", "tensorrt"),
    "tensorrt_rtx": ("tensorrt_rtx", "tensorrt_rtx"),
}
_DISTRIBUTIONS = {
    "onnxruntime": ("onnxruntime", "onnxruntime-gpu", "onnxruntime-openvino"),
    "tensorrt_rtx": ("tensorrt-rtx-cu12", "tensorrt-rtx-cu13", "tensorrt-rtx"),
    "tensorrt": ("tensorrt", "tensorrt-cu12", "tensorrt-cu13"),
}


@dataclass(frozen=True)
class BackendReport:
    """What is known of one backend on this machine.

    Args:
        backend: its name.
        version: of its package; "" when it is not installed.
        devices: that it can run on here, by the names that the setting `device` takes.
        note: why there is none, or what else is worth knowing.
    """

    backend: str
    version: str
    devices: tuple[str, ...]
    note: str = ""


def survey() -> list[BackendReport]:
    """Every backend, best first where a machine has all."""
    return [_PROBES[backend]() for backend in ("tensorrt", "tensorrt_rtx", "torch", "onnx", "openvino")]


def has_bf16() -> bool:
    """Whether OpenVINO has bf16 arithmetic on this processor (AVX512_BF16 or AMX)."""
    import openvino

    return "BF16" in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


def _version(module: str) -> str:
    """Version of the package that brings a module; "" when it is not installed."""
    if importlib.util.find_spec(module) is None:
        return ""
    for name in _DISTRIBUTIONS.get(module, (module,)):
        try:
            return importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return "of unknown version"  # JetPack's TensorRT, say


def _missing(backend: str) -> BackendReport:
    return BackendReport(backend, "", (), f"not installed: pip install 'merge_ros[{PACKAGES[backend][1]}]'")


def _gpus() -> tuple[str, ...]:
    return tuple(f"cuda:{index}" for index in range(gpu_count()))


def _probe_torch() -> BackendReport:
    version = _version("torch")
    if not version:
        return _missing("torch")
    # torch takes seconds to import: it is only asked where there is a GPU to see.
    if gpu_count():
        import torch

        if torch.cuda.is_available():
            return BackendReport("torch", version, ("cpu", *_gpus()))
        return BackendReport("torch", version, ("cpu",), "this torch was built without CUDA, or for another driver")
    return BackendReport("torch", version, ("cpu",))


def _probe_onnx() -> BackendReport:
    version = _version("onnxruntime")
    if not version:
        return _missing("onnx")
    import onnxruntime

    from merge_ros.runtime.onnx_engine import PROVIDERS

    present = onnxruntime.get_available_providers()
    devices = [word for word, provider in PROVIDERS.items() if provider in present]
    if not gpu_count():
        devices = [word for word in devices if word == "cpu"]
    return BackendReport("onnx", version, tuple(devices), f"providers {', '.join(present)}")


def _probe_openvino() -> BackendReport:
    version = _version("openvino")
    if not version:
        return _missing("openvino")
    import openvino

    devices = tuple(name.lower() for name in openvino.Core().available_devices)
    return BackendReport("openvino", version, devices, "CPU with bf16" if has_bf16() else "CPU without bf16")


def _probe_tensorrt() -> BackendReport:
    version = _version("tensorrt")
    if not version:
        note = "not installed: it comes with JetPack, or by pip from NVIDIA's own index (docs/performance.md)"
        return BackendReport("tensorrt", "", (), note)
    return _on_gpu("tensorrt", version)


def _probe_rtx() -> BackendReport:
    version = _version("tensorrt_rtx")
    return _on_gpu("tensorrt_rtx", version) if version else _missing("tensorrt_rtx")


def _on_gpu(backend: str, version: str) -> BackendReport:
    if importlib.util.find_spec("cuda") is None or importlib.util.find_spec("cuda.bindings") is None:
        return BackendReport(backend, version, (), f"needs cuda-bindings too: pip install 'merge_ros[{backend}]'")
    return BackendReport(backend, version, _gpus(), "" if gpu_count() else "no NVIDIA GPU here; it can only compile")


_PROBES: dict[str, Callable[[], BackendReport]] = {
    "torch": _probe_torch,
    "onnx": _probe_onnx,
    "openvino": _probe_openvino,
    "tensorrt": _probe_tensorrt,
    "tensorrt_rtx": _probe_rtx,
}
