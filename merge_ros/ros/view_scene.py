"""What the viewer shows, as Rerun entities, and how it is laid out. Knows no node."""

from __future__ import annotations

import math
import os
import socket
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from merge_ros.errors import ConfigurationError, MissingDependencyError
from merge_ros.geometry.camera import Camera
from merge_ros.msg import DepthStatus
from merge_ros.ros.view_options import ViewOptions

APPLICATION = "merge_ros"
TIMELINE = "time"  # since the first message, by stamps: a simulation's clock begins anywhere
MEMORY = "512MB"  # that the server keeps for pages that are opened later
JPEG_QUALITY = 80
FAR = 6.0  # metres at the end of the depth colours
PLOTTED = 30.0  # seconds that the plots show
# Behind the camera, above and to the right of it, looking at what is 2.5 m before it; x right, y down, z forward.
EYE, LOOK_AT, UP = (0.9, -1.3, -1.6), (0.0, 0.2, 2.5), (0.0, -1.0, 0.0)
STATES = {
    DepthStatus.SCALE_NONE: ("NONE", 0x888888FF),
    DepthStatus.SCALE_SEARCHING: ("SEARCHING", 0xE6B422FF),
    DepthStatus.SCALE_LOCKED: ("LOCKED", 0x3DA35DFF),
    DepthStatus.SCALE_HOLDING: ("HOLDING", 0x3D7BCCFF),
    DepthStatus.SCALE_LOST: ("LOST", 0xC8372DFF),
}
SIGMAS = {1: "sigma_1m", 3: "sigma_3m", 5: "sigma_5m"}  # by metres
LATENCIES = {"total": "latency_total_ms", "inference": "latency_inference_ms"}


class ViewScene:
    """A Rerun recording in a window, in a web page, and in a file if asked for.

    Args:
        options: where to.
        tell: takes lines for the user.

    Raises:
        MissingDependencyError: Rerun is not installed.
        ConfigurationError: a port is taken, or the recording cannot be written.
    """

    def __init__(self, options: ViewOptions, tell: Callable[[str], None]) -> None:
        try:
            import rerun
        except ImportError as error:
            raise MissingDependencyError("rerun-sdk", "view", "the viewer") from error
        self._rerun: Any = rerun
        self._first: int | None = None
        self._state: int | None = None
        self._problem: str | None = None  # nothing was said yet
        self._camera: Camera | None = None
        self._recording: Any = rerun.RecordingStream(APPLICATION)
        self._open(options, tell)
        self._describe()

    def at(self, stamp: int) -> None:
        """What follows belongs to this moment, in nanoseconds."""
        self._first = stamp if self._first is None else self._first
        self._recording.set_time(TIMELINE, duration=(stamp - self._first) * 1e-9)

    def image(self, rgb: NDArray[np.uint8]) -> None:
        """The camera's picture, [height, width, 3]."""
        self._log("camera/image", self._rerun.Image(rgb).compress(jpeg_quality=JPEG_QUALITY))

    def camera(self, camera: Camera) -> None:
        """The pinhole of picture and depth."""
        if camera != self._camera:
            self._camera = camera
            self._log(
                "camera",
                self._rerun.Pinhole(
                    image_from_camera=camera.matrix,
                    resolution=(camera.width, camera.height),
                    camera_xyz=self._rerun.ViewCoordinates.RDF,
                    image_plane_distance=0.4,
                ),
            )

    def depth(self, metres: NDArray[np.floating]) -> None:
        """Metric depth, [height, width]; not finite is unknown, which is 0 for Rerun. Kept in millimetres."""
        known = np.where(np.isfinite(metres), metres, 0)
        millimetres = np.rint(np.clip(known * 1000, 0, 65535)).astype(np.uint16)
        turbo = self._rerun.components.Colormap.Turbo
        self._log(
            "camera/depth",
            self._rerun.DepthImage(millimetres, meter=1000.0, depth_range=(0, 1000 * FAR), colormap=turbo),
        )

    def points(self, points: NDArray[np.floating], colours: NDArray[np.uint8] | None) -> None:
        """The cloud, [n, 3] metres in the optical frame."""
        self._log("points", self._rerun.Points3D(points, colors=colours, radii=self._rerun.Radius.ui_points(1.5)))

    def status(self, status: DepthStatus) -> None:
        """State and uncertainty of the metric scale, latency, and whatever is wrong."""
        if status.scale_state != self._state:
            self._state = status.scale_state
            self._log("scale/state", self._rerun.StateChange(state=_state_name(status.scale_state)))
        for metres, field in SIGMAS.items():
            self._plot(f"scale/uncertainty/at_{metres}m", 100 * getattr(status, field) / metres)
        for name, field in LATENCIES.items():
            self._plot(f"latency/{name}", getattr(status, field))
        problem = status.error_text or status.scale_reason
        if problem != self._problem:
            self._problem = problem
            level = self._rerun.TextLogLevel.WARN if problem else self._rerun.TextLogLevel.INFO
            self._log("messages", self._rerun.TextLog(problem or "all is well", level=level))

    def close(self) -> None:
        """Hand everything over: a recording is complete then."""
        self._recording.flush()
        self._recording.disconnect()

    def _plot(self, entity: str, value: float) -> None:
        if math.isfinite(value):
            self._log(entity, self._rerun.Scalars(value))

    def _log(self, entity: str, what: Any, static: bool = False) -> None:
        self._recording.log(entity, what, static=static)

    def _open(self, options: ViewOptions, tell: Callable[[str], None]) -> None:
        rerun, sinks = self._rerun, []
        if options.record is not None:
            options.record.parent.mkdir(parents=True, exist_ok=True)
            sinks.append(rerun.FileSink(str(options.record)))
        if options.web or not _has_display():
            data = options.port + 1
            for port in (options.port, data):
                _require_free(port)
            sinks.append(rerun.GrpcServerSink(port=data, server_memory_limit=MEMORY))
            address = f"rerun+http://localhost:{data}/proxy"
            rerun.serve_web_viewer(web_port=options.port, open_browser=False, connect_to=address)
            tell(f"the view is at http://localhost:{options.port}/?url={address}")
        else:
            rerun.spawn(connect=False)
            sinks.append(rerun.GrpcSink())
        self._recording.set_sinks(*sinks, default_blueprint=blueprint(rerun))

    def _describe(self) -> None:
        """What holds for the whole recording."""
        rerun = self._rerun
        self._log("/", rerun.ViewCoordinates.RDF, static=True)
        names, colours = zip(*STATES.values(), strict=True)
        self._log("scale/state", rerun.StateConfiguration(values=names, colors=colours), static=True)
        for metres in SIGMAS:
            self._log(f"scale/uncertainty/at_{metres}m", rerun.SeriesLines(names=f"at {metres} m"), static=True)
        for name in LATENCIES:
            self._log(f"latency/{name}", rerun.SeriesLines(names=name), static=True)


def blueprint(rerun: Any) -> Any:
    """Pictures on the left, the cloud in the middle, scale and latency over time below."""
    from rerun import blueprint as rrb

    recent = rrb.VisibleTimeRange(
        TIMELINE,
        start=rrb.TimeRangeBoundary.cursor_relative(seconds=-PLOTTED),
        end=rrb.TimeRangeBoundary.cursor_relative(),
    )
    return rrb.Blueprint(
        rrb.Vertical(
            rrb.Horizontal(
                rrb.Vertical(
                    rrb.Spatial2DView(origin="/camera/image", name="Camera"),
                    rrb.Spatial2DView(origin="/camera/depth", name="Metric depth"),
                ),
                rrb.Spatial3DView(
                    origin="/",
                    contents=["/points", "/camera", "/camera/image"],
                    name="Points",
                    eye_controls=rrb.EyeControls3D(position=EYE, look_target=LOOK_AT, eye_up=UP),
                ),
                column_shares=[1, 2],
            ),
            rrb.Horizontal(
                rrb.StateTimelineView(origin="/scale/state", name="Metric scale"),
                rrb.TimeSeriesView(origin="/scale/uncertainty", name="1-sigma of the range, %", time_ranges=recent),
                rrb.TimeSeriesView(origin="/latency", name="Latency, ms", time_ranges=recent),
                rrb.TextLogView(origin="/messages", name="Messages"),
            ),
            row_shares=[3, 1],
        ),
        collapse_panels=True,
    )


def _state_name(state: int) -> str:
    return STATES[state][0] if state in STATES else f"unknown ({state})"


def _has_display() -> bool:
    return sys.platform in ("darwin", "win32") or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def _require_free(port: int) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("0.0.0.0", port))
        except OSError as error:
            raise ConfigurationError(
                f"port {port} cannot be used ({error.strerror}); choose another with --port"
            ) from None
