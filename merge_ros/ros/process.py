"""A node as a process: spins it, and ends it cleanly on SIGINT and SIGTERM, however often they come."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from collections.abc import Callable, Sequence
from typing import Any

import rclpy
from rclpy.exceptions import InvalidParameterTypeException, InvalidParameterValueException
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos_overriding_options import InvalidQosOverridesError

from merge_ros.errors import MergeError
from merge_ros.ros.shared_memory import remove_abandoned_segments
from merge_ros.ros.watchdog import engine_threads

REFUSED = (
    MergeError,
    InvalidParameterTypeException,
    InvalidParameterValueException,
    InvalidQosOverridesError,
)
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)

# glibc's malloc.h. Each frame makes and frees several buffers of megabytes; by default they go back to the kernel every
# time, and its zeroing of fresh pages then costs more than filling them (benchmarks/node_overhead.py).
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
KEPT_FREE = 128 << 20  # bytes of freed memory that the process keeps for the next frame
LARGEST_KEPT = 32 << 20  # bytes; larger blocks go back at once (glibc allows no more)


def run_node(make_node: Callable[[], Node], arguments: Sequence[str] | None = None) -> int:
    """`run_nodes` with one node, which `make_node` makes."""
    return run_nodes(lambda: [make_node()], arguments)


def run_nodes(make_nodes: Callable[[], Sequence[Node]], arguments: Sequence[str] | None = None) -> int:
    """Spin nodes in one executor until a signal comes or their context is shut down; the process is to exit then.

    Args:
        make_nodes: makes the nodes, after rclpy is initialised. Their `destroy_node` lets go of all that they hold, in
            any state.
        arguments: command line, `sys.argv` when None.

    Returns:
        The exit status: 0, or 1 when the nodes could not be made from their parameters.
    """
    _keep_freed_memory()
    remove_abandoned_segments()
    # rclpy's own handlers wake the executor and then call this one.
    interrupt = _InterruptOnce()
    for number in STOP_SIGNALS:
        signal.signal(number, interrupt)
    nodes: Sequence[Node] = ()
    executor: SingleThreadedExecutor | None = None
    try:
        rclpy.init(args=arguments)
        nodes = make_nodes()
        executor = SingleThreadedExecutor()
        for node in nodes:
            executor.add_node(node)
        executor.spin()
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    except REFUSED as error:
        print(f"cannot start: {error}", file=sys.stderr)
        return 1
    except Exception:
        interrupt.armed = False  # or the handler of a signal that came just now would break in here
        if rclpy.ok():
            raise
        # A signal shut the context down in the middle of a callback, which could not publish any more, or of making a
        # node.
    finally:
        interrupt.armed = False
        if executor is not None:
            executor.shutdown(timeout_sec=0)  # an interrupted callback will never report that it has finished
        for node in reversed(nodes):
            node.destroy_node()
        rclpy.try_shutdown()
        # Python puts the default handlers back before it is all gone, and a late signal would change the exit status.
        for number in STOP_SIGNALS:
            signal.signal(number, signal.SIG_IGN)
    if engine_threads():
        # A model hangs. Python would now take its own and the engine's libraries down under that thread's feet.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)
    return 0


def _keep_freed_memory() -> None:
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:  # glibc
        mallopt(M_TRIM_THRESHOLD, KEPT_FREE)
        mallopt(M_MMAP_THRESHOLD, LARGEST_KEPT)


class _InterruptOnce:
    """Signal handler: the first signal interrupts whatever runs, loading of a model included; the next ones nothing, as
    they would break into the release of it."""

    armed = True

    def __call__(self, number: int, frame: Any) -> None:
        if self.armed:
            self.armed = False
            raise KeyboardInterrupt
