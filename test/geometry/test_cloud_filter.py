"""Filters of the cloud: nothing beyond the range, open directions kept, voxels as their definition says."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from merge_ros.errors import InputError
from merge_ros.geometry.camera import Camera
from merge_ros.geometry.cloud_filter import known_points, limit_range, voxel_means
from merge_ros.geometry.pointcloud import back_project, packed_cloud

CAMERA = Camera(13, 7, 9.0, 11.0, 5.5, 3.25)
SHAPE = (CAMERA.height, CAMERA.width)
FAR = 20.0
depths = arrays(
    np.float32, SHAPE, elements=st.floats(np.float32(0.1), 20, width=32) | st.sampled_from([np.nan, np.inf])
)


@given(depths, st.floats(0.2, 40), st.booleans())
def test_nothing_lies_beyond_the_range_and_nothing_in_it_changes(depth: np.ndarray, reach: float, keep: bool) -> None:
    limited = limit_range(depth, CAMERA, reach, FAR, keep)
    distance = np.linalg.norm(back_project(limited, CAMERA), axis=-1)
    true_distance = np.linalg.norm(depth[..., None] * CAMERA.rays(), axis=-1)
    within = true_distance < reach * (1 - 1e-5)
    np.testing.assert_array_equal(limited[within], depth[within])
    assert not (distance > reach * (1 + 1e-5)).any()
    beyond = true_distance > reach * (1 + 1e-5)
    expected = np.minimum(reach, FAR * np.linalg.norm(CAMERA.rays(), axis=-1))[beyond]
    if keep:
        np.testing.assert_allclose(distance[beyond], expected, rtol=1e-5)
    else:
        assert np.isnan(limited[beyond]).all()
    assert np.isnan(limited[np.isnan(depth)]).all()


def test_an_open_direction_without_a_range_ends_at_far() -> None:
    limited = limit_range(np.full(SHAPE, np.inf, np.float32), CAMERA, np.inf, FAR, True)
    np.testing.assert_array_equal(limited, np.float32(FAR))


@given(depths)
def test_known_points_are_those_with_depth(depth: np.ndarray) -> None:
    cloud = packed_cloud(depth, np.zeros((*SHAPE, 3), np.uint8), CAMERA)
    kept = known_points(cloud)
    assert kept.shape == (1, np.isfinite(depth).sum())
    np.testing.assert_array_equal(kept["z"][0], depth[np.isfinite(depth)])


@pytest.mark.parametrize("edge", [0.02, 0.5, 3.0, 100.0])
def test_each_voxel_becomes_the_mean_of_its_points(edge: float) -> None:
    rng = np.random.default_rng(0)
    depth = rng.uniform(0.5, 6, SHAPE).astype(np.float32)
    depth[rng.random(SHAPE) < 0.2] = np.nan
    cloud = packed_cloud(depth, rng.integers(0, 256, (*SHAPE, 3), np.uint8), CAMERA)

    def voxel(point: np.void) -> tuple[int, ...]:
        return tuple(int(np.floor(point[axis] / edge)) for axis in "xyz")

    def values(point: np.void) -> list[float]:
        bits = int(point["rgb"].view(np.uint32))
        return [float(point[axis]) for axis in "xyz"] + [bits >> shift & 255 for shift in (16, 8, 0)]

    groups = defaultdict(list)
    for point in known_points(cloud)[0]:
        groups[voxel(point)].append(values(point))
    means = voxel_means(cloud, edge)
    assert means.shape == (1, len(groups))
    found = {voxel(point): values(point) for point in means[0]}
    for key, group in groups.items():
        expected = np.mean(group, axis=0)
        np.testing.assert_allclose(found[key], [*expected[:3], *np.rint(expected[3:])], rtol=1e-5, atol=1e-6)


def test_a_cloud_without_known_points_has_no_voxels() -> None:
    cloud = packed_cloud(np.full(SHAPE, np.nan, np.float32), np.zeros((*SHAPE, 3), np.uint8), CAMERA)
    assert voxel_means(cloud, 0.1).shape == known_points(cloud).shape == (1, 0)


def test_what_cannot_be_is_refused() -> None:
    cloud = packed_cloud(np.ones(SHAPE, np.float32), np.zeros((*SHAPE, 3), np.uint8), CAMERA)
    with pytest.raises(InputError, match="above 0"):
        voxel_means(cloud, 0.0)
    with pytest.raises(InputError, match="too small"):
        voxel_means(cloud, 1e-7)
    with pytest.raises(InputError, match="shape"):
        limit_range(np.ones((2, 2), np.float32), CAMERA, 1.0, FAR, True)
    with pytest.raises(InputError, match="reach=0"):
        limit_range(np.ones(SHAPE, np.float32), CAMERA, 0, FAR, True)
