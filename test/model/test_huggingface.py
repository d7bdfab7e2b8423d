"""`merge-ros fetch` in a process of its own, against a hub on this machine that cuts connections."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("huggingface_hub")

MODEL, COMMIT = "someone/tiny", "0123456789abcdef" * 2 + "01234567"
CHUNK = 10 << 20  # bytes that huggingface_hub writes at once
WEIGHTS = np.random.default_rng(0).bytes(CHUNK + 1_000_000)
FILES = {
    "transformer/config.json": b'{"a": 1}',
    "transformer/model.safetensors": WEIGHTS,
    "depth_converters/config.json": b"{}",
    "depth_converters/model.safetensors": WEIGHTS[:500_000],
}
FETCH = [sys.executable, "-m", "merge_ros.cli.main", "fetch", MODEL, "--yes"]


def is_large(name: str) -> bool:
    return name.endswith(".safetensors")


def digest(name: str) -> str:
    content = FILES[name]
    if is_large(name):
        return hashlib.sha256(content).hexdigest()
    return hashlib.sha1(f"blob {len(content)}\0".encode() + content).hexdigest()


class LocalHub(ThreadingHTTPServer):
    """The part of the hub's API that a download takes, with the files above.

    `asked` has what was asked for: (file, first byte). After `breaks_after` bytes of the first file of weights the
    connection stands still, as with a network that is gone, until `goes_on` is set.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answers)
        self.asked: list[tuple[str, int]] = []
        self.breaks_after: int | None = None
        self.stands_still, self.goes_on = threading.Event(), threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Answers(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: LocalHub

    def log_message(self, *_: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self.do_GET(only_head=True)

    def do_GET(self, only_head: bool = False) -> None:
        path = self.path.split("?")[0]
        if path.startswith(f"/api/models/{MODEL}/tree/"):
            return self.answer(json.dumps([self.entry(name) for name in FILES]).encode(), {}, only_head)
        if path.startswith(f"/api/models/{MODEL}"):
            siblings = [{"rfilename": name, "blobId": digest(name), "size": len(FILES[name])} for name in FILES]
            for sibling in siblings:
                name = str(sibling["rfilename"])
                if is_large(name):
                    sibling["lfs"] = {"size": len(FILES[name]), "sha256": digest(name), "pointerSize": 130}
            about = {"id": MODEL, "sha": COMMIT, "siblings": siblings, "cardData": {"license": "mit"}}
            return self.answer(json.dumps(about).encode(), {}, only_head)
        name = path.removeprefix(f"/{MODEL}/resolve/{COMMIT}/")
        if name not in FILES:
            return self.send_error(404)
        return self.file(name, only_head)

    def entry(self, name: str) -> dict[str, object]:
        found: dict[str, object] = {"type": "file", "path": name, "size": len(FILES[name]), "oid": digest(name)}
        if is_large(name):
            found["lfs"] = {"oid": digest(name), "size": len(FILES[name]), "pointerSize": 130}
        return found

    def file(self, name: str, only_head: bool) -> None:
        content, headers, status = FILES[name], {"ETag": f'"{digest(name)}"', "X-Repo-Commit": COMMIT}, 200
        wanted = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        if wanted:
            headers["Content-Range"] = f"bytes {wanted[1]}-{len(content) - 1}/{len(content)}"
            content, status = content[int(wanted[1]) :], 206
        if not only_head:
            self.server.asked.append((name, int(wanted[1]) if wanted else 0))
        self.answer(content, headers, only_head, status, breaks=is_large(name))

    def answer(
        self, content: bytes, headers: dict[str, str], only_head: bool, status: int = 200, breaks: bool = False
    ) -> None:
        self.send_response(status)
        for key, value in {"Content-Length": str(len(content)), "Content-Type": "application/json", **headers}.items():
            self.send_header(key, value)
        self.end_headers()
        if only_head:
            return
        first = self.server.breaks_after if breaks else None
        self.wfile.write(content[:first])
        if first is not None:
            self.wfile.flush()
            self.server.stands_still.set()
            self.server.goes_on.wait(60)
            with contextlib.suppress(ConnectionError):  # nobody listens any more
                self.wfile.write(content[first:])


@pytest.fixture
def hub() -> Iterator[LocalHub]:
    hub = LocalHub()
    thread = threading.Thread(target=hub.serve_forever, daemon=True)
    thread.start()
    yield hub
    hub.goes_on.set()
    hub.shutdown()
    hub.server_close()
    thread.join()


@pytest.fixture
def surroundings(hub: LocalHub, tmp_path: Path) -> dict[str, str]:
    """The environment of a process that knows no other hub."""
    return os.environ | {"HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path / "hub"), "HF_HUB_DISABLE_TELEMETRY": "1"}


def finished(command: list[str], surroundings: dict[str, str], folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, env=surroundings, cwd=folder, capture_output=True, text=True, timeout=120, check=False
    )


@pytest.mark.parametrize("into_cache", [True, False], ids=["cache", "folder"])
def test_a_download_whose_process_was_killed_goes_on_where_it_stopped(
    hub: LocalHub, surroundings: dict[str, str], tmp_path: Path, into_cache: bool
) -> None:
    command = FETCH if into_cache else [*FETCH, "--out", str(tmp_path / "model")]
    hub.breaks_after = CHUNK + 500_000
    killed = subprocess.Popen(
        command, env=surroundings, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT
    )
    try:
        assert hub.stands_still.wait(120)
        deadline = time.monotonic() + 60
        while not (partial := list(tmp_path.rglob("*.part"))) or partial[0].stat().st_size == 0:
            assert time.monotonic() < deadline
            time.sleep(0.01)
    finally:
        killed.send_signal(signal.SIGKILL)
        killed.wait()
    (first,) = tmp_path.rglob("*.part")
    begun = first.stat().st_size
    assert 0 < begun <= CHUNK
    assert not list(tmp_path.rglob("*.safetensors")), "nothing that is not whole has its name"

    hub.breaks_after = None
    hub.goes_on.set()
    hub.asked.clear()
    done = finished(command, surroundings, tmp_path)
    assert done.returncode == 0, done.stderr
    assert "all as the hub has them" in done.stdout
    assert ("transformer/model.safetensors", begun) in hub.asked
    assert sum(name == "transformer/model.safetensors" for name, _ in hub.asked) == 1
    root = next((tmp_path / "hub").rglob(COMMIT)) if into_cache else tmp_path / "model"
    for name, content in FILES.items():
        assert (root / name).read_bytes() == content
    assert not list(tmp_path.rglob("*.part"))

    hub.asked.clear()
    again = finished(command, surroundings, tmp_path)
    assert again.returncode == 0, again.stderr
    assert hub.asked == [], "what is there does not come twice"


def test_what_came_damaged_is_named(hub: LocalHub, surroundings: dict[str, str], tmp_path: Path) -> None:
    """The rest does not fit what is there already: sizes are right, the hash is not."""
    partial = tmp_path / "model" / "transformer" / f"{digest('transformer/model.safetensors')}.part"
    partial.parent.mkdir(parents=True)
    partial.write_bytes(b"\0" * 1000)
    done = finished([*FETCH, "--out", str(tmp_path / "model")], surroundings, tmp_path)
    assert done.returncode == 2
    assert "transformer/model.safetensors is not what the hub has" in done.stderr
    assert ("transformer/model.safetensors", 1000) in hub.asked
