"""The zero-shot depth protocol of Marigold (Ke et al., CVPR 2024, arXiv 2312.02145), with what differs per set as data.

MERGE reports with it. The sets themselves are in `merge_ros.evaluation.benchmarks`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from merge_ros.errors import ConfigurationError, DatasetError
from merge_ros.evaluation.metrics import DepthMetrics, align, metric_metrics
from merge_ros.evaluation.models import DepthModel
from merge_ros.evaluation.sample import DepthSample


@dataclass(frozen=True)
class Window:
    """The part of an image in which truth counts.

    Args:
        top, bottom, left, right: first row and column, and those after the last; in pixels, or as shares of height and
            width, which are rounded down to pixels.
        shares: whether they are shares.
    """

    top: float
    bottom: float
    left: float
    right: float
    shares: bool = False

    def mask(self, height: int, width: int) -> NDArray[np.bool_]:
        """[height, width] bool, true inside."""
        y, x = (height, width) if self.shares else (1, 1)
        inside = np.zeros((height, width), bool)
        inside[int(self.top * y) : int(self.bottom * y), int(self.left * x) : int(self.right * x)] = True
        return inside


@dataclass(frozen=True)
class DepthProtocol:
    """What one data set asks for.

    Args:
        valid_range: metres (low, high), 0 < low < high; predictions are clipped to it after the alignment.
        range_masks: whether truth outside the range (or on its ends) is left out too.
        cut: (height, width) to which image and truth are cut first: the lowest rows, the middle columns.
        window: where truth counts after that; None: everywhere.
        fit_side: scale and shift are fitted on every n-th row and column, so that the longer side has so many; None: on
            all pixels.
        processing_side: the model gets the image with its longer side scaled to this; None: as it is.

    Raises:
        ConfigurationError: the range is not one, or a side is below 1.
    """

    valid_range: tuple[float, float]
    range_masks: bool = True
    cut: tuple[int, int] | None = None
    window: Window | None = None
    fit_side: int | None = None
    processing_side: int | None = None

    def __post_init__(self) -> None:
        low, high = self.valid_range
        if not 0 < low < high:
            raise ConfigurationError(f"valid range {low} to {high} m must satisfy 0 < low < high")
        for name, side in (("fit_side", self.fit_side), ("processing_side", self.processing_side)):
            if side is not None and side < 1:
                raise ConfigurationError(f"{name}={side} must be at least 1 pixel")


@dataclass(frozen=True)
class MeasuredDepth:
    """A measured image, for those who want to see it.

    Args:
        sample: cut as the protocol asks.
        valid: [h, w] bool, the pixels that count.
        aligned: [h, w] float64 metres, the prediction after fit and clip; also where nothing is valid.
        metrics: of the valid pixels.
    """

    sample: DepthSample
    valid: NDArray[np.bool_]
    aligned: NDArray[np.float64]
    metrics: DepthMetrics


def measure(sample: DepthSample, model: DepthModel, protocol: DepthProtocol) -> MeasuredDepth:
    """The protocol, in order.

    Raises:
        DatasetError: the image is smaller than the cut, or the mask does not fit the truth.
        InputError: nothing is valid, or the prediction is not finite there.
        ScaleError: the prediction is constant.
    """
    sample = cut_to(sample, protocol.cut)
    prediction = model.estimate(scaled_to_side(sample.image, protocol.processing_side))
    prediction = at_size(prediction, sample.depth.shape)
    valid = valid_pixels(sample, protocol)
    fit_on = valid & sparse_grid(sample.depth.shape, protocol.fit_side)
    aligned = align(prediction, sample.depth, fit_on, protocol.valid_range, model.space)
    return MeasuredDepth(sample, valid, aligned, metric_metrics(aligned, sample.depth, valid))


def cut_to(sample: DepthSample, size: tuple[int, int] | None) -> DepthSample:
    """Image, truth and mask cut to (height, width): the lowest rows and the middle columns of each.

    Raises:
        DatasetError: one is smaller.
    """
    if size is None:
        return sample
    height, width = size
    for array in (sample.image, sample.depth):
        if array.shape[0] < height or array.shape[1] < width:
            raise DatasetError(
                f"{array.shape[1]}x{array.shape[0]} pixels are smaller than the {width}x{height} of this protocol"
            )

    def part(array: NDArray) -> NDArray:
        top, left = array.shape[0] - height, int((array.shape[1] - width) / 2)
        return array[top : top + height, left : left + width]

    mask = None if sample.mask is None else part(sample.mask)
    return replace(sample, image=part(sample.image), depth=part(sample.depth), mask=mask)


def valid_pixels(sample: DepthSample, protocol: DepthProtocol) -> NDArray[np.bool_]:
    """[h, w] bool: the pixels that count.

    Raises:
        DatasetError: the data set's own mask has another size than its truth.
    """
    low, high = protocol.valid_range
    valid = np.ones(sample.depth.shape, bool)
    if sample.mask is not None:
        if sample.mask.shape != sample.depth.shape:
            raise DatasetError(f"mask {sample.mask.shape} and depth {sample.depth.shape} differ in size")
        valid &= sample.mask
    if protocol.range_masks:
        valid &= np.isfinite(sample.depth) & (sample.depth > low) & (sample.depth < high)
    if protocol.window is not None:
        valid &= protocol.window.mask(*sample.depth.shape)
    return valid


def sparse_grid(shape: tuple[int, ...], side: int | None) -> NDArray[np.bool_]:
    """[h, w] bool: the pixels that nearest-neighbour scaling to a longer side of `side` keeps; all if it is smaller."""
    height, width = shape
    factor = math.inf if side is None else side / max(height, width)
    if factor >= 1:
        return np.ones((height, width), bool)
    grid = np.zeros((height, width), bool)
    rows, columns = ((np.arange(int(length * factor)) / factor).astype(np.intp) for length in (height, width))
    grid[np.ix_(rows, columns)] = True
    return grid


def scaled_to_side(image: NDArray[np.uint8], side: int | None) -> NDArray[np.uint8]:
    """[H, W, 3] with its longer side scaled to `side`; None leaves it."""
    height, width = image.shape[:2]
    if side is None or max(height, width) == side:
        return image
    factor = side / max(height, width)
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    # Area averaging is bilinear with antialiasing, near enough; it is OpenCV's advice for shrinking.
    interpolation = cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(image, size, interpolation=interpolation), np.uint8)


def at_size(prediction: NDArray[np.float32], shape: tuple[int, ...]) -> NDArray[np.float32]:
    """A map [h, w] or [h, w, n] scaled to (height, width), bilinear."""
    height, width = shape[:2]
    if prediction.shape[:2] == (height, width):
        return prediction
    return np.asarray(cv2.resize(prediction, (width, height), interpolation=cv2.INTER_LINEAR), np.float32)
