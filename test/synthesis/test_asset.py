"""Assets have the size, the frame and the parts that were asked for."""

import asset_scenes
import numpy as np
import pytest
from asset_scenes import BOX, CAMERA_HEIGHT, WALL

from merge_ros.config import AssetScaleSettings, AssetSettings
from merge_ros.errors import ConfigurationError, InputError, ScaleError
from merge_ros.geometry.camera import Camera
from merge_ros.synthesis.asset import build_asset
from merge_ros.synthesis.frame import transform
from merge_ros.synthesis.metric import metric_view
from merge_ros.synthesis.view import View

DEPTH, WIDTH, HEIGHT = (high - low for low, high in zip(*BOX, strict=True))


def relative(depth: np.ndarray) -> np.ndarray:
    """As a model gives it: an unknown scale and shift."""
    return ((depth - 0.9 * depth.min()) / (1.1 * depth.max() - 0.9 * depth.min())).astype(np.float32)


def test_a_scene_stands_on_its_floor_with_z_up(room_view: View) -> None:
    asset = build_asset(room_view, AssetSettings())
    camera = asset.pose[:3, 3]
    assert camera[2] == pytest.approx(CAMERA_HEIGHT, rel=0.01)
    low, high = asset.mesh.vertices.min(0), asset.mesh.vertices.max(0)
    assert low[2] == pytest.approx(0, abs=0.02)
    assert high[0] - camera[0] == pytest.approx(WALL, rel=0.01)
    assert (low + high)[:2] == pytest.approx([0, 0], abs=0.02)
    seen = asset.mesh.vertices - camera
    box = seen[(np.abs(asset.mesh.vertices[:, 2] - BOX[1][2]) < 0.01) & (seen[:, 0] < WALL - 0.1)]
    assert box[:, 0].min() == pytest.approx(BOX[0][0], abs=0.03)
    assert box[:, 1].min() == pytest.approx(BOX[0][1], abs=0.03)
    assert asset.up_from == "floor"


def test_without_the_ground_the_rest_stays(room_view: View) -> None:
    asset = build_asset(room_view, AssetSettings(remove_ground=True))
    height = transform(asset.pose, asset.surface.points[asset.surface.used])[:, 2]
    whole = build_asset(room_view, AssetSettings())
    assert asset.surface.used.sum() < 0.8 * whole.surface.used.sum()
    assert height.min() == pytest.approx(0)
    assert asset.size[2] > 0.5


def test_the_subject_is_the_box(room_view: View) -> None:
    asset = build_asset(room_view, AssetSettings(part="subject"))
    on_box = asset_scenes.is_box(room_view.depth)
    assert (asset.surface.used & ~on_box).sum() == 0
    assert (asset.surface.used & on_box).sum() > 0.9 * on_box.sum()
    assert asset.size == pytest.approx([DEPTH, WIDTH, HEIGHT], abs=0.04), "a row of its lid is 0.03 m"
    assert asset.mesh.vertices[:, 2].min() == pytest.approx(0, abs=0.003)


def test_a_picture_without_a_subject_says_so() -> None:
    rgb, depth = asset_scenes.room(box=False)
    with pytest.raises(InputError, match="part 'scene'"):
        build_asset(View(rgb, depth, asset_scenes.camera()), AssetSettings(part="subject"))


@pytest.mark.parametrize("pitch", [None, asset_scenes.PITCH])
def test_relative_depth_becomes_metres_by_the_cameras_height(pitch: float | None) -> None:
    rgb, depth = asset_scenes.room()
    settings = AssetScaleSettings("camera_height", CAMERA_HEIGHT, pitch)
    view = metric_view(rgb, relative(depth), asset_scenes.camera(), settings)
    assert np.median(np.abs(view.depth / depth - 1)) < (0.005 if pitch else 0.06)
    assert view.scale_source["camera_pitch_from"] == ("given" if pitch else "the floor")


@pytest.mark.parametrize(("rule", "truth"), [("height", HEIGHT), ("width", WIDTH)])
def test_relative_depth_becomes_metres_by_the_subjects_size(rule: str, truth: float) -> None:
    rgb, depth = asset_scenes.room()
    view = metric_view(rgb, relative(depth), asset_scenes.camera(), AssetScaleSettings(rule, truth, asset_scenes.PITCH))
    asset = build_asset(view, AssetSettings(part="subject"))
    assert asset.size[{"width": 1, "height": 2}[rule]] == pytest.approx(truth, rel=0.01)
    assert asset.size == pytest.approx([DEPTH, WIDTH, HEIGHT], abs=0.04)
    assert asset.view.depth[asset.surface.used] == pytest.approx(depth[asset.surface.used], rel=0.05)


def test_relative_depth_becomes_metres_by_a_ratio_where_no_floor_is_seen() -> None:
    camera = Camera.from_fov(80, 60, 1.0)
    depth = 1 / (camera.rays() @ np.array([0.25, 0.0, 0.5]))  # a slanted wall
    settings = AssetScaleSettings("width", 3.0, far_over_near=float(np.divide(*np.quantile(depth, (0.98, 0.02)))))
    view = metric_view(np.zeros((60, 80, 3), np.uint8), relative(depth), camera, settings)
    asset = build_asset(view, AssetSettings(collision="none"))
    ratio = asset.view.depth / depth
    assert ratio.std() / ratio.mean() < 0.01
    assert asset.size[1] == pytest.approx(3.0, rel=0.01)
    with pytest.raises(ScaleError, match="far_over_near"):
        metric_view(np.zeros((60, 80, 3), np.uint8), relative(depth), camera, AssetScaleSettings("width", 3.0))


def test_relative_depth_is_not_taken_for_metres() -> None:
    rgb, depth = asset_scenes.room()
    with pytest.raises(ConfigurationError, match="relative"):
        metric_view(rgb, depth, asset_scenes.camera(), AssetScaleSettings("as_measured"))


@pytest.mark.parametrize(
    ("rgb", "depth", "message"),
    [
        (np.zeros((60, 80, 3), np.float32), np.ones((60, 80), np.float32), "uint8"),
        (np.zeros((60, 81, 3), np.uint8), np.ones((60, 80), np.float32), "picture is"),
        (np.zeros((60, 80, 3), np.uint8), np.ones((60, 80), np.uint16), "needs floats"),
        (np.zeros((60, 80, 3), np.uint8), np.full((60, 80), np.nan), "no pixel"),
        (np.zeros((60, 80, 3), np.uint8), np.full((60, 80), -1.0), "no pixel"),
    ],
)
def test_views_that_do_not_fit_are_refused(rgb: np.ndarray, depth: np.ndarray, message: str) -> None:
    with pytest.raises(InputError, match=message):
        View(rgb, depth, Camera.from_fov(80, 60, 1.0))


def test_a_stage_that_raises_ends_the_work(room_view: View) -> None:
    def cancel(stage: str) -> None:
        if stage == "mesh":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build_asset(room_view, AssetSettings(), cancel)
