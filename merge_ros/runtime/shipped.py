"""The exported merge-tiny that comes with the package, so that depth needs no torch.

`make export-tiny` writes it. Its name holds the fingerprint of the weights that it was made from: a file of other
weights is not found, and never used in silence.
"""

from __future__ import annotations

from pathlib import Path

FOLDER = Path(__file__).resolve().parent.parent / "exported"


def shipped_name(fingerprint: str) -> str:
    """File name of the export of a model with this fingerprint (`export_cache.fingerprint`)."""
    return f"depth-{fingerprint[:16]}.onnx"


def shipped_model(fingerprint: str) -> Path | None:
    """The file that ships for a model with this fingerprint, if there is one."""
    path = FOLDER / shipped_name(fingerprint)
    return path if path.is_file() else None
