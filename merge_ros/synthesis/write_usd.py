"""USD, with usd-core: metres, Z up, a preview material, static convex colliders."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from merge_ros.errors import MissingDependencyError
from merge_ros.synthesis.asset import Asset
from merge_ros.synthesis.mesh import TexturedMesh


def write_usd(asset: Asset, name: str, folder: Path) -> None:
    """`usd/NAME.usdc` with `textures/NAME.png`.

    A collider without a rigid body is static (UsdPhysics). Pieces collide as their convex hulls, and are guides: not
    drawn by default.
    """
    pxr = load_usd()
    target = folder / "usd"
    (target / "textures").mkdir(parents=True)
    cv2.imwrite(str(target / "textures" / f"{name}.png"), cv2.cvtColor(asset.mesh.texture, cv2.COLOR_RGB2BGR))

    stage = pxr.Usd.Stage.CreateNew(str(target / f"{name}.usdc"))
    pxr.UsdGeom.SetStageUpAxis(stage, pxr.UsdGeom.Tokens.z)
    pxr.UsdGeom.SetStageMetersPerUnit(stage, 1.0)
    root = pxr.UsdGeom.Xform.Define(stage, f"/{name}")
    stage.SetDefaultPrim(root.GetPrim())
    pxr.Usd.ModelAPI(root).SetKind(pxr.Kind.Tokens.component)
    visual = _visual(pxr, stage, f"/{name}/visual", asset.mesh)
    material = _material(pxr, stage, f"/{name}/material", f"textures/{name}.png")
    pxr.UsdShade.MaterialBindingAPI.Apply(visual.GetPrim()).Bind(material)
    if asset.collision:
        pxr.UsdGeom.Scope.Define(stage, f"/{name}/collision")
    for number, piece in enumerate(asset.collision):
        part = _mesh(pxr, stage, f"/{name}/collision/piece_{number}", piece.vertices, piece.faces)
        part.CreatePurposeAttr(pxr.UsdGeom.Tokens.guide)
        pxr.UsdPhysics.CollisionAPI.Apply(part.GetPrim())
        pxr.UsdPhysics.MeshCollisionAPI.Apply(part.GetPrim()).CreateApproximationAttr(pxr.UsdPhysics.Tokens.convexHull)
    stage.GetRootLayer().Save()


def _visual(pxr: Any, stage: Any, path: str, mesh: TexturedMesh) -> Any:
    shape = _mesh(pxr, stage, path, mesh.vertices, mesh.faces)
    shape.CreateNormalsAttr(pxr.Vt.Vec3fArray.FromNumpy(mesh.normals.astype(np.float32)))
    shape.SetNormalsInterpolation(pxr.UsdGeom.Tokens.vertex)
    coordinates = pxr.UsdGeom.PrimvarsAPI(shape).CreatePrimvar(
        "st", pxr.Sdf.ValueTypeNames.TexCoord2fArray, pxr.UsdGeom.Tokens.vertex
    )
    coordinates.Set(pxr.Vt.Vec2fArray.FromNumpy(mesh.uv.astype(np.float32)))
    return shape


def _mesh(pxr: Any, stage: Any, path: str, vertices: NDArray[np.float64], faces: NDArray[np.int64]) -> Any:
    shape = pxr.UsdGeom.Mesh.Define(stage, path)
    points = vertices.astype(np.float32)
    shape.CreatePointsAttr(pxr.Vt.Vec3fArray.FromNumpy(points))
    shape.CreateFaceVertexCountsAttr(pxr.Vt.IntArray.FromNumpy(np.full(len(faces), 3, np.int32)))
    shape.CreateFaceVertexIndicesAttr(pxr.Vt.IntArray.FromNumpy(faces.astype(np.int32).ravel()))
    shape.CreateSubdivisionSchemeAttr(pxr.UsdGeom.Tokens.none)
    shape.CreateDoubleSidedAttr(True)
    shape.CreateExtentAttr(pxr.Vt.Vec3fArray.FromNumpy(np.stack([points.min(0), points.max(0)])))
    return shape


def _material(pxr: Any, stage: Any, path: str, texture: str) -> Any:
    material = pxr.UsdShade.Material.Define(stage, path)
    types = pxr.Sdf.ValueTypeNames
    reader = _shader(pxr, stage, f"{path}/coordinates", "UsdPrimvarReader_float2")
    reader.CreateInput("varname", types.String).Set("st")
    sampler = _shader(pxr, stage, f"{path}/texture", "UsdUVTexture")
    sampler.CreateInput("file", types.Asset).Set(texture)
    sampler.CreateInput("sourceColorSpace", types.Token).Set("sRGB")
    for axis in ("wrapS", "wrapT"):
        sampler.CreateInput(axis, types.Token).Set("clamp")
    sampler.CreateInput("st", types.Float2).ConnectToSource(reader.CreateOutput("result", types.Float2))
    surface = _shader(pxr, stage, f"{path}/surface", "UsdPreviewSurface")
    surface.CreateInput("roughness", types.Float).Set(1.0)
    surface.CreateInput("metallic", types.Float).Set(0.0)
    surface.CreateInput("diffuseColor", types.Color3f).ConnectToSource(sampler.CreateOutput("rgb", types.Float3))
    material.CreateSurfaceOutput().ConnectToSource(surface.CreateOutput("surface", types.Token))
    return material


def _shader(pxr: Any, stage: Any, path: str, kind: str) -> Any:
    shader = pxr.UsdShade.Shader.Define(stage, path)
    shader.CreateIdAttr(kind)
    return shader


def load_usd() -> Any:
    """Import usd-core.

    Raises:
        MissingDependencyError: it is not installed.
    """
    try:
        import pxr
        from pxr import Kind, Sdf, Usd, UsdGeom, UsdPhysics, UsdShade, Vt  # noqa: F401  they become attributes of pxr
    except ImportError as error:
        raise MissingDependencyError("usd-core", "assets", "writing USD") from error
    return pxr
