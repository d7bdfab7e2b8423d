"""The options that several verbs share: which model estimates depth, which makes images, and what images."""

from __future__ import annotations

import argparse
from pathlib import Path

from merge_ros.config import (
    BACKENDS,
    OFFLOADS,
    PRECISIONS,
    QUANTIZATIONS,
    RANGES,
    TORCH_MODES,
    EstimatorSettings,
    GenerationRequest,
    GeneratorSettings,
)


def add_model_options(parser: argparse.ArgumentParser) -> None:
    """Add the fields of `EstimatorSettings` as options, with its defaults."""
    defaults = EstimatorSettings()
    group = parser.add_argument_group("model")
    _add_model(group, defaults, "merge-tiny (shipped), a model folder, or a Hugging Face id (%(default)s)")
    group.add_argument(
        "--task", default=defaults.task, help="name of the converter set, in the folder TASK_converters/ (%(default)s)"
    )
    group.add_argument(
        "--codec",
        default=defaults.codec,
        help="autoencoder of the depth path: full, light, auto (light where its measured cost is small), or a folder "
        "or Hugging Face id of a light one, TAESD for example (%(default)s)",
    )
    group.add_argument("--backend", choices=BACKENDS, default=defaults.backend, help="(%(default)s)")
    _add_device(group, defaults, precision="auto: what the engine is usually run in", threads="the backend decides")
    group.add_argument(
        "--torch-mode", choices=TORCH_MODES, default=defaults.torch_mode, help="of backend torch (%(default)s)"
    )
    group.add_argument(
        "--offload",
        choices=OFFLOADS,
        default=defaults.offload,
        help="for FLUX on a small GPU: sequential keeps each layer in the machine's memory until it runs (%(default)s)",
    )
    group.add_argument(
        "--quantization",
        choices=QUANTIZATIONS,
        default=defaults.quantization,
        help="for FLUX: fp8 and int8 store weights in 8 bits, and compute in the precision above (%(default)s)",
    )
    group.add_argument("--steps", type=int, default=defaults.steps, help="denoising steps; 0: the checkpoint's own")
    group.add_argument(
        "--processing-pixels",
        type=int,
        default=defaults.processing_pixels,
        help="images are scaled to about this many pixels; 0: the size that the model was made for",
    )


def estimator_settings(arguments: argparse.Namespace) -> EstimatorSettings:
    """The settings that the options ask for.

    Raises:
        ConfigurationError: a value is not allowed.
    """
    return EstimatorSettings(
        model=arguments.model,
        converters=arguments.converters,
        task=arguments.task,
        codec=arguments.codec,
        backend=arguments.backend,
        device=arguments.device,
        precision=arguments.precision,
        torch_mode=arguments.torch_mode,
        offload=arguments.offload,
        quantization=arguments.quantization,
        steps=arguments.steps,
        processing_pixels=arguments.processing_pixels,
        threads=arguments.threads,
    )


def add_generator_options(parser: argparse.ArgumentParser) -> None:
    """Add the fields of `GeneratorSettings` as options, with its defaults, but for the limits."""
    defaults = GeneratorSettings()
    group = parser.add_argument_group("model")
    _add_model(group, defaults, "merge-tiny (shipped), a MERGE-B or PixArt folder, or a Hugging Face id (%(default)s)")
    _add_device(group, defaults, precision="auto: fp16 on a GPU, fp32 on a CPU", threads="torch decides")
    group.add_argument(
        "--keep-text-encoder",
        action="store_true",
        help="keep the text encoder in memory between prompts instead of loading it for each new one",
    )


def _add_model(group: argparse._ArgumentGroup, defaults: EstimatorSettings | GeneratorSettings, model: str) -> None:
    group.add_argument("--model", default=defaults.model, help=model)
    group.add_argument(
        "--converters", default=defaults.converters, help="where depth_converters/ is, if not in the model"
    )


def _add_device(
    group: argparse._ArgumentGroup, defaults: EstimatorSettings | GeneratorSettings, *, precision: str, threads: str
) -> None:
    group.add_argument("--device", default=defaults.device, help="auto, cpu, cuda, cuda:1, ... (%(default)s)")
    group.add_argument("--precision", choices=PRECISIONS, default=defaults.precision, help=f"{precision} (%(default)s)")
    group.add_argument("--threads", type=int, default=defaults.threads, help=f"CPU threads; 0: {threads}")


def generator_settings(arguments: argparse.Namespace) -> GeneratorSettings:
    """The settings that the options ask for; the limits are as wide as they can be: whoever types may wait.

    Raises:
        ConfigurationError: a value is not allowed.
    """
    return GeneratorSettings(
        model=arguments.model,
        converters=arguments.converters,
        device=arguments.device,
        precision=arguments.precision,
        threads=arguments.threads,
        keep_text_encoder=arguments.keep_text_encoder,
        max_side=int(RANGES["max_side"][1]),
        max_steps=int(RANGES["max_steps"][1]),
        max_count=int(RANGES["max_count"][1]),
    )


def add_request_options(parser: argparse.ArgumentParser) -> None:
    """Add what images are made from: a file of prompts, and the fields of `GenerationRequest` with its defaults."""
    defaults = GenerationRequest("any")
    parser.add_argument(
        "--prompts",
        type=Path,
        metavar="FILE",
        help="text file with a prompt on each line, for many; # begins a comment",
    )
    group = parser.add_argument_group("image")
    group.add_argument("--negative", default=defaults.negative_prompt, metavar="TEXT", help="what not to show")
    group.add_argument(
        "--seed",
        type=int,
        default=defaults.seed,
        help="of the first image, the others take the next numbers; 0: a random one, which the metadata tells",
    )
    group.add_argument(
        "--size", type=image_size, default=(defaults.width, defaults.height), metavar="WxH", help="(the model's own)"
    )
    group.add_argument("--steps", type=int, default=defaults.steps, help="denoising steps (%(default)s)")
    group.add_argument(
        "--guidance",
        type=float,
        default=defaults.guidance,
        help="how much the prompt counts; 1 does without guidance and takes half the time (%(default)s)",
    )
    group.add_argument("--count", type=int, default=defaults.count, help="images of each prompt (%(default)s)")


def generation_request(arguments: argparse.Namespace, prompt: str, *, depth: bool) -> GenerationRequest:
    """What the options ask for.

    Raises:
        InputError: a value is not allowed.
    """
    return GenerationRequest(
        prompt=prompt,
        negative_prompt=arguments.negative,
        seed=arguments.seed,
        width=arguments.size[0],
        height=arguments.size[1],
        steps=arguments.steps,
        guidance=arguments.guidance,
        count=arguments.count,
        depth=depth,
    )


def image_size(text: str) -> tuple[int, int]:
    """`256x192` to (256, 192).

    Raises:
        argparse.ArgumentTypeError: not two whole numbers with an x between them.
    """
    parts = text.lower().split("x")
    if len(parts) != 2 or not all(part.isdigit() for part in parts):
        raise argparse.ArgumentTypeError(f"{text!r} is not WIDTHxHEIGHT, such as 256x192")
    return int(parts[0]), int(parts[1])
