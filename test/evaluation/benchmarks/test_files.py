"""Splits, archives and files that are not right."""

from __future__ import annotations

import tarfile
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from merge_ros.archive import Archive
from merge_ros.errors import DatasetError
from merge_ros.evaluation.benchmarks import DEPTH_BENCHMARKS
from merge_ros.evaluation.benchmarks.files import decode_depth_png, decode_image

SCANNET = DEPTH_BENCHMARKS["scannet"]


def scannet(prefix: str = "") -> dict[str, bytes]:
    depth = cv2.imencode(".png", np.full((4, 4), 1000, np.uint16))[1].tobytes()
    image = cv2.imencode(".jpg", np.zeros((4, 4, 3), np.uint8))[1].tobytes()
    found = {}
    for frame in ("000100", "000200", "000300"):
        found[f"{prefix}scene0001_00/color/{frame}.jpg"] = image
        found[f"{prefix}scene0001_00/depth/{frame}.png"] = depth
    return found


def test_without_a_split_all_images_in_order_of_name(stored: Callable) -> None:
    items = SCANNET.items(stored(scannet("scannet/val/")))
    assert [item.name[-10:-4] for item in items] == ["000100", "000200", "000300"]
    assert items[0].read().depth.max() == 1


@pytest.mark.parametrize("prefix", ["", "scannet/val/"])
def test_a_split_chooses_and_orders(stored: Callable, tmp_path: Path, prefix: str) -> None:
    split = tmp_path / "split.txt"
    rows = [
        "scene0001_00/color/000300.jpg scene0001_00/depth/000300.png 577.8",
        "scene0001_00/color/000200.jpg None 577.8",
        "./scene0001_00/color/000100.jpg ./scene0001_00/depth/000100.png 577.8",
    ]
    split.write_text("\n".join(rows) + "\n\n")
    items = SCANNET.items(stored(scannet(prefix)), split)
    assert [item.name for item in items] == [
        f"{prefix}scene0001_00/color/{frame}.jpg" for frame in ("000300", "000100")
    ]


def test_splits_that_are_not_right(stored: Callable, tmp_path: Path) -> None:
    files, split = stored(scannet()), tmp_path / "split.txt"
    with pytest.raises(DatasetError, match=r"split.txt cannot be read"):
        SCANNET.items(files, split)
    split.write_text("scene0001_00/color/000300.jpg\n")
    with pytest.raises(DatasetError, match=r"split.txt:1 has 1 column"):
        SCANNET.items(files, split)
    split.write_text("scene0001_00/color/000300.jpg None\n")
    with pytest.raises(DatasetError, match="names no image"):
        SCANNET.items(files, split)
    split.write_text("scene0001_00/color/000300.jpg scene0001_00/depth/000400.png\n")
    with pytest.raises(DatasetError, match=r"1 file\(s\) of the split list are not in the data.*000400"):
        SCANNET.items(files, split)


def test_an_image_without_truth_is_named(stored: Callable) -> None:
    contents = scannet()
    del contents["scene0001_00/depth/000200.png"]
    with pytest.raises(DatasetError, match=r"color/000200\.jpg has no truth"):
        SCANNET.items(stored(contents))


def test_two_copies_of_an_image(stored: Callable) -> None:
    with pytest.raises(DatasetError, match="are the same image of ScanNet"):
        SCANNET.items(stored(scannet("a/") | scannet("b/")))


def test_another_data_set(stored: Callable) -> None:
    with pytest.raises(DatasetError, match=r"no image of NYUv2 .*rgb_"):
        DEPTH_BENCHMARKS["nyuv2"].items(stored(scannet()))


def test_a_file_that_went_away(tmp_path: Path) -> None:
    for name, content in scannet().items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(content)
    items = SCANNET.items(Archive(tmp_path))
    (tmp_path / "scene0001_00/depth/000100.png").unlink()
    with pytest.raises(DatasetError, match=r"000100\.png cannot be read"):
        items[0].read()


def test_archives_that_are_not_right(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="does not exist"):
        Archive(tmp_path / "nowhere.tar")
    (tmp_path / "no.tar").write_bytes(b"no archive at all" * 100)
    with pytest.raises(DatasetError, match=r"no\.tar is not an uncompressed tar"):
        Archive(tmp_path / "no.tar")
    with tarfile.open(tmp_path / "empty.tar", "w"):
        pass
    with pytest.raises(DatasetError, match="no image of ScanNet"):
        SCANNET.items(Archive(tmp_path / "empty.tar"))
    with tarfile.open(tmp_path / "packed.tar", "w:gz") as archive:
        archive.add(tmp_path / "no.tar", "file")
    with pytest.raises(DatasetError, match=r"packed\.tar is not an uncompressed tar"):
        Archive(tmp_path / "packed.tar")


def test_a_tar_that_was_cut_short(tmp_path: Path) -> None:
    whole, cut = tmp_path / "whole.tar", tmp_path / "cut.tar"
    (tmp_path / "scene").mkdir()
    (tmp_path / "scene" / "file").write_bytes(b"x" * 20000)
    with tarfile.open(whole, "w") as archive:
        archive.add(tmp_path / "scene", "scene")
    cut.write_bytes(whole.read_bytes()[:8000])
    with pytest.raises(DatasetError, match=r"cut\.tar"):
        Archive(cut).read("scene/file")


def test_content_that_is_not_right() -> None:
    with pytest.raises(DatasetError, match=r"a\.jpg is not an image"):
        decode_image(b"", "a.jpg")
    with pytest.raises(DatasetError, match=r"a\.png holds uint8 \(4, 4\); allowed: one channel of 16 bits"):
        decode_depth_png(cv2.imencode(".png", np.zeros((4, 4), np.uint8))[1].tobytes(), "a.png", 1000)


def test_exif_turns_nothing() -> None:
    """The protocol's truth lies on the stored pixels; a camera's note to turn the picture must not move them."""
    plain = cv2.imencode(".jpg", np.zeros((8, 16, 3), np.uint8))[1].tobytes()
    exif = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"
    turned = plain[:2] + b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif + plain[2:]
    assert cv2.imdecode(np.frombuffer(turned, np.uint8), cv2.IMREAD_COLOR).shape[:2] == (16, 8)
    assert decode_image(turned, "a.jpg").shape[:2] == (8, 16)
