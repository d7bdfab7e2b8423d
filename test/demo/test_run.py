"""The whole demo in its processes over real ROS 2: what matters here is that all of it runs, not how well."""

import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path

import pytest

from merge_ros.demo.run import HEADLINE, RESULTS

for needed in ("rclpy", "rosbags", "PIL"):
    pytest.importorskip(needed)
if importlib.util.find_spec("merge_ros.msg") is None:
    pytest.skip("needs the installed package", allow_module_level=True)

LIMIT = 240  # seconds; reached only when something is broken
FRAMES = 15


class DemoProcess:
    """`merge-ros demo` as a user starts it; its processes carry a mark by which they are found."""

    def __init__(self, out: Path, *options: str) -> None:
        self.out = out
        self.mark = uuid.uuid4().hex
        out.parent.mkdir(parents=True, exist_ok=True)
        # Without torch, and with metres from the first frame on.
        fixed = (
            "--backend",
            "onnx",
            "--processing-pixels",
            "4096",
            "--scale-source",
            "fixed",
            "--scale",
            "4",
            "--shift",
            "0.5",
        )
        environment = {name: value for name, value in os.environ.items() if name != "ROS_DOMAIN_ID"}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "merge_ros.cli.main", "demo", "--out", str(out), *fixed, *options],
            cwd=out.parent,
            env=environment | {"MERGE_ROS_TEST_MARK": self.mark},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def wait(self) -> tuple[int, str]:
        try:
            output, _ = self.process.communicate(timeout=LIMIT)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            raise
        return self.process.returncode, output

    def wait_for_line(self, words: str) -> None:
        assert self.process.stdout is not None
        said = ""
        for line in self.process.stdout:
            said += line
            if words in line:
                return
        pytest.fail(f"{words!r} was never said:\n{said}")

    def left_behind(self) -> list[str]:
        """Command lines of processes that live on."""
        found = []
        for folder in Path("/proc").iterdir():
            try:
                if folder.name.isdigit() and self.mark in (folder / "environ").read_text(errors="replace"):
                    found.append((folder / "cmdline").read_text().replace("\0", " "))
            except OSError:  # gone, or another user's
                continue
        return found


def check_results(demo: DemoProcess) -> dict:
    status, output = demo.wait()
    assert status == 0, output
    assert demo.left_behind() == []
    summary = json.loads((demo.out / "summary.json").read_text())
    assert tuple(summary)[: len(HEADLINE)] == HEADLINE
    for key in HEADLINE:
        assert f"{key} " in output
        assert summary[key] is not None, key
    assert summary["frames_sent"] == FRAMES
    assert 1 <= summary["frames"] <= FRAMES
    assert 0 < summary["latency_ms_p50"] <= summary["latency_ms_p95"]
    assert summary["abs_rel"] > 0
    assert 0 <= summary["delta1"] <= 1
    assert summary["frames"] + summary["frames_dropped"] <= FRAMES
    assert summary["clouds"] >= 1
    assert sorted(file.name for file in demo.out.iterdir()) == sorted(RESULTS)
    header = (demo.out / "cloud.ply").read_bytes()[:200]
    assert f"element vertex {summary['cloud_points']}\n".encode() in header
    assert "listening to /camera/image_raw" in (demo.out / "depth_node.log").read_text()
    return summary


def test_two_demos_at_once_do_not_disturb_each_other_and_a_third_replaces_the_first(tmp_path: Path) -> None:
    options = ("--frames", str(FRAMES))
    together = [DemoProcess(tmp_path / name / "out", *options) for name in ("a", "b")]
    for demo in together:
        check_results(demo)
    before = (together[0].out / "summary.json").stat().st_mtime_ns
    again = DemoProcess(together[0].out, *options)
    check_results(again)
    assert (again.out / "summary.json").stat().st_mtime_ns > before


@pytest.mark.parametrize("to_all", [True, False], ids=["ctrl_c", "sigterm"])
def test_an_interrupt_ends_every_process(tmp_path: Path, to_all: bool) -> None:
    demo = DemoProcess(tmp_path / "out")
    demo.wait_for_line("playing")
    assert len(demo.left_behind()) >= 4
    if to_all:
        os.killpg(demo.process.pid, signal.SIGINT)  # a terminal sends it to all processes of the group
    else:
        demo.process.terminate()
    status, output = demo.wait()
    assert status == 130, output
    assert demo.left_behind() == []
    assert not (demo.out / "summary.json").exists()


def test_a_loop_ends_with_ctrl_c_and_its_results(tmp_path: Path) -> None:
    demo = DemoProcess(tmp_path / "out", "--loop", "--frames", "3")
    demo.wait_for_line("playing")
    time.sleep(5)
    os.killpg(demo.process.pid, signal.SIGINT)
    status, output = demo.wait()
    assert status == 0, output
    assert json.loads((demo.out / "summary.json").read_text())["frames_sent"] > 3
    assert demo.left_behind() == []


def test_a_node_that_cannot_load_its_model_says_why(tmp_path: Path) -> None:
    demo = DemoProcess(tmp_path / "out", "--model", str(tmp_path / "no_such_model"))
    status, output = demo.wait()
    assert status == 2
    assert "refused to configure" in output
    assert f"model '{tmp_path / 'no_such_model'}' does not exist" in output
    assert "Traceback" not in output
    assert demo.left_behind() == []


def test_a_recording_that_is_none_is_refused_before_anything_starts(tmp_path: Path) -> None:
    demo = DemoProcess(tmp_path / "out", "--recording", str(tmp_path))
    status, output = demo.wait()
    assert status == 2
    assert "is not a recording" in output
