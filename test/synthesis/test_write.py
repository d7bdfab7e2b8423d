"""Written assets load where they are meant for, and show what they are made of."""

from __future__ import annotations

import json
import shutil
import subprocess
import xml.etree.ElementTree as ET
from pathlib import Path

import cv2
import numpy as np
import pytest
import trimesh
from asset_scenes import BOX

from merge_ros.config import ASSET_FORMATS, AssetSettings
from merge_ros.errors import CalibrationError, InputError, OutputError
from merge_ros.synthesis.asset import Asset, build_asset
from merge_ros.synthesis.frame import transform
from merge_ros.synthesis.names import name_from, place_in
from merge_ros.synthesis.provenance import Provenance
from merge_ros.synthesis.view import View
from merge_ros.synthesis.write import write_asset
from merge_ros.synthesis.write_rgbd import read_rgbd

NAME = "box_in_a_room"
SETTINGS = AssetSettings(formats=ASSET_FORMATS, triangles=3000, collision_pieces=60)
PROVENANCE = Provenance("text", "a red box on a floor", 7, "some-model", "abcdef")


@pytest.fixture(scope="module")
def asset(room_view: View) -> Asset:
    pytest.importorskip("pxr", reason="writing USD needs the extra 'assets'")
    return build_asset(room_view, SETTINGS)


@pytest.fixture(scope="module")
def written(asset: Asset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("assets")
    files = write_asset(asset, NAME, out, SETTINGS, PROVENANCE)
    assert all(file.is_file() and file.is_relative_to(out / NAME) for file in files)
    return out / NAME


def test_glb_loads_with_its_texture_and_gltfs_axes(asset: Asset, written: Path) -> None:
    scene = trimesh.load(written / f"{NAME}.glb")
    (mesh,) = scene.dump() if hasattr(scene, "dump") else (scene,)
    assert len(mesh.faces) == len(asset.mesh.faces)
    length, width, height = asset.size
    assert mesh.extents == pytest.approx([width, height, length], abs=1e-3), "X right, Y up, Z towards the camera"
    material = mesh.visual.material
    image = getattr(material, "baseColorTexture", None) or material.image
    assert np.array_equal(np.asarray(image.convert("RGB")), asset.mesh.texture)
    assert_red_on_top(mesh.vertices @ np.array([[0, -1, 0], [0, 0, 1], [-1, 0, 0]]), mesh.visual.uv, image)


def test_obj_loads_with_its_texture(asset: Asset, written: Path) -> None:
    mesh = trimesh.load(written / "obj" / f"{NAME}.obj", process=False)
    assert mesh.extents == pytest.approx(asset.size, abs=1e-3)
    assert_red_on_top(mesh.vertices, mesh.visual.uv, mesh.visual.material.image)
    text = (written / "obj" / f"{NAME}.obj").read_text()
    assert f"mtllib {NAME}.mtl" in text
    assert not any(line.startswith("g ") for line in text.splitlines())
    assert f"map_Kd {NAME}.png" in (written / "obj" / f"{NAME}.mtl").read_text()


def assert_red_on_top(vertices: np.ndarray, uv: np.ndarray, image: object) -> None:
    """The box's lid has the box's colour: the texture is neither mirrored nor upside down."""
    pixels = np.asarray(image.convert("RGB")).astype(int)  # type: ignore[attr-defined]
    lid = np.abs(vertices[:, 2] - BOX[1][2]) < 0.005
    assert lid.sum() > 3
    x = np.clip((uv[lid, 0] * pixels.shape[1]).astype(int), 0, pixels.shape[1] - 1)
    y = np.clip(((1 - uv[lid, 1]) * pixels.shape[0]).astype(int), 0, pixels.shape[0] - 1)
    colours = pixels[y, x]
    assert np.median(colours[:, 0] - colours[:, 1]) > 60


def test_gazebo_model(written: Path) -> None:
    model = written / "sdf" / NAME
    config = ET.parse(model / "model.config").getroot()
    assert config.findtext("sdf") == "model.sdf"
    sdf = ET.parse(model / "model.sdf").getroot()
    assert sdf.find("model").get("name") == NAME  # type: ignore[union-attr]
    assert sdf.findtext("model/static") == "true"
    for uri in sdf.iter("uri"):
        assert uri.text is not None
        assert (written / "sdf" / uri.text.removeprefix("model://")).is_file()
    material = next(line for line in (model / "meshes" / f"{NAME}.mtl").read_text().splitlines() if "map_Kd" in line)
    assert material.split()[1] == f"{NAME}.png", "a bare file name"
    assert (model / "materials" / "textures" / f"{NAME}.png").is_file()
    assert cv2.imread(str(model / "thumbnails" / "1.png")).shape[1] == 256
    body = trimesh.load(model / "meshes" / "collision.obj", process=False)
    assert body.is_watertight


def test_gazebos_own_parser_accepts_the_model(written: Path) -> None:
    parser = shutil.which("ign") or shutil.which("gz")
    if parser is None:
        pytest.skip("Gazebo's parser is not here: apt-get install ignition-tools libsdformat-dev")
    command = [parser, "sdf", "--check", str(written / "sdf" / NAME / "model.sdf")]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    if "sdf" in result.stderr and "not a" in result.stderr:
        pytest.skip(f"{parser} has no sdf command: apt-get install libsdformat-dev")
    assert result.returncode == 0, result.stdout + result.stderr
    assert "Valid" in result.stdout, result.stdout + result.stderr


def test_mujoco_a_ball_comes_to_rest_on_the_box_and_one_on_the_floor(asset: Asset, written: Path) -> None:
    mujoco = pytest.importorskip("mujoco", reason="needs the extra 'sim'")
    spec = mujoco.MjSpec.from_file(str(written / "mjcf" / f"{NAME}.xml"))
    camera = asset.pose[:3, 3]
    radius, places = 0.04, {"box": (1.4, -0.05, BOX[1][2]), "floor": (0.9, 0.35, 0.0)}
    for name, (forward, left, _) in places.items():
        ball = spec.worldbody.add_body(name=name, pos=[camera[0] + forward, camera[1] + left, 0.8])
        ball.add_freejoint()
        ball.add_geom(
            type=mujoco.mjtGeom.mjGEOM_SPHERE, size=[radius, 0, 0], density=500, condim=6, friction=[1, 0.01, 0.01]
        )
    model = spec.compile()
    data = mujoco.MjData(model)
    while data.time < 3.0:
        mujoco.mj_step(model, data)
    for name, (forward, left, height) in places.items():
        x, y, z = data.body(name).xpos
        assert z == pytest.approx(height + radius, abs=0.02), name
        assert np.hypot(x - camera[0] - forward, y - camera[1] - left) < 0.1, name
        assert np.linalg.norm(data.body(name).cvel) < 0.05, name
    assert model.ntex == 1


def test_usd_loads_in_metres_with_z_up_material_and_colliders(asset: Asset, written: Path) -> None:
    from pxr import Usd, UsdGeom, UsdPhysics, UsdShade

    stage = Usd.Stage.Open(str(written / "usd" / f"{NAME}.usdc"))
    assert UsdGeom.GetStageMetersPerUnit(stage) == 1.0
    assert UsdGeom.GetStageUpAxis(stage) == "Z"
    assert stage.GetDefaultPrim().GetName() == NAME
    box = UsdGeom.BBoxCache(Usd.TimeCode.Default(), ["default"]).ComputeWorldBound(stage.GetDefaultPrim())
    assert list(box.ComputeAlignedRange().GetSize()) == pytest.approx(asset.size, abs=1e-4)
    visual = UsdGeom.Mesh(stage.GetPrimAtPath(f"/{NAME}/visual"))
    ok, reason = UsdGeom.Mesh.ValidateTopology(
        visual.GetFaceVertexIndicesAttr().Get(),
        visual.GetFaceVertexCountsAttr().Get(),
        len(visual.GetPointsAttr().Get()),
    )
    assert ok, reason
    assert len(UsdGeom.PrimvarsAPI(visual).GetPrimvar("st").Get()) == len(asset.mesh.vertices)
    material, _ = UsdShade.MaterialBindingAPI(visual).ComputeBoundMaterial()
    surface, _, _ = material.ComputeSurfaceSource()
    sampler = surface.GetInput("diffuseColor").GetConnectedSource()[0]
    texture = sampler.GetInput("file").Get()
    assert cv2.imread(texture.resolvedPath) is not None, "the path is found from the file's folder"
    colliders = [prim for prim in stage.Traverse() if prim.HasAPI(UsdPhysics.CollisionAPI)]
    assert len(colliders) == len(asset.collision)
    assert {UsdPhysics.MeshCollisionAPI(prim).GetApproximationAttr().Get() for prim in colliders} == {"convexHull"}
    assert not any(prim.HasAPI(UsdPhysics.RigidBodyAPI) for prim in stage.Traverse()), "static"


def test_cloud(asset: Asset, written: Path) -> None:
    cloud = trimesh.load(written / f"{NAME}.ply")
    expected = transform(asset.pose, asset.surface.points[asset.surface.used])
    assert np.allclose(cloud.vertices, expected, atol=1e-5)
    assert np.array_equal(cloud.colors[:, :3], asset.view.rgb[asset.surface.used])


@pytest.mark.parametrize(("file", "tolerance"), [("depth.npy", 1e-6), ("depth.png", 0.0006)])
def test_rgbd_comes_back(asset: Asset, written: Path, file: str, tolerance: float) -> None:
    folder = written / "rgbd"
    view = read_rgbd(folder / "image.png", folder / file, folder / "camera.json")
    assert np.array_equal(view.rgb, asset.view.rgb)
    assert view.depth == pytest.approx(asset.view.depth, abs=tolerance)
    assert view.camera == asset.view.camera


def test_metadata(asset: Asset, written: Path) -> None:
    stored = json.loads((written / "metadata.json").read_text())
    assert stored["source"]["prompt"] == "a red box on a floor"
    assert stored["source"]["seed"] == 7
    assert stored["source"]["model_fingerprint"] == "abcdef"
    assert stored["two_and_a_half_d"] is True
    assert "static" in stored["kind"]
    assert stored["scale_source"] == {"rule": "as_measured"}
    assert stored["licence"]
    assert stored["triangles"] == len(asset.mesh.faces) <= 3000
    assert np.allclose(stored["camera"]["asset_from_optical"], asset.pose, atol=1e-8)


def test_the_same_asset_has_the_same_bytes(room_view: View, written: Path, tmp_path: Path) -> None:
    write_asset(build_asset(room_view, SETTINGS), NAME, tmp_path, SETTINGS, PROVENANCE)
    for file in written.rglob("*"):
        if file.is_file():
            assert (tmp_path / NAME / file.relative_to(written)).read_bytes() == file.read_bytes(), file.name


def test_a_name_that_is_taken_is_refused_and_overwritten_on_request(asset: Asset, tmp_path: Path) -> None:
    few = AssetSettings(formats=("ply",))
    write_asset(asset, NAME, tmp_path, few, PROVENANCE)
    with pytest.raises(InputError, match="exists already"):
        write_asset(asset, NAME, tmp_path, few, PROVENANCE)
    write_asset(asset, NAME, tmp_path, AssetSettings(formats=("rgbd",)), PROVENANCE, overwrite=True)
    assert not (tmp_path / NAME / f"{NAME}.ply").exists()
    assert [path.name for path in tmp_path.iterdir()] == [NAME]


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_write_that_is_cancelled_leaves_nothing_half_written(asset: Asset, tmp_path: Path, overwrite: bool) -> None:
    if overwrite:
        write_asset(asset, NAME, tmp_path, AssetSettings(formats=("ply",)), PROVENANCE)
    before = sorted(tmp_path.rglob("*"))

    def cancel(stage: str) -> None:
        if stage == "mjcf":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_asset(
            asset, NAME, tmp_path, AssetSettings(formats=("glb", "mjcf")), PROVENANCE, cancel, overwrite=overwrite
        )
    assert sorted(tmp_path.rglob("*")) == before


def test_a_folder_that_is_a_file_is_an_output_error(asset: Asset, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("a file")
    with pytest.raises(OutputError, match="cannot be written"):
        write_asset(asset, NAME, tmp_path / "out", AssetSettings(formats=("ply",)), PROVENANCE)


@pytest.mark.parametrize("name", ["../evil", "a/b", "..", ".", "", "/tmp/x", ".hidden", "1st", "a" * 65, "a\x00b", "ä"])
def test_names_that_could_leave_the_folder_are_refused(asset: Asset, tmp_path: Path, name: str) -> None:
    out = tmp_path / "out"
    with pytest.raises(InputError, match="not allowed"):
        write_asset(asset, name, out, AssetSettings(formats=("ply",)), PROVENANCE)
    assert not list(tmp_path.iterdir())


def test_a_link_out_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "crate").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(InputError, match="leads out"):
        place_in(tmp_path / "out", "crate")


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("a red crate on a wooden floor!", "a_red_crate_on_a_wooden_floor"),
        ("../../etc/passwd", "etc_passwd"),
        ("3 Bälle", "asset_3_balle"),
        ("x" * 100, "x" * 64),
    ],
)
def test_names_of_prompts(text: str, name: str) -> None:
    assert name_from(text) == name


def test_no_name_can_be_made_of_nothing() -> None:
    with pytest.raises(InputError, match="no name"):
        name_from("!?")


@pytest.mark.parametrize(
    ("file", "content", "error"),
    [
        ("image.png", b"no picture", InputError),
        ("depth.npy", b"no array", InputError),
        ("camera.json", b"{", CalibrationError),
        ("camera.json", b"[1, 2]", CalibrationError),
        ("camera.json", b'{"width": 160, "height": 120, "fx": "wide", "fy": 1, "cx": 1, "cy": 1}', CalibrationError),
        ("camera.json", b'{"width": 80, "height": 120, "fx": 100, "fy": 100, "cx": 1, "cy": 1}', InputError),
    ],
)
def test_malformed_rgbd_files_are_refused(
    written: Path, tmp_path: Path, file: str, content: bytes, error: type[Exception]
) -> None:
    folder = Path(shutil.copytree(written / "rgbd", tmp_path / "rgbd"))
    (folder / file).write_bytes(content)
    with pytest.raises(error):
        read_rgbd(folder / "image.png", folder / "depth.npy", folder / "camera.json")


def test_an_eight_bit_depth_picture_is_refused(written: Path, tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "depth.png"), np.zeros((120, 160), np.uint8))
    with pytest.raises(InputError, match="16-bit"):
        read_rgbd(written / "rgbd" / "image.png", tmp_path / "depth.png", written / "rgbd" / "camera.json")
