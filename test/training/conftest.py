"""A few synthetic frames and a model of a few thousand weights: enough to run every stage in seconds."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

from merge_ros.geometry.camera import Camera
from merge_ros.simulation.dataset import save_frame
from merge_ros.simulation.frame import Frame

pytest.importorskip("torch", reason="training needs the extra 'train'")
pytest.importorskip("transformers", reason="training needs the extra 'train'")


@pytest.fixture(scope="session")
def frames_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve 64x64 frames: a coloured slope that recedes upwards, with a near box on it."""
    folder = tmp_path_factory.mktemp("frames")
    camera = Camera.from_fov(64, 64, 1.2)
    records = []
    for index in range(12):
        rng = np.random.default_rng(index)
        depth = np.linspace(rng.uniform(3, 6), 1, 64, dtype=np.float32)[:, None].repeat(64, 1)
        left, top = rng.integers(4, 40, 2)
        depth[top : top + 16, left : left + 16] = 0.8
        rgb = np.clip(255 / depth[..., None] * rng.uniform(0.3, 1, 3), 0, 255).astype(np.uint8)
        name = f"{index:08d}_0"
        mounting = {"camera_height": 0.5, "camera_pitch": 0.1, "camera_roll": 0.05}
        save_frame(folder, name, Frame(rgb, depth, camera, **mounting, pose=np.eye(4), caption=""))
        caption = f"a room with {index} boxes"
        records.append({"name": name, "kind": "robot", "caption": caption, "camera": asdict(camera), **mounting})
    (folder / "frames.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    return folder
