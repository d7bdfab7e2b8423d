"""The demo as a whole: starts the processes, follows them, and writes figures and pictures."""

from __future__ import annotations

import json
import math
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from merge_ros.config import EstimatorSettings, ScaleSettings
from merge_ros.demo.bag import BUNDLED_RECORDING, IMAGE, INFO, Recording
from merge_ros.demo.environment import check_dependencies, installed_file, own_domain
from merge_ros.demo.processes import DemoError, Processes, terminated_is_interrupted
from merge_ros.errors import ConfigurationError
from merge_ros.files import atomic_write

NODE, BRING_UP, PLAYER, RECEIVER = "depth node", "bring-up", "player", "receiver"
NODE_NAME = "/merge"
NODE_EXECUTABLE = "lib/merge_ros/depth_node"
DISCOVERY = 60.0  # seconds for active processes to find each other, at most
RESULTS = ("summary.json", "sheet.png", "drive.gif", "cloud.ply", "depth_node.log")
HEADLINE = ("frames", "rate_hz", "latency_ms_p50", "latency_ms_p95", "abs_rel", "delta1")


@dataclass(frozen=True)
class DemoOptions:
    """What the demo does.

    Args:
        out: folder for the results; made if missing, files of an earlier run are replaced.
        recording: a rosbag2 folder made by `merge_ros.demo.record`.
        estimator: the model and how it runs.
        scale: where metres come from; None is the ground plane, with the height and pitch that the recording brings.
        rate: speed of the player, 1 is as recorded.
        frames: stop after so many frames, 0 is all.
        loop: play again and again until interrupted; the results are written then.

    Raises:
        ConfigurationError: a value is not allowed.
    """

    out: Path
    recording: Path = BUNDLED_RECORDING
    estimator: EstimatorSettings = field(default_factory=EstimatorSettings)
    scale: ScaleSettings | None = None
    rate: float = 1.0
    frames: int = 0
    loop: bool = False

    def __post_init__(self) -> None:
        if not 0 < self.rate <= 100:
            raise ConfigurationError(f"rate={self.rate} must be above 0, at most 100")
        if self.frames < 0:
            raise ConfigurationError(f"frames={self.frames} must be 0 (all) or more")


def run_demo(options: DemoOptions, tell: Callable[[str], None]) -> dict[str, Any]:
    """Play, estimate, receive, measure, draw.

    Args:
        options: what to do.
        tell: takes lines for the user.

    Returns:
        What was written to summary.json.

    Raises:
        MissingDependencyError: ROS, rosbags or Pillow is not installed.
        DatasetError: the recording cannot be used.
        DemoError: a process failed, or nothing came out.
        KeyboardInterrupt: interrupted, and all processes ended (not with `loop`, where that is the normal end).
    """
    check_dependencies()
    recording = Recording(options.recording)
    scale = options.scale or ScaleSettings(
        source="ground_plane", camera_height=recording.camera_height, camera_pitch=recording.camera_pitch
    )
    started = time.monotonic()
    for name in RESULTS:  # what an earlier run left must not pass for the result of this one
        (options.out / name).unlink(missing_ok=True)
    with tempfile.TemporaryDirectory(prefix="merge_ros_demo_") as temporary, terminated_is_interrupted():
        work = Path(temporary)
        parameters = work / "parameters.yaml"
        parameters.write_text(parameter_file(options.estimator, scale))
        with own_domain() as environment, Processes(environment, work) as processes:
            tell(f"watch it:  ROS_DOMAIN_ID={environment['ROS_DOMAIN_ID']} ros2 topic list")
            _start(processes, options, recording, parameters, work)
            try:
                _follow(processes, tell, recording.frame_count if not options.loop else 0, options.frames)
            except KeyboardInterrupt:
                if not options.loop:
                    raise
                tell("interrupted: finishing")
            _finish(processes, interrupted=options.loop)
            options.out.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(processes.log(NODE), options.out / "depth_node.log")
        return _report(options, scale, recording, work, tell, started)


def parameter_file(estimator: EstimatorSettings, scale: ScaleSettings) -> str:
    """The node's parameters as a ROS parameter file; JSON values are YAML values."""
    values = asdict(estimator) | asdict(scale)
    for name in ("model", "converters", "codec"):
        if values[name] and Path(values[name]).is_dir():  # the node runs in another folder
            values[name] = str(Path(values[name]).resolve())
    values["scale_source"] = values.pop("source")
    lines = [f"    {name}: {json.dumps(value)}" for name, value in values.items()]
    return "\n".join([f"{NODE_NAME}:", "  ros__parameters:", *lines, ""])


def _start(processes: Processes, options: DemoOptions, recording: Recording, parameters: Path, work: Path) -> None:
    def module(name: str, *arguments: str) -> list[str]:
        return [sys.executable, "-m", f"merge_ros.{name}", *arguments]

    remap = ["-r", f"image:={IMAGE}", "-r", f"camera_info:={INFO}"]
    node = str(installed_file(NODE_EXECUTABLE))
    processes.start(NODE, [node, "--ros-args", "--params-file", str(parameters), *remap])
    processes.start(BRING_UP, module("demo.bring_up", NODE_NAME))
    middle = recording.duration / options.rate / 2
    processes.start(RECEIVER, module("demo.receive", str(work), "--node", NODE_NAME, "--cloud-at", f"{middle:.2f}"))
    # The node and the receiver: nothing is played before both listen.
    play = ["--rate", str(options.rate), "--frames", str(options.frames), "--subscribers", "2"]
    processes.start(
        PLAYER, module("demo.play", str(options.recording.resolve()), *play, *(["--loop"] if options.loop else []))
    )


def _follow(processes: Processes, tell: Callable[[str], None], available: int, wanted: int) -> None:
    """Return when the player is done."""
    frames = min(available, wanted) if wanted else available
    sent = received = 0
    active = False
    latency = math.nan
    tell("starting the depth node and loading the model ...")
    while True:
        looking = active and not sent
        found = processes.next_event(DISCOVERY) if looking else processes.wait_for_event()
        if found is None:
            raise processes.failure(NODE, f"the depth node is active, but found no camera in {DISCOVERY:.0f} s")
        name, event = found
        match name, event["event"]:
            case "bring-up", "refused":
                raise processes.failure(NODE, f"the depth node refused to {event['label']}")
            case "bring-up", "active":
                active = True
                tell("the depth node is active; playing")
            case "player", "sent":
                sent += 1
            case "receiver", "depth":
                received, latency = event["frames"], event["latency_ms"]
            case "player", "exit" if event["status"] == 0:
                return
            case "bring-up", "exit" if event["status"] == 0:
                pass
            case _, "exit":
                raise processes.failure(name, f"the {name} ended unexpectedly with status {event['status']}")
        if sent and name != BRING_UP:
            total = f"/{frames}" if frames else ""
            tell(f"\rsent {sent}{total}   metric depth received {received}   latency {latency:.0f} ms   ")


def _finish(processes: Processes, *, interrupted: bool) -> None:
    """Let the receiver take what is still on its way, and write its results."""
    if interrupted:
        processes.interrupt(RECEIVER)
    else:
        processes.tell(RECEIVER, "finish")
    while True:
        name, event = processes.wait_for_event()
        if name == RECEIVER and event["event"] == "exit":
            if event["status"] != 0:
                raise processes.failure(RECEIVER, "the receiver failed")
            return
        if name == NODE and event["event"] == "exit" and not interrupted:
            raise processes.failure(NODE, f"the depth node ended unexpectedly with status {event['status']}")


def _report(
    options: DemoOptions,
    scale: ScaleSettings,
    recording: Recording,
    work: Path,
    tell: Callable[[str], None],
    started: float,
) -> dict[str, Any]:
    from merge_ros.demo.pictures import View, draw_pictures

    measured: dict[str, Any] = json.loads((work / "measured.json").read_text())
    if not measured["frames"]:
        reason = measured["last_problem"] or "the node gave no reason"
        raise DemoError(
            f"no metric depth came out of {measured['frames_sent']} frames: {reason}. The node's log is "
            f"{options.out / 'depth_node.log'}"
        )
    tell("drawing")
    shutil.copyfile(work / "cloud.ply", options.out / "cloud.ply")
    camera = next(recording.frames()).camera
    draw_pictures(work / "frames.npz", options.out, View(camera, recording.camera_height, recording.camera_pitch))
    summary = (
        {key: measured.pop(key) for key in HEADLINE}
        | measured
        | {
            "model": options.estimator.model,
            "backend": options.estimator.backend,
            "device": options.estimator.device,
            "precision": options.estimator.precision,
            "scale_source": scale.source,
            "recording": options.recording.name,
            "cpus": len(os.sched_getaffinity(0)),
            "seconds_total": round(time.monotonic() - started, 1),
        }
    )
    with atomic_write(options.out / "summary.json") as temporary:
        temporary.write_text(json.dumps(summary, indent=2) + "\n")
    return summary
