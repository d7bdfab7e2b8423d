"""Devices and precisions by the names that settings use, for the engines that run torch."""

from __future__ import annotations

import torch

from merge_ros.errors import BackendError

DTYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}


def find_device(name: str) -> torch.device:
    """The torch device of that name; "auto" is the first CUDA device, or the CPU where there is none.

    Raises:
        BackendError: it is unknown, or not here.
    """
    if name == "auto":
        return torch.device("cuda:0" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise BackendError(f"device {name!r} is unknown to torch; allowed: 'cpu', 'cuda', 'cuda:0', ...") from error
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise BackendError(
            f"device {name!r} is not here: torch {torch.__version__} sees {torch.cuda.device_count()} CUDA device(s). "
            "Nothing falls back to the CPU by itself; ask for device 'cpu' if that is what you want"
        )
    if device.type not in ("cpu", "cuda"):
        raise BackendError(f"device {name!r} is not supported; allowed: 'cpu', 'cuda', 'cuda:0', ...")
    return device
