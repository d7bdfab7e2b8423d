"""All families of backbones that converters can be trained for."""

from __future__ import annotations

from merge_ros.config.training import TrainingSettings
from merge_ros.model.checkpoint import PARTS
from merge_ros.model.family import FLUX, PIXART, family_of
from merge_ros.model.locate import find_model
from merge_ros.training.converters.family import Family
from merge_ros.training.converters.flux_family import Flux
from merge_ros.training.converters.pixart_family import PixArt

FAMILIES: dict[str, type[Family]] = {PIXART: PixArt, FLUX: Flux}


def load_family(settings: TrainingSettings, pixels: int) -> Family:
    """The backbone that a model folder holds, with new converters.

    Args:
        settings: of the training.
        pixels: image pixels of a training frame.

    Raises:
        CheckpointError: nothing is there, it is damaged, or its transformer is of a kind that is not known here.
        ConfigurationError: settings that this backbone cannot have.
    """
    folder = find_model(settings.model, PARTS)
    return FAMILIES[family_of(folder)](settings, folder, pixels)
