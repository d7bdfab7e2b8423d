"""From a prompt to assets, points and messages, where the depth of the image is exact: all but the model."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="ROS 2 (rclpy) is not installed")
pytest.importorskip("trimesh", reason="assets need the extra 'assets'")

import trimesh
from std_msgs.msg import Header

from merge_ros.config import GenerationRequest, ImageServerSettings
from merge_ros.errors import GenerationCancelled, InputError
from merge_ros.generated import GeneratedImage
from merge_ros.generator import GenerationStep
from merge_ros.geometry.camera import Camera
from merge_ros.geometry.ground import floor_depth
from merge_ros.ros.image_job import Progress, do_job, fill
from merge_ros.ros.image_order import read_orders
from merge_ros.ros.mode import ModeSwitch
from merge_ros.srv import Generate

CAMERA = Camera.from_fov(96, 72, 1.0)
HEIGHT, PITCH = 0.8, 0.35


def true_depth() -> np.ndarray:
    """A camera 0.8 m over a floor, before a wall 2.5 m away, with a crate in the middle."""
    rays = CAMERA.rays().reshape(-1, 3)
    floor = floor_depth(rays, HEIGHT, PITCH, 0.0)
    forward = rays @ np.array([0.0, -np.sin(PITCH), np.cos(PITCH)])
    depth = np.minimum(floor, 2.5 / forward).reshape(72, 96).astype(np.float32)
    depth[34:52, 36:60] = np.minimum(depth[34:52, 36:60], 1.5)
    return depth


class ExactGenerator:
    """Stands in for the model: the same image for every prompt, with its true depth made relative."""

    def check(self, request: GenerationRequest) -> None:
        assert request.depth

    def about(self) -> dict[str, Any]:
        return {"model": "exact", "model_hash": "0123"}

    def stream(self, request: GenerationRequest, on_step: Any) -> Iterator[GeneratedImage]:
        depth = true_depth()
        relative = (depth - depth.min()) / (depth.max() - depth.min())
        rgb = np.random.default_rng(0).integers(0, 256, (72, 96, 3)).astype(np.uint8)
        for index in range(request.count):
            if on_step(GenerationStep("denoise", index, request.count, 1, 1)) is False:
                raise GenerationCancelled("cancelled")
            yield GeneratedImage(rgb, relative, request.single(index, request.seed, (96, 72)), {})


def order(folder: Path, **fields: Any) -> tuple[Generate.Request, Any]:
    message = Generate.Request(prompt="a crate", seed=4, horizontal_fov=1.0, **fields)
    return message, read_orders(message, [message.prompt], ImageServerSettings(asset_directory=str(folder)))


def test_an_asset_in_metres(tmp_path: Path) -> None:
    message, orders = order(
        tmp_path,
        assets=["glb", "rgbd"],
        size_rule="camera_height",
        metres=HEIGHT,
        return_points=True,
        return_depth=True,
    )
    told: list[Progress] = []
    made = do_job(orders, ExactGenerator(), ModeSwitch(), lambda progress: told.append(progress) is None)  # type: ignore[arg-type]

    assert made.paths == [str(tmp_path / "a_crate")]
    metadata = json.loads((tmp_path / "a_crate" / "metadata.json").read_text())
    assert (metadata["source"]["prompt"], metadata["source"]["seed"]) == ("a crate", 4)
    assert metadata["scale_source"]["rule"] == "camera_height"
    scene = trimesh.load(tmp_path / "a_crate" / "a_crate.glb")
    # glTF has Y up; the wall ends a little above the camera's upper border at 2.5 m.
    assert scene.extents[1] == pytest.approx(metadata["size"][2], abs=1e-3)
    assert any(progress.step is None for progress in told)

    answer = Generate.Response()
    fill(answer, made, message, orders, Header(frame_id="f"))
    assert answer.metric
    depth = np.frombuffer(bytes(answer.depth_images[0].data), "<f4").reshape(72, 96)
    assert np.allclose(depth, np.load(tmp_path / "a_crate" / "rgbd" / "depth.npy"), equal_nan=True)
    # Nobody told the camera's pitch, and 3 degrees of it are 15 % of depth here.
    assert np.median(np.abs(depth / true_depth() - 1)) < 0.3
    assert answer.camera_info.k[0] == pytest.approx(CAMERA.fx)
    assert (answer.points.width, answer.points.height) == (96, 72)


def test_an_asset_of_a_given_width(tmp_path: Path) -> None:
    _, orders = order(tmp_path, assets=["obj"], size_rule="width", metres=0.4, part="subject")
    do_job(orders, ExactGenerator(), ModeSwitch(), lambda progress: True)  # type: ignore[arg-type]
    size = json.loads((tmp_path / "a_crate" / "metadata.json").read_text())["size"]
    assert size[1] == pytest.approx(0.4, rel=1e-3)


def test_cancelled_while_an_asset_is_made(tmp_path: Path) -> None:
    _, orders = order(tmp_path, assets=["glb"], size_rule="camera_height", metres=HEIGHT, count=2)
    with pytest.raises(GenerationCancelled):
        do_job(orders, ExactGenerator(), ModeSwitch(), lambda p: p.image == 0 or p.step is not None)  # type: ignore[arg-type]
    assert [path.name for path in tmp_path.iterdir()] == [
        "a_crate_0"
    ]  # the first is whole, of the second nothing is left


def test_a_full_disk_is_noticed_before_the_work(tmp_path: Path) -> None:
    message = Generate.Request(prompt="a crate", write_image=True)
    settings = ImageServerSettings(asset_directory=str(tmp_path), generate_min_free=10_000_000)
    with pytest.raises(InputError, match="MB free; the node's parameter generate_min_free asks for 10000000 MB"):
        read_orders(message, [message.prompt], settings)


def test_names_do_not_collide(tmp_path: Path) -> None:
    message = Generate.Request(write_image=True, file_name="crate", count=2)
    orders = read_orders(message, ["a", "b"], ImageServerSettings(asset_directory=str(tmp_path)))
    assert [o.names for o in orders] == [("crate_0_0", "crate_0_1"), ("crate_1_0", "crate_1_1")]
    with pytest.raises(InputError, match="prompts is empty"):
        read_orders(message, [], ImageServerSettings(asset_directory=str(tmp_path)))
