"""`merge-ros generate`: images from text, and their relative depth, without ROS."""

from __future__ import annotations

import argparse
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tqdm import tqdm

from merge_ros.cli.asset_options import add_asset_options, add_scale_options
from merge_ros.cli.generated_asset import GeneratedAssets
from merge_ros.cli.options import add_generator_options, add_request_options, generation_request, generator_settings
from merge_ros.cli.prompt_batch import Batch, read_prompts
from merge_ros.config import GenerationRequest
from merge_ros.errors import ConfigurationError
from merge_ros.files import safe_name
from merge_ros.generated import DEPTH_FORMATS, GeneratedImage, write_image
from merge_ros.generator import GenerationStep, ImageGenerator, OnStep

Write = Callable[[str, GeneratedImage], dict[str, Path]]

SMALL_SEEDS = 2**31  # random seeds of batches stay below, so that no batch runs past the largest seed

DESCRIPTION = """\
Make images from text with the frozen transformer of the depth model, and measure their depth with its converters.

For each image these files are written to --out, each whole or not at all:
  NAME.png                        the image
  NAME.json                       prompt, seed, size, steps, guidance, model and its hash, seconds by stage
and with --depth
  NAME_depth.npy (or .tiff)       float32 [height, width], relative depth in [0, 1], 0 nearest
  NAME_depth.png                  the same in colours, red near to blue far

Relative depth is affine-invariant: metres = scale * value + shift with both unknown. It comes straight from the latent.
With --asset FORMAT ... each image also becomes a simulation asset in a folder of its own, in metres, as merge-ros asset
makes them (docs/assets.md); an image without a floor or a subject gives none, which is told, and the status is 1 then.
The same seed gives the same image, bit for bit, alone or as one of many.

With --prompts FILE every line of the file is a prompt; index.jsonl lists what is done, and a call that was killed goes
on where it was. merge-tiny knows the words of its scenes (docs/simulation.md); its pictures are small and simple.
"""

EXAMPLES = """\
examples:
  merge-ros generate "a red crate on a wooden floor" --out crates/ --count 4 --seed 1
  merge-ros generate "a blue ball on a grey floor in front of a white wall" --out ball/ --depth --guidance 5
  merge-ros generate --prompts prompts.txt --out library/ --depth --count 3
  merge-ros generate "a red crate on a wooden floor" --asset sdf mjcf usd glb --out assets/ --camera-height 0.8
  merge-ros generate "an office" --model PixArt-alpha/PixArt-XL-2-512x512 --converters hongk1998/merge-base-depth-v1 \\
                     --size 512x512 --guidance 4.5 --depth --device cuda --out office/
"""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register the verb."""
    parser = subparsers.add_parser(
        "generate",
        help="images from text, with their relative depth",
        description=DESCRIPTION,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("prompt", nargs="?", help="what the images shall show")
    parser.add_argument("--out", type=Path, required=True, help="folder for the results; made if missing")
    add_request_options(parser)
    parser.add_argument("--depth", action="store_true", help="write the relative depth of each image too")
    parser.add_argument(
        "--depth-format", choices=DEPTH_FORMATS, default=DEPTH_FORMATS[0], help="of the depth file (%(default)s)"
    )
    add_scale_options(parser)
    add_asset_options(parser, formats="--asset")
    add_generator_options(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Make and write the images; 1 when an image gave no asset, other problems raise."""
    if (arguments.prompt is None) == (arguments.prompts is None):
        raise ConfigurationError("give either a prompt or --prompts FILE")
    settings = generator_settings(arguments)
    prompts = read_prompts(arguments.prompts) if arguments.prompts else [arguments.prompt]
    wants_depth = arguments.depth or arguments.formats is not None
    requests = [generation_request(arguments, prompt, depth=wants_depth) for prompt in prompts]
    assets = GeneratedAssets(arguments) if arguments.formats else None
    generator = ImageGenerator(settings)
    for request in requests:
        generator.check(request)

    def write(name: str, image: GeneratedImage) -> dict[str, Path]:
        """Everything that is written of one image: its kind and path."""
        made = assets(name, image, generator.about()) if assets else {}
        return write_image(arguments.out, name, image, generator.about(), arguments.depth_format) | made

    if arguments.prompts:
        _many(generator, requests, arguments.out, write)
    else:
        _one(generator, requests[0], write)
    return 1 if assets and assets.failed else 0


def _one(generator: ImageGenerator, request: GenerationRequest, write: Write) -> None:
    with _progress(request.count, request.steps) as on_step:
        for image in generator.stream(request, on_step):
            files = write(f"{safe_name(request.prompt)}-{image.request.seed}", image)
            tqdm.write(", ".join(str(path) for path in files.values()))


def _many(generator: ImageGenerator, requests: list[GenerationRequest], out: Path, write: Write) -> None:
    new_seed = 1 + secrets.randbelow(SMALL_SEEDS)
    prompts = [request.prompt for request in requests]
    batch = Batch(out, prompts, requests[0], generator.about()["model_hash"], new_seed)
    missing = batch.missing
    with _progress(len(missing), requests[0].steps) as on_step:
        for job in missing:
            (image,) = generator(job.request, on_step)
            batch.add(job, write(job.name, image))
    print(f"{len(missing)} images made, {len(batch.jobs)} are in {out}")


@contextmanager
def _progress(images: int, steps: int) -> Iterator[OnStep]:
    """A bar over the denoising steps of all images, and the callback that moves it."""
    with tqdm(total=images * steps, unit="step", disable=None) as bar:

        def on_step(step: GenerationStep) -> None:
            if step.stage == "denoise":
                bar.update()
            bar.set_description(step.stage, refresh=False)

        yield on_step
