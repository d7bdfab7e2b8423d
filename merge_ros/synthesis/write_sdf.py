"""A Gazebo model folder: model.config, model.sdf, meshes, textures, thumbnail."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path

import cv2

from merge_ros.synthesis.asset import Asset
from merge_ros.synthesis.provenance import SHELL
from merge_ros.synthesis.write_mesh import collision_obj, obj_files

SDF_VERSION = "1.7"  # what Gazebo Fortress and later, and Gazebo 11, read
THUMBNAIL_WIDTH = 256


def write_sdf(asset: Asset, name: str, folder: Path) -> None:
    """`sdf/NAME/`: a static model whose name is that of its folder, as `model://NAME` asks for."""
    model = folder / "sdf" / name
    for part in ("meshes", "materials/textures", "thumbnails"):
        (model / part).mkdir(parents=True)
    for file, content in obj_files(asset.mesh, name).items():
        # Gazebo looks for a texture's bare name beside the mesh, then in ../materials/textures.
        (model / ("materials/textures" if file.endswith(".png") else "meshes") / file).write_bytes(content)
    if asset.collision:
        (model / "meshes" / "collision.obj").write_bytes(collision_obj(asset.collision))
    _write_xml(_sdf(name, bool(asset.collision)), model / "model.sdf")
    _write_xml(_config(name), model / "model.config")
    rgb = asset.mesh.texture
    size = (THUMBNAIL_WIDTH, max(round(THUMBNAIL_WIDTH * rgb.shape[0] / rgb.shape[1]), 1))
    small = cv2.resize(rgb, size, interpolation=cv2.INTER_AREA)
    cv2.imwrite(str(model / "thumbnails" / "1.png"), cv2.cvtColor(small, cv2.COLOR_RGB2BGR))


def _sdf(name: str, collides: bool) -> ET.Element:
    root = ET.Element("sdf", version=SDF_VERSION)
    model = ET.SubElement(root, "model", name=name)
    ET.SubElement(model, "static").text = "true"
    link = ET.SubElement(model, "link", name="link")
    shapes = [("visual", f"{name}.obj")] + [("collision", "collision.obj")] * collides
    for kind, file in shapes:
        shape = ET.SubElement(link, kind, name=kind)
        mesh = ET.SubElement(ET.SubElement(shape, "geometry"), "mesh")
        ET.SubElement(mesh, "uri").text = f"model://{name}/meshes/{file}"
    return root


def _config(name: str) -> ET.Element:
    root = ET.Element("model")
    ET.SubElement(root, "name").text = name
    ET.SubElement(root, "version").text = "1.0"
    ET.SubElement(root, "sdf", version=SDF_VERSION).text = "model.sdf"
    author = ET.SubElement(root, "author")
    ET.SubElement(author, "name").text = "merge_ros"
    ET.SubElement(root, "description").text = SHELL
    return root


def _write_xml(root: ET.Element, path: Path) -> None:
    ET.indent(root)
    ET.ElementTree(root).write(path, encoding="utf-8", xml_declaration=True)
