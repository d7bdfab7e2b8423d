"""What tells two models apart: a hash over their files. Needs no torch."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

WEIGHED = (".json", ".safetensors", ".model")  # settings, weights, and the vocabulary of SentencePiece


def fingerprint(parts: Iterable[Path], salt: str = "") -> str:
    """32 hexadecimal digits of SHA-256 over the files of some parts of a model, by name and content.

    Args:
        parts: folders; one that is missing counts as empty.
        salt: whatever else the result shall depend on.
    """
    digest = hashlib.sha256(salt.encode())
    for part in parts:
        for file in sorted(part.glob("*")):
            if file.suffix in WEIGHED:
                digest.update(f"{part.name}/{file.name}".encode())
                with file.open("rb") as stream:
                    while block := stream.read(1 << 20):
                        digest.update(block)
    return digest.hexdigest()[:32]
