"""The networks give the numbers that the authors' code gave."""

from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

from merge_ros.errors import ConfigurationError, InputError
from merge_ros.evaluation.parity import verify


@pytest.mark.parametrize("file", ["io.safetensors", "pipeline_io.safetensors"])
def test_recorded_outputs(reference_base: Path, file: str) -> None:
    differences = verify(str(reference_base), reference_base / file)
    assert len(differences) == 2
    for difference in differences:
        assert difference.ok, difference


def test_a_changed_output_is_noticed(reference_base: Path, tmp_path: Path) -> None:
    stored = load_file(reference_base / "io.safetensors")
    stored["depth_out"][0, 0, 0, 0] += 1e-3
    save_file(stored, tmp_path / "changed.safetensors")
    by_name = {d.output: d for d in verify(str(reference_base), tmp_path / "changed.safetensors")}
    assert not by_name["depth_out"].ok
    assert by_name["image_out"].ok


def test_nan_is_a_difference(reference_base: Path, tmp_path: Path) -> None:
    stored = load_file(reference_base / "io.safetensors")
    stored["image_out"][...] = float("nan")
    save_file(stored, tmp_path / "nan.safetensors")
    by_name = {d.output: d for d in verify(str(reference_base), tmp_path / "nan.safetensors")}
    assert not by_name["image_out"].ok


def test_bad_reference_files(reference_base: Path, tmp_path: Path) -> None:
    stored = load_file(reference_base / "io.safetensors")
    save_file({"foo": stored["mask"]}, tmp_path / "unknown.safetensors")
    with pytest.raises(InputError, match="its keys are foo"):
        verify(str(reference_base), tmp_path / "unknown.safetensors")
    del stored["text"]
    save_file(stored, tmp_path / "incomplete.safetensors")
    with pytest.raises(InputError, match="needs the inputs text"):
        verify(str(reference_base), tmp_path / "incomplete.safetensors")
    (tmp_path / "garbage.safetensors").write_bytes(b"not a tensor file")
    with pytest.raises(InputError, match="cannot be read"):
        verify(str(reference_base), tmp_path / "garbage.safetensors")
    with pytest.raises(ConfigurationError, match="allowed: torch"):
        verify(str(reference_base), reference_base / "io.safetensors", backend="onnx")
