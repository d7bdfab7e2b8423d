"""`merge-ros convert` and `merge-ros fetch` as they are called."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")

from merge_ros.cli.main import main
from merge_ros.config import EstimatorSettings
from merge_ros.estimator import DepthEstimator


def depth(model: Path, backend: str = "torch") -> np.ndarray:
    image = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    return DepthEstimator(EstimatorSettings(model=str(model), backend=backend, device="cpu"))(image)


def test_all_forms_of_a_model(random_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    backbone, one_file = tmp_path / "authors", tmp_path / "model.safetensors"
    assert main(["convert", "--model", str(random_model), "--to", "authors", "--out", str(backbone)]) == 0
    (tmp_path / "sets").mkdir()
    (backbone / "depth_converters").rename(tmp_path / "sets" / "depth_converters")
    sets = ["--converters", str(tmp_path / "sets")]
    assert main(["convert", "--model", str(backbone), *sets, "--to", "safetensors", "--out", str(one_file)]) == 0
    folder, onnx = tmp_path / "folder", tmp_path / "depth.onnx"
    assert main(["convert", "--model", str(one_file), "--to", "folder", "--out", str(folder)]) == 0
    assert "MB" in capsys.readouterr().out
    assert np.array_equal(depth(folder), depth(random_model))
    assert not list(tmp_path.glob("merge_ros_convert_*")), "temporary folders are gone"
    pytest.importorskip("onnxscript", reason="the exporter needs the extra [export]")
    assert main(["convert", "--model", str(one_file), "--to", "onnx", "--out", str(onnx)]) == 0
    assert np.abs(depth(onnx, "onnx") - depth(random_model)).max() < 1e-3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["convert", "--model", "MODEL", "--to", "safetensors", "--out", "x.bin"], "must end in .safetensors"),
        (["convert", "--model", "/nowhere", "--to", "folder", "--out", "OUT"], "does not exist"),
        (["convert", "--model", "FLUX", "--to", "onnx", "--out", "OUT.onnx"], "only PixArt models can be folded"),
        (["fetch", "merge-huge"], "allowed: merge-base, merge-large, or a Hugging Face id"),
        (["fetch", "merge-base", "merge-large", "--out", "OUT"], "--out is for one model"),
        (["fetch", "merge-base", "--out", "OUT", "--offline"], "leave one out"),
        (["fetch", "nobody/no-such-model", "--offline"], "it is not in the cache"),
    ],
)
def test_wrong_calls_say_what_is_wrong(
    random_model: Path,
    tmp_path: Path,
    arguments: list[str],
    message: str,
    capsys: pytest.CaptureFixture,
) -> None:
    flux = tmp_path / "flux"
    (flux / "transformer").mkdir(parents=True)
    (flux / "transformer" / "config.json").write_text('{"_class_name": "FluxTransformer2DModel"}')
    places = {"MODEL": str(random_model), "FLUX": str(flux), "OUT": str(tmp_path / "out")}
    words = [places.get(word, word.replace("OUT", places["OUT"])) for word in arguments]
    assert main(words) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
