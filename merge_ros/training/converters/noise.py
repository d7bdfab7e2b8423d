"""Noise for the published recipe: how much of it at each timestep, and of what kind.

All that is drawn for a frame comes from that frame's own seed, so it does not depend on how frames are spread over
processes and passes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from merge_ros.errors import ConfigurationError

LEVELS = 10  # of the noise at most; it ends at a level of one pixel before


@dataclass(frozen=True)
class NoiseProcess:
    """noisy = keep * clean + spread * noise, at each of n timesteps, and what is predicted there.

    Args:
        timesteps: [n] float32, what the backbone is told.
        keep, spread: [n] float32.
        prediction: "epsilon", "v_prediction" or "flow".

    Raises:
        ConfigurationError: an unknown prediction.
    """

    timesteps: Tensor
    keep: Tensor
    spread: Tensor
    prediction: str

    def __post_init__(self) -> None:
        if self.prediction not in ("epsilon", "v_prediction", "flow"):
            raise ConfigurationError(
                f"prediction={self.prediction!r} is not what a multi-step recipe predicts; allowed: epsilon, "
                "v_prediction, flow"
            )

    @classmethod
    def of_diffusion(cls, scheduler: Any, prediction: str) -> NoiseProcess:
        """Of a scheduler with `alphas_cumprod`: keep^2 + spread^2 = 1 (DDPM, arXiv 2006.11239, equation 4)."""
        alphas = scheduler.alphas_cumprod.float()
        return cls(torch.arange(len(alphas)).float(), alphas.sqrt(), (1 - alphas).sqrt(), prediction)

    @classmethod
    def of_flow(cls, scheduler: Any) -> NoiseProcess:
        """Of a flow-matching scheduler as it is when loaded: keep + spread = 1 (arXiv 2210.02747)."""
        sigmas = scheduler.sigmas.float().cpu()
        timesteps = scheduler.timesteps.float().cpu()
        return cls(timesteps, 1 - sigmas[: len(timesteps)], sigmas[: len(timesteps)], "flow")

    def __len__(self) -> int:
        return len(self.timesteps)

    def noisy(self, clean: Tensor, noise: Tensor, index: Tensor) -> Tensor:
        """The latent at some timesteps; index: [batch]."""
        return _per_image(self.keep, index, clean) * clean + _per_image(self.spread, index, clean) * noise

    def target(self, clean: Tensor, noise: Tensor, index: Tensor) -> Tensor:
        """What the network shall predict."""
        if self.prediction == "epsilon":
            return noise
        if self.prediction == "flow":
            return noise - clean
        # Salimans & Ho, arXiv 2202.00512, equation 11.
        return _per_image(self.keep, index, clean) * noise - _per_image(self.spread, index, clean) * clean


def multi_resolution_noise(shape: Sequence[int], strength: float, generator: torch.Generator) -> Tensor:
    """Normal noise plus ever coarser noise, scaled back to unit variance (Whitaker 2023; Marigold, arXiv 2312.02145).

    The code of Marigold and MERGE draws the sizes of the levels and scales once for a whole batch; here each image has
    its own, so that images do not depend on their neighbours.

    Args:
        shape: (C, h, w) of one latent.
        strength: of a level relative to the one before, in [0, 1]; annealed: times timestep / timesteps.
        generator: of this image.

    Returns:
        [C, h, w].
    """
    channels, height, width = shape
    noise = torch.randn(channels, height, width, generator=generator)
    if strength == 0:
        return noise
    rows, columns = height, width
    for level in range(LEVELS):
        ratio = (2 + 2 * float(torch.rand((), generator=generator))) ** level
        rows, columns = max(1, int(rows / ratio)), max(1, int(columns / ratio))
        coarse = torch.randn(1, channels, rows, columns, generator=generator)
        noise += strength**level * functional.interpolate(coarse, (height, width), mode="bilinear")[0]
        if rows == 1 or columns == 1:
            break
    return noise / noise.std()


def draw_noise(like: Tensor, process: NoiseProcess, strength: float, seeds: Sequence[int]) -> tuple[Tensor, Tensor]:
    """A timestep and annealed multi-resolution noise for each image of a batch.

    Args:
        like: [batch, C, h, w].
        process: whose timesteps are drawn, all equally likely.
        strength: of the noise at the last timestep.
        seeds: [batch], of each image.

    Returns:
        Indices of timesteps [batch], and noise like `like`.
    """
    indices, noises = [], []
    for seed in seeds:
        generator = torch.Generator().manual_seed(seed)
        index = int(torch.randint(len(process), (), generator=generator))
        annealed = strength * float(process.timesteps[index]) / len(process)
        indices.append(index)
        noises.append(multi_resolution_noise(like.shape[1:], annealed, generator))
    return torch.from_numpy(np.array(indices)), torch.stack(noises).to(like)


def _per_image(values: Tensor, index: Tensor, like: Tensor) -> Tensor:
    return values[index.cpu()].to(like)[:, None, None, None]
