"""Fit the detector of `evaluation.prompts` on rendered scenes.

    python -m merge_ros.training.prompt_detector --data data/train --held-out data/assets --out detector.safetensors

Labels come from the captions alone. Pictures are blurred, shifted in colour, mirrored and cropped at random, so that
the detector does not depend on the sharpness of rendered edges when it looks at generated pictures.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional
from tqdm import tqdm

from merge_ros.errors import ConfigurationError, DatasetError, MergeError
from merge_ros.evaluation.folder import read_image
from merge_ros.evaluation.prompts import HEADS, SIZE, PromptDetector, Vocabulary, read_captioned, report
from merge_ros.simulation.catalogue import OBJECT_NAMES
from merge_ros.simulation.dataset import read_index
from merge_ros.simulation.palette import COLOUR_NAMES
from merge_ros.training.compute import LOG_FORMAT, Clock, has_fast_bf16

logger = logging.getLogger(__name__)

BATCH = 48
LEARNING_RATE = 2e-3
ASSET_SHARE = 0.7  # of each batch: their objects are large enough to be learnt from
LOG_STEPS = 100


@dataclass(frozen=True)
class Examples:
    """Small pictures [n, height, width, 3] uint8, whether each is an asset view, and for each head its words [n, words]
    as 0 and 1."""

    pictures: NDArray[np.uint8]
    is_asset: NDArray[np.bool_]
    targets: dict[str, NDArray[np.float32]]


def read_examples(folder: Path, vocabulary: Vocabulary, limit: int | None = None) -> Examples:
    """The frames of a data set as examples; wide views are left out: too little of what they name can be seen.

    Raises:
        DatasetError: the folder is no data set, or has neither asset nor robot views.
    """
    records = [record for record in read_index(folder)[:limit] if record.get("kind") in ("asset", "robot")]
    if not records:
        raise DatasetError(f"{folder} has neither asset nor robot views; render it with merge-ros make-dataset")
    pictures = np.empty((len(records), SIZE[1], SIZE[0], 3), np.uint8)
    targets = {head: np.zeros((len(records), len(vocabulary.words(head))), np.float32) for head in HEADS}
    for row, record in enumerate(tqdm(records, desc="reading frames", unit="frame")):
        image = read_image(folder / "rgb" / f"{record['name']}.jpg")
        pictures[row] = cv2.resize(image, SIZE, interpolation=cv2.INTER_AREA)
        prompt = vocabulary.parse(record["caption"])
        for head in HEADS:
            for word in prompt.wanted(head):
                targets[head][row, vocabulary.words(head).index(word)] = 1
    return Examples(pictures, np.array([record["kind"] == "asset" for record in records]), targets)


def augment(picture: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Mirror, crop, shift in colour and blur a picture; its words stay true."""
    if rng.random() < 0.5:
        picture = picture[:, ::-1]
    height, width = picture.shape[:2]
    part = rng.uniform(0.88, 1.0)
    h, w = int(part * height), int(part * width)
    top, left = int(rng.integers(height - h + 1)), int(rng.integers(width - w + 1))
    seen = cv2.resize(picture[top : top + h, left : left + w], (width, height), interpolation=cv2.INTER_LINEAR)
    if rng.random() < 0.7:
        seen = cv2.GaussianBlur(seen, (0, 0), rng.uniform(0.2, 1.3))
    gain = rng.uniform(0.85, 1.15) * rng.uniform(0.95, 1.05, 3)
    noise = rng.normal(0, rng.uniform(0, 6), picture.shape)
    return np.clip(seen * gain + noise, 0, 255).astype(np.uint8)


def batch(examples: Examples, rng: np.random.Generator) -> tuple[Tensor, dict[str, Tensor]]:
    """Random augmented pictures in [-1, 1], and their targets."""
    assets, rooms = np.flatnonzero(examples.is_asset), np.flatnonzero(~examples.is_asset)
    if not len(assets) or not len(rooms):
        chosen = rng.integers(len(examples.pictures), size=BATCH)
    else:
        count = round(ASSET_SHARE * BATCH)
        chosen = np.concatenate([rng.choice(assets, count), rng.choice(rooms, BATCH - count)])
    pictures = np.stack([augment(examples.pictures[index], rng) for index in chosen])
    images = torch.from_numpy(pictures.astype(np.float32) / 127.5 - 1).permute(0, 3, 1, 2)
    return images, {head: torch.from_numpy(examples.targets[head][chosen]) for head in HEADS}


def loss_of(logits: dict[str, Tensor], targets: dict[str, Tensor]) -> Tensor:
    """Objects and their colours: each word on its own. Walls and floors: one colour of all, where it is named."""
    loss = torch.zeros(())
    for head in HEADS:
        if head in ("object", "colour"):
            per_word = functional.binary_cross_entropy_with_logits(logits[head], targets[head], reduction="none")
            loss = loss + per_word.sum(1).mean()
        else:
            named = targets[head].sum(1)
            per_picture = functional.cross_entropy(logits[head], targets[head], reduction="none")
            loss = loss + 0.5 * (per_picture * named).sum() / named.sum().clamp(min=1)
    return loss


def train(examples: Examples, vocabulary: Vocabulary, steps: int, seed: int = 0) -> PromptDetector:
    """Fit a detector; the same seed gives the same one.

    Raises:
        ConfigurationError: fewer than one step.
    """
    if steps < 1:
        raise ConfigurationError(f"steps={steps} must be at least 1")
    torch.manual_seed(seed)
    detector = PromptDetector(vocabulary)
    detector.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = torch.optim.AdamW(detector.parameters(), lr=LEARNING_RATE, weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, LEARNING_RATE, total_steps=steps + 1, pct_start=0.1)
    rng, clock, recent = np.random.default_rng(seed), Clock(), []
    for step in range(1, steps + 1):
        images, targets = batch(examples, rng)
        with torch.autocast("cpu", torch.bfloat16, enabled=has_fast_bf16()):
            logits = detector(images.contiguous(memory_format=torch.channels_last))
        loss = loss_of({head: value.float() for head, value in logits.items()}, targets)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
        recent.append(float(loss.detach()))
        if step % LOG_STEPS == 0 or step == steps:
            logger.info("step %d/%d %.1f min: loss %.3f", step, steps, clock.seconds() / 60, float(np.mean(recent)))
            recent.clear()
    detector.eval()
    return detector


def main() -> int:
    """Run as a command; returns its exit status."""
    text = __doc__ or ""
    parser = argparse.ArgumentParser(description=text, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder made by merge-ros make-dataset")
    parser.add_argument("--held-out", type=Path, nargs="*", default=[], help="data sets to measure the detector on")
    parser.add_argument("--out", type=Path, required=True, help="file to write")
    parser.add_argument("--steps", type=int, default=6000, help="updates (default %(default)s)")
    parser.add_argument("--frames", type=int, help="use only the first frames of the data (default: all)")
    parser.add_argument("--seed", type=int, default=0, help="of weights and batches (default %(default)s)")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format=LOG_FORMAT, datefmt="%H:%M:%S")
    try:
        vocabulary = Vocabulary(OBJECT_NAMES, COLOUR_NAMES)
        start = time.process_time()
        examples = read_examples(arguments.data, vocabulary, arguments.frames)
        detector = train(examples, vocabulary, arguments.steps, arguments.seed)
        detector.save(arguments.out)
        size = arguments.out.stat().st_size
        print(f"{arguments.out}: {size / 1000:.0f} kB after {(time.process_time() - start) / 60:.1f} CPU minutes")
        detector = PromptDetector.load(arguments.out)
        for folder in arguments.held_out:
            print(json.dumps({"data": str(folder), **report(detector, *read_captioned(folder))}, indent=2))
    except MergeError as error:
        print(f"merge_ros.training.prompt_detector: error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
