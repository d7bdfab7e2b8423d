"""Work on orders for images: from prompts to images, depth, points, files and assets. Knows messages, but no node."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from std_msgs.msg import Header

from merge_ros.errors import (
    BusyError,
    CheckpointError,
    ConfigurationError,
    GenerationCancelled,
    InputError,
    MergeError,
    MissingDependencyError,
    OutputError,
    RefusedError,
)
from merge_ros.generated import GeneratedImage, write_image
from merge_ros.generator import GenerationStep, ImageGenerator
from merge_ros.geometry.camera import Camera
from merge_ros.geometry.pointcloud import packed_cloud
from merge_ros.ros.camera_info import info_from_camera
from merge_ros.ros.conversions import array_to_image, cloud_to_message
from merge_ros.ros.image_order import ImageOrder
from merge_ros.ros.mode import ModeSwitch
from merge_ros.srv import Generate
from merge_ros.synthesis.asset import build_asset
from merge_ros.synthesis.from_text import generated_view
from merge_ros.synthesis.view import View
from merge_ros.synthesis.write import write_asset

FRAME = "generated_optical_frame"

Codes = Generate.Response
CODES: tuple[tuple[tuple[type[Exception], ...], int], ...] = (
    ((GenerationCancelled,), Codes.CANCELLED),
    ((BusyError,), Codes.BUSY),
    ((RefusedError,), Codes.REFUSED),
    ((MissingDependencyError, CheckpointError), Codes.UNAVAILABLE),
    ((InputError, ConfigurationError), Codes.INVALID_REQUEST),
    ((OutputError, OSError), Codes.OUTPUT_FAILED),
)


class Progress(NamedTuple):
    """Where a job stands: which order of how many, and the generator's step; None while an asset is made."""

    order: int
    orders: int
    image: int
    step: GenerationStep | None


OnProgress = Callable[[Progress], bool]
"""Called at each step; False cancels."""


@dataclass
class Made:
    """What a job has made so far."""

    images: list[GeneratedImage] = field(default_factory=list)
    views: list[View | None] = field(default_factory=list)
    seeds: list[int] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    seconds: float = 0.0


def do_job(orders: Sequence[ImageOrder], generator: ImageGenerator, mode: ModeSwitch, on_progress: OnProgress) -> Made:
    """Make everything that is ordered; camera frames have their turns in between.

    Raises:
        MergeError: from the generator, the assets' builders and writers; what was finished before stays.
    """
    begin = time.perf_counter()
    made = Made()
    for order in orders:
        generator.check(order.request)
    with mode.images():
        for number, order in enumerate(orders):
            told = _Told(mode, on_progress, number, len(orders))
            for index, image in enumerate(generator.stream(order.request, told.step)):
                mode.rest()
                if index == 0:
                    made.seeds.append(image.request.seed)
                made.images.append(image)
                made.views.append(_finish(order, index, image, generator, made.paths, told))
    made.seconds = time.perf_counter() - begin
    return made


class _Told:
    """Passes steps on, and lets camera frames in."""

    def __init__(self, mode: ModeSwitch, on_progress: OnProgress, order: int, orders: int) -> None:
        self._mode, self._on_progress, self._order, self._orders = mode, on_progress, order, orders

    def step(self, step: GenerationStep) -> bool:
        self._mode.next_step()
        return self._on_progress(Progress(self._order, self._orders, step.image, step))

    def asset(self, image: int) -> None:
        if not self._on_progress(Progress(self._order, self._orders, image, None)):
            raise GenerationCancelled(f"cancelled before the asset of image {image + 1} was finished")


def _finish(
    order: ImageOrder, index: int, image: GeneratedImage, generator: ImageGenerator, paths: list[str], told: _Told
) -> View | None:
    """Depth in metres where it is wanted, files and asset of one image."""
    about = generator.about()
    view = provenance = None
    if order.scale is not None:
        view, provenance = generated_view(image, about, order.scale)
    if order.folder is None:
        return view
    name = order.names[index]
    if order.write_image:
        paths += [str(path) for path in write_image(order.folder, name, image, about).values()]
    if order.asset is not None and view is not None and provenance is not None:

        def at_stage(_: str) -> None:
            told.asset(index)

        asset = build_asset(view, order.asset, at_stage)
        write_asset(asset, name, order.folder, order.asset, provenance, at_stage)
        paths.append(str(order.folder / name))
        view = asset.view  # with the rules "width" and "height" the metres are known only now
    return view


def fill(response: Any, made: Made, message: Any, orders: Sequence[ImageOrder], header: Header) -> None:
    """Put what was made into a `Generate.Response` or `Synthesize.Result`.

    Args:
        message: the request or goal, which says what is wanted back.
        header: of all messages inside.
    """
    response.success = True
    response.paths = made.paths
    response.seconds = made.seconds
    views = made.views
    response.metric = all(view is not None for view in views)
    if message.return_image:
        response.images = [array_to_image(image.rgb, "rgb8", header) for image in made.images]
    if message.return_depth:
        depths = [_depth(image, view) for image, view in zip(made.images, views, strict=True)]
        response.depth_images = [array_to_image(depth, "32FC1", header) for depth in depths]
    last = made.images[-1]
    scale = orders[-1].scale
    if scale is not None:
        camera = Camera.from_fov(last.rgb.shape[1], last.rgb.shape[0], scale.horizontal_fov)
        response.camera_info = info_from_camera(camera, header)
        if message.return_points and views[-1] is not None:
            depth = _depth(last, views[-1])
            response.points = cloud_to_message(packed_cloud(depth, last.rgb, camera, 1), header)


def fill_error(response: Any, error: Exception) -> None:
    """Put what went wrong into a response or result."""
    response.success = False
    response.error_code = next((code for kinds, code in CODES if isinstance(error, kinds)), Codes.FAILED)
    kind = "" if isinstance(error, MergeError) else f"{type(error).__name__}: "
    response.error_text = f"{kind}{error}"


def _depth(image: GeneratedImage, view: View | None) -> NDArray[np.float32]:
    depth = image.depth if view is None else view.depth
    return np.asarray(depth, np.float32)
