"""The node's lifecycle and parameters, over real services from another process."""

from __future__ import annotations

import signal
import time
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("rclpy", reason="ROS 2 (rclpy) is not installed")

from diagnostic_msgs.msg import DiagnosticStatus
from rcl_interfaces.srv import DescribeParameters, ListParameters

from merge_ros.ros.parameters import DESCRIPTIONS, FIXED, PARAMETERS, default_value

OWN_OF_RCLPY = ("use_sim_time", "start_type_description_service", "qos_overrides")


@pytest.fixture(scope="module")
def node(start_node: Any) -> Any:
    """One node for the module, shared to save its start; each test brings it to the state it needs."""
    return start_node(camera_height=1)


def test_every_transition_twice(node: Any) -> None:
    node.bring_to("unconfigured")
    for _ in range(2):
        for transition, state in (
            ("configure", "inactive"),
            ("activate", "active"),
            ("deactivate", "inactive"),
            ("activate", "active"),
            ("deactivate", "inactive"),
            ("cleanup", "unconfigured"),
        ):
            assert node.change(transition) == [True]
            assert node.state() == state


@pytest.mark.parametrize(
    ("state", "impossible"),
    [
        ("unconfigured", ("activate", "deactivate", "cleanup", "nonsense")),
        ("inactive", ("configure", "deactivate")),
        ("active", ("configure", "activate", "cleanup")),
    ],
)
def test_impossible_transitions_are_refused_and_change_nothing(
    node: Any, state: str, impossible: tuple[str, ...]
) -> None:
    node.bring_to(state)
    assert node.change(*impossible) == [False] * len(impossible)
    assert node.state() == state


def test_a_wrong_model_fails_with_the_reason_and_can_be_corrected(node: Any) -> None:
    node.bring_to("unconfigured")
    assert node.set_parameters(model="/no/such/model")[0].successful
    moment = time.time()
    assert node.change("configure") == [False]
    assert node.state() == "unconfigured"
    status = node.diagnostics_after(time.time())
    assert status.level == DiagnosticStatus.ERROR
    assert "configure failed" in status.message and "/no/such/model" in status.message
    assert "configure failed" in node.process.output and "/no/such/model" in node.process.output
    assert moment < time.time()

    assert node.set_parameters(model="merge-tiny")[0].successful
    assert node.change("configure", "activate") == [True, True]
    assert node.diagnostics_after(time.time()).level != DiagnosticStatus.ERROR


def test_a_device_that_is_not_here_fails_instead_of_falling_back(node: Any) -> None:
    node.bring_to("unconfigured")
    assert node.set_parameters(device="cuda:77")[0].successful
    assert node.change("configure") == [False]
    assert "cuda:77" in node.diagnostics_after(time.time()).message
    assert node.set_parameters(device="cpu")[0].successful


def test_settings_that_do_not_fit_together_at_start_fail_the_configuration(start_node: Any) -> None:
    node = start_node(name="other", scale_source="ground_plane")
    assert node.change("configure") == [False]
    assert "camera_height" in node.diagnostics_after(time.time()).message
    assert node.set_parameters(camera_height=0.5)[0].successful
    node.process.signal(signal.SIGINT)
    assert node.process.wait() == 0


def test_the_declared_parameters_are_described_on_the_graph(node: Any, graph: Any) -> None:
    names = graph.call(ListParameters, "/merge/list_parameters").result.names
    ours = {name for name in names if not name.startswith(OWN_OF_RCLPY)}
    assert ours == set(PARAMETERS)
    described = graph.call(DescribeParameters, "/merge/describe_parameters", names=sorted(PARAMETERS)).descriptors
    for descriptor in described:
        assert descriptor.description.startswith(DESCRIPTIONS[descriptor.name])
        numeric = not isinstance(default_value(descriptor.name), str | bool)
        assert bool([*descriptor.integer_range, *descriptor.floating_point_range]) == numeric


def test_whole_numbers_are_taken_for_lengths(node: Any) -> None:
    assert node.get_parameter("camera_height") == 1.0  # given as the integer 1 on the command line
    assert node.set_parameters(camera_pitch=1)[0].successful
    assert node.get_parameter("camera_pitch") == 1.0


def test_what_the_model_depends_on_is_refused_while_configured(node: Any) -> None:
    node.bring_to("inactive")
    others = {
        "model": "x",
        "converters": "x",
        "codec": "light",
        "backend": "torch",
        "device": "cuda",
        "precision": "bf16",
        "torch_mode": "eager",
        "offload": "sequential",
        "quantization": "fp8",
        "task": "normals",
    }
    numbers = {"steps": 2, "processing_pixels": 9, "threads": 1}
    assert set(others | numbers) == set(FIXED)
    for name, value in (others | numbers).items():
        result = node.set_parameters(**{name: value})[0]
        if value == node.get_parameter(name):  # setting what is set already changes nothing
            assert result.successful
        else:
            assert not result.successful
            assert name in result.reason and "configured" in result.reason


def test_changes_are_checked_together_and_applied_all_or_none(node: Any) -> None:
    node.bring_to("active")
    assert node.set_together(scale_source="none", near=0.05, far=20.0, camera_height=0.0).successful

    refused = node.set_together(far=30.0, scale_source="ground_plane")
    assert not refused.successful and "camera_height" in refused.reason
    assert (node.get_parameter("far"), node.get_parameter("scale_source")) == (20.0, "none")

    assert node.set_together(camera_height=0.4, scale_source="ground_plane").successful
    refused = node.set_together(camera_height=0.0)
    assert not refused.successful and "camera_height" in refused.reason

    assert not node.set_parameters(near=25.0)[0].successful
    assert node.set_together(near=25.0, far=30.0).successful
    assert (node.get_parameter("near"), node.get_parameter("far")) == (25.0, 30.0)


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("cloud_stride", 0, "cloud_stride"),
        ("far", 1e9, "far"),
        ("max_age", -1.0, "max_age"),
        ("near", float("nan"), "near"),
        ("scale_source", "lidar", "allowed: none, fixed, ground_plane"),
        ("scale_source", 3, "type"),
        ("cloud_stride", 2.5, "type"),
        ("far", "a lot", "type"),
        ("no_such_parameter", 1, "undeclared"),
    ],
)
def test_values_that_are_not_allowed_are_refused_with_the_reason(node: Any, name: str, value: Any, words: str) -> None:
    result = node.set_parameters(**{name: value})[0]
    assert not result.successful
    assert words in result.reason


def test_a_qos_override_that_is_no_policy_fails_the_configuration_with_the_reason(start_node: Any) -> None:
    override = {"qos_overrides./fourth/points.publisher.reliability": "quick"}
    node = start_node(name="fourth", **override)
    assert node.change("configure") == [False]
    assert node.state() == "unconfigured"
    status = node.diagnostics_after(time.time())
    assert status.level == DiagnosticStatus.ERROR and "quick" in status.message and "\n" not in status.message


def test_a_parameter_out_of_range_at_start_ends_the_process_with_the_reason(start_node: Any) -> None:
    process = start_node(name="third", cloud_stride=1000).process
    assert process.wait() == 1
    assert "cloud_stride" in process.output and "64" in process.output
    assert "Traceback" not in process.output


def test_shutdown_from_active_releases_everything_and_the_process_still_answers(node: Any) -> None:
    node.bring_to("active")
    assert node.change("shutdown") == [True]
    assert node.state() == "finalized"
    assert node.change("configure") == [False]
    node.process.signal(signal.SIGTERM)
    assert node.process.wait() == 0
    assert "Traceback" not in node.process.output


@pytest.mark.parametrize(
    ("state", "number"),
    [
        ("unconfigured", signal.SIGINT),
        ("configuring", signal.SIGINT),
        ("configuring", signal.SIGTERM),
        ("inactive", signal.SIGTERM),
        ("active", signal.SIGINT),
    ],
)
def test_signals_end_the_process_cleanly_also_twice_in_a_row(
    start_node: Any, random_model: Path, graph: Any, state: str, number: int
) -> None:
    from lifecycle_msgs.msg import Transition
    from lifecycle_msgs.srv import ChangeState

    # While it imports torch, which takes seconds; otherwise with an engine that is ready at once.
    model = {"model": random_model, "processing_pixels": 1024} if state == "configuring" else {}
    node = start_node(name=f"ends_{state}_{number}", **model)
    if state == "configuring":
        client = graph.node.create_client(ChangeState, f"{node.name}/change_state")
        assert client.wait_for_service(60)
        client.call_async(ChangeState.Request(transition=Transition(label="configure")))
        node.process.wait_for_output("loading")
    else:
        node.bring_to(state)
    node.process.signal(number)
    time.sleep(0.05)
    if node.process.process.poll() is None:
        node.process.signal(number)
    assert node.process.wait() == 0, node.process.output
    assert "Traceback" not in node.process.output
    assert "rror" not in node.process.output
