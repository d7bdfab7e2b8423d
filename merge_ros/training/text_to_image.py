"""Stage 2: the text-to-image transformer and its text encoder, trained together; afterwards they are frozen.

python -m merge_ros.training.text_to_image --data DIR --out DIR --steps N      (after the VAE stage)
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL, PixArtTransformer2DModel
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional
from transformers import AutoTokenizer, PreTrainedTokenizerFast, T5EncoderModel

from merge_ros.training.architecture import (
    TinyArchitecture,
    build_scheduler,
    build_text_encoder,
    build_tokenizer,
    build_transformer,
)
from merge_ros.training.commands import add_start, stage_parser, start_stage
from merge_ros.training.compute import Worker, compiled, launch, use_plain_attention
from merge_ros.training.data import pack
from merge_ros.training.folder import save_image_parts, take_codec
from merge_ros.training.latents import LatentStore
from merge_ros.training.run import Run, RunSettings
from merge_ros.training.samples import draw

# Pictures per process and step, by how much they are scaled down: all three cost about the same.
BATCHES = {4: 256, 2: 96, 1: 24}
# Which words go with which colours and things can be learnt from small pictures, and of those many are needed; outlines
# and the perspective of a room show in whole ones only (at a quarter a picture is 4 x 3 tokens).
SMALL_UNTIL = 0.4  # of the steps of new weights; weights that are gone on from have learnt the words
SMALL_TURN, TURN = (4, 2), (2, 1, 1)  # reductions taken in turn, before and after
DRAWN = 6  # captions drawn for the board
SHARES = {"robot": 0.5, "wide": 0.1, "asset": 0.4}  # of the batch: rooms are harder than few things before a wall
CAPTION_DROPPED = 0.12  # so that the empty prompt, which depth mode uses, means "any picture"
LOW_NOISE_SHARE = 0.3  # of the batch: timesteps drawn towards the clean end, where depth mode will use the blocks


@dataclass(frozen=True)
class TokenisedCaptions:
    """Captions as token ids.

    Args:
        ids: [n, tokens] int64, padded with 0.
        mask: [n, tokens] int64, 1 where a token is.
        empty: ids of the empty prompt.
    """

    ids: NDArray[np.int64]
    mask: NDArray[np.int64]
    empty: NDArray[np.int64]

    @classmethod
    def of(cls, captions: tuple[str, ...], tokenizer: PreTrainedTokenizerFast) -> TokenisedCaptions:
        """Tokenise all captions to the tokenizer's longest length."""
        limit = tokenizer.model_max_length
        texts = tokenizer(list(captions), padding="max_length", truncation=True, max_length=limit, return_tensors="np")
        empty = tokenizer("", padding="max_length", max_length=limit, return_tensors="np")
        return cls(texts["input_ids"], texts["attention_mask"], empty["input_ids"][0])

    def batch(self, index: NDArray[np.intp], dropped: NDArray[np.bool_]) -> tuple[Tensor, Tensor]:
        """Ids and mask of some captions, some replaced by the empty prompt; always as long as the longest prompt."""
        ids = np.where(dropped[:, None], self.empty, self.ids[index])
        mask = np.where(dropped[:, None], np.arange(ids.shape[1]) < 1, self.mask[index])
        return torch.from_numpy(ids), torch.from_numpy(mask.astype(np.int64))


def train(
    worker: Worker,
    data_folder: Path,
    frames: int,
    out: Path,
    shape: TinyArchitecture,
    settings: RunSettings,
    start: Path | None = None,
) -> None:
    """Train and write `transformer`, `text_encoder`, `tokenizer` and `scheduler` beside `vae`, all into `out/model`.

    Args:
        start: model folder whose weights and tokenizer are taken to begin with; None: new ones.
    """
    # Brightened as in depth mode: colours that a caption names cannot be learnt from pictures too dark to show them.
    data = pack(data_folder, out / "cache", frames, shape.min_brightness)
    vae = AutoencoderKL.from_pretrained(out / "vae").requires_grad_(False)
    latents = LatentStore(vae, data, out / "cache", worker)

    torch.manual_seed(settings.seed)
    if start is None:
        tokenizer = build_tokenizer(shape, data.captions)
        transformer, text_encoder = build_transformer(shape), build_text_encoder(shape)
    else:
        tokenizer = AutoTokenizer.from_pretrained(start / "tokenizer")
        transformer = PixArtTransformer2DModel.from_pretrained(start / "transformer", torch_dtype=torch.float32)
        text_encoder = T5EncoderModel.from_pretrained(start / "text_encoder", dtype=torch.float32)
    captions = TokenisedCaptions.of(data.captions, tokenizer)
    chances = data.chances(SHARES)
    use_plain_attention(transformer)
    scheduler = build_scheduler()
    alphas = scheduler.alphas_cumprod
    parts = {
        "vae": vae,
        "transformer": transformer,
        "text_encoder": text_encoder,
        "tokenizer": tokenizer,
        "scheduler": scheduler,
    }
    network = compiled(transformer) if settings.compile else transformer
    run = Run(out / "stage_text_to_image", {"transformer": transformer, "text_encoder": text_encoder}, settings, worker)

    height, width = data.size
    for step in run.steps():
        rng = run.numpy_rng(step)
        turn = SMALL_TURN if start is None and step < SMALL_UNTIL * settings.steps else TURN
        reduction = turn[step % len(turn)]
        batch = BATCHES[reduction]
        index = rng.choice(data.rows, size=batch, p=chances)
        clean = latents.images(index, reduction)
        timestep = torch.from_numpy(draw_timesteps(rng, batch, len(alphas)))
        noise = torch.randn(clean.shape, generator=run.torch_rng(step))
        signal, spread = (
            alphas[timestep].sqrt()[:, None, None, None],
            (1 - alphas[timestep]).sqrt()[:, None, None, None],
        )
        ids, mask = captions.batch(index % len(data), rng.random(batch) < CAPTION_DROPPED)
        with worker.autocast():
            text = text_encoder(input_ids=ids, attention_mask=mask)[0]
            predicted = network(
                signal * clean + spread * noise,
                encoder_hidden_states=text,
                encoder_attention_mask=mask,
                timestep=timestep,
            ).sample
        velocity = signal * noise - spread * clean  # Salimans & Ho, arXiv 2202.00512, equation 11
        loss = functional.mse_loss(predicted.float(), velocity)
        run.update(loss, {f"velocity_{height // reduction}": loss})
        if run.shows_pictures:
            shown = (height, width) if reduction == 1 else (height // 2, width // 2)
            run.pictures("drawn", draw(parts, list(data.captions[:DRAWN]), shown))
    run.finish({"pictures": len(data), "tokens": len(tokenizer)})
    if worker.is_first:
        save_image_parts(out / "model", **parts)
    worker.wait()


def draw_timesteps(rng: np.random.Generator, count: int, timesteps: int) -> NDArray[np.int64]:
    """Timesteps in [0, timesteps): part uniform, part crowded towards the clean end."""
    uniform = rng.random(count)
    crowded = np.where(rng.random(count) < LOW_NOISE_SHARE, uniform**2, uniform)
    return (crowded * timesteps).astype(np.int64)


def main() -> None:
    """The command line of this stage."""
    parser = stage_parser(__doc__, steps=3600)
    add_start(parser)
    arguments = start_stage(parser.parse_args())
    settings = RunSettings(
        arguments.steps,
        learning_rate=8e-4,
        matrix_rate=4e-3,
        warmup=150,
        decay_from=0.6,
        seed=arguments.seed,
        compile=True,
    )
    # Packed once, before several processes want it.
    frames = len(pack(arguments.data, arguments.out / "cache", arguments.frames))
    if arguments.start is not None:
        take_codec(arguments.start, arguments.out)
    given = (arguments.data, frames, arguments.out, TinyArchitecture(), settings, arguments.start)
    launch(train, arguments.processes, *given)


if __name__ == "__main__":
    main()
