"""~/generate, ~/synthesize and ~/set_mode of the real node in a process of its own, with a small random model."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="ROS 2 (rclpy) is not installed")
pytest.importorskip("torch", reason="image mode needs the extra 'torch'")
pytest.importorskip("trimesh", reason="assets need the extra 'assets'")

from merge_ros.action import Synthesize
from merge_ros.config import GenerationRequest, GeneratorSettings
from merge_ros.generator import ImageGenerator
from merge_ros.msg import DepthStatus
from merge_ros.ros.conversions import image_to_array
from merge_ros.srv import Generate, SetMode

QUICK = {"prompt": "a red box", "steps": 2, "width": 64, "height": 48}
Codes = Generate.Response


@pytest.fixture(scope="module")
def assets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("assets")


@pytest.fixture(scope="module")
def node(start_node: Any, random_image_model: Path, assets: Path) -> Any:
    node = start_node(model=str(random_image_model), torch_mode="eager", asset_directory=str(assets), generate_queue=1)
    node.bring_to("active")
    return node


@pytest.fixture(autouse=True)
def as_it_was(node: Any, graph: Any) -> Iterator[None]:
    yield
    node.bring_to("active")
    graph.call(SetMode, "/merge/set_mode", mode="depth")
    node.set_parameters(mode_policy="interleave", generate_queue=1)


def generate(graph: Any, **fields: Any) -> Any:
    return graph.call(Generate, "/merge/generate", 100.0, **(QUICK | fields))


def test_images_are_those_of_the_generator(graph: Any, node: Any, random_image_model: Path) -> None:
    answer = generate(graph, seed=7, count=2, return_image=True, return_depth=True)
    assert answer.success, answer.error_text
    assert (answer.seed, answer.metric, list(answer.paths)) == (7, False, [])
    request = GenerationRequest("a red box", seed=7, width=64, height=48, steps=2, count=2, depth=True)
    expected = ImageGenerator(GeneratorSettings(model=str(random_image_model)))(request)
    for image, depth, wanted in zip(answer.images, answer.depth_images, expected, strict=True):
        assert np.array_equal(image_to_array(image), wanted.rgb)
        # The node's VAE is in channels-last order.
        assert np.allclose(image_to_array(depth), wanted.depth, atol=1e-5)
        assert image.header == depth.header
    assert "ready for images" in node.process.output


def test_a_random_seed_is_told(graph: Any, node: Any) -> None:
    first = generate(graph, return_image=True)
    again = generate(graph, return_image=True, seed=first.seed)
    assert first.seed > 0
    assert first.images[0].data == again.images[0].data


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"prompt": " "}, "prompt is empty"),
        ({"width": 63}, "multiple"),
        ({"width": 64, "height": 0}, "give both width and height"),
        ({"steps": 1000}, "at most 100 are allowed"),
        ({"guidance": 99.0}, "guidance"),
        ({"assets": ["stl"], "size_rule": "camera_height"}, "'stl' is unknown; allowed: glb"),
        ({"assets": ["glb"]}, "need metres: give size_rule"),
        ({"return_points": True, "size_rule": "as_measured"}, "size_rule 'as_measured' is unknown"),
        ({"return_points": True, "size_rule": "width"}, "is a length of an asset"),
        ({"assets": ["glb"], "size_rule": "width", "metres": -1.0}, "metres=-1.0 must lie between"),
    ],
)
def test_what_is_wrong_is_said(graph: Any, node: Any, fields: dict[str, Any], words: str) -> None:
    answer = generate(graph, **fields)
    assert (answer.success, answer.error_code) == (False, Codes.INVALID_REQUEST)
    assert words in answer.error_text


def test_files_stay_in_their_folder(graph: Any, node: Any, assets: Path) -> None:
    answer = generate(graph, write_image=True, file_name="../../tmp/evil name", seed=3, return_depth=True)
    assert answer.success, answer.error_text
    assert answer.paths
    assert all(Path(path).parent == assets and Path(path).is_file() for path in answer.paths)
    taken = generate(graph, write_image=True, file_name="../../tmp/evil name", seed=3)
    assert taken.error_code == Codes.INVALID_REQUEST
    assert "exists in the asset directory" in taken.error_text


def test_no_folder_no_files(graph: Any, node: Any, assets: Path) -> None:
    node.set_parameters(asset_directory="")
    try:
        assert "asset_directory is empty" in generate(graph, write_image=True).error_text
    finally:
        node.set_parameters(asset_directory=str(assets))
    (refused,) = node.set_parameters(asset_directory="relative/folder")
    assert "must be an absolute path" in refused.reason


def synthesize(graph: Any, goal: Synthesize.Goal, on_feedback: Any = None) -> tuple[Any, Any]:
    """Send a goal; (goal handle, future of the result)."""
    from rclpy.action import ActionClient

    client = ActionClient(graph.node, Synthesize, "/merge/synthesize")
    graph.wake()
    assert client.wait_for_server(100.0)
    handle = finished(graph.spun(lambda: client.send_goal_async(goal, feedback_callback=on_feedback)))
    assert handle.accepted
    return handle, graph.spun(handle.get_result_async)


def finished(future: Any, limit: float = 100.0) -> Any:
    end = time.monotonic() + limit
    while not future.done():
        assert time.monotonic() < end
        time.sleep(0.01)
    return future.result()


def test_many_prompts_with_progress(graph: Any, node: Any) -> None:
    told: list[Any] = []
    goal = Synthesize.Goal(prompts=["a red box", "a blue ball"], steps=3, width=64, height=48, seed=5, preview_every=2)
    goal.return_image = True
    _, future = synthesize(graph, goal, lambda message: told.append(message.feedback))
    result = finished(future).result
    assert result.success, result.error_text
    assert list(result.seeds) == [5, 6]
    assert len(result.images) == 2
    steps = [(f.job, f.step) for f in told if f.stage == "denoise"]
    assert set(steps) <= {(job, step) for job in (0, 1) for step in (1, 2, 3)}
    fractions = [f.fraction for f in told]
    assert fractions == sorted(fractions)
    assert any(f.preview.width == 64 for f in told)


def test_cancelling(graph: Any, node: Any) -> None:
    stepping = threading.Event()
    goal = Synthesize.Goal(prompts=["a red box"], steps=100, width=64, height=48, count=20)
    handle, future = synthesize(graph, goal, lambda m: stepping.set() if m.feedback.step else None)
    assert stepping.wait(100)
    graph.spun(handle.cancel_goal_async)
    result = finished(future).result
    assert (result.success, result.error_code) == (False, Codes.CANCELLED)
    assert generate(graph).success


def test_the_queue_is_limited_and_deactivation_ends_it(graph: Any, node: Any) -> None:
    node.set_parameters(generate_queue=0)
    stepping = threading.Event()
    goal = Synthesize.Goal(prompts=["a red box"], steps=100, width=64, height=48, count=20)
    _, future = synthesize(graph, goal, lambda m: stepping.set() if m.feedback.step else None)
    assert stepping.wait(100)
    busy = generate(graph)
    assert busy.error_code == Codes.BUSY
    assert "generate_queue allows 0 to wait" in busy.error_text
    node.bring_to("unconfigured")
    assert finished(future).result.error_code == Codes.CANCELLED
    answer = generate(graph)
    assert (answer.error_code, "not configured" in answer.error_text) == (Codes.REFUSED, True)


def test_modes(graph: Any, node: Any, camera: Any, picture: Any, picture_info: Any) -> None:
    assert camera.exchange(picture, picture_info, lambda s: s.latency_inference_ms > 0).mode == "depth"
    unknown = graph.call(SetMode, "/merge/set_mode", mode="sleep")
    assert not unknown.success
    assert "allowed: depth, generate, both" in unknown.message

    assert graph.call(SetMode, "/merge/set_mode", mode="generate").success
    status = camera.exchange(picture, picture_info)
    assert (status.error_code, status.mode) == (DepthStatus.DEPTH_PAUSED, "generate")
    assert status.frames_dropped > 0
    assert generate(graph).success

    graph.call(SetMode, "/merge/set_mode", mode="depth")
    node.set_parameters(mode_policy="refuse")
    refused = generate(graph)
    assert refused.error_code == Codes.REFUSED
    graph.call(SetMode, "/merge/set_mode", mode="both")
    assert generate(graph).success


@pytest.mark.parametrize(("policy", "code"), [("interleave", DepthStatus.OK), ("pause", DepthStatus.DEPTH_PAUSED)])
def test_depth_while_images_are_made(
    graph: Any, node: Any, camera: Any, picture: Any, picture_info: Any, policy: str, code: int
) -> None:
    node.set_parameters(mode_policy=policy)
    stepping = threading.Event()
    goal = Synthesize.Goal(prompts=["a red box"], steps=100, width=64, height=48, count=40)
    handle, future = synthesize(graph, goal, lambda m: stepping.set() if m.feedback.step else None)
    assert stepping.wait(100)
    wanted = (code, DepthStatus.NO_METRIC_SCALE) if policy == "interleave" else (code,)
    status = camera.exchange(picture, picture_info, lambda s: "making images" in s.mode and s.error_code in wanted)
    assert (status.latency_inference_ms > 0) == (policy == "interleave")
    graph.spun(handle.cancel_goal_async)
    finished(future)
    assert camera.exchange(picture, picture_info, lambda s: s.latency_inference_ms > 0).mode == "depth"
