"""Which job the network does: depth, images, or both in turns. Knows threads, but no ROS."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from merge_ros.errors import ConfigurationError, RefusedError

MODES = ("depth", "generate", "both")
# Seconds that one side waits for the other's turn to end. Longer than any frame or step should take: one that hangs
# must not stop the other for good.
PATIENCE = 5.0


class ModeSwitch:
    """The node's mode, and turns between camera frames and denoising steps.

    No weight moves on a switch: depth is the frozen network with converters, images are the same without.

    Safe to use from several threads.

    Attributes:
        policy: what becomes of depth in mode "depth" while an image is made; one of `config.MODE_POLICIES`.
    """

    def __init__(self) -> None:
        self.policy = "interleave"
        self._mode = "depth"
        self._changed = threading.Condition()
        self._making = False  # a request is worked on
        self._stepping = False  # ... and is in the middle of a step
        self._step_waits = False
        self._step_is_due = False  # a frame had its turn while a step waited
        self._frames = 0  # that are worked on
        self._frames_wait = 0

    @property
    def mode(self) -> str:
        """One of `MODES`."""
        return self._mode

    @mode.setter
    def mode(self, mode: str) -> None:
        if mode not in MODES:
            raise ConfigurationError(f"mode {mode!r} is unknown; allowed: {', '.join(MODES)}")
        self._mode = mode

    @property
    def doing(self) -> str:
        """The mode, and whether an image is being made: for the status."""
        return f"{self._mode}, making images" if self._making else self._mode

    def no_depth_because(self) -> str:
        """Why camera frames are not worked on now; "" when they are."""
        if self._mode == "generate":
            return "the mode is 'generate'"
        if self._mode == "depth" and self._making and self.policy == "pause":
            return "an image is being made (mode_policy 'pause')"
        return ""

    def check_images(self) -> None:
        """Whether a request may be taken now.

        Raises:
            RefusedError: the mode is "depth" and the policy "refuse".
        """
        if self._mode == "depth" and self.policy == "refuse":
            raise RefusedError(
                "mode_policy is 'refuse' and the mode is 'depth': no image is made; ~/set_mode to 'generate' or 'both' "
                "allows it"
            )

    @contextmanager
    def frame(self) -> Iterator[None]:
        """Work on a camera frame: begins when no step is under way."""
        with self._changed:
            self._frames_wait += 1
            self._changed.wait_for(lambda: not (self._stepping or self._step_is_due), PATIENCE)
            self._frames_wait -= 1
            self._frames += 1
        try:
            yield
        finally:
            with self._changed:
                self._frames -= 1
                self._step_is_due = self._step_waits
                self._changed.notify_all()

    @contextmanager
    def images(self) -> Iterator[None]:
        """Work on a request for images."""
        self._making = True
        try:
            yield
        finally:
            self._making = False
            self.rest()

    def next_step(self) -> None:
        """A step of an image begins, the one before it has ended; a camera frame that waits comes in between."""
        with self._changed:
            self._stepping, self._step_waits = False, True
            self._changed.notify_all()
            self._changed.wait_for(lambda: not self._frames and (self._step_is_due or not self._frames_wait), PATIENCE)
            self._stepping, self._step_waits, self._step_is_due = True, False, False

    def rest(self) -> None:
        """The network is not needed for the image until `next_step`."""
        with self._changed:
            self._stepping = False
            self._changed.notify_all()
