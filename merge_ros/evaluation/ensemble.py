"""Several estimates of one image made into one: each aligned to the others, then the median or the mean.

Marigold (arXiv 2312.02145, 3.3) aligns its members by a joint optimisation of all scales and shifts; here each is
fitted to the current result by least squares, a few times over, which needs no optimiser and no start values.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from merge_ros.errors import ConfigurationError
from merge_ros.evaluation.models import DepthModel, NormalsModel
from merge_ros.evaluation.protocol import at_size
from merge_ros.geometry.alignment import fit_affine

REDUCTIONS = ("median", "mean")
ROUNDS = 3  # of fitting the members to their result; the result hardly moves after two

Map = NDArray[np.float32]


def with_ensemble(model: DepthModel, members: int, reduction: str = "median") -> DepthModel:
    """The model that estimates each image several times.

    A model that draws noise is started from noise 0, 1, 2 and so on. One that draws none gives the same each time: it
    can have two members, the image and its mirror image.

    Args:
        model: what is asked.
        members: estimates per image, >= 1.
        reduction: "median" or "mean".

    Raises:
        ConfigurationError: members or reduction not allowed.
    """
    _check(model, members, reduction)
    if members == 1:
        return model

    def estimate(rgb: NDArray[np.uint8]) -> Map:
        return combine(_estimates(model, rgb, members, lambda mirrored: mirrored[:, ::-1]), reduction)

    return replace(model, name=f"{model.name}, {members} members ({reduction})", estimate=estimate)


def normals_with_ensemble(model: NormalsModel, members: int, reduction: str = "median") -> NormalsModel:
    """The same for normals: the mean of the members' unit vectors, or the median of each component.

    Raises:
        ConfigurationError: members or reduction not allowed.
    """
    _check(model, members, reduction)
    if members == 1:
        return model

    def mirror_back(mirrored: Map) -> Map:
        return mirrored[:, ::-1] * np.array([-1, 1, 1], np.float32)

    def estimate(rgb: NDArray[np.uint8]) -> Map:
        found = _estimates(model, rgb, members, mirror_back)
        units = found / np.maximum(np.linalg.norm(found, axis=-1, keepdims=True), 1e-12)
        return np.asarray(_reduce(units, reduction), np.float32)

    return replace(model, name=f"{model.name}, {members} members ({reduction})", estimate=estimate)


def combine(members: Map, reduction: str) -> Map:
    """[n, h, w] affine-invariant maps to one [h, w].

    Raises:
        ScaleError: a member is constant.
    """
    result: NDArray[np.floating] = members[0]
    for _ in range(ROUNDS):
        result = _reduce(np.stack([fit_affine(member, result).apply(member) for member in members]), reduction)
    return np.asarray(result, np.float32)


def _estimates(
    model: DepthModel | NormalsModel, rgb: NDArray[np.uint8], members: int, mirror_back: Callable[[Map], Map]
) -> Map:
    """All estimates of one image, [members, h, w] or [members, h, w, 3]."""
    found = []
    for member in range(members):
        if model.reseed is not None:
            model.reseed(member)
            found.append(model.estimate(rgb))
        elif member == 0:
            found.append(model.estimate(rgb))
        else:
            found.append(mirror_back(model.estimate(np.ascontiguousarray(rgb[:, ::-1]))))
    return np.stack([at_size(estimate, found[0].shape) for estimate in found])


def _reduce(stacked: NDArray[np.floating], reduction: str) -> NDArray[np.floating]:
    reduced: NDArray[np.floating] = (np.median if reduction == "median" else np.mean)(stacked, axis=0)
    return reduced


def _check(model: DepthModel | NormalsModel, members: int, reduction: str) -> None:
    if reduction not in REDUCTIONS:
        raise ConfigurationError(f"reduction {reduction!r} is unknown; allowed: {', '.join(REDUCTIONS)}")
    if members < 1:
        raise ConfigurationError(f"an ensemble of {members} members; allowed: 1 or more")
    if members > 2 and model.reseed is None:
        raise ConfigurationError(
            f"an ensemble of {members} members, but {model.name} draws no noise, so that each estimate is the same; "
            "allowed: 1, or 2 (the image and its mirror image)"
        )
