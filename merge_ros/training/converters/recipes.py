"""The two ways to train converters: as published, and in one step. Each is a function from a batch to a loss."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from merge_ros.config.training import OneStepSettings
from merge_ros.model.autoencoder import decode_signed, downsampling
from merge_ros.training.converters.family import Family
from merge_ros.training.converters.noise import NoiseProcess, draw_noise
from merge_ros.training.depth_losses import abs_rel, align, outline_error
from merge_ros.training.sources.batches import Batch

Figures = dict[str, Tensor]
Network = Callable[..., Tensor]
LARGEST_COSINE = 1 - 1e-6  # where the slope of the arc cosine is still finite


@dataclass(frozen=True)
class Example:
    """A batch and its latents.

    Args:
        batch: frames.
        image, target: their latents, [batch, C, h, w].
    """

    batch: Batch
    image: Tensor
    target: Tensor


class Published:
    """Noise or flow at a random timestep (MERGE, arXiv 2510.23574, section 4.1, after Marigold, arXiv 2312.02145).

    Annealed multi-resolution noise, squared error on the latents, masked where any pixel of a latent cell is unknown.
    (The authors' code averages over all known cells of a pass; here every image weighs the same, so that a loss does
    not depend on how frames are spread over processes.)
    """

    def __init__(self, family: Family) -> None:
        self._family = family
        self._process: NoiseProcess = family.process()

    def __call__(self, network: nn.Module, example: Example, done: float) -> tuple[Tensor, Figures]:
        """Loss and figures to log; `done` is the share of the training that is over."""
        settings, process = self._family.settings.published, self._process
        seeds = [key.seed for key in example.batch.keys]
        index, noise = draw_noise(example.target, process, settings.noise_strength, seeds)
        noisy = process.noisy(example.target, noise, index)
        timestep = process.timesteps[index].to(noisy.device)
        predicted = predict(network, example.image, noisy, timestep, self._family)
        wanted = process.target(example.target, noise, index)
        known = known_cells(example.batch.valid, downsampling(self._family.vae))
        loss = masked_mean((predicted - wanted).square(), known)
        return loss, {"latent": loss.detach()}


class OneStep:
    """x0 from an empty slot, at one fixed timestep.

    - x0 rather than noise, and one step: Lotus, arXiv 2409.18124, section 4. Zeros in the slot: E2E-FT, arXiv
      2409.11355, table 3.
    - The frozen blocks are told a low timestep, as the image latent is clean (docs/merge-tiny.md).
    - Losses on decoded pixels from some point on: E2E-FT, section 4; affine-invariant depth, or the angle of normals.
    - Detail preserver: Lotus, section 4.3, lets the network also rebuild the picture under a task switch. Its switch is
      an embedding added to the timestep's; frozen blocks cannot learn one, so here it is the slot, ones in place of
      zeros. Depth is computed as without it, and nothing is added to what is stored.
    """

    def __init__(self, family: Family) -> None:
        self._family = family

    def __call__(self, network: nn.Module, example: Example, done: float) -> tuple[Tensor, Figures]:
        """Loss and figures to log; `done` is the share of the training that is over."""
        family, settings, batch = self._family, self._family.settings.one_step, example.batch
        image, empty = example.image, torch.zeros_like(example.image)
        rebuilds = settings.detail_weight > 0
        if rebuilds:  # both tasks in one pass
            image, empty = torch.cat([image, image]), torch.cat([empty, torch.ones_like(empty)])
        timestep = torch.full((len(image),), settings.depth_timestep, device=image.device)
        predicted = predict(network, image, empty, timestep, family)
        known = known_cells(batch.valid, downsampling(family.vae))
        depth = predicted[: len(example.image)]
        latent_loss = masked_mean((depth - example.target).abs(), known)
        loss = settings.latent_weight * latent_loss
        figures = {"latent": latent_loss.detach()}
        if rebuilds:
            detail = functional.l1_loss(predicted[len(example.image) :], example.image)
            loss = loss + settings.detail_weight * detail
            figures["detail"] = detail.detach()
        if settings.pixel_weight and done >= settings.pixel_from:
            compare = depth_error if family.settings.task == "depth" else angular_error
            pixel_loss, more = compare(decode_signed(family.vae, depth), batch, settings)
            loss = loss + pixel_loss
            figures |= more
        return loss, figures


RECIPE: dict[str, type[Published] | type[OneStep]] = {"published": Published, "one_step": OneStep}


def predict(network: nn.Module, image: Tensor, slot: Tensor, timestep: Tensor, family: Family) -> Tensor:
    """What the network says of the slot, fp32 [batch, C, h, w]; a learned-sigma half is dropped, as published."""
    pixels = downsampling(family.vae)
    told = family.conditioning.sized(image.shape[-2] * pixels, image.shape[-1] * pixels)
    predicted: Tensor = network(image, slot, timestep, told)
    return predicted[:, : image.shape[1]].float()


def known_cells(valid: Tensor, factor: int) -> Tensor:
    """Latent cells all of whose pixels are known: [batch, H, W] bool to [batch, 1, H / f, W / f] float."""
    unknown = functional.max_pool2d((~valid)[:, None].float(), factor, factor)
    return 1 - unknown


def masked_mean(errors: Tensor, known: Tensor) -> Tensor:
    """Mean over the known cells of each image, then over images; an image without any adds 0.

    Args:
        errors: [batch, C, h, w].
        known: [batch, 1, h, w] of 0 and 1.
    """
    per_image = (errors * known).sum(dim=(1, 2, 3)) / (known.sum(dim=(1, 2, 3)) * errors.shape[1]).clamp(min=1)
    mean: Tensor = per_image.mean()
    return mean


def depth_error(decoded: Tensor, batch: Batch, settings: OneStepSettings) -> tuple[Tensor, Figures]:
    """AbsRel after the least-squares fit of each frame, and the difference of slopes, where depth is known.

    Args:
        decoded: [batch, 3 or 1, H, W].
    """
    valid = batch.valid.float()
    aligned = align(decoded.mean(dim=1), batch.truth, valid)
    error, outline = abs_rel(aligned, batch.truth, valid), outline_error(aligned, batch.truth, valid)
    loss = settings.pixel_weight * error + settings.outline_weight * outline
    return loss, {"abs_rel": error.detach(), "outline": outline.detach()}


def angular_error(decoded: Tensor, batch: Batch, settings: OneStepSettings) -> tuple[Tensor, Figures]:
    """Mean angle between predicted and true normals where they are known (E2E-FT, arXiv 2409.11355, section 4).

    Args:
        decoded: [batch, 3, H, W], of any length.
    """
    unit = functional.normalize(decoded.float(), dim=1)
    cosine = (unit * batch.truth).sum(dim=1).clamp(-LARGEST_COSINE, LARGEST_COSINE)
    angle = masked_mean(torch.arccos(cosine)[:, None], batch.valid[:, None].float())
    return settings.pixel_weight * angle, {"degrees": torch.rad2deg(angle.detach())}
