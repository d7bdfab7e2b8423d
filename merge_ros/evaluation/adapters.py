"""Models of diffusers and transformers, loaded from local folders, as the evaluation sees models."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from merge_ros.errors import ConfigurationError
from merge_ros.evaluation.models import DepthModel, NormalsModel
from merge_ros.runtime.torch_device import find_device

# What transformers' depth estimators predict, by `model_type`: those of the MiDaS family learn disparity. Depth
# Anything has both, and says which.
SPACE_OF_TYPE = {"dpt": "disparity", "glpn": "depth", "zoedepth": "depth", "depth_pro": "depth"}
# Axes of Marigold's normals, x right, y up, z towards the camera, to x right, y down, z forward.
TO_OPTICAL = np.array([1, -1, -1], np.float32)


def marigold_depth(folder: str, device: str = "auto", steps: int = 0) -> DepthModel:
    """diffusers' `MarigoldDepthPipeline`, with the noise of a seed.

    Args:
        folder: with model_index.json and the parts.
        device: "auto", "cpu", "cuda:N".
        steps: denoising steps; 0 takes the pipeline's own.

    Raises:
        ConfigurationError: the folder holds no such pipeline.
        BackendError: the device does not exist here.
    """
    from diffusers import MarigoldDepthPipeline

    pipeline, noise = _marigold(MarigoldDepthPipeline, folder, device)

    def estimate(rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
        return _run(pipeline, rgb, steps, noise)[0, :, :, 0]

    space = pipeline.config.prediction_type or "depth"
    return DepthModel(f"diffusers:{Path(folder).name}", estimate, space, noise.reseed)


def marigold_normals(folder: str, device: str = "auto", steps: int = 0) -> NormalsModel:
    """diffusers' `MarigoldNormalsPipeline`; see `marigold_depth`."""
    from diffusers import MarigoldNormalsPipeline

    pipeline, noise = _marigold(MarigoldNormalsPipeline, folder, device)

    def estimate(rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
        return np.asarray(_run(pipeline, rgb, steps, noise)[0] * TO_OPTICAL, np.float32)

    return NormalsModel(f"diffusers:{Path(folder).name}", estimate, noise.reseed)


def transformers_depth(folder: str, device: str = "auto", space: str | None = None) -> DepthModel:
    """transformers' "depth-estimation" pipeline.

    Args:
        folder: with config.json, weights and preprocessor_config.json.
        device: as above.
        space: what the model predicts; None: what is known of its type.

    Raises:
        ConfigurationError: the folder holds no such model, or nothing is known of its type.
        BackendError: the device does not exist here.
    """
    from PIL import Image
    from transformers import pipeline

    _check_folder(folder, "config.json")
    try:
        estimator = pipeline("depth-estimation", model=folder, device=find_device(device))
    except (OSError, ValueError, KeyError) as error:
        raise ConfigurationError(f"{folder} is no depth-estimation model of transformers: {error}") from error
    config = estimator.model.config
    if space is None and config.model_type == "depth_anything":
        space = "depth" if config.depth_estimation_type == "metric" else "disparity"
    space = space or SPACE_OF_TYPE.get(config.model_type)
    if space is None:
        raise ConfigurationError(
            f"whether models of type {config.model_type!r} predict depth or disparity is not known here: give --space"
        )

    def estimate(rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
        found = estimator(Image.fromarray(rgb))["predicted_depth"]
        return np.asarray(found.float().cpu().squeeze(), np.float32)

    return DepthModel(f"transformers:{Path(folder).name}", estimate, space)


class _Noise:
    """The seed that the next estimates start from."""

    def __init__(self) -> None:
        self.seed = 0

    def reseed(self, seed: int) -> None:
        self.seed = seed


def _marigold(kind: Any, folder: str, device: str) -> tuple[Any, _Noise]:
    _check_folder(folder, "model_index.json")
    # diffusers would load the parts of any pipeline into this one.
    named = json.loads((Path(folder) / "model_index.json").read_text()).get("_class_name")
    if named != kind.__name__:
        raise ConfigurationError(f"{folder} holds a {named}; allowed here: a {kind.__name__}")
    try:
        pipeline = kind.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConfigurationError(f"{folder} is no {kind.__name__}: {error}") from error
    pipeline.set_progress_bar_config(disable=True)
    return pipeline.to(find_device(device)), _Noise()


def _run(pipeline: Callable[..., Any], rgb: NDArray[np.uint8], steps: int, noise: _Noise) -> NDArray[np.float32]:
    """[1, h, w, channels] of one image, of its size; processed at its own size, which the protocol has chosen."""
    output = pipeline(
        rgb.astype(np.float32) / 255,
        num_inference_steps=steps or None,
        processing_resolution=0,
        generator=torch.Generator("cpu").manual_seed(noise.seed),
    )
    return np.asarray(output.prediction, np.float32)


def _check_folder(folder: str, file: str) -> None:
    if not (Path(folder) / file).is_file():
        raise ConfigurationError(f"{folder} has no {file}; allowed: the local folder of a model")
