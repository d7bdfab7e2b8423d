"""Memory and one stream on an NVIDIA GPU through the CUDA runtime: what TensorRT needs, and no framework."""

from __future__ import annotations

import ctypes
import weakref
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from merge_ros.errors import BackendError, MissingDependencyError


def cuda_runtime(backend: str) -> Any:
    """The bindings of the CUDA runtime.

    Raises:
        MissingDependencyError: cuda-bindings is not installed.
    """
    try:
        from cuda.bindings import runtime
    except ImportError as error:
        raise MissingDependencyError("cuda-bindings", backend, f"backend {backend!r}") from error
    return runtime


class CudaDevice:
    """One GPU with one stream.

    Args:
        runtime: `cuda.bindings.runtime`.
        index: of the GPU.

    Raises:
        BackendError: it is not there, or the driver is missing or too old.
    """

    def __init__(self, runtime: Any, index: int) -> None:
        self._runtime = runtime
        count = self.call("cudaGetDeviceCount")
        if index >= count:
            raise BackendError(f"device 'cuda:{index}' is not here: the driver shows {count} CUDA device(s)")
        self.call("cudaSetDevice", index)
        attributes = runtime.cudaDeviceAttr
        major = self.call("cudaDeviceGetAttribute", attributes.cudaDevAttrComputeCapabilityMajor, index)
        minor = self.call("cudaDeviceGetAttribute", attributes.cudaDevAttrComputeCapabilityMinor, index)
        name = self.call("cudaGetDeviceProperties", index).name
        self.index = index
        self.architecture = f"sm{major}{minor}"
        self.name = f"{self.architecture} {name.decode().rstrip(chr(0)) if isinstance(name, bytes) else name}"
        self.stream = self.call("cudaStreamCreateWithFlags", runtime.cudaStreamNonBlocking)
        weakref.finalize(self, runtime.cudaStreamDestroy, self.stream).atexit = False

    def call(self, function: str, *arguments: Any) -> Any:
        """Call a function of the CUDA runtime; its results without the status.

        Raises:
            BackendError: it failed; out of memory is one way.
        """
        status, *results = getattr(self._runtime, function)(*arguments)
        if status != self._runtime.cudaError_t.cudaSuccess:
            _, text = self._runtime.cudaGetErrorString(status)
            raise BackendError(f"{function} failed: {text.decode() if isinstance(text, bytes) else text}")
        return results[0] if len(results) == 1 else results

    def use(self) -> None:
        """Make this GPU the current one of the calling thread."""
        self.call("cudaSetDevice", self.index)

    def wait(self) -> None:
        """Until the stream is done."""
        self.call("cudaStreamSynchronize", self.stream)


class PinnedBuffer:
    """The same array twice: in page-locked memory of the host, and on the GPU.

    Attributes:
        host: the array in host memory.
        address: of its copy on the GPU.
    """

    def __init__(self, device: CudaDevice, shape: tuple[int, ...], dtype: DTypeLike) -> None:
        self._device = device
        self._bytes = int(np.prod(shape)) * np.dtype(dtype).itemsize
        self._host = int(device.call("cudaMallocHost", self._bytes))
        try:
            self.address = int(device.call("cudaMalloc", self._bytes))
        except BackendError:
            device.call("cudaFreeHost", self._host)
            raise
        self._release = weakref.finalize(self, _free, device, self._host, self.address)
        self._release.atexit = False  # the driver takes all back with the process, and may be gone before it
        view = memoryview((ctypes.c_uint8 * self._bytes).from_address(self._host)).cast("B")
        self.host: NDArray[Any] = np.frombuffer(view, dtype).reshape(shape)

    def upload(self) -> None:
        """Queue the copy to the GPU."""
        kind = self._device._runtime.cudaMemcpyKind.cudaMemcpyHostToDevice
        self._copy(self.address, self._host, kind)

    def download(self) -> None:
        """Queue the copy from the GPU."""
        kind = self._device._runtime.cudaMemcpyKind.cudaMemcpyDeviceToHost
        self._copy(self._host, self.address, kind)

    def _copy(self, target: int, source: int, kind: Any) -> None:
        self._device.call("cudaMemcpyAsync", target, source, self._bytes, kind, self._device.stream)

    def free(self) -> None:
        """Give both back, as happens by itself once nothing refers to this; `host` must not be used any more."""
        self._release()


def _free(device: CudaDevice, host: int, address: int) -> None:
    device.call("cudaFree", address)
    device.call("cudaFreeHost", host)
