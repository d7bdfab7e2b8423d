"""Pictures of a run: a sheet of frames side by side, and an animation."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from numpy.typing import NDArray

from merge_ros.errors import MissingDependencyError
from merge_ros.files import atomic_write
from merge_ros.geometry.camera import Camera
from merge_ros.geometry.depth import colourise
from merge_ros.geometry.ground import down_in_camera
from merge_ros.geometry.pointcloud import back_project

if TYPE_CHECKING:
    from PIL.Image import Image

SHEET_ROWS = 4
GIF_FRAMES = 60  # at most; longer runs are thinned
GIF_SCALE = 0.75
GAP, BAR_HEIGHT, TITLE_HEIGHT, LABEL_HEIGHT = 8, 14, 30, 22  # pixels
TEXT_SIZE = 15
INK, FAINT, PAPER = (25, 25, 25), (110, 110, 110), (255, 255, 255)
WORST_ERROR = 0.5  # of the true depth, at the end of the error colours
NO_DATA = (150, 150, 150)
OBSTACLES = (0.1, 1.5)  # metres above the floor: what the top view shows
TRUE_COLOUR, OUR_COLOUR = (150, 150, 150), (20, 90, 220)


@dataclass(frozen=True)
class View:
    """How the camera of the recording sees.

    Args:
        camera: the intrinsics.
        height: metres over the floor.
        pitch: radians, positive looks down.
    """

    camera: Camera
    height: float
    pitch: float


def draw_pictures(frames: Path, out: Path, view: View) -> None:
    """Write sheet.png and drive.gif.

    Args:
        frames: .npz with the fields of `KeptFrame`, an array each.
        out: folder, which exists.
        view: of the full frames.

    Raises:
        MissingDependencyError: Pillow is not installed.
    """
    with np.load(frames) as stored:
        arrays: dict[str, NDArray[Any]] = {name: stored[name] for name in stored.files}
    far = nice_limit(arrays["truth"])
    with atomic_write(out / "sheet.png") as temporary:
        draw_sheet(arrays, far).save(temporary, optimize=True)
    animation = draw_animation(arrays, far, view)
    pause = 1000 * float(np.median(np.diff(arrays["time"]))) if len(animation) > 1 else 500.0
    thinned = math.ceil(len(arrays["time"]) / len(animation))
    with atomic_write(out / "drive.gif") as temporary:
        first, *others = (frame.quantize(256) for frame in animation)
        first.save(temporary, save_all=True, append_images=others, duration=round(pause * thinned), loop=0)


def nice_limit(truth: NDArray[np.float32]) -> float:
    """A round upper end for the depth colours: the first full metre above 98 % of the true depths."""
    return float(max(1, math.ceil(np.nanquantile(truth[np.isfinite(truth)], 0.98))))


def draw_sheet(arrays: dict[str, NDArray[Any]], far: float) -> Image:
    """Rows of frames spread evenly over the run: camera, true depth, our depth, error; colour bars below."""
    count = len(arrays["time"])
    rows = sorted({round(index) for index in np.linspace(0, count - 1, min(SHEET_ROWS, count))})
    height, width = arrays["truth"].shape[1:]
    page, draw, font = _page(4 * (width + GAP) + GAP, TITLE_HEIGHT + len(rows) * (height + LABEL_HEIGHT) + 72)
    titles = ("camera", "true depth", "/merge/depth", "error of /merge/depth, not aligned")
    for column, title in enumerate(titles):
        draw.text((GAP + column * (width + GAP), 7), title, INK, font)
    for row, index in enumerate(rows):
        top = TITLE_HEIGHT + row * (height + LABEL_HEIGHT)
        truth, depth = arrays["truth"][index], arrays["depth"][index]
        panels = (
            arrays["rgb"][index],
            _depth_colours(truth, far),
            _depth_colours(depth, far),
            error_colours(depth, truth),
        )
        for column, panel in enumerate(panels):
            _paste(page, panel, GAP + column * (width + GAP), top)
        label = f"{arrays['time'][index]:.1f} s"
        draw.text((GAP, top + height + 2), label, FAINT, font)
        scores = f"AbsRel {arrays['abs_rel'][index]:.3f}"
        draw.text((GAP + 3 * (width + GAP), top + height + 2), scores, FAINT, font)
        latency = f"{arrays['latency_ms'][index]:.0f} ms after the image"
        draw.text((GAP + 2 * (width + GAP), top + height + 2), latency, FAINT, font)
    bottom = TITLE_HEIGHT + len(rows) * (height + LABEL_HEIGHT) + 8
    ramp = np.linspace(0, 1, width)[None].repeat(BAR_HEIGHT, 0)
    for column in (1, 2):
        bar = colourise(ramp * far, 0.0, far)
        _bar(
            page,
            draw,
            font,
            bar,
            GAP + column * (width + GAP),
            bottom,
            [f"{m:g}" for m in np.linspace(0, far, 5)],
            "metres",
        )
    errors = [f"{share:.0%}" for share in np.linspace(0, WORST_ERROR, 3)]
    _bar(page, draw, font, error_ramp(ramp), GAP + 3 * (width + GAP), bottom, errors, "|depth - truth| / truth")
    return page


def draw_animation(arrays: dict[str, NDArray[Any]], far: float, view: View) -> list[Image]:
    """Frames: camera, true depth, our depth, and the obstacles of both from above."""
    height, width = arrays["truth"].shape[1:]
    view = replace(view, camera=thinned_camera(view.camera, width, height, int(arrays["step"][0])))
    pictures = []
    for index in range(0, len(arrays["time"]), math.ceil(len(arrays["time"]) / GIF_FRAMES)):
        rgb, truth, depth = (arrays[key][index] for key in ("rgb", "truth", "depth"))
        above = top_view(depth, truth, view, far, height)
        page, draw, font = _page(3 * (width + GAP) + height + 2 * GAP, TITLE_HEIGHT + height + GAP)
        panels = (rgb, _depth_colours(truth, far), _depth_colours(depth, far), above)
        titles = (
            f"camera, {arrays['time'][index]:.1f} s",
            f"true depth, 0 to {far:g} m",
            "/merge/depth",
            f"from above, {far:g} m: blue ours, grey true",
        )
        for column, (title, panel) in enumerate(zip(titles, panels, strict=True)):
            draw.text((GAP + column * (width + GAP), 7), title, INK, font)
            _paste(page, panel, GAP + column * (width + GAP), TITLE_HEIGHT)
        pictures.append(page.resize((round(page.width * GIF_SCALE), round(page.height * GIF_SCALE))))
    return pictures


def thinned_camera(camera: Camera, width: int, height: int, step: int) -> Camera:
    """The camera of every step-th pixel, starting with the one at step // 2."""
    cx, cy = (camera.cx - step // 2) / step, (camera.cy - step // 2) / step
    return Camera(width, height, camera.fx / step, camera.fy / step, cx, cy)


def top_view(
    depth: NDArray[np.float32], truth: NDArray[np.float32], view: View, reach: float, side: int
) -> NDArray[np.uint8]:
    """What stands on the floor, seen from above with the camera at the bottom centre: [side, side, 3] uint8.

    Args:
        depth, truth: [height, width] metres; drawn in blue over grey.
        view: the camera of these maps.
        reach: metres ahead, and across, that are shown.
        side: pixels.
    """
    canvas = np.full((side, side, 3), PAPER, np.uint8)
    down = down_in_camera(view.pitch, 0.0)
    forward = np.array([0.0, -down[2], down[1]])  # level, straight ahead
    for layer, colour in ((truth, TRUE_COLOUR), (depth, OUR_COLOUR)):
        points = back_project(layer, view.camera)
        points = points[np.isfinite(points[..., 2])]
        above_floor = view.height - points @ down
        points = points[(above_floor > OBSTACLES[0]) & (above_floor < OBSTACLES[1])]
        column = np.floor(side / 2 + points[:, 0] * side / reach).astype(int)
        row = side - 1 - np.floor(points @ forward * side / reach).astype(int)
        shown = (column >= 0) & (column < side) & (row >= 0) & (row < side)
        canvas[row[shown], column[shown]] = colour
        if layer is truth:  # in thick lines, so that ours do not hide them
            marked = (canvas == colour).all(-1).astype(np.uint8)
            canvas[cv2.dilate(marked, np.ones((3, 3), np.uint8)) > 0] = colour
    return canvas


def error_colours(depth: NDArray[np.float32], truth: NDArray[np.float32]) -> NDArray[np.uint8]:
    """|depth - truth| / truth in colours from white (none) to dark red (`WORST_ERROR` or more); grey where unknown."""
    known = np.isfinite(depth) & np.isfinite(truth)
    error = np.abs(np.where(known, depth, 0) - np.where(known, truth, 1)) / np.where(known, truth, 1)
    colours = error_ramp(np.clip(error / WORST_ERROR, 0, 1))
    colours[~known] = NO_DATA
    return colours


def error_ramp(position: NDArray[np.floating]) -> NDArray[np.uint8]:
    """Colours of [0, 1]: white, yellow, red, dark."""
    stops = np.array([(255, 255, 255), (254, 217, 118), (227, 26, 28), (60, 0, 20)], np.float64)
    channels = [np.interp(position * (len(stops) - 1), np.arange(len(stops)), stops[:, c]) for c in range(3)]
    colours: NDArray[np.uint8] = np.rint(np.stack(channels, -1)).astype(np.uint8)
    return colours


def _depth_colours(depth: NDArray[np.float32], far: float) -> NDArray[np.uint8]:
    colours = colourise(depth, 0.0, far)
    colours[np.isnan(depth)] = NO_DATA
    return colours


def _page(width: int, height: int) -> tuple[Image, Any, Any]:
    try:
        from PIL import Image as image
        from PIL import ImageDraw, ImageFont
    except ImportError as error:
        raise MissingDependencyError("pillow", "demo", "drawing the pictures") from error
    page = image.new("RGB", (width, height), PAPER)
    return page, ImageDraw.Draw(page), ImageFont.load_default(TEXT_SIZE)


def _paste(page: Image, panel: NDArray[np.uint8], left: int, top: int) -> None:
    from PIL import Image as image

    page.paste(image.fromarray(panel), (left, top))


def _bar(
    page: Image, draw: Any, font: Any, colours: NDArray[np.uint8], left: int, top: int, ticks: list[str], unit: str
) -> None:
    _paste(page, colours, left, top)
    width = colours.shape[1]
    for index, tick in enumerate(ticks):
        x = left + (width - 1) * index // (len(ticks) - 1)
        anchor = "la" if index == 0 else "ra" if index == len(ticks) - 1 else "ma"
        draw.text((x, top + BAR_HEIGHT + 3), tick, INK, font, anchor=anchor)
    draw.text((left + width // 2, top + BAR_HEIGHT + 22), unit, FAINT, font, anchor="ma")
