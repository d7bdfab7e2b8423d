"""Fitting the prompt detector: it learns what pictures show, and repeats by its seed."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip("torch", reason="training needs the extra 'train'")

from merge_ros.errors import ConfigurationError, DatasetError
from merge_ros.evaluation.prompts import PromptDetector, Vocabulary, read_captioned, report
from merge_ros.training.prompt_detector import augment, read_examples, train

WORDS = Vocabulary(("ball", "crate"), ("red", "blue"))
RGB = {"red": (220, 30, 30), "blue": (30, 30, 220)}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sixteen pictures of a red or blue disc or square before grey."""
    folder = tmp_path_factory.mktemp("shapes")
    (folder / "rgb").mkdir()
    records = []
    for index in range(16):
        name, colour = WORDS.objects[index % 2], WORDS.colours[index // 2 % 2]
        picture = np.full((96, 128, 3), 120, np.uint8)
        centre = (30 + 4 * index, 50)
        if name == "ball":
            cv2.circle(picture, centre, 22, RGB[colour], -1)
        else:
            cv2.rectangle(picture, (centre[0] - 20, 30), (centre[0] + 20, 70), RGB[colour], -1)
        cv2.imwrite(str(folder / "rgb" / f"{index}.jpg"), picture[..., ::-1])
        caption = f"a {colour} {name} on a {WORDS.colours[1]} floor in front of a {WORDS.colours[0]} wall"
        records.append({"name": str(index), "kind": "asset", "caption": caption})
    (folder / "frames.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    return folder


def test_it_learns_what_pictures_show(folder: Path, tmp_path: Path) -> None:
    detector = train(read_examples(folder, WORDS), WORDS, steps=40)
    found = report(detector, *read_captioned(folder))
    assert found["found"]["colour"] >= 0.9 > 0.75 > found["chance"]["colour"]
    assert found["found"]["object"] >= 0.9 > 0.75 > found["chance"]["object"]
    detector.save(tmp_path / "detector.safetensors")
    again = report(PromptDetector.load(tmp_path / "detector.safetensors"), *read_captioned(folder))
    assert again["found"] == pytest.approx(found["found"], abs=0.1)


def test_the_same_seed_gives_the_same_detector(folder: Path) -> None:
    examples = read_examples(folder, WORDS, limit=8)
    first, second, other = (train(examples, WORDS, steps=2, seed=seed) for seed in (3, 3, 4))
    assert all((a == b).all() for a, b in zip(first.parameters(), second.parameters(), strict=True))
    assert not all((a == b).all() for a, b in zip(first.parameters(), other.parameters(), strict=True))


def test_augmented_pictures_keep_their_colours(folder: Path) -> None:
    picture = read_examples(folder, WORDS, limit=1).pictures[0]
    rng = np.random.default_rng(0)
    for _ in range(10):
        seen = augment(picture, rng)
        assert seen.shape == picture.shape
        assert np.abs(seen.mean((0, 1)) - picture.mean((0, 1))).max() < 30


def test_impossible_settings_are_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="steps=0"):
        train(read_examples(folder, WORDS), WORDS, steps=0)
    (tmp_path / "frames.jsonl").write_text('{"name": "0", "kind": "wide", "caption": ""}\n')
    with pytest.raises(DatasetError, match="neither asset nor robot"):
        read_examples(tmp_path, WORDS)
