"""Ends of the demo's processes: a signal sets a flag, and the loop that looks at it ends where it chooses.

An exception out of a signal handler could come in the middle of a message that rclpy converts, which fails in odd ways.
"""

from __future__ import annotations

import signal
import threading

import rclpy
from rclpy.signals import SignalHandlerOptions


def init_ros() -> threading.Event:
    """Initialise rclpy without its own signal handlers; the event is set by SIGINT or SIGTERM."""
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
    return ended
