"""Which models have the folded depth path, told from their config.json before a weight is read. Needs no torch."""

from __future__ import annotations

from pathlib import Path

from merge_ros.config import NORMALS_TASK, EstimatorSettings
from merge_ros.errors import ConfigurationError
from merge_ros.model.codec import read_config
from merge_ros.model.family import FLUX, family_of
from merge_ros.model.locate import find_model

NOT_FOLDED = (
    "only PixArt models can be folded, which all engines but eager torch run; text and picture attend to each other in "
    "FLUX, so little of it is constant; allowed: backend 'torch' with torch_mode 'eager'"
)
SIZED = (
    "this PixArt is told the size of each picture, so its depth path cannot be folded, which all engines but eager "
    "torch need; allowed: backend 'torch' with torch_mode 'eager'"
)


def folding_problem(settings: EstimatorSettings) -> str:
    """Why the model of these settings runs on eager torch only, steps aside; "" when it can be folded.

    Raises:
        CheckpointError: the model cannot be found, or its transformer is of no known kind.
    """
    if settings.offload != "none" or settings.quantization != "none":
        return "offload and quantization are for eager torch"
    if settings.task == NORMALS_TASK:
        return "the folded path decodes depth, and task 'normals' is for eager torch"
    if settings.model.endswith(".onnx") and Path(settings.model).is_file():
        return ""
    folder = find_model(settings.model, ("transformer",))
    if family_of(folder) == FLUX:
        return f"{settings.model}: {NOT_FOLDED}"
    config = read_config(folder / "transformer")
    sized = config.get("use_additional_conditions")
    if sized or (sized is None and config.get("sample_size") == 128):  # diffusers' rule where the config is silent
        return f"{settings.model}: {SIZED}"
    return ""


def require_foldable(settings: EstimatorSettings) -> None:
    """Raise ConfigurationError when the depth path of a model cannot be folded; see `folding_problem`."""
    if problem := folding_problem(settings):
        raise ConfigurationError(problem)
