"""`merge-ros generate`, run as users run it."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import cv2
import numpy as np
import pytest

from merge_ros.cli.main import main
from merge_ros.cli.prompt_batch import Batch, read_prompts
from merge_ros.config import GenerationRequest
from merge_ros.errors import ConfigurationError, InputError

pytest.importorskip("torch", reason="image generation needs the extra 'torch'")

SMALL = ["--size", "32x24", "--steps", "2", "--seed", "5"]


def generate(model: Path, *arguments: object) -> int:
    return main(["generate", *map(str, arguments), "--model", str(model), *SMALL])


def test_one_prompt_as_users_run_it(random_image_model: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    command = [sys.executable, "-m", "merge_ros.cli.main", "generate", "A red crate!", "--out", str(out), "--depth"]
    command += ["--model", str(random_image_model), *SMALL, "--count", "2"]
    result = subprocess.run(
        command, capture_output=True, text=True, timeout=240, cwd=tempfile.gettempdir(), check=False
    )
    assert result.returncode == 0, result.stderr
    assert "a-red-crate-5.png" in result.stdout
    picture = cv2.imread(str(out / "a-red-crate-5.png"))
    depth = np.load(out / "a-red-crate-6_depth.npy")
    assert picture.shape == (24, 32, 3)
    assert depth.shape == (24, 32)
    assert depth.dtype == np.float32
    assert cv2.imread(str(out / "a-red-crate-6_depth.png")).shape == (24, 32, 3)
    metadata = json.loads((out / "a-red-crate-6.json").read_text())
    assert metadata["prompt"] == "A red crate!"
    assert (metadata["seed"], metadata["width"], metadata["height"], metadata["steps"]) == (6, 32, 24, 2)
    assert metadata["depth"].startswith("relative")
    assert len(metadata["model_hash"]) == 32
    assert set(metadata["seconds"]) == {"denoise", "decode", "depth"}
    assert all((out / name).is_file() for name in metadata["files"].values())
    assert len(list(out.iterdir())) == 8, "temporary files are gone"


def test_depth_as_tiff(random_image_model: Path, tmp_path: Path) -> None:
    assert generate(random_image_model, "a ball", "--out", tmp_path, "--depth", "--depth-format", "tiff") == 0
    assert generate(random_image_model, "a ball", "--out", tmp_path, "--depth") == 0
    stored = cv2.imread(str(tmp_path / "a-ball-5_depth.tiff"), cv2.IMREAD_UNCHANGED)
    assert stored.dtype == np.float32
    assert np.array_equal(stored, np.load(tmp_path / "a-ball-5_depth.npy"))


def test_a_killed_batch_goes_on(random_image_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    prompts = tmp_path / "prompts.txt"
    prompts.write_text("a red crate\n\n# a comment\na blue ball\n")
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    for out in (whole, cut):
        assert generate(random_image_model, "--prompts", prompts, "--out", out, "--count", 2) == 0
    assert "4 images made, 4 are in" in capsys.readouterr().out
    index = (cut / "index.jsonl").read_text()
    assert len(index.splitlines()) == 4
    # Killed while it wrote the last line; and somebody lost a picture.
    (cut / "index.jsonl").write_text(index[:-30])
    (cut / "00001-a-red-crate-6.png").unlink()
    assert generate(random_image_model, "--prompts", prompts, "--out", cut, "--count", 2) == 0
    assert "2 images made, 4 are in" in capsys.readouterr().out
    pictures = sorted(path.name for path in whole.glob("*.png"))
    assert pictures == [f"0000{n}-a-{name}-{5 + n}.png" for n, name in enumerate(["red-crate"] * 2 + ["blue-ball"] * 2)]
    numbers = [json.loads(line)["number"] for line in (cut / "index.jsonl").read_text().splitlines()]
    assert sorted(numbers) == [0, 1, 2, 3], "each image once"
    for name in pictures:
        assert (cut / name).read_bytes() == (whole / name).read_bytes()
    assert generate(random_image_model, "--prompts", prompts, "--out", cut, "--count", 2) == 0
    assert "0 images made" in capsys.readouterr().out

    assert generate(random_image_model, "--prompts", prompts, "--out", cut, "--count", 2, "--guidance", 5) == 2
    assert "was begun with other prompts, settings or weights" in capsys.readouterr().err
    prompts.write_text("a blue ball\n")
    assert generate(random_image_model, "--prompts", prompts, "--out", cut, "--count", 2) == 2


def test_a_batch_without_a_seed_keeps_its_first(tmp_path: Path) -> None:
    request = GenerationRequest("a", steps=2)
    batch = Batch(tmp_path, ["a", "b"], request, "hash", new_seed=100)
    assert [job.request.seed for job in batch.missing] == [100, 101]
    for name in ("x.png", "y.png"):
        (tmp_path / name).touch()
    batch.add(batch.jobs[0], {"image": tmp_path / "x.png"})
    assert [job.number for job in batch.missing] == [1]
    again = Batch(tmp_path, ["a", "b", "c"], request, "hash", new_seed=999)
    assert [job.request.seed for job in again.missing] == [101, 102]
    with pytest.raises(ConfigurationError, match="other prompts"):
        Batch(tmp_path, ["a", "b"], request, "other weights", new_seed=999)
    (tmp_path / "index.jsonl").write_text('{"foreign": 1}\n{"foreign": 2}\n')
    with pytest.raises(ConfigurationError, match=r"index.jsonl:1 is no record"):
        Batch(tmp_path, ["a", "b"], request, "hash", new_seed=999)


def test_files_of_prompts(tmp_path: Path) -> None:
    path = tmp_path / "prompts.txt"
    with pytest.raises(InputError, match="cannot be read"):
        read_prompts(path)
    path.write_text("\n# only a comment\n")
    with pytest.raises(InputError, match="holds no prompt"):
        read_prompts(path)
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="cannot be read"):
        read_prompts(path)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "either a prompt or --prompts"),
        (["a ball", "--prompts", "x.txt"], "either a prompt or --prompts"),
        (["   "], "prompt is empty"),
        (["a ball", "--guidance", "0"], "guidance is 0.0; allowed"),
        (["a ball", "--count", "0"], "count is 0"),
        (["a ball", "--negative", "fog", "--guidance", "1"], "needs guidance above 1"),
        (["a ball", "--size", "30x24"], "width is 30; this model makes multiples of 8"),
        (["a ball", "--steps", "5000"], "at most 1000"),
        (["a wonderful unknown dinosaur"], "tokens"),
    ],
)
def test_wrong_calls_say_what_is_wrong(
    random_image_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    call = ["generate", *SMALL, *arguments, "--out", str(tmp_path / "out"), "--model", str(random_image_model)]
    assert main(call) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_disk_that_takes_nothing(
    random_image_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    assert generate(random_image_model, "a ball", "--out", tmp_path / "file" / "out") == 2
    assert "cannot be written" in capsys.readouterr().err
