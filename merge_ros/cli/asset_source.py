"""Where the picture of `merge-ros asset` comes from: files, or the topics of a running robot."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from merge_ros.cli.asset_options import add_scale_options, asks_for_a_scale, scale_settings
from merge_ros.cli.depth import read_rgb
from merge_ros.cli.options import add_model_options, estimator_settings
from merge_ros.cli.ros_client import ros_client
from merge_ros.errors import ConfigurationError
from merge_ros.geometry.camera import Camera
from merge_ros.synthesis.metric import metric_view
from merge_ros.synthesis.names import name_from
from merge_ros.synthesis.provenance import Provenance
from merge_ros.synthesis.view import View

if TYPE_CHECKING:
    from merge_ros.ros.live_frame import LiveFrame

TIMEOUT = 15.0  # seconds


def add_source_options(parser: argparse.ArgumentParser) -> None:
    """Add the sources, one of which must be given, and what their metres come from."""
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--from-image", type=Path, metavar="PICTURE", help="any picture; its depth is estimated")
    source.add_argument(
        "--from-rgbd", type=Path, nargs=3, metavar=("PICTURE", "DEPTH", "CAMERA"), help="files with measured depth"
    )
    source.add_argument(
        "--from-topic",
        nargs="+",
        metavar=("IMAGE", "DEPTH"),
        help="topics of a running robot: the next image, with the camera info beside it; with a depth topic of the "
        "same camera its metres, else depth is estimated",
    )
    parser.add_argument("--timeout", type=float, default=TIMEOUT, help="seconds to wait for the topics (%(default)g)")
    add_scale_options(parser)
    add_model_options(parser)


def source_name(arguments: argparse.Namespace) -> str:
    """A name for an asset whose user gave none."""
    if arguments.from_topic:
        return name_from(arguments.from_topic[0])
    picture: Path = arguments.from_image or arguments.from_rgbd[0]
    return name_from(picture.stem)


def read_source(arguments: argparse.Namespace) -> tuple[View, Provenance]:
    """The picture with depth in metres, and where it comes from.

    Raises:
        ConfigurationError: options that do not go together.
        MergeError: from reading the files or topics, from the estimator, or because no scale is found.
    """
    if arguments.from_image:
        rgb = read_rgb(arguments.from_image)
        camera = Camera.from_fov(rgb.shape[1], rgb.shape[0], scale_settings(arguments).horizontal_fov)
        view, model = _estimated(arguments, rgb, camera)
        return view, replace(model, kind="picture", files=(arguments.from_image.name,))
    if arguments.from_rgbd:
        from merge_ros.synthesis.write_rgbd import read_rgbd

        _refuse_scale(arguments, "--from-rgbd")
        return read_rgbd(*arguments.from_rgbd), Provenance("rgbd", files=tuple(p.name for p in arguments.from_rgbd))
    return _from_topics(arguments)


def _from_topics(arguments: argparse.Namespace) -> tuple[View, Provenance]:
    topics = tuple(arguments.from_topic)
    if len(topics) > 2:
        raise ConfigurationError(f"--from-topic takes IMAGE, or IMAGE and DEPTH, not {len(topics)} topics")
    if len(topics) == 2:
        _refuse_scale(arguments, "--from-topic with a depth topic")
    frame = _take_frame(topics, arguments.timeout)
    provenance = Provenance("camera", files=tuple(f"{topic} at {frame.stamp} ns" for topic in topics))
    if frame.depth is not None:
        # Whether a sensor measured these metres, or a model estimated them, the topic does not tell.
        return View(frame.rgb, frame.depth, frame.camera, scale_source={"rule": "published"}), provenance
    view, model = _estimated(arguments, frame.rgb, frame.camera)
    if frame.seen is not None:
        view = replace(view, depth=np.where(frame.seen, view.depth, np.float32(np.nan)))
    return view, replace(model, kind=provenance.kind, files=provenance.files)


def _take_frame(topics: tuple[str, ...], timeout: float) -> LiveFrame:
    with ros_client("taking a picture from a topic"):
        from merge_ros.ros.live_frame import take_frame
    return take_frame(*topics, timeout=timeout)


def _estimated(arguments: argparse.Namespace, rgb: NDArray[np.uint8], camera: Camera) -> tuple[View, Provenance]:
    """Estimate the depth of a picture and bring it to metres; of the provenance only the model is told."""
    from merge_ros.estimator import DepthEstimator
    from merge_ros.runtime.export_cache import model_fingerprint

    scale, model = scale_settings(arguments), estimator_settings(arguments)
    estimator = DepthEstimator(model)
    relative = estimator(rgb)
    estimator.close()
    return metric_view(rgb, relative, camera, scale), Provenance(
        "picture", model=model.model, fingerprint=model_fingerprint(model)
    )


def _refuse_scale(arguments: argparse.Namespace, source: str) -> None:
    if asks_for_a_scale(arguments):
        raise ConfigurationError(f"{source} has metres already: --camera-height, --width and --height are for others")
