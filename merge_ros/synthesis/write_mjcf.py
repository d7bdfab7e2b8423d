"""A MuJoCo model: one textured mesh to see, convex pieces to touch, fixed to the world."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from merge_ros.synthesis.asset import Asset
from merge_ros.synthesis.write_mesh import obj_files

VISUAL_GROUP, COLLISION_GROUP = 2, 3  # the viewer shows group 2 and hides group 3 by default


def write_mjcf(asset: Asset, name: str, folder: Path) -> None:
    """`mjcf/NAME.xml` with `NAME.obj` and `NAME.png`; loads alone, or is attached to another model."""
    target = folder / "mjcf"
    target.mkdir()
    files = obj_files(asset.mesh, name)
    (target / f"{name}.obj").write_bytes(files[f"{name}.obj"])
    cv2.imwrite(str(target / f"{name}.png"), cv2.cvtColor(asset.mesh.texture, cv2.COLOR_RGB2BGR))

    root = ET.Element("mujoco", model=name)
    assets = ET.SubElement(root, "asset")
    ET.SubElement(assets, "texture", type="2d", name=name, file=f"{name}.png")
    ET.SubElement(assets, "material", name=name, texture=name, specular="0", shininess="0")
    # An open surface has no volume to take the mass from.
    ET.SubElement(assets, "mesh", name=name, file=f"{name}.obj", inertia="shell")
    body = ET.SubElement(ET.SubElement(root, "worldbody"), "body", name=name)
    ET.SubElement(
        body, "geom", name=name, type="mesh", mesh=name, material=name, mass="0", contype="0", conaffinity="0",
        group=str(VISUAL_GROUP),
    )  # fmt: skip
    for number, piece in enumerate(asset.collision):
        part = f"{name}_{number}"
        # MuJoCo takes the convex hull of the vertices, which is the piece.
        ET.SubElement(assets, "mesh", name=part, vertex=_numbers(piece.vertices), inertia="shell")
        ET.SubElement(
            body, "geom", name=part, type="mesh", mesh=part, group=str(COLLISION_GROUP), rgba="0.6 0.7 0.9 0.5"
        )
    ET.indent(root)
    ET.ElementTree(root).write(target / f"{name}.xml", encoding="utf-8")


def _numbers(values: NDArray[np.float64]) -> str:
    return " ".join(f"{value:.6g}" for value in values.ravel())
