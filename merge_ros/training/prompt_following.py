"""Do pictures show what their prompts name? Generated pictures, scored by a detector, beside chance and true pictures.

    python -m merge_ros.training.prompt_following --detector detector.safetensors --json score.json --grid grid.jpg

Prompts are captions of scenes that no training saw: asset views (one to three objects before a wall) and robot views of
furnished rooms. For each strength of guidance every prompt is drawn once, from the same seed, and the detector, fitted
by `merge_ros.training.prompt_detector`, says which share of the named objects, colours, walls and floors it finds
(`merge_ros.evaluation.prompts`). Beside that stand chance, the same pictures scored against the prompts of others, and
the rendered scenes themselves, which no generator can be expected to beat. The grid shows the first prompts of each
kind, none picked, with the depth of each.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from merge_ros.config import GenerationRequest, GeneratorSettings
from merge_ros.errors import ConfigurationError, MergeError
from merge_ros.evaluation.prompts import HEADS, Following, PromptDetector, follow_score, report
from merge_ros.files import atomic_write
from merge_ros.generated import GeneratedImage
from merge_ros.generator import ImageGenerator
from merge_ros.geometry.depth import colourise
from merge_ros.simulation.dataset import HELD_OUT_SEED
from merge_ros.simulation.kinds import scene_views

KINDS = ("asset", "robot")
CELL = (154, 116)  # pixels (width, height) of a picture in the grid
TEXT_HEIGHT = 17
WHITE, BLACK = (255, 255, 255), (0, 0, 0)


@dataclass(frozen=True)
class Scene:
    """A rendered scene that no training saw: its caption, which is the prompt, and its picture."""

    caption: str
    picture: NDArray[np.uint8]


def held_out_scenes(kind: str, count: int, size: tuple[int, int]) -> list[Scene]:
    """The first held-out scenes of a kind of view; (width, height) in pixels."""
    scenes: list[Scene] = []
    seed = HELD_OUT_SEED
    with tqdm(total=count, desc=f"rendering {kind} scenes", unit="scene", disable=None) as bar:
        while len(scenes) < count:
            for frame in scene_views(seed, 1, size, kind):  # none where no view of the scene is usable
                scenes.append(Scene(frame.caption, frame.rgb))
                bar.update()
            seed += 1
    return scenes


def draw(
    generator: ImageGenerator, prompts: Sequence[str], guidance: float, steps: int, with_depth: int
) -> list[GeneratedImage]:
    """One picture of each prompt, prompt i from seed i + 1; the first `with_depth` with their depth."""
    images = []
    for index, prompt in enumerate(tqdm(prompts, desc=f"guidance {guidance:g}", unit="image", disable=None)):
        request = GenerationRequest(prompt, seed=index + 1, steps=steps, guidance=guidance, depth=index < with_depth)
        images += generator(request)
    return images


def measure(
    generator: ImageGenerator,
    detector: PromptDetector,
    guidances: Sequence[float],
    count: int,
    steps: int,
    rows: int,
) -> tuple[dict[str, object], NDArray[np.uint8]]:
    """Score prompts of every kind at every guidance.

    Args:
        count: prompts of each kind.
        steps: of denoising.
        rows: prompts of each kind that the grid shows.

    Returns:
        Scores by kind of prompt and by guidance, and the grid.
    """
    results: dict[str, object] = {"prompts": count, "steps": steps, **generator.about()}
    bands = []
    for kind in KINDS:
        scenes = held_out_scenes(kind, count, generator.native_size)
        prompts = [scene.caption for scene in scenes]
        drawn = {guidance: draw(generator, prompts, guidance, steps, rows) for guidance in guidances}
        found: dict[str, object] = {
            "rendered": _rounded(report(detector, [scene.picture for scene in scenes], prompts))
        }
        scored = {}
        for guidance, images in drawn.items():
            pictures = [image.rgb for image in images]
            found[f"guidance {guidance:g}"] = _rounded(report(detector, pictures, prompts))
            scored[guidance] = follow_score(detector, pictures, prompts)
        results[kind] = found
        bands += [_band(prompts[row], row, drawn, scored) for row in range(min(rows, count))]
    return results, np.vstack([_header(guidances), *bands])


def _rounded(scores: dict[str, dict[str, float]]) -> dict[str, dict[str, float]]:
    return {name: {head: round(value, 3) for head, value in values.items()} for name, values in scores.items()}


def _header(guidances: Sequence[float]) -> NDArray[np.uint8]:
    return np.hstack([_text(f"guidance {guidance:g}, and its depth", 2 * CELL[0]) for guidance in guidances])


def _band(
    prompt: str, row: int, drawn: dict[float, list[GeneratedImage]], scored: dict[float, Following]
) -> NDArray[np.uint8]:
    """One prompt: its words, and for each guidance picture, depth, and the share of the words that was found."""
    cells = []
    for guidance, images in drawn.items():
        image = images[row]
        picture = cv2.resize(image.rgb, CELL, interpolation=cv2.INTER_AREA)
        panels = [picture]
        if image.depth is not None:
            panels.append(cv2.resize(colourise(image.depth, 0.0, 1.0), CELL, interpolation=cv2.INTER_AREA))
        shares = {head: float(getattr(scored[guidance], head)[row]) for head in HEADS}
        named = ", ".join(f"{head} {share:.0%}" for head, share in shares.items() if not np.isnan(share))
        cells.append(np.vstack([np.hstack(panels), _text(f"found: {named}", 2 * CELL[0], size=0.36)]))
    return np.vstack([_text(prompt, 2 * CELL[0] * len(cells)), np.hstack(cells)])


def _text(words: str, width: int, size: float = 0.42) -> NDArray[np.uint8]:
    strip = np.full((TEXT_HEIGHT, width, 3), WHITE, np.uint8)
    cv2.putText(strip, words, (4, TEXT_HEIGHT - 5), cv2.FONT_HERSHEY_SIMPLEX, size, BLACK, 1, cv2.LINE_AA)
    return strip


def main() -> int:
    """Run as a command; returns its exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default=GeneratorSettings().model, help="as for merge-ros generate (%(default)s)")
    parser.add_argument("--detector", type=Path, required=True, help="made by merge_ros.training.prompt_detector")
    parser.add_argument("--guidance", type=float, nargs="+", default=[1.0, 3.0, 5.0], help="(1 3 5)")
    parser.add_argument("--count", type=int, default=32, help="prompts of each kind (%(default)s)")
    parser.add_argument("--steps", type=int, default=GenerationRequest("any").steps, help="(%(default)s)")
    parser.add_argument("--rows", type=int, default=5, help="prompts of each kind in the grid (%(default)s)")
    parser.add_argument("--json", type=Path, help="write the scores here, too")
    parser.add_argument("--grid", type=Path, help="write the picture here (.jpg, .png)")
    arguments = parser.parse_args()
    try:
        if arguments.count < 2 or arguments.rows < 1:
            raise ConfigurationError(f"--count {arguments.count} must be at least 2, --rows {arguments.rows} 1")
        detector = PromptDetector.load(arguments.detector)
        generator = ImageGenerator(GeneratorSettings(model=arguments.model, keep_text_encoder=True))
        # Depth is for the grid alone: a backbone whose converters are still to be trained can be scored without.
        rows = arguments.rows if arguments.grid else 0
        results, grid = measure(generator, detector, arguments.guidance, arguments.count, arguments.steps, rows)
        text = json.dumps(results, indent=2)
        print(text)
        if arguments.json:
            with atomic_write(arguments.json) as temporary:
                temporary.write_text(text + "\n")
        if arguments.grid:
            with atomic_write(arguments.grid) as temporary:
                cv2.imwrite(str(temporary), cv2.cvtColor(grid, cv2.COLOR_RGB2BGR))
    except MergeError as error:
        print(f"merge_ros.training.prompt_following: error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
