"""What a training would be: data, parameters, memory, disk and time, measured on a few updates that are thrown away."""

from __future__ import annotations

import resource
import time
from datetime import timedelta

import torch

from merge_ros.config.training import TrainingSettings
from merge_ros.model.autoencoder import downsampling
from merge_ros.training.converters.loop import Training, start_accelerator

WARM_UP, TIMED = 1, 3  # updates
GIGABYTE = 1e9


def dry_run(settings: TrainingSettings, checked_frames: int) -> str:
    """Make everything ready, run a few updates, write nothing but latents where they are kept, and report.

    Args:
        settings: of the training.
        checked_frames: frames of each source that are read first; 0: all.

    Returns:
        Lines for people.

    Raises:
        MergeError: whatever would stop the training.
    """
    accelerator = start_accelerator(settings)
    training = Training(settings, accelerator, checked_frames)
    learner, family = training.learner, training.family
    timed = min(TIMED, settings.updates)
    warm_up = min(WARM_UP, settings.updates - timed)
    # Where the losses on pixels, which begin later, are already there.
    begin = int(settings.one_step.pixel_from * settings.updates) + 1 if settings.recipe == "one_step" else 0
    learner.updates_done = min(begin, settings.updates - timed - warm_up)
    for _ in range(warm_up):
        training.update()
    start = time.perf_counter()
    for _ in range(timed):
        figures = training.update()
    seconds = (time.perf_counter() - start) / timed

    shares = sum(source.settings.share for source in training.sources)
    lines = ["data"]
    for source in training.sources:
        width, height = source.size
        share = source.settings.share / shares
        lines.append(f"  {source.settings.path}: {len(source)} frames, {width}x{height}, {share:.0%} of the updates")
    described = training.described()
    trained, frozen = int(str(described["trained_parameters"])), int(str(described["frozen_parameters"]))
    images = settings.batch * accelerator.num_processes * settings.accumulation
    whole = timedelta(seconds=round(seconds * settings.updates))
    lines += [
        "model",
        f"  {settings.model}: {type(family).__name__}, {settings.recipe}, {settings.task}",
        f"  {frozen / 1e6:.1f} M frozen parameters, {trained / 1e6:.1f} M learn ({trained / frozen:.1%})",
        "memory",
        f"  {_memory(accelerator.device)}",
        "disk",
        f"  {learner.checkpoint_bytes() / GIGABYTE:.2f} GB a checkpoint, two for a moment; {_latents(training)}",
        "time",
        f"  {seconds:.2f} s an update of {images} frames by {accelerator.num_processes} process(es) on "
        f"{accelerator.device}; {settings.updates} updates: {whole}",
        f"  loss of the last: {figures['loss']:.4f}",
    ]
    return "\n".join(lines)


def _memory(device: torch.device) -> str:
    if device.type == "cuda":
        used = torch.cuda.max_memory_allocated(device) / GIGABYTE
        return f"{used:.2f} GB at most on {torch.cuda.get_device_name(device)}"
    # Linux counts in KiB (getrusage(2)).
    return f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / GIGABYTE:.2f} GB at most in this process"


def _latents(training: Training) -> str:
    if not training.settings.cache_latents:
        return "latents are not kept (cache_latents)"
    vae = training.family.vae
    cells = sum(2 * len(s) * s.size[0] * s.size[1] for s in training.sources) // downsampling(vae) ** 2
    size = 2 * 2 * vae.config.latent_channels * cells  # two kinds, two bytes
    return f"{size / GIGABYTE:.2f} GB of latents in {training.settings.cache_latents}"
