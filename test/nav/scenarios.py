"""What the tests do with Nav2 and our node: one scenario per process, whose last line of output is a JSON result."""

from __future__ import annotations

import argparse
import json
import math
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from session import Session, limit_threads

from merge_ros.geometry.camera import Camera
from merge_ros.geometry.pointcloud import back_project
from merge_ros.simulation.drive import DriveSettings, drive
from merge_ros.simulation.poses import camera_pose
from merge_ros.simulation.renderer import SceneRenderer
from merge_ros.simulation.scene import Light, Part, Scene

SIZE = (256, 192)
HEIGHT, PITCH = 0.5, math.radians(15)
TRIES = 6  # times that a frame is shown, until it counts as one without metric depth: the scale locks after a few
WITHIN = 2.9  # metres from the camera; the files mark up to 3
# Of the surfaces in view, what must be marked, and what is floor; metres over the floor. Between them nothing is asked.
OBSTACLE, FLOOR = (0.15, 1.4), 0.02


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("scenario", choices=("drive", "box", "image_proc"))
    parser.add_argument("--prefix", type=Path, required=True, help="unpacked Nav2")
    parser.add_argument("--layer", choices=("voxel", "obstacle"), default="voxel")
    parser.add_argument("--model", choices=("exact", "merge-tiny"), default="exact")
    parser.add_argument("--seed", type=int, default=900_000_000, help="of the room and the path")
    parser.add_argument("--frames", type=int, default=12)
    parser.add_argument("--tolerance", type=float, default=0.1, help="metres between a thing and its mark")
    arguments = parser.parse_args()
    limit_threads()
    sys.path.insert(0, str(arguments.prefix))
    scenarios = {"drive": drive_room, "box": remove_box, "image_proc": compare_clouds}
    print(json.dumps(scenarios[arguments.scenario](arguments)))


def drive_room(arguments: argparse.Namespace) -> dict[str, Any]:
    """Drive through a room; after each frame compare the grid with what is truly in view.

    Where the node knows no metric depth it is silent, and what is newly in view is missing from the grid.
    """
    exact = arguments.model == "exact"
    settings = DriveSettings(
        seconds=arguments.frames / 2,
        fps=2.0,
        size=SIZE,
        camera_height=HEIGHT,
        camera_pitch=math.degrees(PITCH),
        speed=0.5,
    )
    frames = list(drive(arguments.seed, settings))
    totals = {"obstacle_cells": 0, "found": 0, "floor_cells": 0, "falsely_marked": 0}
    without_depth = 0
    with Session(arguments.prefix, arguments.layer, frames[0].camera, HEIGHT, PITCH, exact, threads=1) as session:
        for frame in frames:
            x, y = frame.pose[:2, 3]
            session.move(x, y, math.atan2(frame.pose[1, 2], frame.pose[0, 2]))
            without_depth += session.try_to_show(frame.rgb, frame.depth, TRIES) is None
            session.digest()
            for name, count in compare(session, frame.depth, frame.pose, arguments.tolerance).items():
                totals[name] += count
    return totals | {
        "frames": len(frames),
        "without_metric_depth": without_depth,
        "recall": totals["found"] / max(1, totals["obstacle_cells"]),
        "false_marks": totals["falsely_marked"] / max(1, totals["floor_cells"]),
    }


def compare(
    session: Session, depth: NDArray[np.float32], pose: NDArray[np.float64], tolerance: float
) -> dict[str, int]:
    """Count cells of things and of floor in view, and those that the grid has right.

    A cell of a thing counts as found when a lethal cell is within the tolerance; a cell of floor counts when no thing
    is that near, and is falsely marked when it is lethal.
    """
    points = back_project(depth, session.camera).reshape(-1, 3)
    near = np.linalg.norm(points, axis=1) <= WITHIN
    x, y, z = (points @ pose[:3, :3].T + pose[:3, 3])[near].T
    lethal = session.grid() == 100
    # The outermost cells of a thing may lie outside of the grid, and then cannot be judged.
    thing = _grid_of(session, x, y, (z >= OBSTACLE[0]) & (z <= OBSTACLE[1]))
    raised = _grid_of(session, x, y, z > FLOOR)
    floor = _grid_of(session, x, y, z <= FLOOR) & ~_grown(raised, tolerance, session)
    found = thing & _grown(lethal, tolerance, session)
    return {
        "obstacle_cells": int(thing.sum()),
        "found": int(found.sum()),
        "floor_cells": int(floor.sum()),
        "falsely_marked": int((floor & lethal).sum()),
    }


def _grid_of(
    session: Session, x: NDArray[np.floating], y: NDArray[np.floating], chosen: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """Which cells hold a chosen point."""
    grid = np.zeros(session.grid().shape, bool)
    column, row = session.cells(x[chosen], y[chosen])
    inside = (column >= 0) & (column < grid.shape[1]) & (row >= 0) & (row < grid.shape[0])
    grid[row[inside], column[inside]] = True
    return grid


def _grown(cells: NDArray[np.bool_], radius: float, session: Session) -> NDArray[np.bool_]:
    """The cells within a distance of any of these."""
    import cv2

    reach = round(radius / session.rig.grid.info.resolution)
    rows, columns = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    disc = (np.hypot(rows, columns) <= reach + 0.01).astype(np.uint8)
    return cv2.dilate(cells.astype(np.uint8), disc).astype(bool)


def box_scene(
    boxes: list[tuple[float, float, float, float, float]],
    wall: float | None,
    room: tuple[float, float, float, float] | None = None,
) -> Scene:
    """A floor with upright boxes (x0, x1, y0, y1, height).

    Args:
        boxes: metres.
        wall: a wall across at this x, or None.
        room: walls and a ceiling around x0, x1, y0, y1; None: open space.
    """
    solids = [(x0, x1, y0, y1, 0.0, top, (0.2, 0.4, 0.7)) for x0, x1, y0, y1, top in boxes]
    plaster = (0.8, 0.8, 0.75)
    if wall is not None:
        solids.append((wall, wall + 0.1, -10, 10, 0, 3, plaster))
    if room is not None:
        x0, x1, y0, y1 = room
        solids += [(x0 - 0.1, x0, y0, y1, 0, 2.6, plaster), (x1, x1 + 0.1, y0, y1, 0, 2.6, plaster)]
        solids += [(x0, x1, y0 - 0.1, y0, 0, 2.6, plaster), (x0, x1, y1, y1 + 0.1, 0, 2.6, plaster)]
        solids.append((x0, x1, y0, y1, 2.6, 2.7, (0.9, 0.9, 0.9)))
    parts = [Part("plane", (30, 30, 0), (0, 0, 0), rgb=(0.6, 0.5, 0.4))]
    for x0, x1, y0, y1, z0, z1, rgb in solids:
        size = ((x1 - x0) / 2, (y1 - y0) / 2, (z1 - z0) / 2)
        parts.append(Part("box", size, ((x0 + x1) / 2, (y0 + y1) / 2, (z0 + z1) / 2), rgb=rgb))
    light = Light((0, 0, 2.5), (0.3, 0, -1), (0.8, 0.8, 0.8), 80, False)
    return Scene("room", 10, 10, 3, tuple(parts), {}, (light,), 0.4, (), "a floor with boxes")


def views(camera: Camera, scenes: list[Scene]) -> list[tuple[NDArray[np.uint8], NDArray[np.float32]]]:
    """What the camera over the origin sees of each scene, looking along x."""
    pose = camera_pose(0, 0, HEIGHT, 0, PITCH)
    seen = []
    for scene in scenes:
        with SceneRenderer(scene, camera) as renderer:
            seen.append((renderer.colour(pose), renderer.truth(pose)[0]))
    return seen


def remove_box(arguments: argparse.Namespace) -> dict[str, Any]:
    """A box stands 1.5 m ahead and is taken away: before a wall, and, higher than the camera, before open space.

    The latter once without and then with points in open directions. Counts the frames until no cell of it is lethal.
    """
    camera = Camera.from_fov(*SIZE, math.radians(75))
    low, high = (1.5, 1.9, -0.2, 0.2, 0.4), (1.5, 1.9, -0.2, 0.2, 1.2)
    walled, walled_empty, opened, opened_empty = views(
        camera, [box_scene([low], 2.7), box_scene([], 2.7), box_scene([high], None), box_scene([], None)]
    )
    result: dict[str, Any] = {}
    with Session(arguments.prefix, arguments.layer, camera, HEIGHT, PITCH, exact=True) as session:

        def lethal() -> int:
            return int(session.rig.region(1.4, -0.3, 2.0, 0.3)["lethal"])

        def mark(view: tuple[NDArray[np.uint8], NDArray[np.float32]]) -> int:
            for _ in range(3):
                session.show(*view)
                session.digest()
            return lethal()

        def frames_to_clear(view: tuple[NDArray[np.uint8], NDArray[np.float32]], most: int) -> int | None:
            for frame in range(1, most + 1):
                session.show(*view)
                session.digest(2)
                if not lethal():
                    return frame
            return None

        result["low_marked"] = mark(walled)
        result["low_frames_to_clear"] = frames_to_clear(walled_empty, 10)
        session.set_parameter("cloud_open", False)
        result["high_marked"] = mark(opened)
        result["high_frames_to_clear_without_open_points"] = frames_to_clear(opened_empty, 8)
        result["ghost_cells"] = lethal()
        session.set_parameter("cloud_open", True)
        result["high_frames_to_clear"] = frames_to_clear(opened_empty, 10)
    return result


def compare_clouds(arguments: argparse.Namespace) -> dict[str, Any]:
    """The cloud that depth_image_proc makes of our depth, info and the image, against ours."""
    from check_costmap import _find_exe
    from rclpy.qos import qos_profile_sensor_data
    from sensor_msgs.msg import PointCloud2

    camera = Camera.from_fov(*SIZE, math.radians(75))
    (view,) = views(camera, [box_scene([(1.5, 1.9, -0.2, 0.2, 0.8)], 6.0)])
    unfiltered = {"cloud_range": 0.0, "cloud_open": False, "cloud_voxel": 0.0}
    with Session(
        arguments.prefix, arguments.layer, camera, HEIGHT, PITCH, exact=True, far=5.0, **unfiltered
    ) as session:
        remaps = {
            "depth_registered/image_rect": "/merge/depth",
            "rgb/image_rect_color": "/image",
            "/camera_info": "/merge/camera_info",
            "points": "/theirs",
        }
        words = [word for old, new in remaps.items() for word in ("-r", f"{old}:={new}")]
        words += ["-p", "exact_sync:=true"]  # our depth and info carry the image's stamp
        # Its two inputs of info are named after the images' topics; the one of /image is /camera_info.
        session.rig._spawn("image_proc", [_find_exe(session.rig.env, "depth_image_proc", "point_cloud_xyzrgb_node"),
                                          "--ros-args", *words])  # fmt: skip
        theirs: dict[tuple[int, int], Any] = {}
        node = session.rig.node

        # It subscribes to its inputs when it notices a subscriber.
        session.until(lambda: node.count_publishers("/theirs"), "depth_image_proc starts")
        node.create_subscription(
            PointCloud2,
            "/theirs",
            lambda m: theirs.__setitem__((m.header.stamp.sec, m.header.stamp.nanosec), m),
            qos_profile_sensor_data,
        )

        def common() -> bool:
            session.show(*view)
            session.rig.spin(0.5)
            return not theirs.keys().isdisjoint(session.clouds)

        session.until(common, f"depth_image_proc publishes a cloud of a frame of ours; {len(theirs)} came")
        stamp = (theirs.keys() & session.clouds.keys()).pop()
        ours, other = _points(session.clouds[stamp]), _points(theirs[stamp])
    known = np.isfinite(ours).all(-1)
    return {
        "points": int(known.sum()),
        "unknown": int((~known).sum()),
        "same_points_known": bool((known == np.isfinite(other).all(-1)).all()),
        "largest_difference": float(np.abs(ours[known] - other[known]).max()),
    }


def _points(cloud: Any) -> NDArray[np.float32]:
    """[height, width, 3] of a cloud whose first fields are x, y, z."""
    values = np.frombuffer(bytes(cloud.data), np.float32).reshape(cloud.height, cloud.width, cloud.point_step // 4)
    return values[..., :3]


if __name__ == "__main__":
    main()
