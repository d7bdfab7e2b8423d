"""Starts, ends and transitions that go wrong, over DDS between processes."""

from __future__ import annotations

import contextlib
import itertools
import re
import shutil
import signal
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("rclpy", reason="ROS 2 (rclpy) is not installed")

from diagnostic_msgs.msg import DiagnosticStatus
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from sensor_msgs.msg import CameraInfo, Image

from merge_ros.msg import DepthStatus

OK = DepthStatus.OK
METRES = {"scale_source": "fixed", "scale": 2}


def is_ok(status: DepthStatus) -> bool:
    return status.error_code == OK


@pytest.fixture
def start_own(start_node: Any, camera: Any) -> Iterator[Any]:
    """Starts depth nodes that end with the test: all of this module have one name."""
    nodes = []

    def start(*arguments: Any, **parameters: Any) -> Any:
        nodes.append(start_node(*arguments, **parameters))
        return nodes[-1]

    yield start
    for node in nodes:
        node.process.kill()
    camera.forget()


def abandoned(since: float) -> int:
    """Segments of Fast DDS in /dev/shm, made since then, that no living process holds: what a kill leaves."""
    mapped = ""
    for maps in Path("/proc").glob("[0-9]*/maps"):
        with contextlib.suppress(OSError):
            mapped += maps.read_text()
    count = 0
    for path in Path("/dev/shm").glob("fastrtps_*"):
        with contextlib.suppress(FileNotFoundError):  # its process has just ended
            made = path.stat()
            segment = re.fullmatch(r"fastrtps_\w{16}", path.name) and made.st_size > 2**26
            count += bool(segment and made.st_ctime > since and path.name not in mapped)
    return count


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL], ids=lambda number: number.name)
def test_a_node_that_is_ended_in_the_middle_comes_back(
    start_own: Any,
    camera: Any,
    picture: Image,
    picture_info: CameraInfo,
    often: Any,
    tell: Any,
    number: signal.Signals,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    profile = Path(__file__).resolve().parents[2] / "config" / "fastdds_shm.xml"
    monkeypatch.setenv("FASTRTPS_DEFAULT_PROFILES_FILE", str(profile))  # as the launch file does
    times = often(1, 20)
    wanted = -signal.SIGKILL if number == signal.SIGKILL else 0
    begun, slowest = time.time(), 0.0
    for _ in range(times + 1):
        begin = time.monotonic()
        node = start_own(**METRES)
        node.bring_to("active")
        status = camera.exchange(picture, picture_info, is_ok)
        assert camera.metric_outputs(status.header.stamp.sec)
        slowest = max(slowest, time.monotonic() - begin)
        for _ in range(3):  # a frame in work, and one that waits
            camera.shoot(picture, picture_info)
        node.process.signal(number)
        assert node.process.wait() == wanted, node.process.output
        assert "Traceback" not in node.process.output
        camera.forget()
    left = abandoned(begun)
    assert left < max(times, 3)  # the last one, those too young for their successor to judge, and other people's
    tell(
        f"ended by {number.name} with a frame in work, and started again",
        f"{times}",
        f"exit status {wanted} each time; depth again after {slowest:.1f} s at most; "
        f"{left} abandoned segments of shared memory at the end",
    )


def spoilt_models(good: Path, folder: Path) -> Iterator[tuple[str, Path]]:
    """Models that are none."""
    yield "missing", folder / "missing"

    weights = [path.relative_to(good) for path in sorted(good.rglob("*.safetensors")) if path.stat().st_size > 1000]
    for index, part in enumerate(weights):
        model = folder / f"truncated_{index}"
        shutil.copytree(good, model)
        with (model / part).open("r+b") as stream:
            stream.truncate((model / part).stat().st_size // 2)
        yield "truncated", model
    for index, part in enumerate(weights):
        model = folder / f"empty_{index}"
        shutil.copytree(good, model)
        (model / part).write_bytes(b"")
        yield "truncated", model

    foreign = folder / "foreign"
    shutil.copytree(good, foreign)
    shutil.copy(good / "vae" / "diffusion_pytorch_model.safetensors", foreign / "transformer")
    yield "foreign", foreign
    page = folder / "page"
    shutil.copytree(good, page)
    (page / "transformer" / "config.json").write_text("<html>404</html>")
    yield "foreign", page
    schedule = folder / "schedule"
    shutil.copytree(good, schedule)
    (schedule / "scheduler" / "scheduler_config.json").write_text("<html>404</html>")
    yield "foreign", schedule
    (folder / "nothing").mkdir()
    yield "foreign", folder / "nothing"


def test_a_spoilt_checkpoint_is_a_failure_with_its_reason_and_a_good_one_works_then(
    start_own: Any,
    camera: Any,
    random_model: Path,
    tmp_path: Path,
    picture: Image,
    picture_info: CameraInfo,
    tell: Any,
) -> None:
    node = start_own(backend="torch", scale_source="fixed")
    tried: Counter[str] = Counter()
    for kind, model in spoilt_models(random_model, tmp_path):
        assert node.set_parameters(model=str(model))[0].successful
        assert node.change("configure") == [False], model
        assert node.state() == "unconfigured"
        reasons = [line for line in node.process.output.splitlines() if "configure failed" in line]
        tried[kind] += 1
        assert len(reasons) == sum(tried.values()) and str(model) in reasons[-1], reasons[-1:]
    assert node.diagnostics_after(time.time()).level == DiagnosticStatus.ERROR
    assert "Traceback" not in node.process.output
    assert node.set_parameters(model=str(random_model))[0].successful
    node.bring_to("active")
    camera.exchange(picture, picture_info, is_ok)
    tell(
        "configure with a missing, truncated or foreign checkpoint",
        ", ".join(f"{count} {kind}" for kind, count in tried.items()),
        "FAILURE with the reason, which names the file or folder, in log and diagnostics; then a good one worked",
    )


def test_two_nodes_of_one_name_are_warned_of(
    start_own: Any, camera: Any, picture: Image, picture_info: CameraInfo, tell: Any
) -> None:
    nodes = [start_own(**METRES) for _ in range(2)]
    for node in nodes:
        node.process.wait_for_output("2 nodes are called /merge")
    status = nodes[0].diagnostics_after(time.time() + 1.0)
    assert status.level == DiagnosticStatus.WARN and "2 nodes are called /merge" in status.message
    nodes[1].process.kill()
    end = time.monotonic() + 120
    while "nodes are called" in nodes[0].diagnostics_after(time.time()).message:
        assert time.monotonic() < end
    tell(
        "two nodes of one name",
        "1 pair",
        "both warn in log and diagnostics, once and while it lasts; services answer for one of them by chance",
    )


LABELS = {
    "configure": Transition.TRANSITION_CONFIGURE,
    "activate": Transition.TRANSITION_ACTIVATE,
    "deactivate": Transition.TRANSITION_DEACTIVATE,
    "cleanup": Transition.TRANSITION_CLEANUP,
}


def test_every_transition_from_every_state_by_two_clients_at_once(
    start_own: Any, camera: Any, picture: Image, picture_info: CameraInfo, graph: Any, often: Any, tell: Any
) -> None:
    """Each client asks for its own transition; between them they must be answered as if one had come first."""
    node = start_own(**METRES)
    goes = {
        ("unconfigured", "configure"): "inactive",
        ("inactive", "activate"): "active",
        ("inactive", "cleanup"): "unconfigured",
        ("active", "deactivate"): "inactive",
    }
    clients = [graph.node.create_client(ChangeState, "/merge/change_state") for _ in range(2)]
    graph.wake()
    for client in clients:
        assert client.wait_for_service(60)
    tried = 0
    pairs = list(itertools.product(("unconfigured", "inactive", "active"), LABELS, LABELS))
    for state, *labels in pairs * often(1, 5):
        node.bring_to(state)
        futures = [
            client.call_async(ChangeState.Request(transition=Transition(id=LABELS[label])))
            for client, label in zip(clients, labels, strict=True)
        ]
        graph.wake()
        end = time.monotonic() + 120
        while not all(future.done() for future in futures):
            assert time.monotonic() < end, (state, labels)
            time.sleep(0.002)
        answers = tuple(future.result().success for future in futures)
        possible = set()
        for order in ((0, 1), (1, 0)):
            present, made = state, [False, False]
            for index in order:
                made[index] = (present, labels[index]) in goes
                present = goes.get((present, labels[index]), present)
            possible.add((tuple(made), present))
        assert (answers, node.state()) in possible, (state, labels, answers)
        tried += 1
    node.bring_to("active")
    camera.exchange(picture, picture_info, is_ok)
    assert "Traceback" not in node.process.output
    for client in clients:
        graph.node.destroy_client(client)

    # From outside, the state machine's own transitions and those that do not exist.
    for number in (*range(10, 80), 90, 91, 97, 99, 200, 255):
        answer = graph.call(ChangeState, "/merge/change_state", transition=Transition(id=number))
        assert not answer.success, number
    assert node.state() == "active"
    camera.exchange(picture, picture_info, is_ok)
    assert node.change("shutdown") == [True]
    for label in (*LABELS, "shutdown", "destroy"):
        assert node.change(label) == [False]
    assert node.state() == "finalized"
    node.process.signal(signal.SIGINT)
    assert node.process.wait() == 0
    tell(
        "every transition from every state, asked for by two clients at once",
        f"{tried} pairs",
        "answered as if one had come first; impossible ones are refused; depth goes on",
    )
