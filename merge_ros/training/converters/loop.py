"""The training of converters, from settings to a folder of weights: one loop for every backbone, recipe and task."""

from __future__ import annotations

import functools
import itertools
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from accelerate import Accelerator, PartialState
from torch import Tensor
from tqdm import tqdm

from merge_ros.config.training import SourceSettings, TrainingSettings
from merge_ros.errors import ConfigurationError, TrainingError
from merge_ros.model.autoencoder import decode_signed
from merge_ros.training.board import Board
from merge_ros.training.converters.families import load_family
from merge_ros.training.converters.learner import Learner
from merge_ros.training.converters.recipes import RECIPE, Example
from merge_ros.training.converters.work_folder import BOARD, Notes, claim
from merge_ros.training.sources.batches import Batch, batches
from merge_ros.training.sources.latent_cache import LatentCache
from merge_ros.training.sources.order import Order
from merge_ros.training.sources.source import Source

CHECKED_FRAMES = 16  # of each source, before training begins; every frame is checked again when it is read
SHOWN = 4  # pictures in a row on the board
MIXED_PRECISION = {"fp32": "no", "fp16": "fp16", "bf16": "bf16"}
FROZEN_TYPE = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}


def train(settings: TrainingSettings, *, overwrite: bool = False, checked_frames: int = CHECKED_FRAMES) -> Path:
    """Train converters, or go on with a training that was stopped; the weights are the same either way.

    Run under `accelerate launch` it shares every batch among the processes.

    Args:
        settings: of everything.
        overwrite: begin anew where a finished training lies.
        checked_frames: frames of each source that are read before training begins; 0: all.

    Returns:
        The folder with the converters.

    Raises:
        ConfigurationError: a finished training lies there, or settings do not fit the data or the model.
        CheckpointError: the model or a checkpoint is damaged or belongs to another training.
        DatasetError: a source or a frame is damaged; the message names the file.
        TrainingError: the loss is not finite, or the disk is full.
    """
    accelerator = start_accelerator(settings)
    folder = claim(Path(settings.out), overwrite, accelerator)
    training = Training(settings, accelerator, checked_frames)
    training.learner.resume(folder)
    training.check_room(folder)
    board = Board(folder / BOARD) if accelerator.is_main_process else None
    notes = Notes(folder, settings, board)
    first = training.learner.updates_done
    with tqdm(
        total=settings.updates, initial=first, desc="training", unit="update", disable=not accelerator.is_main_process
    ) as bar:
        for _ in range(first, settings.updates):
            figures = training.update()
            done = training.learner.updates_done
            bar.update()
            if accelerator.is_main_process:
                bar.set_postfix(loss=f"{figures['loss']:.4f}")
                notes.add(done, figures)
                if board is not None and done % settings.picture_updates == 0:
                    training.show(board)
                if done % settings.checkpoint_updates == 0 or done == settings.updates:
                    training.learner.save(folder)
    if accelerator.is_main_process:
        training.learner.deliver(folder)
        notes.finish(training.described())
    accelerator.wait_for_everyone()
    accelerator.end_training()
    return folder / training.family.converter_folder


class Training:
    """All that an update needs, made ready.

    Args:
        settings: of everything.
        accelerator: this process among others.
        checked_frames: see `train`.
    """

    def __init__(self, settings: TrainingSettings, accelerator: Accelerator, checked_frames: int) -> None:
        self.settings, self.accelerator = settings, accelerator
        self.sources = open_sources(settings.data, settings.task, checked_frames, accelerator.is_main_process)
        usual = max(self.sources, key=lambda source: source.settings.share)
        self.family = load_family(settings, usual.size[0] * usual.size[1])
        for source in self.sources:
            if source.size[0] % self.family.grid or source.size[1] % self.family.grid:
                raise ConfigurationError(
                    f"frames of {source.settings.path} are {source.size[0]}x{source.size[1]}; this model needs "
                    f"multiples of {self.family.grid}: set the source's size"
                )
        self.family.to(accelerator.device, FROZEN_TYPE[settings.precision])
        if settings.gradient_checkpointing:
            self.family.spare_memory()
        self.learner = Learner(self.family, settings, accelerator)
        self.recipe = RECIPE[settings.recipe](self.family)
        self.order = Order(
            [len(source) for source in self.sources],
            [source.settings.share for source in self.sources],
            settings.batch * accelerator.num_processes,
            settings.updates * settings.accumulation,
            settings.seed,
        )
        cache = Path(settings.cache_latents) if settings.cache_latents else None
        self.latents = LatentCache(
            self.family.vae, self.sources, cache, accelerator.wait_for_everyone, accelerator.is_main_process
        )
        self._batches: Iterator[Batch] | None = None
        self._shown: Batch | None = None

    def update(self) -> dict[str, float]:
        """Change the weights once; returns figures, averaged over passes and processes.

        Raises:
            DatasetError: a frame is damaged.
            TrainingError: the loss or the gradients are not finite.
        """
        learner, accelerator = self.learner, self.accelerator
        if self._batches is None:
            self._batches = self._read_on()
        figures: dict[str, list[Tensor]] = {}
        norm = 0.0
        for batch in itertools.islice(self._batches, self.settings.accumulation):
            batch = batch.to(accelerator.device)
            example = Example(batch, *self.latents.latents(batch))
            with accelerator.accumulate(learner.network):
                loss, found = self.recipe(learner.network, example, learner.updates_done / self.settings.updates)
                for name, value in {"loss": loss.detach(), **found}.items():
                    figures.setdefault(name, []).append(accelerator.gather(value.reshape(1)).mean())
                check_finite(figures["loss"][-1], learner.updates_done, batch)
                accelerator.backward(loss)
                if accelerator.sync_gradients:
                    norm = learner.step()
            self._shown = batch
        return {name: float(torch.stack(values).mean()) for name, values in figures.items()} | {"gradient": norm}

    @torch.no_grad()
    def show(self, board: Board) -> None:
        """Put pictures, truth and prediction of the last batch on the board."""
        if self._shown is None:
            return
        batch, done = self._shown, self.learner.updates_done
        image = batch.image[:SHOWN]
        latent = self.latents.latents(batch)[0][:SHOWN]
        with self.accelerator.autocast():
            predicted = decode_signed(self.family.vae, self.family.estimate(latent).float())
        board.pictures(done, "image", image.cpu())
        if self.settings.task == "depth":
            board.pictures(done, "true depth", batch.truth[:SHOWN].cpu())
            board.pictures(done, "depth", predicted.mean(dim=1).cpu())
        else:
            board.pictures(done, "true normals", batch.truth[:SHOWN].cpu())
            board.pictures(done, "normals", predicted.cpu())

    def check_room(self, folder: Path) -> None:
        """Raise ConfigurationError unless two checkpoints (old and new) find room on the disk."""
        needed, free = 2 * self.learner.checkpoint_bytes(), shutil.disk_usage(folder).free
        if needed > free:
            raise ConfigurationError(
                f"{folder} has {free / 1e9:.1f} GB free; two checkpoints of this training need {needed / 1e9:.1f} GB"
            )

    def described(self) -> dict[str, object]:
        """What the summary says beside the settings."""
        return {
            "processes": self.accelerator.num_processes,
            "device": str(self.accelerator.device),
            "frames": [len(source) for source in self.sources],
            "trained_parameters": sum(parameter.numel() for parameter in self.learner.parameters),
            "frozen_parameters": sum(parameter.numel() for parameter in self.family.network.backbone.parameters()),
        }

    def _read_on(self) -> Iterator[Batch]:
        first = self.learner.updates_done * self.settings.accumulation
        keys = self.order.from_pass(first, self.accelerator.process_index, self.accelerator.num_processes)
        return batches(self.sources, keys, self.settings.workers)


def start_accelerator(settings: TrainingSettings) -> Accelerator:
    """This process among those that `accelerate launch` has started.

    Raises:
        ConfigurationError: a precision that this machine does not have.
    """
    try:
        return Accelerator(
            gradient_accumulation_steps=settings.accumulation, mixed_precision=MIXED_PRECISION[settings.precision]
        )
    except ValueError as error:
        raise ConfigurationError(f"precision={settings.precision!r} cannot be had here: {error}") from error


def open_sources(settings: Sequence[SourceSettings], task: str, checked_frames: int, shows: bool) -> list[Source]:
    """Open all sources and check some of their frames.

    Raises:
        DatasetError: the first thing that is wrong, with the name of the file.
    """
    sources = []
    for one in settings:
        source = Source(one, task)
        source.check(checked_frames, functools.partial(tqdm, desc=f"checking {one.path}", disable=not shows))
        sources.append(source)
    return sources


def say(text: str) -> None:
    """Print in the first process only."""
    PartialState().print(text)


def check_finite(loss: Tensor, updates_done: int, batch: Batch) -> None:
    """Raise TrainingError for a loss, averaged over all processes, that is not finite."""
    if not torch.isfinite(loss):
        raise TrainingError(
            f"the loss is {float(loss)} in update {updates_done + 1}; this process had {', '.join(batch.names)}. The "
            "last checkpoint is from before. Lower optimizer.rate, or take precision fp32"
        )
