"""Which family of text-to-image transformer a model folder holds, told from its config.json. Needs no torch."""

from __future__ import annotations

from pathlib import Path

from merge_ros.errors import CheckpointError
from merge_ros.model.codec import read_config

PIXART, FLUX = "pixart", "flux"

# The authors have one class for a backbone and its converters, whose name has an x before diffusers'. PixArt's own
# first releases were saved by diffusers' `Transformer2DModel`.
_AUTHORS = {"xTransformerModel": PIXART, "xFluxTransformer2DModel": FLUX}
_BACKBONES = {
    "PixArtTransformer2DModel": PIXART,
    "Transformer2DModel": PIXART,
    "FluxTransformer2DModel": FLUX,
    **_AUTHORS,
}
_CONVERTERS = {"PixArtConverter": PIXART, "FluxConverter": FLUX, **_AUTHORS}


def family_of(model: Path) -> str:
    """`PIXART` or `FLUX`.

    Args:
        model: a folder with `transformer/config.json`.

    Raises:
        CheckpointError: the file is missing, damaged, or describes another kind of transformer.
    """
    folder = model / "transformer"
    config = read_config(folder)
    if config.get("_class_name") == "Transformer2DModel" and config.get("norm_type") != "ada_norm_single":
        raise CheckpointError(
            f"{folder / 'config.json'}: norm_type is {config.get('norm_type')!r}; a PixArt transformer has "
            "'ada_norm_single'"
        )
    return _family(folder, config.get("_class_name"), _BACKBONES)


def converters_family(converters: Path) -> str:
    """`PIXART` or `FLUX`, whichever backbone the converters in a folder are for.

    Raises:
        CheckpointError: its config.json is missing, damaged, or describes no converters.
    """
    return _family(converters, read_config(converters).get("_class_name"), _CONVERTERS)


def _family(folder: Path, class_name: object, known: dict[str, str]) -> str:
    family = known.get(str(class_name))
    if family is None:
        raise CheckpointError(
            f"{folder / 'config.json'}: _class_name is {class_name!r}; allowed here: {', '.join(known)}"
        )
    return family
