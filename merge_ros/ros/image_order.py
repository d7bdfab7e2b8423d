"""What a Generate or Synthesize message asks for, checked as a whole before any compute."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from merge_ros.config import AssetScaleSettings, AssetSettings, GenerationRequest, ImageServerSettings
from merge_ros.errors import ConfigurationError, InputError
from merge_ros.synthesis.names import LONGEST, check_name, name_from, place_in

SIZE_RULES = ("camera_height", "width", "height")  # as_measured is for depth that a sensor measured
MEGABYTE = 10**6
LONGEST_NUMBER = 12  # characters behind a name: _PROMPT_IMAGE


@dataclass(frozen=True)
class ImageOrder:
    """The images of one prompt, and what is to be made of them.

    Args:
        request: to the generator.
        names: of the files and assets of each image.
        folder: they go there; None: nothing is written.
        write_image: whether the images themselves are written.
        points: whether the points of the last image are wanted.
        scale: how depth becomes metres; None: it stays relative.
        asset: what is made of each image; None: no asset.
    """

    request: GenerationRequest
    names: tuple[str, ...]
    folder: Path | None
    write_image: bool
    points: bool
    scale: AssetScaleSettings | None
    asset: AssetSettings | None


def read_orders(message: Any, prompts: Sequence[str], settings: ImageServerSettings) -> list[ImageOrder]:
    """The orders of a message, one for each prompt.

    Args:
        message: a `Generate.Request` or `Synthesize.Goal`.
        prompts: its prompts.
        settings: limits, and where files go.

    Raises:
        InputError: what came, and what is allowed.
    """
    if not prompts:
        raise InputError("prompts is empty; give at least one")
    try:
        scale, asset = _scale(message), _asset(message)
    except ConfigurationError as error:
        raise InputError(str(error)) from error
    if scale is None and (asset is not None or message.return_points):
        raise InputError(
            f"points and assets need metres: give size_rule ({', '.join(SIZE_RULES)}), and metres, the length it fixes"
        )
    if scale is not None and scale.size_rule != "camera_height" and asset is None:
        raise InputError(
            f"size_rule {scale.size_rule!r} is a length of an asset: name one in assets, or use camera_height"
        )
    folder = _folder(settings) if message.write_image or asset is not None else None
    orders = []
    for index, prompt in enumerate(prompts):
        request = _request(message, prompt, index, needs_depth=scale is not None)
        settings.limits().check(request)
        names = (
            _names(message.file_name or prompt, index if len(prompts) > 1 else None, request.count) if folder else ()
        )
        for name in names:
            _check_free_name(folder, name, message.write_image)
        orders.append(ImageOrder(request, names, folder, message.write_image, message.return_points, scale, asset))
    _check_distinct([name for order in orders for name in order.names])
    return orders


def _request(message: Any, prompt: str, index: int, *, needs_depth: bool) -> GenerationRequest:
    given = {name: getattr(message, name) for name in ("steps", "guidance", "count") if getattr(message, name)}
    request = GenerationRequest(
        prompt=prompt,
        negative_prompt=message.negative_prompt,
        seed=message.seed,
        width=message.width,
        height=message.height,
        depth=message.return_depth or needs_depth,
        **given,
    )
    # Each prompt goes on where the seeds of the one before end, so that equal prompts give different images.
    return dataclasses.replace(request, seed=request.seed + index * request.count) if request.seed else request


def _scale(message: Any) -> AssetScaleSettings | None:
    if not message.size_rule:
        return None
    if message.size_rule not in SIZE_RULES:
        raise InputError(f"size_rule {message.size_rule!r} is unknown; allowed: {', '.join(SIZE_RULES)}, or empty")
    given = {name: getattr(message, name) for name in ("metres", "horizontal_fov") if getattr(message, name)}
    return AssetScaleSettings(size_rule=message.size_rule, **given)


def _asset(message: Any) -> AssetSettings | None:
    if not message.assets:
        return None
    given = {"part": message.part} if message.part else {}
    return AssetSettings(formats=tuple(message.assets), **given)


def _folder(settings: ImageServerSettings) -> Path:
    if not settings.asset_directory:
        raise InputError("nothing can be written: the node's parameter asset_directory is empty")
    folder = Path(settings.asset_directory)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(folder).free / MEGABYTE
    except OSError as error:
        raise InputError(f"asset_directory {folder} cannot be used: {error}") from error
    if free < settings.generate_min_free:
        raise InputError(
            f"{folder} has {free:.0f} MB free; the node's parameter generate_min_free asks for "
            f"{settings.generate_min_free} MB"
        )
    return folder


def _names(text: str, number: int | None, count: int) -> tuple[str, ...]:
    stem = name_from(text)[: LONGEST - LONGEST_NUMBER].rstrip("_")
    if number is not None:
        stem = f"{stem}_{number}"
    return tuple(check_name(f"{stem}_{image}" if count > 1 else stem) for image in range(count))


def _check_free_name(folder: Path | None, name: str, write_image: bool) -> None:
    if folder is None:
        return
    taken = [place_in(folder, name), *([folder / f"{name}.png"] if write_image else [])]
    for place in taken:
        if place.exists():
            raise InputError(f"{place.name!r} exists in the asset directory already; give another file_name")


def _check_distinct(names: Sequence[str]) -> None:
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"two images would both be named {name!r}; give a file_name")
