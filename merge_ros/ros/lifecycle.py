"""Repairs to rclpy's lifecycle node: transitions that cannot be made are refused, and errors are told."""

from __future__ import annotations

import functools
import traceback
from collections.abc import Callable
from typing import Any, Protocol, TypeVar

from rclpy.impl.implementation_singleton import rclpy_implementation
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn

from merge_ros.errors import MergeError


def refuse_impossible_transitions(node: LifecycleNode) -> None:
    """Answer a transition that the present state does not have with `success: false`.

    In rclpy 7 (Jazzy) the error leaves the service callback instead: the caller gets no answer, and the process ends.
    """
    service = node._service_change_state
    change_state = service.callback

    def answer(request: Any, response: Any) -> Any:
        try:
            return change_state(request, response)
        except rclpy_implementation.RCLError as error:
            node.get_logger().warning(f"transition refused: {error}")
            response.success = False
            return response

    service.callback = answer


class Explaining(Protocol):
    """A node that tells why a transition failed."""

    def explain_failure(self, reason: str) -> None:
        """Take the reason; "" when a new transition begins."""


Node = TypeVar("Node", bound=Explaining)
Transition = Callable[[Node, LifecycleState], TransitionCallbackReturn]


def explained(transition: Transition[Node]) -> Transition[Node]:
    """Wrap a transition callback: a `MergeError` is a FAILURE, any other error an ERROR, and the node is told why.

    rclpy 7 (Jazzy) drops what a callback raises without a word.
    """

    @functools.wraps(transition)
    def explain(node: Node, state: LifecycleState) -> TransitionCallbackReturn:
        name = transition.__name__.removeprefix("on_")
        node.explain_failure("")
        try:
            return transition(node, state)
        except MergeError as error:
            node.explain_failure(f"{name} failed: {error}")
            return TransitionCallbackReturn.FAILURE
        except Exception as error:
            node.explain_failure(f"{name} failed: {type(error).__name__}: {error}\n{traceback.format_exc()}")
            return TransitionCallbackReturn.ERROR

    return explain
