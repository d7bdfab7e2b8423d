"""One training run: steps in order, optimiser, averaged weights, checkpoints that survive a kill, and a summary.

A stage reads as a loop:

    run = Run(folder, {"vae": vae}, settings, worker)
    for step in run.steps():
        loss = ...
        run.update(loss, {"l1": l1})
        if run.shows_pictures:
            run.pictures("round trip", decoded)
    run.finish({"psnr": psnr})

All randomness of a step comes from `run.numpy_rng(step)` and `run.torch_rng(step)`, which depend only on the seed, the
step and the process: a run that was killed and resumed gives the same weights as one that was not.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from merge_ros.errors import ConfigurationError
from merge_ros.training.board import Board
from merge_ros.training.compute import Clock, Worker
from merge_ros.training.optimizers import optimizers

logger = logging.getLogger(__name__)

CHECKPOINT, LOG, SUMMARY = "checkpoint.pt", "log.jsonl", "summary.json"


@dataclass(frozen=True)
class RunSettings:
    """How a stage is optimised.

    Args:
        steps: updates in all.
        learning_rate: of AdamW, after the warm-up.
        matrix_rate: of Muon for the matrices of transformer blocks; None: AdamW for them too.
        warmup: steps of linear rise.
        decay_from: fraction of the steps after which the rate falls linearly to 2 % of itself.
        weight_decay: of AdamW.
        clip: largest norm of the gradient.
        ema: decay per step of the weights' moving average, which is what a stage delivers.
        seed: of all randomness.
        checkpoint_seconds: between two checkpoints.
        log_steps: between two lines of the log.
        picture_steps: between two rows of pictures on the board.
        compile: fuse the network first, which pays from some hundred steps on.

    Raises:
        ConfigurationError: a value that makes no sense.
    """

    steps: int
    learning_rate: float
    warmup: int = 100
    decay_from: float = 0.5
    weight_decay: float = 0.01
    clip: float = 1.0
    ema: float = 0.998
    seed: int = 0
    checkpoint_seconds: float = 120.0
    log_steps: int = 50
    picture_steps: int = 300
    matrix_rate: float | None = None
    compile: bool = False

    def __post_init__(self) -> None:
        if self.steps < 1 or self.learning_rate <= 0 or not 0 <= self.decay_from < 1 or not 0 <= self.ema < 1:
            raise ConfigurationError(f"{self}: steps >= 1, learning_rate > 0, decay_from and ema in [0, 1)")

    def rate(self, step: int) -> float:
        """The learning rate of a step, as a fraction of the full one."""
        rise = min(1.0, (step + 1) / max(1, self.warmup))
        past = (step / self.steps - self.decay_from) / (1 - self.decay_from)
        return rise * (1 - 0.98 * max(0.0, past))


class Run:
    """See the module.

    Args:
        folder: for checkpoint, log and summary.
        modules: what is trained, by name.
        settings: of the optimisation.
        worker: this process.
    """

    def __init__(self, folder: Path, modules: dict[str, nn.Module], settings: RunSettings, worker: Worker) -> None:
        self.folder, self.settings, self.worker = folder, settings, worker
        folder.mkdir(parents=True, exist_ok=True)
        self._modules = nn.ModuleDict(modules)
        self._parameters = [p for p in self._modules.parameters() if p.requires_grad]
        self._optimizers = optimizers(
            self._modules, settings.learning_rate, settings.matrix_rate, settings.weight_decay
        )
        self._average = [parameter.detach().clone() for parameter in self._parameters]
        self._step, before = 0, 0.0
        if (folder / CHECKPOINT).is_file():
            before = self._load()
        self._clock, self._saved = Clock(before), time.monotonic()
        self._recent: dict[str, list[float]] = {}
        self._board = Board(folder) if worker.is_first else None

    def steps(self) -> Iterator[int]:
        """The steps that are still to be done."""
        while self._step < self.settings.steps:
            yield self._step

    def numpy_rng(self, step: int) -> np.random.Generator:
        """Randomness of a step in this process."""
        return np.random.default_rng((self.settings.seed, step, self.worker.rank))

    def torch_rng(self, step: int) -> torch.Generator:
        """Randomness of a step in this process, for torch."""
        seed = int(self.numpy_rng(step).integers(2**62))
        return torch.Generator().manual_seed(seed)

    def update(self, loss: Tensor, figures: dict[str, Tensor]) -> None:
        """One optimiser step from a loss; `figures` are logged."""
        loss.backward()  # type: ignore[no-untyped-call]
        self.worker.average_gradients(self._parameters)
        norm = nn.utils.clip_grad_norm_(self._parameters, self.settings.clip)
        rate = self.settings.rate(self._step)
        for optimizer in self._optimizers:
            for group in optimizer.param_groups:
                group["lr"] = rate * group["full_rate"]
        # A gradient that is not finite would destroy the weights; bfloat16 produces one now and then.
        if torch.isfinite(norm):
            for optimizer in self._optimizers:
                optimizer.step()
        for parameter in self._parameters:
            parameter.grad = None
        # The average follows quickly at first, so that a short run is not held back by its random start.
        decay = min(self.settings.ema, (1 + self._step) / (10 + self._step))
        torch._foreach_lerp_(self._average, [p.detach() for p in self._parameters], 1 - decay)
        self._step += 1
        if self.worker.is_first:
            self._note({"loss": loss, "gradient": norm, **figures}, rate)

    @property
    def step(self) -> int:
        """Steps that are done."""
        return self._step

    @property
    def shows_pictures(self) -> bool:
        """Whether this process should now call `pictures`."""
        due = self._step % self.settings.picture_steps == 0 or self._step == self.settings.steps
        return due and self._board is not None

    def pictures(self, name: str, pictures: Tensor) -> None:
        """Show pictures [batch, 3, H, W] in [-1, 1], or depth maps [batch, H, W], on the board."""
        if self._board is not None:
            self._board.pictures(self._step, name, pictures)

    def finish(self, results: dict[str, Any]) -> None:
        """Take over the averaged weights for good, and write the summary."""
        self.use_average()
        if self.worker.is_first:
            self._save()
            self.write_summary(results)
        self.worker.wait()

    def use_average(self) -> None:
        """Replace the weights by their moving average."""
        with torch.no_grad():
            for parameter, average in zip(self._parameters, self._average, strict=True):
                parameter.copy_(average)

    def averaged_state(self) -> dict[str, dict[str, Tensor]]:
        """State of each module with the averaged weights, the run going on untouched."""
        kept = [parameter.detach().clone() for parameter in self._parameters]
        self.use_average()
        state = {
            name: {key: value.clone() for key, value in module.state_dict().items()}
            for name, module in self._modules.items()
        }
        with torch.no_grad():
            for parameter, value in zip(self._parameters, kept, strict=True):
                parameter.copy_(value)
        return state

    def write_summary(self, results: dict[str, Any]) -> None:
        """`summary.json`: settings, time and results."""
        summary = {
            "settings": asdict(self.settings),
            "steps_done": self._step,
            "minutes": round(self._clock.seconds() / 60, 2),
            "processes": self.worker.count,
            "bf16": self.worker.bf16,
            "trained_parameters": sum(parameter.numel() for parameter in self._parameters),
            **results,
        }
        (self.folder / SUMMARY).write_text(json.dumps(summary, indent=2) + "\n")

    def _note(self, figures: dict[str, Tensor], rate: float) -> None:
        for name, value in figures.items():
            self._recent.setdefault(name, []).append(float(value.detach()))
        if self._step % self.settings.log_steps == 0 or self._step == self.settings.steps:
            means = {name: float(np.mean(values)) for name, values in self._recent.items()}
            self._recent.clear()
            record = {"step": self._step, "minutes": self._clock.seconds() / 60, "rate": rate, **means}
            with (self.folder / LOG).open("a") as log:
                log.write(json.dumps({key: round(value, 6) for key, value in record.items()}) + "\n")
            if self._board is not None:
                self._board.curves(self._step, {**means, "rate": rate})
            text = " ".join(f"{name} {value:.4f}" for name, value in means.items())
            logger.info(
                "%s step %d/%d %.1f min: %s", self.folder.name, self._step, self.settings.steps, record["minutes"], text
            )
        if time.monotonic() - self._saved > self.settings.checkpoint_seconds:
            self._save()

    def _save(self) -> None:
        state = {
            "step": self._step,
            "seconds": self._clock.seconds(),
            "modules": self._modules.state_dict(),
            "average": self._average,
            "optimizers": [optimizer.state_dict() for optimizer in self._optimizers],
        }
        partial = self.folder / (CHECKPOINT + ".partial")
        torch.save(state, partial)
        partial.replace(self.folder / CHECKPOINT)  # atomic: a kill leaves the old one or the new one
        self._saved = time.monotonic()

    def _load(self) -> float:
        state = torch.load(self.folder / CHECKPOINT, weights_only=True)
        self._modules.load_state_dict(state["modules"])
        self._average = state["average"]
        for optimizer, stored in zip(self._optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(stored)
        self._step = int(state["step"])
        logger.info("%s resumes at step %d", self.folder.name, self._step)
        return float(state["seconds"])
