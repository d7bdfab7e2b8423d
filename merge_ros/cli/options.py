"""The options that every verb with a model in it shares."""

from __future__ import annotations

import argparse

from merge_ros.config import BACKENDS, PRECISIONS, TORCH_MODES, EstimatorSettings


def add_model_options(parser: argparse.ArgumentParser) -> None:
    """Add the fields of `EstimatorSettings` as options, with its defaults."""
    defaults = EstimatorSettings()
    group = parser.add_argument_group("model")
    group.add_argument(
        "--model",
        default=defaults.model,
        help="merge-tiny (shipped), a model folder, or a Hugging Face id (%(default)s)",
    )
    group.add_argument(
        "--converters", default=defaults.converters, help="where depth_converters/ is, if not in the model"
    )
    group.add_argument(
        "--codec",
        default=defaults.codec,
        help="autoencoder of the depth path: full, light, auto (light where its measured cost is small), or a folder "
        "or Hugging Face id of a light one, TAESD for example (%(default)s)",
    )
    group.add_argument("--backend", choices=BACKENDS, default=defaults.backend, help="(%(default)s)")
    group.add_argument("--device", default=defaults.device, help="auto, cpu, cuda, cuda:1, ... (%(default)s)")
    group.add_argument("--precision", choices=PRECISIONS, default=defaults.precision, help="(%(default)s)")
    group.add_argument(
        "--torch-mode", choices=TORCH_MODES, default=defaults.torch_mode, help="of backend torch (%(default)s)"
    )
    group.add_argument("--steps", type=int, default=defaults.steps, help="denoising steps; 0: the checkpoint's own")
    group.add_argument(
        "--processing-pixels",
        type=int,
        default=defaults.processing_pixels,
        help="images are scaled to about this many pixels; 0: the size that the model was made for",
    )
    group.add_argument("--threads", type=int, default=defaults.threads, help="CPU threads; 0: the backend decides")


def estimator_settings(arguments: argparse.Namespace) -> EstimatorSettings:
    """The settings that the options ask for.

    Raises:
        ConfigurationError: a value is not allowed.
    """
    return EstimatorSettings(
        model=arguments.model,
        converters=arguments.converters,
        codec=arguments.codec,
        backend=arguments.backend,
        device=arguments.device,
        precision=arguments.precision,
        torch_mode=arguments.torch_mode,
        steps=arguments.steps,
        processing_pixels=arguments.processing_pixels,
        threads=arguments.threads,
    )
