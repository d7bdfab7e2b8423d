"""One cell of the ablation: converters of some kind, trained for a few steps on a small frozen backbone, and measured.

All cells share data, batches, loss, optimiser and step count with each other and take everything else from the stage
that trains merge-tiny's converters (`depth_converters`): a cell says only what differs. `benchmarks/ablations.py` runs
them.
"""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from merge_ros.errors import ScaleError
from merge_ros.evaluation.metrics import aligned_metrics
from merge_ros.model.autoencoder import Autoencoder, decode_depth, decode_signed
from merge_ros.model.checkpoint import Checkpoint, load_autoencoder, load_checkpoint
from merge_ros.model.codec import find_codec
from merge_ros.model.converter import PixArtConverter
from merge_ros.model.pixart import MergePixArt
from merge_ros.model.sampling import denoise, denoise_in_one_step, initial_noise
from merge_ros.training.ablation_cells import Cell, build, steps_of
from merge_ros.training.architecture import parameter_count
from merge_ros.training.compute import Worker, has_fast_bf16
from merge_ros.training.data import PackedData
from merge_ros.training.depth_converters import (
    OUTLINE_WEIGHT,
    PIXEL_LOSS_FROM,
    PIXEL_WEIGHT,
    true_metres,
)
from merge_ros.training.depth_losses import abs_rel, align, outline_error
from merge_ros.training.latents import LatentStore
from merge_ros.training.run import Run, RunSettings

CLIP = (0.1, 65.0)  # metres: what the stored 16-bit depth can hold
TIMED_RUNS = 5
EVALUATED = 20  # frames at once


@dataclass(frozen=True)
class Budget:
    """What every cell gets: updates, frames in each, and the learning rates."""

    steps: int = 300
    batch: int = 16
    learning_rate: float = 1.2e-3
    matrix_rate: float = 3e-3

    def run_settings(self, seed: int) -> RunSettings:
        """The stage's own schedule, shortened."""
        return RunSettings(
            self.steps,
            self.learning_rate,
            matrix_rate=self.matrix_rate,
            warmup=max(1, self.steps // 10),
            decay_from=0.5,
            ema=0.98,
            seed=seed,
            checkpoint_seconds=60,
            picture_steps=self.steps,
        )


@dataclass
class Laboratory:
    """What all cells share.

    Args:
        model: folder of a small MERGE model, or "merge-tiny".
        train, held_out: packed frames of one size.
        reduction: frames are scaled down by this factor first.
        cache: folder for latents of both.
        budget: of a cell.
    """

    model: str
    train: PackedData
    held_out: PackedData
    cache: Path
    budget: Budget
    reduction: int = 2
    checkpoint: Checkpoint = field(init=False)
    decoder: Autoencoder = field(init=False)

    def __post_init__(self) -> None:
        self.checkpoint = load_checkpoint(self.model, codec="full")
        self.decoder = load_autoencoder(find_codec("light", self.checkpoint.folder)).requires_grad_(False)
        self.worker = Worker(bf16=has_fast_bf16())
        self.latents = LatentStore(self.checkpoint.vae, self.train, self.cache / "train", self.worker)
        self.held_out_latents = LatentStore(self.checkpoint.vae, self.held_out, self.cache / "held_out", self.worker)
        for folder in ("train", "held_out"):
            (self.cache / folder).mkdir(parents=True, exist_ok=True)

    def measure(self, cell: Cell, seed: int, folder: Path) -> dict[str, Any]:
        """Train a cell and measure it on the held-out frames; a run that was killed goes on where it was.

        Args:
            cell: what to train.
            seed: of weights, batches and noise.
            folder: of this run.

        Returns:
            The cell, its figures, and what training took.
        """
        torch.manual_seed(seed)
        network, converter = build(cell, self.checkpoint.network.backbone)
        started = time.process_time()
        # Processor time, which a busy machine does not stretch; of this process, so a resumed run counts only its rest.
        self._train(cell, network, converter, seed, folder)
        seconds = time.process_time() - started
        results = {
            "cell": asdict(cell),
            "seed": seed,
            "budget": asdict(self.budget),
            "train_frames": len(self.train),
            "held_out_frames": len(self.held_out),
            "size": [side // self.reduction for side in reversed(self.train.size)],
            "core_seconds": round(seconds, 1),
            "converter_parameters": parameter_count(converter),
            "trained_parameters": sum(p.numel() for p in network.parameters() if p.requires_grad),
        }
        network.requires_grad_(False)
        return results | {"accuracy": [self._accuracy(cell, network, steps) for steps in steps_of(cell)]}

    def _train(self, cell: Cell, network: MergePixArt, converter: PixArtConverter, seed: int, folder: Path) -> None:
        settings = self.budget.run_settings(seed)
        learning: dict[str, nn.Module] = {"converter": converter}
        if cell.backbone in ("scratch", "finetuned"):
            learning["backbone"] = network.backbone.requires_grad_(True)
        run = Run(folder, learning, settings, self.worker)
        alphas = self.checkpoint.scheduler.alphas_cumprod
        for step in run.steps():
            rng = run.numpy_rng(step)
            index = rng.integers(self.train.rows, size=self.budget.batch)
            image = self.latents.images(index, self.reduction)
            depth = self.latents.depths(index, self.reduction)
            if cell.epsilon:
                timestep = torch.from_numpy(rng.integers(len(alphas), size=len(index)))
                noise = torch.randn(depth.shape, generator=run.torch_rng(step))
                alpha = alphas[timestep][:, None, None, None]
                with self.worker.autocast():
                    slot = alpha.sqrt() * depth + (1 - alpha).sqrt() * noise
                    predicted = network(image, slot, timestep, self.checkpoint.conditioning()).float()
                run.update(functional.mse_loss(predicted, noise), {})
                continue
            with self.worker.autocast():
                timestep = torch.full((len(index),), cell.depth_timestep)
                predicted = network(image, torch.zeros_like(depth), timestep, self.checkpoint.conditioning()).float()
            loss = functional.l1_loss(predicted, depth)
            if step >= PIXEL_LOSS_FROM * settings.steps:
                loss = loss + self._pixel_loss(predicted, image, index)
            run.update(loss, {})
        run.use_average()
        run.finish({"cell": asdict(cell)})

    def _pixel_loss(self, predicted: Tensor, image: Tensor, index: NDArray[np.intp]) -> Tensor:
        with self.worker.autocast():
            decoded = decode_signed(self.decoder, predicted, image)[:, 0].float()
        metres = true_metres(self.train, index, (decoded.shape[-2], decoded.shape[-1]))
        aligned = align(decoded, metres)
        return PIXEL_WEIGHT * abs_rel(aligned, metres) + OUTLINE_WEIGHT * outline_error(aligned, metres)

    @torch.inference_mode()
    def _accuracy(self, cell: Cell, network: MergePixArt, steps: int) -> dict[str, float]:
        checkpoint, errors, hits, failed = self.checkpoint, [], [], 0
        for index in np.split(np.arange(len(self.held_out)), range(EVALUATED, len(self.held_out), EVALUATED)):
            image = self.held_out_latents.images(index, self.reduction)
            depths = decode_depth(checkpoint.vae, self._estimate(cell, network, image, steps)).numpy()
            truths = true_metres(self.held_out, index, (depths.shape[1], depths.shape[2])).numpy()
            for depth, metres in zip(depths, truths, strict=True):
                try:
                    found = aligned_metrics(depth, metres, np.ones(metres.shape, bool), CLIP)
                except ScaleError:  # a constant map has no fit
                    failed += 1
                    continue
                errors.append(found.abs_rel)
                hits.append(found.delta1)
        image = self.held_out_latents.images(np.array([0]), self.reduction)
        return {
            "steps": steps,
            "abs_rel": round(float(np.mean(errors)), 4),
            "delta1": round(float(np.mean(hits)), 4),
            "standard_error": round(float(np.std(errors) / max(1, len(errors)) ** 0.5), 4),
            "failed": failed,
            "core_ms": round(self._core_milliseconds(cell, network, image, steps), 2),
        }

    def _estimate(self, cell: Cell, network: MergePixArt, image: Tensor, steps: int) -> Tensor:
        checkpoint, empty = self.checkpoint, self.checkpoint.conditioning()
        if not cell.epsilon:
            alphas = checkpoint.scheduler.alphas_cumprod
            return denoise_in_one_step(network, image, empty, cell.depth_timestep, "sample", alphas)
        scheduler = type(checkpoint.scheduler).from_config(checkpoint.scheduler.config, prediction_type="epsilon")
        return denoise(network, image, empty, scheduler, steps, initial_noise(image))

    def _core_milliseconds(self, cell: Cell, network: MergePixArt, image: Tensor, steps: int) -> float:
        """Processor time of the eager network for one frame, the least of some runs."""
        times = []
        for _ in range(TIMED_RUNS):
            start = time.process_time()
            self._estimate(cell, network, image, steps)
            times.append(time.process_time() - start)
        return 1000 * min(times)
