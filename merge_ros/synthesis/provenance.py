"""Where an asset comes from, and the metadata that travels with it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from merge_ros import __version__
from merge_ros.config import AssetSettings
from merge_ros.synthesis.asset import Asset

SHELL = (
    "2.5-D shell: only what one camera saw. It is open at the back, hidden sides are missing, and its depth is as good "
    "as its source. Keep it static."
)
LICENCES = {
    "text": "Made by a generative model from a prompt: the terms of that model's licence apply.",
    "picture": "Made from a picture: the rights in that picture apply.",
    "camera": "Made from what a robot's camera saw: the rights in that recording apply.",
    "rgbd": "Made from a recorded picture and depth: the rights in the recording apply.",
}


@dataclass(frozen=True)
class Provenance:
    """Where the picture and its depth come from.

    Args:
        kind: "text" (generated from a prompt), "picture" (its depth estimated), "camera" (from topics of a running
            robot) or "rgbd" (its depth measured).
        prompt: of a generated picture.
        seed: of a generated picture.
        model: that made the picture or the depth, as the settings name it; "" for none.
        fingerprint: of the model's weights.
        files: names of the source files, without their folders; of topics, with the stamp.
    """

    kind: str
    prompt: str = ""
    seed: int | None = None
    model: str = ""
    fingerprint: str = ""
    files: tuple[str, ...] = ()


def metadata(name: str, asset: Asset, provenance: Provenance, settings: AssetSettings) -> dict[str, Any]:
    """What an asset's `metadata.json` says, in JSON types. The same asset has the same metadata: no times, no paths."""
    camera = asset.view.camera
    return {
        "name": name,
        "made_by": f"merge_ros {__version__}",
        "kind": SHELL,
        "two_and_a_half_d": True,
        "source": {
            "kind": provenance.kind,
            "prompt": provenance.prompt,
            "seed": provenance.seed,
            "model": provenance.model,
            "model_fingerprint": provenance.fingerprint,
            "files": list(provenance.files),
        },
        "scale_source": dict(asset.view.scale_source),
        "licence": settings.licence or LICENCES[provenance.kind],
        "frame": {
            "up": "Z, from the " + asset.up_from,
            "forward": "X, away from the camera: what was seen faces -X",
            "unit": "metre",
            "origin": "the middle of the base",
        },
        "part": settings.part,
        "size": [round(float(side), 6) for side in asset.size],
        "triangles": len(asset.mesh.faces),
        "vertices": len(asset.mesh.vertices),
        "texture": [asset.mesh.texture.shape[1], asset.mesh.texture.shape[0]],
        "collision": {"kind": settings.collision, "pieces": len(asset.collision)},
        "formats": list(settings.formats),
        "camera": {
            "width": camera.width,
            "height": camera.height,
            "fx": camera.fx,
            "fy": camera.fy,
            "cx": camera.cx,
            "cy": camera.cy,
            "asset_from_optical": _rows(asset.pose),
        },
    }


def _rows(matrix: NDArray[np.float64]) -> list[list[float]]:
    return [[round(float(value), 9) for value in row] for row in matrix]
