"""How far accuracy falls when cameras do what cameras do: dark rooms, noise, blur, JPEG, casts, roll, other formats.

Faults of the picture leave the truth as it is. A roll about the optical axis turns picture and truth together (depth
along the axis does not change), and the largest rectangle of the same shape inside the turned picture is kept; other
aspect ratios are cut from the middle. For those, the clean frame's own estimate is turned and cut in the same way, so
that both figures of a row are about the same pixels.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from merge_ros.errors import InputError, MergeError
from merge_ros.evaluation.metrics import DepthMetrics, aligned_metrics
from merge_ros.evaluation.models import DepthModel
from merge_ros.evaluation.protocol import DepthProtocol, at_size, cut_to, scaled_to_side, valid_pixels
from merge_ros.evaluation.sample import DepthItem, DepthSample
from merge_ros.files import atomic_write

Picture = NDArray[np.uint8]
Fault = Callable[[Picture, np.random.Generator], Picture]
Warp = Callable[[NDArray, int], NDArray]

WIDTH_OF_SIGMA = 256  # blur is given in pixels at this width


@dataclass(frozen=True)
class Condition:
    """One row of the table.

    Args:
        name: for people.
        fault: what happens to the picture, with randomness of its own.
        warp: what happens to picture and truth alike: (array, OpenCV interpolation) -> array.
    """

    name: str
    fault: Fault | None = None
    warp: Warp | None = None


@dataclass(frozen=True)
class Robustness:
    """Means over frames under one condition.

    Args:
        name: of the condition.
        abs_rel, delta1: of the estimate from the spoilt picture.
        clean_abs_rel, clean_delta1: of the estimate from the clean one, on the same pixels.
        n: frames.
    """

    name: str
    abs_rel: float
    delta1: float
    clean_abs_rel: float
    clean_delta1: float
    n: int


def gain(*factors: float) -> Fault:
    """Brightness of red, green and blue times these."""
    return lambda rgb, _: _bytes(rgb * np.array(factors, np.float32))


def noise(sigma: float) -> Fault:
    """Normal noise of this standard deviation, of 255."""
    return lambda rgb, rng: _bytes(rgb + rng.normal(0, sigma, rgb.shape))


def blur(sigma: float) -> Fault:
    """Gaussian blur of this standard deviation, in pixels at a width of 256."""
    return lambda rgb, _: np.asarray(cv2.GaussianBlur(rgb, (0, 0), sigma * rgb.shape[1] / WIDTH_OF_SIGMA), np.uint8)


def jpeg(quality: int) -> Fault:
    """JPEG compression of this quality."""

    def packed(rgb: Picture, _: np.random.Generator) -> Picture:
        content = cv2.imencode(".jpg", rgb[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
        return np.ascontiguousarray(np.asarray(cv2.imdecode(content, cv2.IMREAD_COLOR), np.uint8)[..., ::-1])

    return packed


def roll(degrees: float) -> Warp:
    """The camera turned about its optical axis; the largest rectangle of the same shape is kept."""

    def turned(array: NDArray, interpolation: int) -> NDArray:
        height, width = array.shape[:2]
        matrix = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), degrees, 1.0)
        whole = cv2.warpAffine(array, matrix, (width, height), flags=interpolation)
        return cut_middle(np.asarray(whole), *inscribed(width, height, degrees))

    return turned


def aspect(width: int, height: int) -> Warp:
    """The largest part of this aspect ratio, from the middle."""

    def cut(array: NDArray, _: int) -> NDArray:
        have_height, have_width = array.shape[:2]
        factor = min(have_width / width, have_height / height)
        return cut_middle(array, int(width * factor), int(height * factor))

    return cut


def inscribed(width: int, height: int, degrees: float) -> tuple[int, int]:
    """(width, height) of the largest rectangle of the same shape inside the picture turned about its middle.

    A pixel is left at each side of it, so that interpolation mixes in nothing from outside.
    """
    cosine, sine = abs(math.cos(math.radians(degrees))), abs(math.sin(math.radians(degrees)))
    factor = min(width / (width * cosine + height * sine), height / (width * sine + height * cosine))
    margin = 0 if factor == 1 else 2
    return int(width * factor) - margin, int(height * factor) - margin


def cut_middle(array: NDArray, width: int, height: int) -> NDArray:
    """The middle [height, width, ...] of an array."""
    top, left = (array.shape[0] - height) // 2, (array.shape[1] - width) // 2
    return np.ascontiguousarray(array[top : top + height, left : left + width])


CONDITIONS = (
    Condition("clean"),
    Condition("1 stop darker", gain(1 / 2, 1 / 2, 1 / 2)),
    Condition("2 stops darker", gain(1 / 4, 1 / 4, 1 / 4)),
    Condition("3 stops darker", gain(1 / 8, 1 / 8, 1 / 8)),
    Condition("noise, sigma 10 of 255", noise(10)),
    Condition("noise, sigma 25", noise(25)),
    Condition("noise, sigma 50", noise(50)),
    Condition("blur, sigma 1 px at width 256", blur(1)),
    Condition("blur, sigma 2 px", blur(2)),
    Condition("blur, sigma 4 px", blur(4)),
    Condition("JPEG quality 30", jpeg(30)),
    Condition("JPEG quality 10", jpeg(10)),
    Condition("JPEG quality 5", jpeg(5)),
    Condition("warm cast (1.3, 1, 0.7)", gain(1.3, 1, 0.7)),
    Condition("cold cast (0.7, 1, 1.3)", gain(0.7, 1, 1.3)),
    Condition("rolled 20 degrees", warp=roll(20)),
    Condition("rolled -20 degrees", warp=roll(-20)),
    Condition("16:9", warp=aspect(16, 9)),
    Condition("2:1", warp=aspect(2, 1)),
    Condition("1:1", warp=aspect(1, 1)),
    Condition("3:4, upright", warp=aspect(3, 4)),
    Condition("9:16, upright", warp=aspect(9, 16)),
)


def measure_robustness(
    model: DepthModel,
    items: Sequence[DepthItem],
    protocol: DepthProtocol,
    conditions: Sequence[Condition] = CONDITIONS,
) -> list[Robustness]:
    """Every frame under every condition.

    Frames that cannot be measured under all of them are left out of all rows, so that rows compare.

    Raises:
        InputError: no frame at all could be measured; the message has the first reason.
    """
    found: list[list[tuple[DepthMetrics, DepthMetrics]]] = []
    reasons: list[str] = []
    for index, item in enumerate(tqdm(items, unit="frame", disable=None)):
        try:
            found.append(_one_frame(model, item.read(), protocol, conditions, index))
        except MergeError as error:
            reasons.append(f"{item.name}: {error}")
    if not found:
        raise InputError(f"none of {len(items)} frames could be measured; the first: {(*reasons, 'there are none')[0]}")
    rows = []
    for condition, pairs in zip(conditions, zip(*found, strict=True), strict=True):
        spoilt, clean = ([pair[which] for pair in pairs] for which in (0, 1))
        rows.append(
            Robustness(
                condition.name,
                float(np.mean([metrics.abs_rel for metrics in spoilt])),
                float(np.mean([metrics.delta1 for metrics in spoilt])),
                float(np.mean([metrics.abs_rel for metrics in clean])),
                float(np.mean([metrics.delta1 for metrics in clean])),
                len(pairs),
            )
        )
    return rows


def write_robustness(rows: Sequence[Robustness], out: Path, about: dict[str, Any]) -> str:
    """`robustness.json` and `robustness.md` in a folder; returns the Markdown table."""
    with atomic_write(out / "robustness.json") as temporary:
        temporary.write_text(json.dumps({**about, "conditions": [asdict(row) for row in rows]}, indent=2) + "\n")
    lines = [
        "| condition | AbsRel | delta1 | clean frame, same pixels: AbsRel | delta1 | AbsRel, times clean |",
        "|---|---|---|---|---|---|",
        *(
            f"| {row.name} | {row.abs_rel:.3f} | {row.delta1:.3f} | {row.clean_abs_rel:.3f} | {row.clean_delta1:.3f} "
            f"| {row.abs_rel / max(row.clean_abs_rel, 1e-9):.2f} |"
            for row in rows
        ),
    ]
    table = "\n".join(lines) + "\n"
    with atomic_write(out / "robustness.md") as temporary:
        temporary.write_text(table)
    return table


def _one_frame(
    model: DepthModel, sample: DepthSample, protocol: DepthProtocol, conditions: Sequence[Condition], index: int
) -> list[tuple[DepthMetrics, DepthMetrics]]:
    """(spoilt, clean) under each condition."""

    def estimate_of(image: Picture, shape: tuple[int, ...]) -> NDArray[np.float32]:
        return at_size(model.estimate(scaled_to_side(image, protocol.processing_side)), shape)

    sample = cut_to(sample, protocol.cut)
    clean = estimate_of(sample.image, sample.depth.shape)
    valid = valid_pixels(sample, protocol)
    pairs = []
    for number, condition in enumerate(conditions):
        image, depth, known, reference = sample.image, sample.depth, valid, clean
        if condition.warp is not None:
            image = np.asarray(condition.warp(image, cv2.INTER_LINEAR), np.uint8)
            depth = condition.warp(depth, cv2.INTER_NEAREST)
            known = condition.warp(known.astype(np.uint8), cv2.INTER_NEAREST) > 0
            reference = condition.warp(clean, cv2.INTER_LINEAR)
        if condition.fault is not None:
            image = condition.fault(image, np.random.default_rng((index, number)))
        untouched = condition.fault is None and condition.warp is None
        estimate = clean if untouched else estimate_of(image, depth.shape)
        pairs.append(
            (
                aligned_metrics(estimate, depth, known, protocol.valid_range),
                aligned_metrics(reference, depth, known, protocol.valid_range),
            )
        )
    return pairs


def _bytes(values: NDArray) -> Picture:
    return np.asarray(np.clip(np.rint(values), 0, 255), np.uint8)
