"""Fixtures of the ROS tests: nodes in processes of their own, and a window into their graph."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ros_domain import own_domain

# Before rclpy starts: nothing of this leaves the machine.
os.environ.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")

# The shipped model on few pixels: a node that starts without torch, and depth within milliseconds.
SMALL: dict[str, Any] = {"backend": "onnx", "processing_pixels": 1024, "threads": 1}
LIMIT = 120.0  # seconds; reached only when something is broken, however slow the machine
NODE = "import sys; from merge_ros.ros.depth_node import main; sys.exit(main())"


def wait_for(condition: Callable[[], Any], what: str, limit: float = LIMIT) -> Any:
    """Poll until the condition is true; returns its value."""
    end = time.monotonic() + limit
    while not (value := condition()):
        if time.monotonic() > end:
            pytest.fail(f"not within {limit:.0f} s: {what}")
        time.sleep(0.02)
    return value


class NodeProcess:
    """A node as its own process, with its output in a file."""

    def __init__(self, command: Sequence[str], log: Path, environment: dict[str, str]) -> None:
        self.log = log
        with log.open("wb") as output:
            self.process = subprocess.Popen(
                command,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=os.environ | environment,
                cwd=log.parent,  # not the source tree, which Python would import instead of the installed package
                start_new_session=True,
            )

    @property
    def output(self) -> str:
        return self.log.read_text(errors="replace")

    def wait_for_output(self, words: str) -> None:
        def there() -> bool:
            assert self.process.poll() is None, f"ended early:\n{self.output}"
            return words in self.output

        wait_for(there, f"{words!r} in the output")

    def signal(self, number: int) -> None:
        os.killpg(self.process.pid, number)

    def wait(self) -> int:
        try:
            return self.process.wait(LIMIT)
        except subprocess.TimeoutExpired:
            pytest.fail(f"the process does not end:\n{self.output}")

    def kill(self) -> None:
        if self.process.poll() is None:
            self.signal(signal.SIGKILL)
            self.process.wait()


class Graph:
    """The test's own node, in a thread: it publishes, collects messages and calls services."""

    def __init__(self, domain: int) -> None:
        import rclpy
        from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor

        self.domain = domain
        self._context = rclpy.Context()
        rclpy.init(context=self._context, domain_id=domain)
        self.node = rclpy.create_node("test", context=self._context)
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self.node)
        self.received: dict[str, list[Any]] = defaultdict(list)
        self._clients: dict[str, Any] = {}

        def spin() -> None:
            with contextlib.suppress(ExternalShutdownException):
                self._executor.spin()

        self._thread = threading.Thread(target=spin, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._context.try_shutdown()
        self._thread.join(LIMIT)
        self.node.destroy_node()

    def wake(self) -> None:
        """Something was added to the node: the executor shall notice."""
        self._executor.wake()

    def spun(self, function: Callable[[], Any]) -> Any:
        """Call a function in the thread that spins the node; what it returns.

        Requests of an action client must be sent from there: its answer can come before rclpy has noted the request
        (https://github.com/ros2/rclpy/issues/1123), and is then ignored for good.
        """
        future = self._executor.create_task(function)
        wait_for(future.done, "the executor")
        return future.result()

    def collect(self, kind: Any, topic: str) -> list[Any]:
        """All messages of a topic from now on."""
        self.node.create_subscription(kind, topic, self.received[topic].append, 100)
        self.wake()
        return self.received[topic]

    def client(self, kind: Any, name: str) -> Any:
        """A client of a service; each is made once."""
        if name not in self._clients:
            self._clients[name] = self.node.create_client(kind, name)
            self.wake()
        return self._clients[name]

    def call(self, kind: Any, name: str, patience: float = 10.0, **fields: Any) -> Any:
        """Call a service, and wait for its answer.

        Asks again after `patience` seconds: the answer is lost when the server discovers the client later than the
        client the server, which happens on a busy machine.
        """
        client = self.client(kind, name)
        end = time.monotonic() + LIMIT
        while time.monotonic() < end:
            assert client.wait_for_service(LIMIT), f"no service {name}"
            future = client.call_async(kind.Request(**fields))
            self.wake()
            asked = time.monotonic()
            while time.monotonic() < min(asked + patience, end):
                if future.done():
                    return future.result()
                time.sleep(0.005)
        pytest.fail(f"not within {LIMIT:.0f} s: the answer of {name}")


class DepthNodeHandle:
    """The depth node as the test sees it: its process and its interfaces."""

    def __init__(self, process: NodeProcess, graph: Graph, name: str = "/merge") -> None:
        self.process, self.graph, self.name = process, graph, name

    def state(self) -> str:
        from lifecycle_msgs.srv import GetState

        return self.graph.call(GetState, f"{self.name}/get_state").current_state.label

    def change(self, *transitions: str) -> list[bool]:
        """Ask for transitions one after the other; whether each was made."""
        from lifecycle_msgs.msg import Transition
        from lifecycle_msgs.srv import ChangeState

        service = f"{self.name}/change_state"
        self.graph.client(ChangeState, service)
        self.state()  # answered: both sides know each other, and no answer to what cannot be asked twice gets lost
        return [
            self.graph.call(ChangeState, service, LIMIT, transition=Transition(label=label)).success
            for label in transitions
        ]

    def bring_to(self, state: str) -> None:
        """To a state of the lifecycle, from any but finalized, the shortest way through unconfigured."""
        ways = {"unconfigured": [], "inactive": ["configure"], "active": ["configure", "activate"]}
        back = {"active": ["deactivate", "cleanup"], "inactive": ["cleanup"], "unconfigured": []}
        present = self.state()
        if present != state:
            assert all(self.change(*back[present], *ways[state])), self.process.output
        assert self.state() == state

    def set_parameters(self, **values: Any) -> list[Any]:
        """One by one, as `ros2 param set` does; the results."""
        from rcl_interfaces.srv import SetParameters

        return self.graph.call(SetParameters, f"{self.name}/set_parameters", parameters=_messages(values)).results

    def set_together(self, **values: Any) -> Any:
        """All or none; the result."""
        from rcl_interfaces.srv import SetParametersAtomically

        service = f"{self.name}/set_parameters_atomically"
        return self.graph.call(SetParametersAtomically, service, parameters=_messages(values)).result

    def get_parameter(self, name: str) -> Any:
        from rcl_interfaces.srv import GetParameters
        from rclpy.parameter import parameter_value_to_python

        return parameter_value_to_python(
            self.graph.call(GetParameters, f"{self.name}/get_parameters", names=[name]).values[0]
        )

    def diagnostics_after(self, moment: float) -> Any:
        """The first diagnostic status that was published after `time.time()` was `moment`."""
        from rclpy.time import Time

        task = f"{self.name.lstrip('/')}: depth"

        def found() -> Any:
            for array in self.graph.received["/diagnostics"]:
                if array.status[0].name == task and Time.from_msg(array.header.stamp).nanoseconds > moment * 1e9:
                    return array.status[0]
            return None

        return wait_for(found, "diagnostics")


def _messages(values: dict[str, Any]) -> list[Any]:
    from rclpy.parameter import Parameter

    return [Parameter(name, value=value).to_parameter_msg() for name, value in values.items()]


@pytest.fixture(scope="session")
def config_folder() -> Path:
    return Path(__file__).resolve().parents[2] / "config"


@pytest.fixture(scope="module")
def graph() -> Iterator[Graph]:
    """A graph of its own for each module."""
    pytest.importorskip("rclpy", reason="ROS 2 (rclpy) is not installed")
    with own_domain() as domain:
        graph = Graph(domain)
        yield graph
        graph.close()


StartNode = Callable[..., DepthNodeHandle]


@pytest.fixture(scope="module")
def start_node(graph: Graph, tmp_path_factory: pytest.TempPathFactory) -> Iterator[StartNode]:
    """Starts depth nodes as processes, with the shipped model in small if none is named; ends what is left of them."""
    from diagnostic_msgs.msg import DiagnosticArray

    graph.collect(DiagnosticArray, "/diagnostics")
    processes: list[NodeProcess] = []

    def start(code: str = NODE, name: str = "merge", **parameters: Any) -> DepthNodeHandle:
        arguments = ["--ros-args", "-r", f"__node:={name}"]
        # Other engines would first have to export a model that was made for the test.
        defaults = {"backend": "torch"} if "model" in parameters else SMALL
        for parameter, value in (defaults | parameters).items():
            arguments += ["-p", f"{parameter}:={value}"]
        log = tmp_path_factory.mktemp("node") / "output.txt"
        process = NodeProcess([sys.executable, "-c", code, *arguments], log, {"ROS_DOMAIN_ID": str(graph.domain)})
        processes.append(process)
        return DepthNodeHandle(process, graph, f"/{name}")

    yield start
    for process in processes:
        process.kill()


class Camera:
    """A camera that the test holds in its hand: each frame has a stamp of its own.

    Collects what the node says of each frame.
    """

    def __init__(self, graph: Graph, node: str = "/merge", compressed: bool = False) -> None:
        from sensor_msgs.msg import CameraInfo, CompressedImage, Image, PointCloud2

        from merge_ros.msg import DepthStatus

        self.graph = graph
        self._seconds = itertools.count(1000)
        kind, topic = (CompressedImage, "/image/compressed") if compressed else (Image, "/image")
        self._images = graph.node.create_publisher(kind, topic, 1)
        self._infos = graph.node.create_publisher(CameraInfo, "/camera_info", 1)
        self.statuses = graph.collect(DepthStatus, f"{node}/status")
        self.outputs = {
            "depth": graph.collect(Image, f"{node}/depth"),
            "camera_info": graph.collect(CameraInfo, f"{node}/camera_info"),
            "points": graph.collect(PointCloud2, f"{node}/points"),
            "depth_relative": graph.collect(Image, f"{node}/depth_relative"),
        }

    def connected(self, seen: bool = True) -> bool:
        """Whether the node listens."""
        return all((p.get_subscription_count() > 0) == seen for p in (self._images, self._infos))

    def shoot(self, image: Any, info: Any | None, second: int | None = None, frame: str = "camera_optical") -> int:
        """Publish an image and its info, newly stamped; returns the stamp's seconds."""
        second = next(self._seconds) if second is None else second
        for message, publisher in ((info, self._infos), (image, self._images)):
            if message is not None:
                message.header.frame_id = frame
                message.header.stamp.sec, message.header.stamp.nanosec = second, 123456789
                publisher.publish(message)
        return second

    def forget(self) -> None:
        """What has been collected."""
        for messages in (self.statuses, *self.outputs.values()):
            messages.clear()

    def status_of(self, second: int) -> Any | None:
        return next((status for status in self.statuses if status.header.stamp.sec == second), None)

    def output_of(self, second: int, name: str) -> Any | None:
        return next((m for m in self.outputs[name] if m.header.stamp.sec == second), None)

    def exchange(
        self, image: Any, info: Any | None, accept: Callable[[Any], bool] = lambda status: True, **header: Any
    ) -> Any:
        """Shoot until the node's status of a frame is accepted; returns that status.

        A frame may be lost on its way (the subscription is best effort), or be worked on before its info has come.
        """
        end = time.monotonic() + LIMIT
        last = None
        while time.monotonic() < end:
            second = self.shoot(image, info, **header)
            patience = time.monotonic() + 5
            while self.status_of(second) is None and time.monotonic() < patience:
                time.sleep(0.01)
            last = self.status_of(second) or last
            if last is not None and last.header.stamp.sec == second and accept(last):
                return last
        pytest.fail(f"no status of a frame was accepted; the last one was {last}")

    def metric_outputs(self, second: int) -> dict[str, Any]:
        """All four messages of a frame."""
        return {
            name: wait_for(lambda name=name: self.output_of(second, name), f"{name} of frame {second}")
            for name in self.outputs
        }


@pytest.fixture(scope="module")
def camera(graph: Graph) -> Camera:
    return Camera(graph)


@pytest.fixture(scope="module")
def compressed_camera(graph: Graph) -> Camera:
    return Camera(graph, compressed=True)


@pytest.fixture
def often() -> Callable[[int, int], int]:
    """How often a fault is tried: `often(here, in benchmarks/faults.py)`."""
    return lambda short, full: full if os.environ.get("MERGE_ROS_FAULTS") == "full" else short


@pytest.fixture
def tell(record_property: Callable[[str, object], None]) -> Callable[[str, str, str], None]:
    """A row of the table in docs/reliability.md: `tell(case, how often tried, what happened)`."""
    return lambda case, tried, happened: record_property("fault", json.dumps([case, tried, happened]))


@pytest.fixture(scope="session")
def node_process() -> type[NodeProcess]:
    """For commands other than the depth node."""
    return NodeProcess


@pytest.fixture(scope="module")
def handle_of(graph: Graph) -> Callable[..., DepthNodeHandle]:
    """The handle of a depth node that another process has started."""
    return lambda process, name="/merge": DepthNodeHandle(process, graph, name)


@pytest.fixture(scope="module")
def camera_on(graph: Graph) -> Callable[..., Any]:
    """A camera that runs by itself: `with camera_on(topic, info_topic, image, info): ...` publishes at about 10 Hz."""
    from sensor_msgs.msg import CameraInfo, Image

    @contextlib.contextmanager
    def run(topic: str, info_topic: str, image: Any, info: Any) -> Iterator[None]:
        images = graph.node.create_publisher(Image, topic, 1)
        infos = graph.node.create_publisher(CameraInfo, info_topic, 1)

        def shoot() -> None:
            stamp = graph.node.get_clock().now().to_msg()
            for message, publisher in ((info, infos), (image, images)):
                message.header.frame_id, message.header.stamp = "camera_optical", stamp
                publisher.publish(message)

        timer = graph.node.create_timer(0.1, shoot)
        graph.wake()
        yield
        for entity, destroy in (
            (timer, graph.node.destroy_timer),
            (images, graph.node.destroy_publisher),
            (infos, graph.node.destroy_publisher),
        ):
            destroy(entity)

    return run


@pytest.fixture
def picture() -> Any:
    """A 64x48 rgb8 image."""
    from std_msgs.msg import Header

    from merge_ros.ros.conversions import array_to_image

    rows, columns = np.mgrid[:48, :64]
    rgb = np.stack([4 * columns, 5 * rows, 128 + 0 * rows], -1).astype(np.uint8)
    return array_to_image(rgb, "rgb8", Header())


@pytest.fixture
def picture_info() -> Any:
    """The info of `picture`: an undistorted camera."""
    from sensor_msgs.msg import CameraInfo

    return CameraInfo(
        width=64, height=48, distortion_model="plumb_bob", d=[0.0] * 5, k=[60.0, 0, 31.5, 0, 61.0, 23.5, 0, 0, 1]
    )
