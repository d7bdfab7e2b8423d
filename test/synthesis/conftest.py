"""Views that several tests make assets of."""

from __future__ import annotations

import asset_scenes
import pytest

pytest.importorskip("scipy", reason="making assets needs the extra 'assets'")
pytest.importorskip("trimesh", reason="making assets needs the extra 'assets'")
pytest.importorskip("fast_simplification", reason="making assets needs the extra 'assets'")

from merge_ros.synthesis.view import View


@pytest.fixture(scope="session")
def room_view() -> View:
    """A box on a floor before a wall, with its true depth."""
    return View(*asset_scenes.room(), asset_scenes.camera())
