"""Folders of simulated frames: written by several processes, resumable, the same for the same seed.

Layout:

    dataset.json                 the settings
    frames.jsonl                 one line per frame: name, seed, kind, caption, intrinsics, camera height, pitch, roll
    rgb/NAME.jpg                 8-bit colour
    depth/NAME.png               16-bit millimetres along the optical axis, 0 = unknown or beyond 65 m
    normals/NAME.npy             on request: [H, W, 3] float16, of the exact depth
"""

from __future__ import annotations

import json
import multiprocessing
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from merge_ros.errors import ConfigurationError, DatasetError
from merge_ros.simulation.frame import Frame
from merge_ros.simulation.kinds import DEFAULT_MIX, PHOTOMETRIC, check_mix, kind_of, scene_views
from merge_ros.simulation.photometric import photograph
from merge_ros.simulation.renderer import load_mujoco
from merge_ros.simulation.views import is_exposed

# Seeds of rooms that must never be shared: training counts up from 0 and stays below the first of these.
HELD_OUT_SEED = 10_000_000
DRIVE_SEED = 20_000_000

INDEX, SETTINGS = "frames.jsonl", "dataset.json"
STORED_JPEG_QUALITY = 95
PHOTOGRAPHS_TRIED = 4


@dataclass(frozen=True)
class DatasetSettings:
    """What a data set is made of; stored beside it.

    Args:
        size: (width, height) of the frames in pixels.
        seed: of the first scene; each further scene takes the next number.
        views_per_room: frames taken in each scene.
        photometric: whether pictures get a camera's faults (exposure, noise, blur, JPEG, colour cast).
        kinds: share of each kind of view, see `views`; stored so that they add up to 1.
        evaluation_ranges: "robot" views from exactly the cameras that figures are given for, instead of a few more.
        normals: whether surface normals are written too.

    Raises:
        ConfigurationError: sizes or counts below 1, a negative seed, or shares that `kinds.check_mix` refuses.
    """

    size: tuple[int, int] = (256, 192)
    seed: int = 0
    views_per_room: int = 4
    photometric: bool = True
    kinds: Mapping[str, float] = field(default_factory=lambda: DEFAULT_MIX)
    evaluation_ranges: bool = False
    normals: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "kinds", check_mix(self.kinds))
        if min(self.size) < 16:
            raise ConfigurationError(f"size={self.size} (width, height) must be at least 16 pixels each")
        if self.seed < 0 or self.views_per_room < 1:
            raise ConfigurationError(f"seed={self.seed} must be >= 0, views_per_room={self.views_per_room} >= 1")


def make_dataset(
    out: Path,
    count: int,
    size: tuple[int, int] = (256, 192),
    seed: int = 0,
    workers: int = 2,
    *,
    views_per_room: int = 4,
    photometric: bool = True,
    kinds: Mapping[str, float] = DEFAULT_MIX,
    evaluation_ranges: bool = False,
    normals: bool = False,
    progress: bool = True,
) -> int:
    """Render frames until the folder holds `count`. A folder that was begun with the same settings is continued.

    Args:
        out: the folder; created when missing.
        count: frames in the folder afterwards, >= 1.
        size, seed, views_per_room, photometric, kinds, evaluation_ranges, normals: see `DatasetSettings`.
        workers: processes, >= 1. The frames do not depend on it.
        progress: show a progress bar.

    Returns:
        Frames rendered by this call.

    Raises:
        ConfigurationError: a count or a number of workers below 1, or impossible settings.
        DatasetError: the folder holds a data set with other settings.
        MissingDependencyError: MuJoCo or OpenGL is missing.
    """
    if count < 1 or workers < 1:
        raise ConfigurationError(f"count={count} and workers={workers} must be at least 1")
    settings = DatasetSettings((size[0], size[1]), seed, views_per_room, photometric, kinds, evaluation_ranges, normals)
    load_mujoco()  # fail here rather than in every worker
    lines, next_seed = _begin(out, settings)
    write = partial(_write_scene, out, settings)
    rendered = 0
    with (
        (out / INDEX).open("w" if not lines else "r+") as index,
        tqdm(total=count, initial=min(len(lines), count), unit="frame", disable=not progress) as bar,
        # Rendering contexts do not survive a fork.
        multiprocessing.get_context("spawn").Pool(workers) as pool,
    ):
        index.seek(0)
        index.truncate()
        index.write("".join(line + "\n" for line in lines))
        index.flush()
        for records in _ordered(pool, write, next_seed, len(lines), count, 2 * workers):
            records = records[: count - len(lines) - rendered]
            index.write("".join(json.dumps(record) + "\n" for record in records))
            index.flush()
            rendered += len(records)
            bar.update(len(records))
    return rendered


def read_index(folder: Path) -> list[dict[str, Any]]:
    """The records of a data set, in order.

    Raises:
        DatasetError: the folder has no index, or an unreadable line.
    """
    path = folder / INDEX
    if not path.is_file():
        raise DatasetError(f"{folder} is no simulated data set: it has no {INDEX} (make one with make-dataset)")
    records = []
    for number, line in enumerate(path.read_text().splitlines(), 1):
        try:
            records.append(json.loads(line))
        except json.JSONDecodeError as error:
            raise DatasetError(f"{path}:{number} is not a JSON record; run make-dataset again to repair it") from error
    return records


def save_frame(folder: Path, name: str, frame: Frame, *, normals: bool = False) -> None:
    """Write a frame's picture and depth, and its normals if they are wanted, into the layout above."""
    (folder / "rgb").mkdir(parents=True, exist_ok=True)
    (folder / "depth").mkdir(parents=True, exist_ok=True)
    millimetres = np.round(frame.depth * 1000)
    stored = np.where(millimetres <= np.iinfo(np.uint16).max, millimetres, 0).astype(np.uint16)
    quality = [cv2.IMWRITE_JPEG_QUALITY, STORED_JPEG_QUALITY]
    written = cv2.imwrite(str(folder / "rgb" / f"{name}.jpg"), frame.rgb[..., ::-1], quality)
    written &= cv2.imwrite(str(folder / "depth" / f"{name}.png"), stored, [cv2.IMWRITE_PNG_COMPRESSION, 1])
    if not written:
        raise DatasetError(f"cannot write frame {name} into {folder}: is the disk full, or read-only?")
    if normals:
        (folder / "normals").mkdir(exist_ok=True)
        np.save(folder / "normals" / f"{name}.npy", frame.normals.astype(np.float16))


def _begin(out: Path, settings: DatasetSettings) -> tuple[list[str], int]:
    """The index lines to keep, and the first seed to render."""
    stored = out / SETTINGS
    wanted = json.loads(json.dumps(asdict(settings)))
    if not settings.normals:
        del wanted["normals"]  # as in data sets from before there were any
    if not stored.is_file():
        out.mkdir(parents=True, exist_ok=True)
        stored.write_text(json.dumps(wanted, indent=2) + "\n")
    elif (found := json.loads(stored.read_text())) != wanted:
        raise DatasetError(f"{out} holds a data set made with {found}, not {wanted}; choose another folder")
    lines: list[str] = []
    seeds: list[int] = []
    if (out / INDEX).is_file():
        for line in (out / INDEX).read_text().splitlines():
            try:
                seeds.append(json.loads(line)["seed"])
            except (json.JSONDecodeError, KeyError):
                break  # the process was killed while it wrote this line
            lines.append(line)
    if not seeds:
        return [], settings.seed
    # The last room may be incomplete: it is rendered again.
    keep = [line for line, seed in zip(lines, seeds, strict=True) if seed != seeds[-1]]
    return keep, seeds[-1]


def _ordered(
    pool: Any, write: Any, first_seed: int, have: int, count: int, ahead: int
) -> Iterator[list[dict[str, Any]]]:
    """Rooms in the order of their seeds, with a few always in work, until there are enough frames."""
    pending = [pool.apply_async(write, (first_seed + offset,)) for offset in range(ahead)]
    next_seed = first_seed + ahead
    while have < count:
        records = pending.pop(0).get()
        pending.append(pool.apply_async(write, (next_seed,)))
        next_seed += 1
        have += len(records)
        yield records


def _photographed(frame: Frame, kind: str, rng: np.random.Generator) -> NDArray[np.uint8]:
    """The picture through an imperfect camera, with the faults drawn again while they would black or burn it out."""
    for _ in range(PHOTOGRAPHS_TRIED):
        rgb = photograph(frame.rgb, rng, PHOTOMETRIC[kind])
        if is_exposed(rgb):
            return rgb
    return frame.rgb


def _write_scene(out: Path, settings: DatasetSettings, seed: int) -> list[dict[str, Any]]:
    kind = kind_of(seed, settings.kinds)
    ranges = settings.evaluation_ranges
    frames = scene_views(seed, settings.views_per_room, settings.size, kind, evaluation_ranges=ranges)
    records = []
    for index, frame in enumerate(frames):
        name = f"{seed:08d}_{index}"
        if settings.photometric:
            frame = replace(frame, rgb=_photographed(frame, kind, np.random.default_rng((seed, index, 2))))
        save_frame(out, name, frame, normals=settings.normals)
        records.append(
            {
                "name": name,
                "seed": seed,
                "kind": kind,
                "caption": frame.caption,
                "camera": asdict(frame.camera),
                "camera_height": frame.camera_height,
                "camera_pitch": frame.camera_pitch,
                "camera_roll": frame.camera_roll,
            }
        )
    return records
