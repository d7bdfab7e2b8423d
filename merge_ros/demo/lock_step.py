"""Holds a simulated clock until those who see and steer for a robot have kept up.

What a drive does then depends on the simulation alone, and not on how fast the machine is.
"""

from __future__ import annotations

import time

# Seconds of real time that are waited for something that does not come, until the clock goes on without it.
PATIENCE_WITH_DEPTH, PATIENCE_WITH_COMMANDS = 30.0, 1.0


class LockStep:
    """Tells whether the clock may go on.

    Args:
        depth_delay: simulated seconds after an image, at which the clock waits for the depth node's word on it; 0: it
            never waits. It does so once the depth node has spoken.
        command_delay: simulated seconds after a command that moves the robot, at which the clock waits for the next;
            0: it never waits.
    """

    def __init__(self, depth_delay: float, command_delay: float) -> None:
        self._depth_delay, self._command_delay = depth_delay, command_delay
        self._unanswered: dict[int, float] = {}  # stamp of an image: simulated seconds at which it was taken
        self._depth_speaks = False
        self._commanded: float | None = None  # simulated seconds of the last command, while another must follow
        self._held_since: float | None = None  # seconds of real time
        self.given_up = 0  # waits in vain

    def image_sent(self, stamp: int, now: float) -> None:
        """An image has been published.

        Args:
            stamp: of the image, as one number.
            now: simulated seconds.
        """
        if self._depth_speaks and self._depth_delay > 0:
            self._unanswered[stamp] = now

    def depth_answered(self, stamp: int) -> None:
        """The depth node has published all that it says of an image; it takes images in their order."""
        self._depth_speaks = True
        self._unanswered = {other: taken for other, taken in self._unanswered.items() if other > stamp}

    def commanded(self, moving: bool, now: float) -> None:
        """A command has come."""
        self._commanded = now if moving and self._command_delay > 0 else None

    def may_go_on(self, now: float) -> bool:
        """Whether the clock may make its next step from `now`, simulated seconds."""
        depth_late = any(now - taken >= self._depth_delay for taken in self._unanswered.values())
        command_late = self._commanded is not None and now - self._commanded >= self._command_delay
        if not depth_late and not command_late:
            self._held_since = None
            return True
        real = time.monotonic()
        if self._held_since is None:
            self._held_since = real
        if real - self._held_since <= (PATIENCE_WITH_DEPTH if depth_late else PATIENCE_WITH_COMMANDS):
            return False
        self.given_up += 1
        self._held_since = None
        if depth_late:
            self._unanswered.clear()
            self._depth_speaks = False
        else:
            self._commanded = None
        return True
