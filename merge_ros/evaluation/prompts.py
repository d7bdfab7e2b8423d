"""Are prompts followed? A small network that was fitted on rendered scenes looks for what a caption names.

    python -m merge_ros.evaluation.prompts --detector detector.safetensors --images DIR

DIR holds rgb/NAME.(jpg|png) and frames.jsonl with a "name" and a "caption" on each line: a rendered data set, or
pictures generated from its captions. `training.prompt_detector` fits the detector.

A caption that names k objects is followed as far as its objects are among the k that the network finds most likely,
and so with the colours of objects, walls and floor: no threshold that could be tuned. Beside each share stands chance:
the same pictures scored against the captions of others.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from merge_ros.errors import CheckpointError, DatasetError, InputError, MergeError
from merge_ros.evaluation.folder import IMAGE_SUFFIXES, read_image
from merge_ros.files import atomic_write

SIZE = (128, 96)  # (width, height) that the network sees
BATCH = 64
HEADS = ("object", "colour", "wall", "floor")


@dataclass(frozen=True)
class Prompt:
    """What a caption names.

    Args:
        objects: names, as often as they come.
        colours: of the objects, in the same order.
        wall, floor: colours, "" where the caption names none.
    """

    objects: tuple[str, ...]
    colours: tuple[str, ...]
    wall: str
    floor: str

    def wanted(self, head: str) -> tuple[str, ...]:
        """The words that one head of the detector should find, each once."""
        words = {"object": self.objects, "colour": self.colours, "wall": (self.wall,), "floor": (self.floor,)}[head]
        return tuple(dict.fromkeys(filter(None, words)))


@dataclass(frozen=True)
class Vocabulary:
    """All objects and colours that captions can name."""

    objects: tuple[str, ...]
    colours: tuple[str, ...]

    def words(self, head: str) -> tuple[str, ...]:
        """The words between which a head decides."""
        return self.objects if head == "object" else self.colours

    def parse(self, caption: str) -> Prompt:
        """Read a caption of the scenes' grammar (`simulation.captions`); words it does not know are skipped."""
        colours, objects = "|".join(self.colours), "|".join(map(re.escape, self.objects))
        found = re.findall(rf"\b({colours}) ({objects})\b", caption)
        wall = re.search(rf"\b({colours}) (?:\w+ )?walls?\b", caption)
        floor = re.search(rf"\b({colours}) (?:(?:\w+ )?floor|carpet)\b", caption)
        return Prompt(
            tuple(name for _, name in found),
            tuple(colour for colour, _ in found),
            wall.group(1) if wall else "",
            floor.group(1) if floor else "",
        )


class PromptDetector(nn.Module):
    """Scores for every object, object colour, wall colour and floor colour: one small convolutional network.

    Places are not told: the mean and the largest response over the picture go to linear heads.
    """

    def __init__(self, vocabulary: Vocabulary) -> None:
        super().__init__()
        self.vocabulary = vocabulary
        # Two further channels say where a pixel is: floors are below.
        widths = ((5, 24, 2), (24, 48, 2), (48, 64, 1), (64, 96, 2), (96, 128, 1))
        layers: list[nn.Module] = []
        for before, after, stride in widths:
            layers += [nn.Conv2d(before, after, 3, stride, 1, bias=False), nn.BatchNorm2d(after), nn.ReLU()]
        self.trunk = nn.Sequential(*layers)
        self.heads = nn.ModuleDict({head: nn.Linear(2 * 128, len(vocabulary.words(head))) for head in HEADS})

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """[batch, 3, height, width] in [-1, 1] to logits [batch, words] of each head."""
        height, width = images.shape[-2:]
        rows = torch.linspace(-1, 1, height, device=images.device)[:, None].expand(height, width)
        columns = torch.linspace(-1, 1, width, device=images.device)[None].expand(height, width)
        places = torch.stack([rows, columns]).expand(len(images), 2, height, width)
        features = self.trunk(torch.cat([images, places], 1))
        pooled = torch.cat([features.mean((2, 3)), features.amax((2, 3))], 1)
        return {name: head(pooled) for name, head in self.heads.items()}

    def save(self, path: Path) -> None:
        """Weights in half precision and the vocabulary, in one safetensors file."""
        state = {
            name: (value.half() if value.is_floating_point() else value).contiguous()
            for name, value in self.state_dict().items()
        }
        words = {"objects": self.vocabulary.objects, "colours": self.vocabulary.colours}
        with atomic_write(path) as partial:
            save_file(state, partial, {name: json.dumps(value) for name, value in words.items()})

    @classmethod
    def load(cls, path: Path) -> PromptDetector:
        """A stored detector.

        Raises:
            CheckpointError: no such file, or not a detector.
        """
        try:
            with safe_open(path, "pt") as stored:
                words = stored.metadata() or {}
                detector = cls(Vocabulary(tuple(json.loads(words["objects"])), tuple(json.loads(words["colours"]))))
                detector.load_state_dict({name: stored.get_tensor(name) for name in stored.keys()})  # noqa: SIM118
        except (OSError, SafetensorError, KeyError, RuntimeError) as error:
            raise CheckpointError(f"{path} is no prompt detector: {error}") from error
        return detector.eval()


@dataclass(frozen=True)
class Following:
    """How well pictures follow captions, each [n] float32 in [0, 1], NaN where the caption names nothing of the sort.

    Args:
        object, colour, wall, floor: share of the caption's words that were found.
    """

    object: NDArray[np.float32]
    colour: NDArray[np.float32]
    wall: NDArray[np.float32]
    floor: NDArray[np.float32]

    def means(self) -> dict[str, float]:
        """The mean of each over the pictures that have it."""
        return {
            head: float(np.nanmean(getattr(self, head))) for head in HEADS if np.isfinite(getattr(self, head)).any()
        }


def fit_input(images: Sequence[NDArray[np.uint8]] | NDArray[np.uint8]) -> Tensor:
    """Pictures as the network sees them: [n, 3, height, width] in [-1, 1].

    Raises:
        InputError: a picture that is not [height, width, 3] uint8.
    """
    resized = []
    for image in images:
        if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
            raise InputError(f"image is {image.dtype} {image.shape}; allowed: uint8 [height, width, 3]")
        resized.append(cv2.resize(image, SIZE, interpolation=cv2.INTER_AREA))
    return torch.from_numpy(np.stack(resized).astype(np.float32) / 127.5 - 1).permute(0, 3, 1, 2)


@torch.inference_mode()
def find(detector: PromptDetector, images: Sequence[NDArray[np.uint8]] | NDArray[np.uint8]) -> dict[str, Tensor]:
    """The detector's scores, [n, words] for each head; higher is more likely."""
    parts = [detector(fit_input(images[start : start + BATCH])) for start in range(0, len(images), BATCH)]
    return {head: torch.cat([part[head] for part in parts]) for head in HEADS}


def score(scores: dict[str, Tensor], prompts: Sequence[Prompt], vocabulary: Vocabulary) -> Following:
    """Which share of the words of each prompt is among the likeliest ones of its picture; see the module."""
    result = {head: np.full(len(prompts), np.nan, np.float32) for head in HEADS}
    for head in HEADS:
        words = vocabulary.words(head)
        for row, prompt in enumerate(prompts):
            wanted = prompt.wanted(head)
            if wanted:
                likely = {words[index] for index in scores[head][row].topk(len(wanted)).indices.tolist()}
                result[head][row] = len(likely & set(wanted)) / len(wanted)
    return Following(**result)


def follow_score(
    detector: PromptDetector, images: Sequence[NDArray[np.uint8]] | NDArray[np.uint8], captions: Sequence[str]
) -> Following:
    """How far each picture shows what its caption names.

    Args:
        detector: fitted on rendered scenes.
        images: [height, width, 3] uint8 each, of any size.
        captions: one for each picture, in the grammar of the scenes.

    Raises:
        InputError: a malformed picture, no pictures, or another number of captions.
    """
    if not len(images) or len(images) != len(captions):
        raise InputError(f"{len(images)} images and {len(captions)} captions; as many as images, at least 1")
    prompts = [detector.vocabulary.parse(caption) for caption in captions]
    return score(find(detector, images), prompts, detector.vocabulary)


def chance(detector: PromptDetector, scores: dict[str, Tensor], prompts: Sequence[Prompt]) -> dict[str, float]:
    """Means when every picture is scored against the captions of others, over up to 20 assignments."""
    shifts = range(1, min(21, len(prompts)))
    means = [score(scores, [*prompts[s:], *prompts[:s]], detector.vocabulary).means() for s in shifts]
    return {head: float(np.mean([mean[head] for mean in means])) for head in (means[0] if means else ())}


def report(
    detector: PromptDetector, images: Sequence[NDArray[np.uint8]], captions: Sequence[str]
) -> dict[str, dict[str, float]]:
    """`found` and `chance` for each kind of word; see `follow_score`."""
    found = follow_score(detector, images, captions)
    prompts = [detector.vocabulary.parse(caption) for caption in captions]
    return {"found": found.means(), "chance": chance(detector, find(detector, images), prompts)}


def read_captioned(folder: Path) -> tuple[list[NDArray[np.uint8]], list[str]]:
    """The pictures and captions of a folder; see the module.

    Raises:
        DatasetError: no index, a line without name and caption, or a picture that is missing or unreadable.
    """
    index = folder / "frames.jsonl"
    if not index.is_file():
        raise DatasetError(f"{folder} has no frames.jsonl with a name and a caption on each line")
    images, captions = [], []
    for number, line in enumerate(index.read_text().splitlines(), 1):
        try:
            record = json.loads(line)
            name, caption = record["name"], record["caption"]
        except (json.JSONDecodeError, KeyError, TypeError) as error:
            raise DatasetError(f"{index}:{number} is not a record with name and caption") from error
        paths = [folder / "rgb" / f"{name}{suffix}" for suffix in IMAGE_SUFFIXES]
        path = next((path for path in paths if path.is_file()), None)
        if path is None:
            raise DatasetError(f"{folder / 'rgb'} has no picture {name} ({', '.join(IMAGE_SUFFIXES)})")
        images.append(read_image(path))
        captions.append(caption)
    return images, captions


def main() -> int:
    """Run as a command; returns its exit status."""
    parser = argparse.ArgumentParser(prog="merge_ros.evaluation.prompts", description=__doc__.splitlines()[0])
    parser.add_argument("--detector", type=Path, required=True, help="made by merge_ros.training.prompt_detector")
    parser.add_argument("--images", type=Path, required=True, help="folder with rgb/ and frames.jsonl")
    arguments = parser.parse_args()
    try:
        images, captions = read_captioned(arguments.images)
        print(json.dumps(report(PromptDetector.load(arguments.detector), images, captions), indent=2))
    except MergeError as error:
        print(f"merge_ros.evaluation.prompts: error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
