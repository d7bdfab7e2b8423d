"""An image made from text, with its depth, and its files."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from merge_ros.config import GenerationRequest
from merge_ros.errors import OutputError
from merge_ros.files import atomic_write
from merge_ros.geometry.depth import colourise

DEPTH_FORMATS = ("npy", "tiff")
DEPTH_MEANING = "relative, 0 nearest to 1 farthest; metres = scale * value + shift, with both unknown"


@dataclass(frozen=True)
class GeneratedImage:
    """One image.

    Args:
        rgb: [H, W, 3] uint8, red first.
        depth: [H, W] float32 relative depth in [0, 1], 0 nearest: metres = scale * value + shift, with both unknown.
            None where it was not asked for.
        request: gives exactly this image again, on the same machine: one image, with the seed and size that were used.
        seconds: by stage ("text", "denoise", "decode", "depth"). Text is encoded once for all images of a request, and
            counts for the first.
    """

    rgb: NDArray[np.uint8]
    depth: NDArray[np.float32] | None
    request: GenerationRequest
    seconds: Mapping[str, float]


def write_image(
    folder: Path, name: str, image: GeneratedImage, about: Mapping[str, Any], depth_format: str = "npy"
) -> dict[str, Path]:
    """Write an image, its depth, and what they were made from; each file is whole or not there.

    Args:
        folder: made where it is missing.
        name: of the files, without suffix; see `files.safe_name`.
        image: to write.
        about: what else the metadata shall say: `ImageGenerator.about()`.
        depth_format: of the depth, one of `DEPTH_FORMATS`; both hold 32-bit floats.

    Returns:
        "image" NAME.png, "metadata" NAME.json, and with depth "depth" NAME_depth.npy or .tiff, and "depth_preview"
        NAME_depth.png, in colours from red (near) to blue. The metadata is written last: where it is, all are.

    Raises:
        OutputError: the disk is full, read-only, or the like.
    """
    paths = {"image": folder / f"{name}.png"}
    if image.depth is not None:
        paths["depth"] = folder / f"{name}_depth.{depth_format}"
        paths["depth_preview"] = folder / f"{name}_depth.png"
    metadata = {
        **{key: value for key, value in asdict(image.request).items() if key != "count"},
        "depth": DEPTH_MEANING if image.depth is not None else None,
        "seconds": {stage: round(seconds, 4) for stage, seconds in image.seconds.items()},
        "files": {kind: path.name for kind, path in paths.items()},
        **about,
    }
    paths["metadata"] = folder / f"{name}.json"
    try:
        _write_picture(paths["image"], image.rgb)
        if image.depth is not None:
            _write_depth(paths["depth"], image.depth)
            _write_picture(paths["depth_preview"], colourise(image.depth, 0.0, 1.0))
        with atomic_write(paths["metadata"]) as temporary:
            temporary.write_text(json.dumps(metadata, indent=2) + "\n")
    except OSError as error:
        raise OutputError(f"{name} cannot be written into {folder}: {error}") from error
    return paths


def _write_picture(path: Path, rgb: NDArray[np.uint8]) -> None:
    _, encoded = cv2.imencode(".png", cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR))
    with atomic_write(path) as temporary:
        temporary.write_bytes(encoded.tobytes())


def _write_depth(path: Path, depth: NDArray[np.float32]) -> None:
    with atomic_write(path) as temporary:
        if path.suffix == ".npy":
            np.save(temporary, depth)
        else:
            _, encoded = cv2.imencode(".tiff", depth)
            temporary.write_bytes(encoded.tobytes())
