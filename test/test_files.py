"""Files are whole or not there."""

import logging
from pathlib import Path

import pytest

from merge_ros.files import atomic_write, keep_for_later, safe_name


def test_written_whole(tmp_path: Path) -> None:
    target = tmp_path / "new" / "a.txt"
    with atomic_write(target) as temporary:
        temporary.write_text("hello")
        assert not target.exists()
    assert target.read_text() == "hello"
    assert [path.name for path in target.parent.iterdir()] == ["a.txt"]


def test_a_failure_leaves_the_old_file(tmp_path: Path) -> None:
    target = tmp_path / "a.txt"
    target.write_text("old")

    def fail() -> None:
        with atomic_write(target) as temporary:
            temporary.write_text("half")
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        fail()
    assert target.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("A red crate!", "a-red-crate"),
        ("../../etc/passwd", "etc-passwd"),
        ("..", "unnamed"),
        ("-rf *", "rf"),
        ("\0\n/", "unnamed"),
        (".hidden", "hidden"),
        ("Größe_1", "gr-e_1"),
        ("x" * 100, "x" * 60),
        ("", "unnamed"),
    ],
)
def test_names_stay_in_their_folder(text: str, name: str) -> None:
    assert safe_name(text) == name


def test_what_only_saves_time_later_may_fail_to_be_kept(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    keep_for_later(tmp_path / "a.txt", b"kept")
    assert (tmp_path / "a.txt").read_bytes() == b"kept"
    with caplog.at_level(logging.WARNING):
        keep_for_later(tmp_path / "a.txt" / "no_folder" / "b.txt", b"lost")  # a file is in the way, for root too
    assert "b.txt cannot be kept" in caplog.text
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]
