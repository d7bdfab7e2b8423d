"""Random scenes in three kinds of view: the same by seed, varied, never broken, and named truly."""

import math
import re

import numpy as np
import pytest

from merge_ros.errors import ConfigurationError

pytest.importorskip("mujoco", reason="rendering needs the extra 'sim'")

from merge_ros.simulation.assets import make_assets
from merge_ros.simulation.catalogue import ASSET_NAMES, OBJECT_NAMES
from merge_ros.simulation.frame import Frame
from merge_ros.simulation.kinds import DEFAULT_MIX, VIEW_KINDS, kind_of, scene_views
from merge_ros.simulation.palette import COLOUR_NAMES
from merge_ros.simulation.rooms import make_room
from merge_ros.simulation.scene import Scene
from merge_ros.simulation.views import ROBOT_EVALUATION, ViewRange, is_clear, is_good, room_views

SIZE = (64, 48)
NAMED = re.compile(rf"an? (?:striped |dotted |checkered )?({'|'.join(COLOUR_NAMES)}) ({'|'.join(OBJECT_NAMES)})\b")


@pytest.fixture(scope="module")
def frames() -> dict[str, list[Frame]]:
    """Frames of 45 scenes, 15 of each kind."""
    return {kind: [f for seed in range(900, 915) for f in scene_views(seed, 2, SIZE, kind)] for kind in VIEW_KINDS}


@pytest.mark.parametrize("kind", VIEW_KINDS)
def test_same_seed_gives_the_same_frames(kind: str) -> None:
    first, again = scene_views(7, 2, SIZE, kind), scene_views(7, 2, SIZE, kind)
    assert len(first) == 2
    for a, b in zip(first, again, strict=True):
        assert np.array_equal(a.rgb, b.rgb)
        assert np.array_equal(a.depth, b.depth)
        assert np.array_equal(a.pose, b.pose)
        assert (a.caption, a.camera) == (b.caption, b.camera)
    assert not np.array_equal(first[0].rgb, scene_views(8, 1, SIZE, kind)[0].rgb)


@pytest.mark.parametrize("kind", VIEW_KINDS)
def test_frames_are_never_broken(frames: dict[str, list[Frame]], kind: str) -> None:
    assert len(frames[kind]) >= 24
    captions = set()
    for frame in frames[kind]:
        assert frame.rgb.shape == (48, 64, 3)
        assert frame.rgb.dtype == np.uint8
        assert frame.depth.dtype == np.float32
        near, far = np.quantile(frame.depth, (0.02, 0.98))
        assert far / near >= 1.35
        assert frame.depth.min() >= 0.15
        assert frame.depth.max() < 40, "a hole in the walls"
        assert 20 < frame.rgb.mean() < 240
        assert frame.pose[2, 3] == frame.camera_height
        assert np.allclose(np.linalg.norm(frame.normals, axis=-1), 1, atol=1e-5)
        captions.add(frame.caption)
    assert len(captions) >= 12


@pytest.mark.parametrize(
    ("kind", "height", "pitch", "roll", "fov"),
    [
        ("robot", (0.15, 1.2), (-8, 28), 3, (55, 95)),
        ("wide", (0.1, 1.8), (-35, 35), 20, (45, 110)),
        ("asset", (0.3, 1.5), (-5, 60), 0, (45, 75)),
    ],
)
def test_cameras_are_of_their_kind(
    frames: dict[str, list[Frame]],
    kind: str,
    height: tuple[float, float],
    pitch: tuple[float, float],
    roll: float,
    fov: tuple[float, float],
) -> None:
    for frame in frames[kind]:
        assert height[0] <= frame.camera_height <= height[1]
        assert pitch[0] <= math.degrees(frame.camera_pitch) <= pitch[1]
        assert abs(math.degrees(frame.camera_roll)) <= roll + 1e-9
        assert fov[0] <= math.degrees(frame.camera.horizontal_fov) <= fov[1]


def test_the_evaluation_sees_what_a_robot_sees() -> None:
    for seed in range(3):
        for frame in scene_views(seed, 2, SIZE, "robot", evaluation_ranges=True):
            assert 0.2 <= frame.camera_height <= 1.0
            assert -5 <= math.degrees(frame.camera_pitch) <= 25
            assert 60 <= math.degrees(frame.camera.horizontal_fov) <= 90


def test_kinds_come_in_their_shares_and_by_seed() -> None:
    kinds = [kind_of(seed, DEFAULT_MIX) for seed in range(3000)]
    for kind, share in DEFAULT_MIX.items():
        assert kinds.count(kind) / 3000 == pytest.approx(share, abs=0.03)
    assert kinds[:50] == [kind_of(seed, DEFAULT_MIX) for seed in range(50)]
    assert {kind_of(seed, {"asset": 2}) for seed in range(20)} == {"asset"}


def test_camera_stands_clear_of_furniture() -> None:
    for seed in (1, 2, 3):
        scene = make_room(np.random.default_rng(seed))
        for frame in room_views(seed, 3, SIZE, ROBOT_EVALUATION):
            assert is_clear(scene, frame.pose[0, 3], frame.pose[1, 3], 0.25)


def things(scene: Scene) -> set[tuple[str, str]]:
    return {(thing.colour.split()[-1], thing.name) for thing in scene.things}


def test_captions_name_what_is_in_the_picture(frames: dict[str, list[Frame]]) -> None:
    named = 0
    for seed in range(900, 915):
        room = make_room(np.random.default_rng(seed))
        for frame in room_views(seed, 2, SIZE):
            assert frame.caption.startswith(room.background)
            found = NAMED.findall(frame.caption.removeprefix(room.background))
            assert set(found) <= things(room)
            named += len(found)
        assets = make_assets(np.random.default_rng(seed)).scene
        for frame in scene_views(seed, 2, SIZE, "asset"):
            assert frame.caption.endswith(assets.background)
            found = NAMED.findall(frame.caption.removesuffix(assets.background))
            assert set(found) == things(assets), "every asset is seen and named"
            assert {name for _, name in found} <= set(ASSET_NAMES)
    assert named > 20


def test_assets_are_named_from_left_to_right() -> None:
    from merge_ros.geometry.camera import Camera
    from merge_ros.simulation.renderer import SceneRenderer

    checked = 0
    for seed in range(900, 915):
        scene = make_assets(np.random.default_rng(seed)).scene
        for frame in scene_views(seed, 1, SIZE, "asset"):
            with SceneRenderer(scene, Camera.from_fov(*SIZE, frame.camera.horizontal_fov)) as renderer:
                _, labels = renderer.truth(frame.pose)
            middles = [np.nonzero(labels == index)[1].mean() for index in range(len(scene.things))]
            assert middles == sorted(middles)
            names = [name for _, name in NAMED.findall(frame.caption.removesuffix(scene.background))]
            assert names == [thing.name for thing in scene.things]
            checked += len(names) > 1
    assert checked >= 4


def test_captions_need_few_words(frames: dict[str, list[Frame]]) -> None:
    words = {word for kind in VIEW_KINDS for frame in frames[kind] for word in frame.caption.replace(",", "").split()}
    glue = {"a", "an", "and", "with", "on", "in", "front", "of", "wall", "walls", "floor", "carpet"}
    rooms = {"room", "corridor", "hall", "closet"}
    surfaces = {"wooden", "tiled", "checkered", "striped", "dotted", "patterned", "brick", "stone", "marble"}
    assert words <= {*glue, *rooms, *surfaces, "speckled", "concrete", *COLOUR_NAMES, *OBJECT_NAMES}


def test_flat_and_black_frames_are_refused() -> None:
    checker = (np.indices((48, 64)).sum(0) % 16 < 8)[..., None].repeat(3, -1).astype(np.uint8) * 200 + 20
    slope = np.linspace(1, 3, 48 * 64, dtype=np.float32).reshape(48, 64)
    assert is_good(checker, slope)
    assert not is_good(checker, np.full_like(slope, 2))
    assert not is_good(checker, slope * 0.1)
    assert not is_good(np.zeros_like(checker), slope)
    assert not is_good(np.full_like(checker, 128), slope)
    assert not is_good(np.where(slope[..., None] < 2, 255, checker).astype(np.uint8), slope)


def test_impossible_settings_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="height"):
        ViewRange(height=(1.0, 0.5))
    with pytest.raises(ConfigurationError, match="below 180"):
        ViewRange(fov=(60, 180))
    with pytest.raises(ConfigurationError, match=r"unknown kinds of view.*aerial"):
        kind_of(0, {"aerial": 1})
    with pytest.raises(ConfigurationError, match="at least 0"):
        kind_of(0, {"robot": 0})
