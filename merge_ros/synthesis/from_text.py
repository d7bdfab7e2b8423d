"""From an image that a model made of text to the view that an asset is made of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from merge_ros.config import AssetScaleSettings
from merge_ros.errors import InputError
from merge_ros.generated import GeneratedImage
from merge_ros.synthesis.metric import estimated_view
from merge_ros.synthesis.provenance import Provenance
from merge_ros.synthesis.view import View


def generated_view(
    image: GeneratedImage, about: Mapping[str, Any], scale: AssetScaleSettings
) -> tuple[View, Provenance]:
    """A generated image in metres, and where it comes from.

    Args:
        image: with its depth.
        about: the model, as `ImageGenerator.about()` tells.
        scale: where metres come from; no generated image has intrinsics, so the field of view is assumed.

    Raises:
        InputError: the image came without its depth.
        ConfigurationError, ScaleError: see `metric_view`.
    """
    if image.depth is None:
        raise InputError("an asset needs the depth of the image: ask for it with depth=True")
    request = image.request
    provenance = Provenance("text", request.prompt, request.seed, str(about["model"]), str(about["model_hash"]))
    return estimated_view(image.rgb, image.depth, scale), provenance
