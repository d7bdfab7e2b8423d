"""Whether prompts are followed: captions read rightly, shares and chance counted rightly, detectors stored."""

import json
import math
from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip("torch", reason="the detector needs the extra 'torch'")

import torch

from merge_ros.errors import CheckpointError, DatasetError, InputError
from merge_ros.evaluation.prompts import (
    HEADS,
    Prompt,
    PromptDetector,
    Vocabulary,
    chance,
    find,
    follow_score,
    read_captioned,
    score,
)

WORDS = Vocabulary(("ball", "crate", "chair", "armchair"), ("red", "blue", "green", "white"))
ASSET = "a red crate and a striped blue ball on a wooden floor in front of a white brick wall"
ROOM = "a room with green walls and a blue carpet, a white armchair, a red chair and a red ball"


def detector() -> PromptDetector:
    torch.manual_seed(0)
    return PromptDetector(WORDS).eval()


def certain(prompts: list[Prompt]) -> dict[str, torch.Tensor]:
    """The scores of a detector that sees exactly what the prompts name."""
    rows = {head: [[float(w in p.wanted(head)) for w in WORDS.words(head)] for p in prompts] for head in HEADS}
    return {head: torch.tensor(values) for head, values in rows.items()}


def test_captions_are_read() -> None:
    assert WORDS.parse(ASSET) == Prompt(("crate", "ball"), ("red", "blue"), "white", "")
    assert WORDS.parse(ROOM) == Prompt(("armchair", "chair", "ball"), ("white", "red", "red"), "green", "blue")
    assert WORDS.parse("") == Prompt((), (), "", "")
    assert WORDS.parse(ROOM).wanted("colour") == ("white", "red")


def test_every_caption_of_the_scenes_can_be_read() -> None:
    pytest.importorskip("mujoco", reason="rendering needs the extra 'sim'")
    from merge_ros.simulation.assets import make_assets
    from merge_ros.simulation.catalogue import OBJECT_NAMES
    from merge_ros.simulation.palette import COLOUR_NAMES
    from merge_ros.simulation.rooms import make_room

    words = Vocabulary(OBJECT_NAMES, COLOUR_NAMES)
    for seed in range(30):
        room = words.parse(make_room(np.random.default_rng(seed)).background)
        assert room.wall
        assert room.floor
        assert not room.objects, "a closet's walls are no objects"
        scene = make_assets(np.random.default_rng(seed)).scene
        listed = " and ".join(f"a {thing.colour} {thing.name}" for thing in scene.things)
        prompt = words.parse(f"{listed} {scene.background}")
        assert prompt.objects == tuple(thing.name for thing in scene.things)
        assert prompt.colours == tuple(thing.colour.split()[-1] for thing in scene.things)
        assert prompt.wall


def test_shares_count_what_is_among_the_likeliest() -> None:
    prompts = [WORDS.parse(ASSET), WORDS.parse(ROOM)]
    perfect = score(certain(prompts), prompts, WORDS)
    assert perfect.means() == dict.fromkeys(HEADS, 1.0)
    assert math.isnan(perfect.floor[0]), "no colour of the floor is named"
    half = certain(prompts)
    half["object"][0] = torch.tensor([0.9, 0.0, 0.8, 0.1])  # ball and chair instead of ball and crate
    assert score(half, prompts, WORDS).object.tolist() == [0.5, 1.0]


def test_chance_scores_the_captions_of_others() -> None:
    captions = ["a red ball on a white floor", "a blue crate on a white floor"] * 10
    prompts = [WORDS.parse(caption) for caption in captions]
    found = chance(detector(), certain(prompts), prompts)
    assert 0.4 < found["object"] < 0.6
    assert 0.4 < found["colour"] < 0.6
    assert found["floor"] == 1.0, "all captions name the same"


def test_any_size_of_picture_gives_scores_and_they_follow_the_picture() -> None:
    pictures = [np.full((h, w, 3), value, np.uint8) for h, w, value in ((96, 128, 30), (192, 256, 220), (60, 50, 220))]
    scores = find(detector(), pictures)
    assert {head: tuple(value.shape) for head, value in scores.items()} == dict.fromkeys(HEADS, (3, 4))
    assert torch.allclose(scores["object"][1], scores["object"][2], atol=1e-5)
    assert not torch.allclose(scores["object"][0], scores["object"][1], atol=1e-5)


def test_a_stored_detector_is_the_same(tmp_path: Path) -> None:
    network = detector()
    network.save(tmp_path / "detector.safetensors")
    assert (tmp_path / "detector.safetensors").stat().st_size < 1_000_000
    loaded = PromptDetector.load(tmp_path / "detector.safetensors")
    assert loaded.vocabulary == WORDS
    picture = [np.random.default_rng(0).integers(0, 255, (96, 128, 3), np.uint8)]
    for head, value in find(network, picture).items():
        assert torch.allclose(find(loaded, picture)[head], value, atol=0.05)


def test_bad_input_is_refused(tmp_path: Path) -> None:
    picture = np.zeros((8, 8, 3), np.uint8)
    with pytest.raises(InputError, match="2 images and 1 captions"):
        follow_score(detector(), [picture, picture], [ASSET])
    with pytest.raises(InputError, match="uint8"):
        follow_score(detector(), [picture.astype(np.float32)], [ASSET])
    (tmp_path / "foreign").write_bytes(b"no weights")
    for path in (tmp_path / "missing", tmp_path / "foreign"):
        with pytest.raises(CheckpointError, match="no prompt detector"):
            PromptDetector.load(path)


def test_folders_of_pictures_are_read(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"no frames.jsonl"):
        read_captioned(tmp_path)
    index = tmp_path / "frames.jsonl"
    index.write_text(json.dumps({"name": "a", "caption": ASSET}) + "\n")
    with pytest.raises(DatasetError, match="no picture a"):
        read_captioned(tmp_path)
    (tmp_path / "rgb").mkdir()
    cv2.imwrite(str(tmp_path / "rgb" / "a.png"), np.zeros((8, 8, 3), np.uint8))
    images, captions = read_captioned(tmp_path)
    assert (len(images), captions) == (1, [ASSET])
    index.write_text('{"name": "a"}\n')
    with pytest.raises(DatasetError, match="name and caption"):
        read_captioned(tmp_path)
