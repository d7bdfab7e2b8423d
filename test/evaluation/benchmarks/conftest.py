"""Tiny made-up copies of the data sets, as folders and as tars, and models with known answers."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from merge_ros.archive import Archive
from merge_ros.evaluation.models import DepthModel


class FixedModel:
    """Always the same estimate; remembers the images that it was given."""

    def __init__(self, estimate: np.ndarray) -> None:
        self.estimate, self.seen = np.asarray(estimate, np.float32), []

    def __call__(self, rgb: np.ndarray) -> np.ndarray:
        self.seen.append(rgb)
        return self.estimate


@pytest.fixture
def fixed_model() -> Callable[[np.ndarray], tuple[DepthModel, FixedModel]]:
    def make(estimate: np.ndarray) -> tuple[DepthModel, FixedModel]:
        inner = FixedModel(estimate)
        return DepthModel("fixed", inner), inner

    return make


@pytest.fixture(params=["folder", "tar"])
def stored(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[dict[str, bytes]], Archive]:
    """Content by file name to a data set, once as a folder and once as a tar (with ./ before names, as Marigold's)."""

    def make(contents: dict[str, bytes]) -> Archive:
        if request.param == "tar":
            with tarfile.open(tmp_path / "data.tar", "w") as archive:
                for name, content in contents.items():
                    member = tarfile.TarInfo(f"./{name}")
                    member.size = len(content)
                    archive.addfile(member, io.BytesIO(content))
            return Archive(tmp_path / "data.tar")
        for name, content in contents.items():
            path = tmp_path / "data" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        return Archive(tmp_path / "data")

    return make
