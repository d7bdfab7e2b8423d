"""What changes in a training: converters, optimisers, averaged weights and the count of updates; kept and restored."""

from __future__ import annotations

import json
import math
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from diffusers.training_utils import EMAModel
from safetensors import SafetensorError
from torch import nn

from merge_ros.config.training import TrainingSettings
from merge_ros.errors import CheckpointError, TrainingError
from merge_ros.files import atomic_write
from merge_ros.training.converters.family import Family
from merge_ros.training.optimizers import optimizers

CHECKPOINT = "checkpoint.pt"
# Settings that do not change what is learned.
FREE = ("out", "workers", "batch", "cache_latents", "checkpoint_updates", "log_updates", "picture_updates")
BYTES_PER_PARAMETER = 16  # fp32: weight, two moments of AdamW, average
MOST_SKIPPED = 20  # updates in a row whose gradient is not finite


class Learner:
    """Everything that a checkpoint holds.

    Args:
        family: whose converters learn.
        settings: of the training.
        accelerator: this process among others.
    """

    def __init__(self, family: Family, settings: TrainingSettings, accelerator: Accelerator) -> None:
        self.family, self.settings, self.accelerator = family, settings, accelerator
        self.updates_done, self.skipped = 0, 0
        wanted = settings.optimizer
        made = optimizers(
            nn.ModuleDict({"converter": family.converter}),
            wanted.rate,
            wanted.matrix_rate,
            wanted.weight_decay,
            wanted.betas,
        )
        self.parameters = [p for p in family.converter.parameters() if p.requires_grad]
        self.average = EMAModel(self.parameters, decay=wanted.ema) if wanted.ema else None
        self.network, *self._optimizers = accelerator.prepare(family.network, *made)

    def step(self) -> float:
        """Change the weights by the gradients that have gathered; returns their norm before clipping.

        Raises:
            TrainingError: gradients have not been finite for many updates.
        """
        norm = float(self.accelerator.clip_grad_norm_(self.parameters, self.settings.optimizer.clip))
        factor = self.settings.optimizer.factor(self.updates_done, self.settings.updates)
        finite = math.isfinite(norm)
        for optimizer in self._optimizers:
            for group in optimizer.param_groups:
                group["lr"] = factor * group["full_rate"]
            # In half precision, gradients overflow now and then. The scaler of fp16 has to see that to scale less.
            if finite or self.accelerator.scaler is not None:
                optimizer.step()
            optimizer.zero_grad()
        self.skipped = 0 if finite else self.skipped + 1
        if self.skipped > MOST_SKIPPED:
            raise TrainingError(
                f"the gradient has not been finite for {self.skipped} updates, the last is {self.updates_done + 1}: "
                "lower optimizer.rate, or take precision fp32"
            )
        if self.average is not None and finite:
            self.average.step(self.parameters)
        self.updates_done += 1
        return norm

    def save(self, folder: Path) -> None:
        """Write the checkpoint: the new one is whole, or the old one stays.

        Raises:
            TrainingError: the disk is full, or cannot be written for another reason.
        """
        state = {
            "identity": self.identity(),
            "updates": self.updates_done,
            "skipped": self.skipped,
            "converter": self.family.converter.state_dict(),
            "optimizers": [optimizer.state_dict() for optimizer in self._optimizers],
            "average": None if self.average is None else self.average.state_dict(),
            "scaler": None if self.accelerator.scaler is None else self.accelerator.scaler.state_dict(),
        }
        path = folder / CHECKPOINT
        try:
            with atomic_write(path) as temporary:
                torch.save(state, temporary)
        except (OSError, RuntimeError) as error:  # torch's own writer raises RuntimeError
            raise not_written(path, self.updates_done, error) from error

    def resume(self, folder: Path) -> None:
        """Go on where a checkpoint was written, if there is one.

        Raises:
            CheckpointError: it is damaged, or belongs to a training with other settings.
        """
        path = folder / CHECKPOINT
        if not path.is_file():
            return
        try:
            state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
            before = state["identity"]
        except Exception as error:  # torch raises many unrelated types on damaged files
            raise CheckpointError(f"{path} cannot be read: {error}") from error
        changed = _differences(json.loads(before), json.loads(self.identity()))
        if changed:
            raise CheckpointError(
                f"{path} belongs to a training with other settings: {'; '.join(changed)}. Take another --out, or these "
                "settings"
            )
        self.family.converter.load_state_dict(state["converter"])
        for optimizer, stored in zip(self._optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(stored)
        if self.average is not None:
            self.average.load_state_dict(state["average"])
            self.average.to(self.accelerator.device)
        if self.accelerator.scaler is not None:
            self.accelerator.scaler.load_state_dict(state["scaler"])
        self.updates_done, self.skipped = int(state["updates"]), int(state["skipped"])

    def deliver(self, folder: Path) -> None:
        """Write the converters that are the result: averaged where there is an average.

        Raises:
            TrainingError: the disk is full, or cannot be written for another reason.
        """
        if self.average is not None:
            self.average.copy_to(self.parameters)
        try:
            self.family.save(folder)
        except (OSError, SafetensorError) as error:
            raise not_written(folder / self.family.converter_folder, self.updates_done, error) from error

    def identity(self) -> str:
        """Settings that decide what is learned, as JSON; frames of a pass are counted over all processes."""
        known = {name: value for name, value in asdict(self.settings).items() if name not in FREE}
        return json.dumps(known | {"batch of all": self.settings.batch * self.accelerator.num_processes})

    def checkpoint_bytes(self) -> int:
        """About what a checkpoint takes on disk."""
        return BYTES_PER_PARAMETER * sum(int(parameter.numel()) for parameter in self.parameters)


def not_written(path: Path, updates: int, error: Exception) -> TrainingError:
    """What to say when something of a training cannot be written."""
    free = shutil.disk_usage(path.parent).free / 1e9
    return TrainingError(
        f"{path} cannot be written after update {updates} ({free:.1f} GB free): {error}. The checkpoint before is "
        "whole; make room and start the same training again"
    )


def _differences(before: Any, now: Any, name: str = "") -> list[str]:
    if isinstance(before, dict) and isinstance(now, dict):
        prefix = f"{name}." if name else ""
        return [
            line for key in {**before, **now} for line in _differences(before.get(key), now.get(key), f"{prefix}{key}")
        ]
    return [] if before == now else [f"{name} was {before} and is now {now}"]
