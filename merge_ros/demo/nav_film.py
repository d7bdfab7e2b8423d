"""A drive under Nav2 from above: the true room, what the costmap made of /merge/points, the plan, and the way taken."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from numpy.typing import NDArray

from merge_ros.errors import MissingDependencyError
from merge_ros.files import atomic_write
from merge_ros.geometry.depth import colourise
from merge_ros.simulation.errand import Errand
from merge_ros.simulation.robot import Pose, RobotSettings
from merge_ros.simulation.top_view import TopView, top_view

if TYPE_CHECKING:
    from PIL.Image import Image

Rgb = NDArray[np.uint8]

PLAN_SIZE = (420, 420)  # pixels
SIDE = 224  # pixels, width of the robot's own views
MARGIN, GAP = 0.6, 6  # metres around the room; pixels between panels
CAPTION = 54  # pixels
FAR = 6.0  # metres at the end of the depth colours
PAPER, INK, FAINT = (24, 26, 30), (235, 235, 235), (150, 150, 155)
LETHAL, NEAR_THINGS, UNSEEN = (255, 40, 110), (255, 170, 60), (24, 26, 30)
PLAN, TRACK, GOAL, BODY = (60, 230, 120), (90, 190, 255), (255, 225, 60), (255, 255, 255)
FRAMES = 60  # of the film at most
MILLISECONDS = 110  # per frame
LAST = 3000  # milliseconds
COLOURS = 128  # of the film's palette


def draw_film(errand: Errand, settings: RobotSettings, recorded: Path, outcome: str) -> list[Image]:
    """The pictures of a drive, the last one with its outcome.

    Args:
        errand: that was driven.
        settings: of the robot.
        recorded: drive.npz of `drive_recorder`.
        outcome: for the caption.

    Raises:
        MissingDependencyError: Pillow, MuJoCo or OpenGL is missing.
    """
    drive = dict(np.load(recorded))
    view = _view(errand, drive)
    chosen = np.unique(np.linspace(0, len(drive["seconds"]) - 1, FRAMES).astype(int))
    pictures = []
    for index in chosen:
        last = index == chosen[-1]
        plan = _from_above(errand, settings, view, drive, int(index))
        own = _own_views(drive["image"][index], drive["depth"][index])
        elapsed = drive["seconds"][index] - drive["seconds"][0]
        words = f"{elapsed:5.1f} s   scale {drive['state'][index]}{'   ' + outcome if last else ''}"
        pictures.append(_page(plan, own, words))
    return pictures


def write_gif(pictures: Sequence[Image], path: Path) -> None:
    """One palette for all pictures, as the room is the same in all; with the lines' colours, which are few pixels."""
    from PIL import Image as image

    lines = (LETHAL, PLAN, TRACK, GOAL, BODY)
    some = [pictures[index] for index in np.linspace(0, len(pictures) - 1, 4).astype(int)]
    together = image.fromarray(np.concatenate([np.asarray(picture) for picture in some]))
    palette = together.quantize(COLOURS - len(lines))
    colours = (palette.getpalette() or [])[: 3 * (COLOURS - len(lines))]
    palette.putpalette([*colours, *(value for line in lines for value in line)])
    frames = [picture.quantize(palette=palette, dither=image.Dither.NONE) for picture in pictures]
    durations = [MILLISECONDS] * (len(frames) - 1) + [LAST]
    with atomic_write(path) as temporary:
        frames[0].save(
            temporary, format="GIF", save_all=True, append_images=frames[1:], duration=durations, loop=0, optimize=True
        )


def _view(errand: Errand, drive: dict[str, NDArray[Any]]) -> TopView:
    """The part of the room around start, goal and track."""
    track = _in_room(errand, drive["track"][:, 1:3])
    places = np.vstack([track, [[errand.goal.x, errand.goal.y]]])
    low = np.maximum(places.min(0) - 2.5, [-MARGIN, -MARGIN])
    high = np.minimum(places.max(0) + 2.5, [errand.scene.length + MARGIN, errand.scene.width + MARGIN])
    return top_view(errand.scene, (low[0], low[1]), (high[0], high[1]), PLAN_SIZE)


def _in_room(errand: Errand, points: NDArray[np.floating]) -> NDArray[np.float64]:
    """Points [..., 2] of the odometry's frame, in the room."""
    start = errand.start
    cos, sin = math.cos(start.heading), math.sin(start.heading)
    turn = np.array([[cos, -sin], [sin, cos]])
    return np.asarray(points @ turn.T + [start.x, start.y])


def _in_odometry(errand: Errand, points: NDArray[np.floating]) -> NDArray[np.float64]:
    start = errand.start
    cos, sin = math.cos(start.heading), math.sin(start.heading)
    turn = np.array([[cos, -sin], [sin, cos]])
    return np.asarray((points - [start.x, start.y]) @ turn)


def _from_above(
    errand: Errand, settings: RobotSettings, view: TopView, drive: dict[str, NDArray[Any]], index: int
) -> Rgb:
    canvas = _with_costmap(view, errand, drive["grid"][index], drive["origin"][index])
    ends = drive["path_ends"]
    path = drive["path_points"][ends[index - 1] if index else 0 : ends[index]]
    track = drive["track"][drive["track"][:, 0] <= drive["seconds"][index] + 1e-6, 1:3]
    _line(canvas, view.pixels(_in_room(errand, track)), TRACK, 2)
    _line(canvas, view.pixels(_in_room(errand, path)), PLAN, 2)

    goal = view.pixels(np.array([[errand.goal.x, errand.goal.y]]))[0]
    cv2.drawMarker(canvas, _point(goal), GOAL, cv2.MARKER_STAR, 16, 2, cv2.LINE_AA)
    x, y, heading = drive["pose"][index]
    robot = Pose(x, y, heading).placed_at(errand.start)
    half = math.radians(settings.fov) / 2
    angles = robot.heading + np.array([half, -half])
    ends_of_view = np.array([[robot.x, robot.y]]) + 0.9 * np.stack([np.cos(angles), np.sin(angles)], -1)
    centre = view.pixels(np.array([[robot.x, robot.y]]))[0]
    for end in view.pixels(ends_of_view):
        cv2.line(canvas, _point(centre), _point(end), BODY, 1, cv2.LINE_AA)
    cv2.circle(canvas, _point(centre), round(settings.radius * view.metre), BODY, 2, cv2.LINE_AA)
    return canvas


def _with_costmap(view: TopView, errand: Errand, grid: NDArray[np.int8], origin: NDArray[np.floating]) -> Rgb:
    """The room, dark where the costmap knows nothing, with its lethal cells and the surroundings that it keeps off."""
    places = _in_odometry(errand, view.places())
    cells = np.floor((places - origin[:2]) / origin[2]).astype(int)
    inside = ((cells >= 0) & (cells < np.array(grid.shape[::-1]))).all(-1)
    cells = np.where(inside[..., None], cells, 0)
    cost = np.where(inside, grid[cells[..., 1], cells[..., 0]], -1).astype(np.float64)
    colours = view.picture.astype(np.float64)
    for colour, weight in (
        (UNSEEN, np.where(cost < 0, 0.62, 0.0)),
        (NEAR_THINGS, np.where((cost > 0) & (cost < 100), 0.1 + 0.3 * cost / 100, 0.0)),
        (LETHAL, np.where(cost == 100, 0.85, 0.0)),
    ):
        colours += weight[..., None] * (np.array(colour) - colours)
    return np.ascontiguousarray(np.rint(colours).astype(np.uint8))


def _own_views(image: Rgb, depth: NDArray[np.float16]) -> tuple[Rgb, Rgb]:
    """What the robot's camera sees, and the metric depth of it."""
    size = (SIDE, round(SIDE * image.shape[0] / image.shape[1]))
    metres = depth.astype(np.float32)
    colours = colourise(metres, 0.0, FAR)
    colours[np.isnan(metres)] = PAPER
    return (
        np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA)),
        np.asarray(cv2.resize(colours, size, interpolation=cv2.INTER_NEAREST)),
    )


def _page(plan: Rgb, own: tuple[Rgb, Rgb], words: str) -> Image:
    try:
        from PIL import Image as image
        from PIL import ImageDraw, ImageFont
    except ImportError as error:
        raise MissingDependencyError("pillow", "demo", "drawing the film") from error
    height, width = plan.shape[:2]
    page = image.new("RGB", (width + GAP + SIDE, height + CAPTION), PAPER)
    draw = ImageDraw.Draw(page)
    font, small = ImageFont.load_default(15), ImageFont.load_default(12)
    page.paste(image.fromarray(plan), (0, 0))
    top = 0
    for panel, title in zip(own, ("camera", f"/merge/depth, 0 to {FAR:g} m"), strict=True):
        draw.text((width + GAP, top + 2), title, FAINT, small)
        page.paste(image.fromarray(panel), (width + GAP, top + 18))
        top += panel.shape[0] + 24
    draw.text((8, height + 6), words, INK, font)
    x = 8
    for colour, name in (
        (LETHAL, "marked by /merge/points"),
        (NEAR_THINGS, "inflation"),
        (PLAN, "plan"),
        (TRACK, "driven"),
        (GOAL, "goal"),
    ):
        draw.rectangle((x, height + 34, x + 10, height + 44), colour)
        draw.text((x + 15, height + 31), name, FAINT, small)
        x += 27 + round(draw.textlength(name, small))
    return page


def _line(canvas: Rgb, points: NDArray[np.float64], colour: tuple[int, int, int], width: int) -> None:
    if len(points) > 1:
        cv2.polylines(canvas, [np.rint(points).astype(np.int32)], False, colour, width, cv2.LINE_AA)


def _point(place: NDArray[np.float64]) -> tuple[int, int]:
    return round(float(place[0])), round(float(place[1]))
