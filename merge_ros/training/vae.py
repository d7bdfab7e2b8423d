"""Stage 1: the autoencoder, trained on pictures and on depth maps alike.

python -m merge_ros.training.vae --data DIR --out DIR --steps N
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from merge_ros.training.architecture import TinyArchitecture, build_vae
from merge_ros.training.commands import stage_parser, start_stage
from merge_ros.training.compute import Worker, launch
from merge_ros.training.data import PackedData, pack
from merge_ros.training.run import Run, RunSettings

CROP = 48  # pixels: crops see many more scenes per second than whole frames
BATCH = 12  # crops per process
FULL_FRAMES_FROM = 0.85  # of the steps: group norms must learn the statistics of whole frames
DEPTH_SHARE = 0.5  # of the batch
GRADIENT_WEIGHT, SQUARE_WEIGHT, COLOUR_WEIGHT, KL_WEIGHT = 0.5, 1.0, 1.0, 1e-4
COLOUR_CELL = 4  # pixels: one latent cell. Outlines are mostly grey, so without a term of its own colour is given up


def train(
    worker: Worker, data_folder: Path, frames: int, out: Path, shape: TinyArchitecture, settings: RunSettings
) -> None:
    """Train the autoencoder and write `out/vae`."""
    data = pack(data_folder, out / "cache", frames)
    torch.manual_seed(settings.seed)
    vae = build_vae(shape)
    run = Run(out / "stage_vae", {"vae": vae}, settings, worker)
    for step in run.steps():
        rng = run.numpy_rng(step)
        whole = step >= FULL_FRAMES_FROM * settings.steps
        images = whole_frame(data, rng) if whole else crops(data, rng)
        with worker.autocast():
            posterior = vae.encode(images).latent_dist
            decoded = vae.decode(posterior.sample(run.torch_rng(step))).sample
        loss, figures = reconstruction_loss(decoded.float(), images)
        divergence = 0.5 * (posterior.mean.float() ** 2 + posterior.var.float() - 1 - posterior.logvar.float()).mean()
        run.update(loss + KL_WEIGHT * divergence, {**figures, "kl": divergence.detach()})
        if run.shows_pictures:
            run.pictures("given", images)
            run.pictures("round trip", decoded)
    run.use_average()
    vae.register_to_config(scaling_factor=1 / latent_deviation(vae, data))
    run.finish({"scaling_factor": vae.config.scaling_factor})
    if worker.is_first:
        vae.save_pretrained(out / "vae")
    worker.wait()


def crops(data: PackedData, rng: np.random.Generator) -> Tensor:
    """A batch of random windows of pictures and depth maps."""
    height, width = data.size
    rows: list[Tensor] = []
    for index in rng.integers(len(data), size=BATCH):
        top, left = int(rng.integers(height - CROP + 1)), int(rng.integers(width - CROP + 1))
        window = (slice(top, top + CROP), slice(left, left + CROP))
        is_depth = rng.random() < DEPTH_SHARE
        source: NDArray[np.float32] = (
            data.depth[index][window].astype(np.float32)[..., None].repeat(3, -1) / 32767.5 - 1
            if is_depth
            else data.rgb[index][window].astype(np.float32) / 127.5 - 1
        )
        # Channels change places, so that every colour is met, not only those that rooms are painted in.
        rows.append(torch.from_numpy(source[:, :: rng.choice((-1, 1)), rng.permutation(3)].copy()))
    return torch.stack(rows).permute(0, 3, 1, 2)


def whole_frame(data: PackedData, rng: np.random.Generator) -> Tensor:
    """One whole picture or depth map."""
    index = rng.integers(len(data), size=1)
    return data.depths(index) if rng.random() < DEPTH_SHARE else data.images(index)


def reconstruction_loss(decoded: Tensor, images: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
    """L1 and squared error of the pixels, L1 of their differences (sharp outlines) and of their means (colour)."""
    absolute, square = functional.l1_loss(decoded, images), functional.mse_loss(decoded, images)
    slopes = functional.l1_loss(decoded.diff(dim=-1), images.diff(dim=-1)) + functional.l1_loss(
        decoded.diff(dim=-2), images.diff(dim=-2)
    )
    colour = functional.l1_loss(functional.avg_pool2d(decoded, COLOUR_CELL), functional.avg_pool2d(images, COLOUR_CELL))
    loss = absolute + SQUARE_WEIGHT * square + GRADIENT_WEIGHT * slopes + COLOUR_WEIGHT * colour
    return loss, {"l1": absolute.detach(), "colour": colour.detach(), "psnr": 10 * torch.log10(4 / square.detach())}


@torch.no_grad()
def latent_deviation(vae: AutoencoderKL, data: PackedData) -> float:
    """Standard deviation of the latents of pictures, whose inverse is the scaling factor (unit variance to diffuse)."""
    index = np.linspace(0, len(data) - 1, min(64, len(data))).astype(np.intp)
    latents = [vae.encode(data.images(index[i : i + 4])).latent_dist.mode() for i in range(0, len(index), 4)]
    return float(torch.cat(latents).std())


def main() -> None:
    """The command line of this stage."""
    arguments = start_stage(stage_parser(__doc__, steps=1450).parse_args())
    settings = RunSettings(arguments.steps, learning_rate=1e-3, ema=0.995, seed=arguments.seed)
    # Packed once, before several processes want it.
    frames = len(pack(arguments.data, arguments.out / "cache", arguments.frames))
    launch(train, arguments.processes, arguments.data, frames, arguments.out, TinyArchitecture(), settings)


if __name__ == "__main__":
    main()
