import importlib.util
from pathlib import Path

import pytest

from merge_ros.cli.main import main


def test_help_says_what_comes_out(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["demo", "--help"])
    assert ended.value.code == 0
    text = capsys.readouterr().out
    for words in ("summary.json", "sheet.png", "abs_rel", "without any alignment", "ROS_DOMAIN_ID", "demo_output"):
        assert words in text


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("--frames", "-1", "frames=-1 must be 0"),
        ("--rate", "0", r"rate=0.0 must be above 0"),
        ("--precision", "fp64", "invalid choice"),
        ("--steps", "-3", "steps=-3"),
    ],
)
def test_wrong_options_are_refused(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, option: str, value: str, message: str
) -> None:
    try:
        status = main(["demo", "--out", str(tmp_path / "out"), option, value])
    except SystemExit as ended:  # argparse ends itself
        status = int(str(ended.code))
    assert status == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_fixed_scale_must_be_positive(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["demo", "--out", str(tmp_path), "--scale-source", "fixed", "--scale", "0"]) == 2
    assert "scale > 0" in capsys.readouterr().err


@pytest.mark.skipif(importlib.util.find_spec("rclpy") is not None, reason="ROS is installed")
def test_without_ros_the_extra_is_named(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["demo", "--out", str(tmp_path)]) == 2
    assert "merge_ros[ros]" in capsys.readouterr().err
