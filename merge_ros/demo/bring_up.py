"""Brings a lifecycle node to active, as `ros2 lifecycle set` or a launch file would.

python -m merge_ros.demo.bring_up /merge
"""

from __future__ import annotations

import argparse
import sys

import rclpy
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState

from merge_ros.demo.events import emit
from merge_ros.demo.interrupt import init_ros

TRANSITIONS = (("configure", Transition.TRANSITION_CONFIGURE), ("activate", Transition.TRANSITION_ACTIVATE))


def main() -> int:
    """Run as a process; returns 0 when the node is active, 1 when a transition failed, 130 when interrupted."""
    parser = argparse.ArgumentParser(prog="merge_ros.demo.bring_up", description=__doc__.splitlines()[0])
    parser.add_argument("node", help="full name of the node")
    name = parser.parse_args().node
    ended = init_ros()
    try:
        node = rclpy.create_node("demo_bring_up")
        client = node.create_client(ChangeState, f"{name}/change_state")
        while not client.wait_for_service(timeout_sec=0.5):
            if ended.is_set():
                return 130
        for label, transition in TRANSITIONS:
            emit("transition", label=label)
            future = client.call_async(ChangeState.Request(transition=Transition(id=transition)))
            while not future.done():
                if ended.is_set():
                    return 130
                rclpy.spin_once(node, timeout_sec=0.1)
            if not future.result().success:
                emit("refused", label=label)
                return 1
        emit("active")
    finally:
        rclpy.try_shutdown()
    return 0


if __name__ == "__main__":
    sys.exit(main())
