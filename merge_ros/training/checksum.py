"""Whether two modules hold the same weights."""

from __future__ import annotations

import hashlib

import torch


def checksum(module: torch.nn.Module) -> str:
    """SHA-256 over the names and values of all weights and buffers of a module, in hexadecimal."""
    digest = hashlib.sha256()
    for name, value in sorted(module.state_dict().items()):
        digest.update(name.encode())
        digest.update(value.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
