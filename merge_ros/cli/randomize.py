"""`merge-ros randomize`: a library of assets from prompts and seeds, for domain randomisation."""

from __future__ import annotations

import argparse
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from pathlib import Path

from tqdm import tqdm

from merge_ros.cli.asset_options import (
    add_asset_options,
    add_scale_options,
    asset_settings,
    scale_range,
    scale_settings,
)
from merge_ros.cli.options import add_generator_options, add_request_options, generation_request, generator_settings
from merge_ros.cli.prompt_batch import read_prompts
from merge_ros.config import AssetScaleSettings, GenerationRequest, GeneratorSettings
from merge_ros.errors import ConfigurationError
from merge_ros.generator import ImageGenerator
from merge_ros.synthesis.from_text import generated_view
from merge_ros.synthesis.library import Job, Runner, Workshop, make_library, plan, run_here
from merge_ros.synthesis.library_ray import RayRunner
from merge_ros.synthesis.provenance import Provenance
from merge_ros.synthesis.view import View

DESCRIPTION = """\
Make a library of simulation assets for domain randomisation: each prompt COUNT times, with seeds and sizes of its own.

  OUT/NAME_NUMBER/      one asset, as merge-ros asset makes them, whole or not there
  OUT/index.jsonl       one line per asset: prompt, seed, size, folder, or why the picture gave none
  OUT/library.json      the settings

A call that was killed goes on where it was. What an asset looks like depends on its prompt and seed alone: the same
call gives the same files, byte for byte, whatever the number of workers (with the same --threads on like machines).

Everything runs in this process, unless --ray asks for workers: on this machine, or on those of a Ray cluster that has
merge_ros installed. A worker that dies loses nothing: another does its asset again. Needs pip install 'merge_ros[ray]'.
"""

EXAMPLES = """\
examples:
  merge-ros randomize "a red crate on a wooden floor" --count 20 --format mjcf usd --out crates/ --camera-height 0.5 0.9
  merge-ros randomize --prompts prompts.txt --count 4 --out library/ --part subject --height 0.2 0.6
  merge-ros randomize --prompts prompts.txt --count 50 --out library/ --format sdf --workers 8 --ray
  merge-ros randomize --prompts prompts.txt --count 500 --out library/ --format usd --workers 64 --ray auto
"""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register the verb."""
    parser = subparsers.add_parser(
        "randomize",
        help="a library of assets from prompts and seeds",
        description=DESCRIPTION,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("prompt", nargs="*", help="what the assets shall show")
    parser.add_argument("--out", type=Path, required=True, help="folder of the library; a begun one is continued")
    workers = parser.add_argument_group("workers")
    workers.add_argument("--workers", type=int, default=1, help="assets in work at a time, with --ray (%(default)s)")
    workers.add_argument(
        "--ray",
        nargs="?",
        const="",
        metavar="ADDRESS",
        help="work on Ray: on this machine, or on the cluster at ADDRESS ('auto', 'ray://host:10001')",
    )
    add_request_options(parser)
    add_scale_options(parser, ranges=True)
    add_asset_options(parser)
    add_generator_options(parser)
    # Results of CPU kernels depend on their threads, so workers and this process must have equally many.
    parser.set_defaults(run=run, seed=1, threads=1)


@dataclass(frozen=True)
class PromptSource:
    """From a job's prompt and seed to a view; the model is loaded once in each process.

    Args:
        generator: which model, and how to run it.
        request: what is asked for, but for prompt and seed.
        scale: where metres come from, but for the length, which is the job's.
    """

    generator: GeneratorSettings
    request: GenerationRequest
    scale: AssetScaleSettings

    def __call__(self, job: Job) -> tuple[View, Provenance]:
        generator = _generator(self.generator)
        (image,) = generator(replace(self.request, prompt=job.prompt, seed=job.seed, count=1, depth=True))
        return generated_view(image, generator.about(), replace(self.scale, metres=job.metres))


@lru_cache(maxsize=1)
def _generator(settings: GeneratorSettings) -> ImageGenerator:
    return ImageGenerator(settings)


def run(arguments: argparse.Namespace) -> int:
    """Make or continue the library; 1 when no job gave an asset."""
    prompts = [*arguments.prompt, *(read_prompts(arguments.prompts) if arguments.prompts else [])]
    if not prompts:
        raise ConfigurationError("give a prompt, or --prompts FILE")
    if arguments.seed < 1:
        raise ConfigurationError("a library needs --seed 1 or more: the same seed gives the same library")
    runner = _runner(arguments)
    assets, scale = asset_settings(arguments), scale_settings(arguments)
    jobs = plan(prompts, arguments.count * len(prompts), arguments.seed, scale_range(arguments))
    source = PromptSource(generator_settings(arguments), generation_request(arguments, prompts[0], depth=True), scale)
    for prompt in prompts:
        source.generator.check(replace(source.request, prompt=prompt))
    settings = {
        "prompts": prompts,
        "seed": arguments.seed,
        "generator": asdict(source.generator),
        "request": asdict(replace(source.request, prompt="any", seed=0, count=1)),
        "scale": asdict(replace(scale, metres=1.0)) | {"metres": scale_range(arguments)},
        "assets": asdict(assets),
    }
    with tqdm(total=len(jobs), unit="asset", disable=None) as bar:
        index = make_library(arguments.out, jobs, Workshop(source, assets), settings, runner, bar.update)
    made = sum(line["made"] for line in index)
    print(f"{made} assets of {len(jobs)} are in {arguments.out}, {len(jobs) - made} pictures gave none (index.jsonl)")
    return 0 if made else 1


def _runner(arguments: argparse.Namespace) -> Runner:
    if arguments.ray is not None:
        return RayRunner(arguments.workers, arguments.ray)
    if arguments.workers != 1:
        raise ConfigurationError(f"--workers {arguments.workers} needs --ray; without it there is this process alone")
    return run_here
