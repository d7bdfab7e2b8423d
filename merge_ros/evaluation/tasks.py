"""What `evaluate` measures: depth by a protocol, or normals."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from merge_ros.evaluation.metrics import DepthMetrics
from merge_ros.evaluation.models import DepthModel, NormalsModel
from merge_ros.evaluation.normals import NormalsMetrics, measure_normals
from merge_ros.evaluation.protocol import DepthProtocol, measure
from merge_ros.evaluation.sample import DepthItem, NormalsItem
from merge_ros.evaluation.sheet import Picture, depth_panels, normals_panels


@dataclass(frozen=True)
class DepthTask:
    """Depth by a protocol; a `merge_ros.evaluation.evaluate.Task`."""

    model: DepthModel
    protocol: DepthProtocol
    columns: ClassVar[dict[str, str]] = {
        "abs_rel": "abs_rel",
        "delta1": "delta1",
        "rmse": "rmse_m",
        "n": "valid_pixels",
    }
    summarised: ClassVar[tuple[str, ...]] = ("abs_rel", "delta1")

    def measure(self, item: DepthItem) -> DepthMetrics:
        """See `merge_ros.evaluation.protocol.measure`."""
        return measure(item.read(), self.model, self.protocol).metrics

    def restore(self, record: dict[str, Any]) -> DepthMetrics:
        """From a journal's record."""
        return DepthMetrics(**record)

    def badness(self, metrics: DepthMetrics) -> float:
        """AbsRel."""
        return metrics.abs_rel

    def panels(self, item: DepthItem) -> tuple[list[Picture], str]:
        """Image, truth, prediction, error."""
        measured = measure(item.read(), self.model, self.protocol)
        metrics = measured.metrics
        return depth_panels(measured), f"{item.name}  AbsRel {metrics.abs_rel:.3f}  delta1 {metrics.delta1:.3f}"


@dataclass(frozen=True)
class NormalsTask:
    """Surface normals; a `merge_ros.evaluation.evaluate.Task`."""

    model: NormalsModel
    processing_side: int | None = None
    columns: ClassVar[dict[str, str]] = {
        "mean": "mean_deg",
        "median": "median_deg",
        "within_11_25": "within_11_25",
        "within_22_5": "within_22_5",
        "within_30": "within_30",
        "n": "known_pixels",
    }
    summarised: ClassVar[tuple[str, ...]] = ("mean", "median", "within_11_25", "within_22_5", "within_30")

    def measure(self, item: NormalsItem) -> NormalsMetrics:
        """See `merge_ros.evaluation.normals.measure_normals`."""
        return measure_normals(item.read(), self.model, self.processing_side).metrics

    def restore(self, record: dict[str, Any]) -> NormalsMetrics:
        """From a journal's record."""
        return NormalsMetrics(**record)

    def badness(self, metrics: NormalsMetrics) -> float:
        """The mean angle."""
        return metrics.mean

    def panels(self, item: NormalsItem) -> tuple[list[Picture], str]:
        """Image, truth, prediction, angle."""
        measured = measure_normals(item.read(), self.model, self.processing_side)
        return normals_panels(measured), f"{item.name}  mean {measured.metrics.mean:.1f} deg"
