"""glTF and OBJ, with trimesh."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from merge_ros.errors import MissingDependencyError
from merge_ros.synthesis.asset import Asset
from merge_ros.synthesis.collision import ConvexPiece
from merge_ros.synthesis.mesh import TexturedMesh

# glTF 2.0, 3.4: Y is up, and the front of an asset faces +Z. Rows: x left, y up, z towards the camera.
GLTF_FROM_ASSET = np.array([[0.0, -1, 0, 0], [0, 0, 1, 0], [-1, 0, 0, 0], [0, 0, 0, 1]])


def write_glb(asset: Asset, name: str, folder: Path) -> None:
    """`NAME.glb`: one binary glTF with its texture inside, turned to glTF's Y up."""
    trimesh = load_trimesh()
    scene = trimesh.Scene()
    scene.add_geometry(_textured(asset.mesh, name), node_name=name, geom_name=name, transform=GLTF_FROM_ASSET)
    (folder / f"{name}.glb").write_bytes(scene.export(file_type="glb"))


def write_obj(asset: Asset, name: str, folder: Path) -> None:
    """`obj/NAME.obj` with `NAME.mtl` and `NAME.png`."""
    target = folder / "obj"
    target.mkdir()
    for file, content in obj_files(asset.mesh, name).items():
        (target / file).write_bytes(content)


def obj_files(mesh: TexturedMesh, name: str) -> dict[str, bytes]:
    """`NAME.obj`, `NAME.mtl` and `NAME.png` by name: one object, one material, bare file names in the references."""
    text, others = load_trimesh().exchange.obj.export_obj(
        _textured(mesh, name), include_normals=True, return_texture=True, mtl_name=f"{name}.mtl", header=None
    )
    return {f"{name}.obj": text.encode(), **others}


def collision_obj(pieces: tuple[ConvexPiece, ...]) -> bytes:
    """All collision pieces as one OBJ without material."""
    trimesh = load_trimesh()
    meshes = [trimesh.Trimesh(piece.vertices, piece.faces, process=False) for piece in pieces]
    text = trimesh.exchange.obj.export_obj(
        trimesh.util.concatenate(meshes), include_normals=False, include_texture=False, header=None
    )
    return str(text).encode()


def _textured(mesh: TexturedMesh, name: str) -> Any:
    trimesh = load_trimesh()
    from PIL import Image

    material = trimesh.visual.material.SimpleMaterial(
        image=Image.fromarray(mesh.texture), diffuse=(255, 255, 255), ambient=(255, 255, 255), specular=(0, 0, 0)
    )
    material.name = name
    return trimesh.Trimesh(
        mesh.vertices,
        mesh.faces,
        vertex_normals=mesh.normals,
        visual=trimesh.visual.TextureVisuals(uv=mesh.uv, material=material),
        process=False,
    )


def load_trimesh() -> Any:
    """Import trimesh.

    Raises:
        MissingDependencyError: trimesh or Pillow is not installed.
    """
    try:
        import PIL
        import trimesh
        import trimesh.exchange.obj
        import trimesh.visual.material
    except ImportError as error:
        raise MissingDependencyError(error.name or "trimesh", "assets", "writing glTF, OBJ, SDF and MJCF") from error
    del PIL
    return trimesh
