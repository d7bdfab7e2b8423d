"""Metric scale: from a frame's relative depth to metres, how sure that is, or why it is not known. Knows no ROS."""

from merge_ros.scale.estimate import REPORTED_AT, ScaleEstimate, ScaleState
from merge_ros.scale.lock import ScaleLock
from merge_ros.scale.reference import Reference, make_reference
from merge_ros.scale.returns import RangeReturns, Returns
from merge_ros.scale.scale import FixedScale, NoScale, Scale, make_scale
from merge_ros.scale.transforms import Transforms

__all__ = [
    "REPORTED_AT",
    "FixedScale",
    "NoScale",
    "RangeReturns",
    "Reference",
    "Returns",
    "Scale",
    "ScaleEstimate",
    "ScaleLock",
    "ScaleState",
    "Transforms",
    "make_reference",
    "make_scale",
]
