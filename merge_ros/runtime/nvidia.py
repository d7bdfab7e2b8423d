"""Whether this machine has an NVIDIA GPU, asked of the driver itself: no framework is imported for it."""

from __future__ import annotations

import ctypes
import functools


@functools.cache
def gpu_count() -> int:
    """Number of CUDA devices that the driver shows; 0 without a driver.

    Both calls are of the CUDA driver API (docs.nvidia.com/cuda/cuda-driver-api), which desktop, WSL and Jetson share.
    """
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return 0
    count = ctypes.c_int(0)
    if driver.cuInit(0) != 0 or driver.cuDeviceGetCount(ctypes.byref(count)) != 0:
        return 0
    return count.value
