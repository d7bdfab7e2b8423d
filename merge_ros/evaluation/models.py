"""The models that can be measured: ours, and anybody's, as a plain callable.

- `python:package.module:factory`: factory() gives a callable from [H, W, 3] uint8 RGB to [h, w] depth, which may have
  the attributes `space` ("depth" or "disparity") and `reseed` (a callable of a seed)
- `diffusers:FOLDER`: diffusers' Marigold pipelines, of depth or of normals
- `transformers:FOLDER`: transformers' depth-estimation pipeline
- anything else: a MERGE model, as the settings say
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from merge_ros.config import EstimatorSettings
from merge_ros.errors import ConfigurationError, InputError, MissingDependencyError
from merge_ros.estimator import DepthEstimator
from merge_ros.normals_estimator import NormalsEstimator

Estimator = Callable[[NDArray[np.uint8]], NDArray[np.float32]]

SPACES = ("depth", "disparity")
# Kinds of foreign models, with the settings that each of them reads.
FOREIGN = {
    "python": ("model",),
    "diffusers": ("model", "device", "steps"),
    "transformers": ("model", "device"),
}


@dataclass(frozen=True)
class DepthModel:
    """A model of depth, as the evaluation sees it.

    Args:
        name: for tables.
        estimate: [H, W, 3] uint8 RGB to [h, w] relative depth or disparity, of any size and unit.
        space: "depth", where large is far, or "disparity", where large is near; scale and shift are fitted there.
        reseed: makes the next estimates start from other noise; None: the model draws none.
        description: one line on how it runs.

    Raises:
        ConfigurationError: an unknown space.
    """

    name: str
    estimate: Estimator
    space: str = "depth"
    reseed: Callable[[int], None] | None = None
    description: str = ""

    def __post_init__(self) -> None:
        if self.space not in SPACES:
            raise ConfigurationError(f"space {self.space!r} is unknown; allowed: {', '.join(SPACES)}")


@dataclass(frozen=True)
class NormalsModel:
    """A model of surface normals, as the evaluation sees it.

    Args:
        name: for tables.
        estimate: [H, W, 3] uint8 RGB to [h, w, 3], see `NormalsSample`; of any length.
        reseed, description: as in `DepthModel`.
    """

    name: str
    estimate: Estimator
    reseed: Callable[[int], None] | None = None
    description: str = ""


def load_depth_model(settings: EstimatorSettings, space: str | None = None) -> DepthModel:
    """The model that `settings.model` names, see the module.

    Args:
        settings: for a MERGE model all of it; of a foreign one, what `FOREIGN` says.
        space: overrides what the model says of itself.

    Raises:
        ConfigurationError: a foreign model that cannot be found, does not say its space, or has no use for a setting.
        MergeError: what loading a MERGE model may raise.
    """
    kind, where = split_model(settings.model)
    _check_settings(kind, settings)
    if kind == "python":
        model = _python_model(where)
    elif kind == "diffusers":
        model = _adapters().marigold_depth(where, settings.device, settings.steps)
    elif kind == "transformers":
        model = _adapters().transformers_depth(where, settings.device, space)
    else:
        model = merge_model(settings)
    return model if space is None else replace(model, space=space)


def load_normals_model(settings: EstimatorSettings) -> NormalsModel:
    """The model of normals that `settings.model` names, see the module.

    A MERGE model gives those of its `normals_converters/`, or of the set that `settings.task` names, which must have
    been trained in the axes of `NormalsSample`, as `merge-ros train` does it.

    Raises:
        ConfigurationError: a foreign model that cannot be found, or is one of depth.
        MergeError: what loading a MERGE model may raise.
    """
    kind, where = split_model(settings.model)
    _check_settings(kind, settings)
    if kind == "diffusers":
        adapted: NormalsModel = _adapters().marigold_normals(where, settings.device, settings.steps)
        return adapted
    if kind == "python":
        model = _python_model(where)
        return NormalsModel(model.name, model.estimate, model.reseed)
    if kind == "transformers":
        raise ConfigurationError("transformers' depth-estimation models give no normals; allowed: any other kind")
    estimator = NormalsEstimator(settings)
    return NormalsModel(settings.model, estimator, description=estimator.description)


def merge_model(settings: EstimatorSettings) -> DepthModel:
    """A MERGE model with its engine."""
    estimator = DepthEstimator(settings)
    reseed = estimator.reseed if estimator.draws_noise else None
    return DepthModel(settings.model, estimator, reseed=reseed, description=estimator.description)


def _check_settings(kind: str, settings: EstimatorSettings) -> None:
    """Raise ConfigurationError where a setting would be ignored."""
    if kind:
        default = EstimatorSettings()
        names = [field.name for field in fields(settings) if field.name not in FOREIGN[kind]]
        unread = [name for name in names if getattr(settings, name) != getattr(default, name)]
        if unread:
            raise ConfigurationError(
                f"model {settings.model!r} has no use for {', '.join(unread)}; it takes {', '.join(FOREIGN[kind])}"
            )


def split_model(model: str) -> tuple[str, str]:
    """("python", "package.module:factory") and so on; ("", model) for a MERGE model."""
    kind, colon, where = model.partition(":")
    return (kind, where) if colon and kind in FOREIGN else ("", model)


def _adapters() -> Any:
    try:
        from merge_ros.evaluation import adapters
    except ModuleNotFoundError as error:
        raise MissingDependencyError(str(error.name), "torch", "a model of diffusers or transformers") from error
    return adapters


def _python_model(where: str) -> DepthModel:
    module_name, _, factory_name = where.partition(":")
    try:
        factory: Any = getattr(importlib.import_module(module_name), factory_name)
        estimate: Any = factory()
    except (ImportError, AttributeError, ValueError, TypeError) as error:
        raise ConfigurationError(
            f"python:{where}: {error}; allowed: package.module:factory, where factory() gives a callable"
        ) from error
    if not callable(estimate):
        raise ConfigurationError(f"python:{where}: the factory gave {type(estimate).__name__}, which is no callable")

    def checked(rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
        found = np.asarray(estimate(rgb))
        if found.ndim not in (2, 3) or found.dtype.kind not in "fiu" or 0 in found.shape:
            raise InputError(f"{where} gave {found.dtype} {found.shape}; allowed: [h, w] depth or [h, w, 3] normals")
        return np.asarray(found, np.float32)

    return DepthModel(where, checked, getattr(estimate, "space", "depth"), getattr(estimate, "reseed", None))
