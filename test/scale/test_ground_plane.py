"""The floor of single frames on analytic scenes: a floor, a wall and boxes, seen as a model would give them."""

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from merge_ros.errors import ScaleError
from merge_ros.geometry.alignment import Affine
from merge_ros.geometry.camera import Camera
from merge_ros.geometry.ground import ground_depth
from merge_ros.scale.ground_plane import MAX_FLOOR_DEPTH, MAX_GRAZING, GroundPlane
from merge_ros.scale.mounting import FixedMounting
from merge_ros.scale.near_far import NearFar

CAMERA = Camera.from_fov(160, 120, 1.25)


@dataclass(frozen=True)
class Scene:
    depth: np.ndarray  # metres
    floor: np.ndarray  # bool, where floor is seen
    height: float
    pitch: float
    roll: float

    @property
    def hidden(self) -> float:
        """Share of the image's floor (within reach of the wall) that clutter hides."""
        reachable = ground_depth(CAMERA, self.height, self.pitch, self.roll) < self.depth.max()
        return 1 - self.floor.sum() / reachable.sum()

    @property
    def share_in_reach(self) -> float:
        """Share of the pixels where the fit looks for floor that show floor."""
        ground = ground_depth(CAMERA, self.height, self.pitch, self.roll)
        reach = ground < min(MAX_FLOOR_DEPTH, MAX_GRAZING * self.height)
        return float(self.floor[reach].mean())

    def relative(self, noise: float = 0.0, seed: int = 0) -> np.ndarray:
        """Depth in [0, 1] between the 2 % and 98 % quantiles, as models give it, with noise relative to depth."""
        seen = self.depth * (1 + noise * np.random.default_rng(seed).standard_normal(self.depth.shape))
        truth = self.true_affine()
        return np.clip((seen - truth.shift) / truth.scale, 0, 1).astype(np.float32)

    def true_affine(self) -> Affine:
        low, high = np.quantile(self.depth, (0.02, 0.98))
        return Affine(float(high - low), float(low))

    def read(self, relative: np.ndarray, **changes: float) -> Affine:
        place = {"height": self.height, "pitch": self.pitch, "roll": self.roll} | changes
        affine = GroundPlane(FixedMounting(**place)).read(relative, CAMERA, "camera", 0.0).affine()
        assert affine is not None
        return affine


def make_scene(
    seed: int, *, boxes: int, height: float = 0.6, pitch: float = 0.25, roll: float = 0.0, wall: float = 4.0
) -> Scene:
    """Boxes stand on the floor: each is a face from its foot upwards, nearer than what it hides."""
    rng = np.random.default_rng(seed)
    ground = ground_depth(CAMERA, height, pitch, roll)
    depth = np.minimum(ground, wall)
    for _ in range(boxes):
        left, width, tall = rng.integers(0, 150), rng.integers(10, 40), rng.integers(15, 60)
        columns = slice(left, left + width)
        foot = rng.integers(70, 120)
        distance = float(ground[foot, columns].min())
        if distance < wall:
            rows = slice(max(0, foot - tall), foot + 1)
            depth[rows, columns] = np.minimum(depth[rows, columns], distance)
    return Scene(depth, (ground == depth), height, pitch, roll)


def scale_error(scene: Scene, found: Affine) -> float:
    return abs(found.scale / scene.true_affine().scale - 1)


@settings(deadline=None, max_examples=60)
@given(
    seed=st.integers(0, 10_000),
    boxes=st.integers(0, 8),
    height=st.floats(0.25, 1.6),
    pitch=st.floats(0.1, 0.7),
    roll=st.floats(-0.2, 0.2),
    wall=st.floats(3.0, 8.0),
)
def test_exact_relative_depth_gives_the_scale_within_3_percent(
    seed: int, boxes: int, height: float, pitch: float, roll: float, wall: float
) -> None:
    scene = make_scene(seed, boxes=boxes, height=height, pitch=pitch, roll=roll, wall=wall)
    floor = scene.depth[scene.floor]
    assume(scene.share_in_reach > 0.3 and np.quantile(floor, 0.95) > 1.6 * np.quantile(floor, 0.05))
    relative = scene.relative()
    found = scene.read(relative)
    assert scale_error(scene, found) <= 0.03
    unsaturated = (relative > 0) & (relative < 1)
    np.testing.assert_allclose(found.apply(relative)[unsaturated], scene.depth[unsaturated], rtol=0.02)


def test_clutter_on_40_percent_of_the_floor_is_no_trouble() -> None:
    scenes = [make_scene(seed, boxes=16) for seed in range(200)]
    cluttered = [scene for scene in scenes if 0.4 <= scene.hidden <= 0.6]
    assert len(cluttered) >= 20
    errors = [scale_error(scene, scene.read(scene.relative())) for scene in cluttered]
    assert max(errors) <= 0.03


@pytest.mark.parametrize(("noise", "bound"), [(0.02, 0.03), (0.05, 0.06)])
def test_noise_on_every_pixel(noise: float, bound: float) -> None:
    scenes = [make_scene(seed, boxes=5) for seed in range(30)]
    errors = [scale_error(scene, scene.read(scene.relative(noise, seed))) for seed, scene in enumerate(scenes)]
    assert max(errors) <= bound


def test_noise_of_ten_percent_is_more_than_a_floor_may_have() -> None:
    with pytest.raises(ScaleError, match="7% is allowed"):
        make_scene(0, boxes=0).read(make_scene(0, boxes=0).relative(noise=0.1))


def test_a_table_over_the_floor_is_not_taken_for_it() -> None:
    scene = make_scene(0, boxes=0)
    table = ground_depth(CAMERA, 0.35, 0.25, 0.0)
    depth = scene.depth.copy()
    depth[60:110, 20:150] = np.minimum(table, scene.depth)[60:110, 20:150]
    scene = Scene(depth, depth == scene.depth, 0.6, 0.25, 0.0)
    assert scale_error(scene, scene.read(scene.relative())) <= 0.03


def test_a_wrong_height_scales_the_result_in_proportion() -> None:
    """Nothing in the image contradicts it, so this is the user's to get right."""
    scene = make_scene(1, boxes=3)
    found = scene.read(scene.relative(), height=0.6 * 1.2)
    assert found.scale == pytest.approx(1.2 * scene.true_affine().scale, rel=0.03)


def test_a_camera_that_looks_up_says_so() -> None:
    scene = make_scene(0, boxes=0)
    with pytest.raises(ScaleError, match="no pixel looks at the floor"):
        scene.read(scene.relative(), pitch=-1.3)


def test_a_wall_before_the_camera_is_refused_with_the_reason() -> None:
    depth = np.linspace(0.7, 0.9, 160)[None].repeat(120, 0)  # turned a little, hiding all floor
    scene = Scene(depth, np.zeros(depth.shape, bool), 0.6, 0.25, 0.0)
    with pytest.raises(ScaleError, match=r"floor|agree"):
        scene.read(scene.relative())


def test_noise_is_refused() -> None:
    with pytest.raises(ScaleError):
        make_scene(0, boxes=0).read(np.random.default_rng(0).random((120, 160)).astype(np.float32))


def test_constant_and_unknown_depth_are_refused() -> None:
    for value in (0.5, 0.0, np.nan):
        with pytest.raises(ScaleError):
            make_scene(0, boxes=0).read(np.full((120, 160), value, np.float32))


def test_a_floor_seen_over_a_short_range_is_refused() -> None:
    """Straight down the floor is at one depth: a line needs two."""
    scene = make_scene(0, boxes=0, pitch=1.5, wall=50.0)
    with pytest.raises(ScaleError, match=r"times its nearest|hardly varies"):
        scene.read(scene.relative())


def test_the_camera_may_change_between_frames() -> None:
    scene = make_scene(0, boxes=0)
    plane = GroundPlane(FixedMounting(scene.height, scene.pitch, scene.roll))
    small = scene.relative()
    first = plane.read(small, CAMERA, "camera", 0.0).affine()
    large = small.repeat(2, 0).repeat(2, 1)
    second = plane.read(large, CAMERA.resized(320, 240), "camera", 0.1).affine()
    assert second.scale == pytest.approx(first.scale, rel=0.03)


def test_the_stated_error_grows_with_the_residual_and_beyond_the_floor() -> None:
    scene = make_scene(3, boxes=3)
    plane = GroundPlane(FixedMounting(scene.height, scene.pitch, scene.roll))
    exact, noisy = (plane.read(scene.relative(noise), CAMERA, "camera", 0.0) for noise in (0.0, 0.05))
    assert noisy.residual > 2 * exact.residual
    assert np.trace(noisy.noise) > np.trace(exact.noise) and np.trace(noisy.bias) > np.trace(exact.bias)
    believed = NearFar.unknown().fused(noisy)
    assert believed.sigma(6.0) > 2 * believed.sigma(2.0)
