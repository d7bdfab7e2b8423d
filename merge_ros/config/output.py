"""What is published of a metric depth map: its range, the cloud, the scan."""

from __future__ import annotations

from dataclasses import dataclass

from merge_ros.config.allowed import in_range, one_of
from merge_ros.errors import ConfigurationError


@dataclass(frozen=True)
class OutputSettings:
    """What is published of a metric depth map.

    Args:
        near, far: metres; depth outside becomes NaN (nearer) or +Inf (farther) as REP 118 has it. 0 < near < far.
        farthest: what pixels become at which the model's output saturates, as it does in the farthest 2 % of a view:
            they are at least so far. "surface": the depth at which that begins; "unknown": NaN; "open": +Inf, which is
            right for the sky and wrong for a wall.
        edge_filter: smallest relative step of an edge whose pixels in between become NaN
            (`merge_ros.geometry.flying_pixels`); 0: all stay.
        depth_encoding: of the depth image, "32FC1" (metres) or "16UC1" (millimetres, 0 where not known or too far).
        output_width, output_height: pixels of all that is published; 0: as the image, or in proportion to the other.

    Raises:
        ConfigurationError: a value is not allowed.
    """

    near: float = 0.05
    far: float = 20.0
    farthest: str = "surface"
    edge_filter: float = 0.0
    depth_encoding: str = "32FC1"
    output_width: int = 0
    output_height: int = 0

    def __post_init__(self) -> None:
        for name in ("near", "far", "edge_filter", "output_width", "output_height"):
            in_range(name, getattr(self, name))
        one_of("farthest", self.farthest)
        one_of("depth_encoding", self.depth_encoding)
        if not self.near < self.far:
            raise ConfigurationError(f"near={self.near} m must be smaller than far={self.far} m")

    def size_for(self, width: int, height: int) -> tuple[int, int]:
        """(width, height) of what is published for an image of this size, each at least 1 pixel."""
        wide, high = self.output_width, self.output_height
        if not wide and not high:
            return width, height
        return wide or max(1, round(width * high / height)), high or max(1, round(height * wide / width))


@dataclass(frozen=True)
class CloudSettings:
    """Which points of a metric depth map are published, and how often.

    Args:
        cloud_stride: every n-th pixel of every n-th row becomes a point, >= 1.
        cloud_range: metres from the camera, past which there are no points; 0: as far as depth goes.
        cloud_open: a direction in which nothing is seen up to `cloud_range` gets a point at that distance instead of
            none: a costmap clears only along rays that end in a finite point.
        cloud_voxel: metres; the points in each cube of this edge become one, their mean; 0: all points stay.
        cloud_dense: only points that are known, in one row, instead of one for each pixel with NaN for the unknown.
            Voxels imply it.
        cloud_rate: clouds per second at most, by the stamps of the images; 0: one for each image.
    """

    cloud_stride: int = 1
    cloud_range: float = 0.0
    cloud_open: bool = False
    cloud_voxel: float = 0.0
    cloud_dense: bool = False
    cloud_rate: float = 0.0

    def __post_init__(self) -> None:
        in_range("cloud_stride", self.cloud_stride)
        in_range("cloud_range", self.cloud_range)
        in_range("cloud_voxel", self.cloud_voxel)
        in_range("cloud_rate", self.cloud_rate)


@dataclass(frozen=True)
class ScanSettings:
    """The laser scan that is cut out of a metric depth map.

    Args:
        scan_min_height, scan_max_height: metres over the floor; what lies between them is an obstacle of the scan.
        scan_range: metres over the floor, past which the scan says "nothing"; > 0.
        scan_frame: frame of the scan: its origin the optical centre, level, x forward, z up. "": the camera's frame
            with "_level" behind it, which the node publishes on /tf.
    """

    scan_min_height: float = 0.1
    scan_max_height: float = 1.0
    scan_range: float = 5.0
    scan_frame: str = ""

    def __post_init__(self) -> None:
        in_range("scan_min_height", self.scan_min_height)
        in_range("scan_max_height", self.scan_max_height)
        in_range("scan_range", self.scan_range)
        if not self.scan_min_height < self.scan_max_height:
            raise ConfigurationError(
                f"scan_min_height={self.scan_min_height} m must be smaller than "
                f"scan_max_height={self.scan_max_height} m"
            )
