"""Turns between camera frames and denoising steps: neither runs inside the other, and neither starves."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from merge_ros.errors import ConfigurationError, RefusedError
from merge_ros.ros import mode as module
from merge_ros.ros.mode import ModeSwitch


class Network:
    """Notices when two users are in it at once."""

    def __init__(self) -> None:
        self.story: list[str] = []
        self.together = 0
        self._users = 0

    @contextmanager
    def used(self, who: str) -> Iterator[None]:
        self._users += 1
        self.together = max(self.together, self._users)
        self.story.append(who)
        time.sleep(0.002)
        yield
        self._users -= 1


def test_frames_and_steps_take_turns() -> None:
    switch, network, end = ModeSwitch(), Network(), threading.Event()

    def frames() -> None:
        while not end.is_set():
            with switch.frame(), network.used("frame"):
                pass

    thread = threading.Thread(target=frames)
    thread.start()
    with switch.images():
        for _ in range(40):
            switch.next_step()
            with network.used("step"):
                pass
            if network.story.count("step") == 20:
                assert switch.doing == "depth, making images"
    end.set()
    thread.join()
    assert network.together == 1
    assert network.story.count("step") == 40
    longest = max(len(part.split()) for part in " ".join(network.story).split("frame"))
    assert longest <= 2  # at most one step, and the one that had begun, before a frame has its turn
    assert switch.doing == "depth"


def test_a_frame_that_hangs_does_not_stop_the_images(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PATIENCE", 0.05)
    switch = ModeSwitch()
    with switch.frame(), switch.images():
        switch.next_step()
        switch.next_step()
    with switch.images():
        switch.next_step()
        with switch.frame():  # nor does a step that hangs stop the frames
            pass


def test_modes_and_policies() -> None:
    switch = ModeSwitch()
    assert switch.no_depth_because() == ""
    with pytest.raises(ConfigurationError, match="mode 'sleep' is unknown; allowed: depth, generate, both"):
        switch.mode = "sleep"
    switch.policy = "pause"
    with switch.images():
        assert "mode_policy 'pause'" in switch.no_depth_because()
        switch.mode = "both"
        assert switch.no_depth_because() == ""
        switch.mode = "generate"
        assert "mode is 'generate'" in switch.no_depth_because()
    switch.policy, switch.mode = "refuse", "depth"
    with pytest.raises(RefusedError, match="mode_policy is 'refuse'"):
        switch.check_images()
    switch.mode = "both"
    switch.check_images()
