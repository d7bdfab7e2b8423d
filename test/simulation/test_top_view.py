"""The view from above shows things where they stand, and no ceiling."""

from __future__ import annotations

import numpy as np
import pytest

from merge_ros.errors import MissingDependencyError

pytest.importorskip("mujoco", reason="rendering needs the extra 'sim'")

from merge_ros.simulation.scene import Part, Scene
from merge_ros.simulation.top_view import TopView, top_view

RED, GREEN, BLUE, WHITE = (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0), (1.0, 1.0, 1.0)


@pytest.fixture(scope="module")
def view() -> TopView:
    parts = (
        Part("plane", (20, 20, 0), (0, 0, 0), rgb=BLUE),
        Part("box", (0.3, 0.2, 0.25), (1.0, 3.0, 0.25), rgb=RED),
        Part("cylinder", (0.3, 0.5, 0), (5.0, 1.0, 0.5), rgb=GREEN),
        Part("box", (3.0, 2.0, 0.05), (3.0, 2.0, 2.5), rgb=WHITE),  # the ceiling
    )
    scene = Scene("room", 6, 4, 2.6, parts, {}, (), 0.4, (), "a room")
    try:
        return top_view(scene, (0, 0), (6, 4), (300, 260))
    except MissingDependencyError as error:
        pytest.skip(str(error))


def test_things_are_where_they_stand(view: TopView) -> None:
    for place, channel in (((1.0, 3.0), 0), ((5.0, 1.0), 1), ((3.0, 2.0), 2), ((1.0, 1.0), 2)):
        column, row = np.rint(view.pixels(np.array([place]))[0]).astype(int)
        assert np.argmax(view.picture[row, column]) == channel, place


def test_x_is_to_the_right_and_y_up(view: TopView) -> None:
    near, far = view.pixels(np.array([[1.0, 1.0], [2.0, 3.0]]))
    assert far[0] > near[0] and far[1] < near[1]


def test_places_are_the_inverse_of_pixels(view: TopView) -> None:
    places = view.places()
    rows, columns = np.mgrid[: view.picture.shape[0], : view.picture.shape[1]]
    assert view.pixels(places.reshape(-1, 2)) == pytest.approx(np.stack([columns, rows], -1).reshape(-1, 2), abs=1e-6)
