"""What is taken from a GPU is given back. A stand-in for the CUDA runtime keeps the accounts: no GPU is needed."""

from __future__ import annotations

import ctypes
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from merge_ros.errors import BackendError
from merge_ros.runtime.cuda_buffers import CudaDevice, PinnedBuffer


class Runtime:
    """As much of `cuda.bindings.runtime` as is called, in host memory."""

    cudaError_t = SimpleNamespace(cudaSuccess=0)
    cudaDeviceAttr = SimpleNamespace(cudaDevAttrComputeCapabilityMajor=1, cudaDevAttrComputeCapabilityMinor=2)
    cudaMemcpyKind = SimpleNamespace(cudaMemcpyHostToDevice=1, cudaMemcpyDeviceToHost=2)
    cudaStreamNonBlocking = 1

    def __init__(self) -> None:
        self.held: dict[int, Any] = {}
        self.streams = 0
        self.room = True

    def cudaGetDeviceCount(self) -> tuple[int, int]:
        return 0, 1

    def cudaSetDevice(self, index: int) -> tuple[int]:
        return (0,)

    def cudaDeviceGetAttribute(self, attribute: int, index: int) -> tuple[int, int]:
        return 0, 8

    def cudaGetDeviceProperties(self, index: int) -> tuple[int, Any]:
        return 0, SimpleNamespace(name=b"stand-in")

    def cudaStreamCreateWithFlags(self, flags: int) -> tuple[int, int]:
        self.streams += 1
        return 0, 7

    def cudaStreamDestroy(self, stream: int) -> tuple[int]:
        self.streams -= 1
        return (0,)

    def cudaStreamSynchronize(self, stream: int) -> tuple[int]:
        return (0,)

    def cudaMallocHost(self, size: int) -> tuple[int, int]:
        memory = (ctypes.c_uint8 * size)()
        self.held[ctypes.addressof(memory)] = memory
        return 0, ctypes.addressof(memory)

    def cudaMalloc(self, size: int) -> tuple[int, int]:
        return self.cudaMallocHost(size) if self.room else (2, 0)

    def cudaFree(self, address: int) -> tuple[int]:
        del self.held[address]
        return (0,)

    cudaFreeHost = cudaFree

    def cudaMemcpyAsync(self, target: int, source: int, size: int, kind: int, stream: int) -> tuple[int]:
        ctypes.memmove(target, source, size)
        return (0,)

    def cudaGetErrorString(self, status: int) -> tuple[int, bytes]:
        return 0, b"out of memory"


def test_pixels_go_there_and_back_and_all_is_given_back() -> None:
    runtime = Runtime()
    device = CudaDevice(runtime, 0)
    buffer = PinnedBuffer(device, (3, 4), np.dtype(np.uint16))
    buffer.host[:] = np.arange(12).reshape(3, 4)
    buffer.upload()
    buffer.host[:] = 0
    buffer.download()
    np.testing.assert_array_equal(buffer.host, np.arange(12).reshape(3, 4))
    assert len(runtime.held) == 2 and runtime.streams == 1
    del buffer
    assert not runtime.held
    del device
    assert not runtime.streams


def test_freeing_twice_is_freeing_once() -> None:
    runtime = Runtime()
    buffer = PinnedBuffer(CudaDevice(runtime, 0), (5,), np.dtype(np.float32))
    buffer.free()
    buffer.free()
    del buffer
    assert not runtime.held and not runtime.streams


def test_a_gpu_without_room_keeps_nothing() -> None:
    runtime = Runtime()
    runtime.room = False
    with pytest.raises(BackendError, match="out of memory"):
        PinnedBuffer(CudaDevice(runtime, 0), (5,), np.dtype(np.float32))
    assert not runtime.held
