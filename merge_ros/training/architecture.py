"""The shape of merge-tiny: one dataclass, and the untrained parts built from it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from diffusers import AutoencoderKL, DPMSolverMultistepScheduler, PixArtTransformer2DModel
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast, T5Config, T5EncoderModel

from merge_ros.errors import ConfigurationError

PAD, END, UNKNOWN = "<pad>", "</s>", "<unk>"  # T5's own special tokens, with T5's ids 0, 1, 2
LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789,.-'"


@dataclass(frozen=True)
class TinyArchitecture:
    """Sizes of every part. All parts together stay below 32 MB in fp16.

    Args:
        vae_channels: channels at full, half and quarter resolution, multiples of 8; thin at full resolution, where
            most of a frame's time goes.
        latent_channels: channels of the latent, at a quarter of the image size (f = 4).
        width, heads, layers: of the transformer; width is a multiple of heads.
        patch_size: latent pixels per token side: 4 makes 16 x 12 tokens of a 256x192 image.
        sample_size: latent side that the position embedding spans; other sizes are interpolated.
        groups: converter blocks, 1 to layers.
        ff_mult: width multiplier of a converter's feed-forward part, 4 in the backbone. Many narrow converters are
            better than few wide ones (docs/ablations.md: more groups gain, a narrow part loses nothing).
        codec_channels, codec_blocks: of each half of the light codec.
        text_width, text_layers, vocabulary, prompt_tokens: of the text encoder and its tokenizer.
        depth_timestep: the timestep the frozen blocks are told in depth mode. Low, because the image latent they see
            is clean: a backbone told the last timestep looks for noise, and its training is of no use.
        min_brightness: mean brightness up to which darker pictures are brightened in depth mode: only one in eight of
            the training's robot views is darker, so a small model has hardly seen much darker ones.

    Raises:
        ConfigurationError: sizes that do not divide, or a group count outside 1..layers.
    """

    vae_channels: tuple[int, ...] = (24, 48, 96)
    latent_channels: int = 4
    width: int = 256
    heads: int = 4
    layers: int = 8
    patch_size: int = 4
    sample_size: int = 64
    groups: int = 8
    ff_mult: int = 2
    codec_channels: int = 48
    codec_blocks: int = 3
    text_width: int = 128
    text_layers: int = 2
    vocabulary: int = 768
    prompt_tokens: int = 48
    depth_timestep: int = 50
    min_brightness: float = 0.2

    def __post_init__(self) -> None:
        if self.width % self.heads:
            raise ConfigurationError(f"width={self.width} must be a multiple of heads={self.heads}")
        if any(channels % 8 for channels in self.vae_channels):
            raise ConfigurationError(f"vae_channels={self.vae_channels} must be multiples of 8 (group norm)")
        if not 1 <= self.groups <= self.layers:
            raise ConfigurationError(f"groups={self.groups} must lie between 1 and layers={self.layers}")

    @property
    def vae_factor(self) -> int:
        """Image pixels per latent pixel side."""
        return int(2 ** (len(self.vae_channels) - 1))

    @property
    def pixel_multiple(self) -> int:
        """Image sides must be multiples of this: one token's side in pixels."""
        return self.vae_factor * self.patch_size


def build_vae(shape: TinyArchitecture) -> AutoencoderKL:
    """An untrained KL autoencoder; its scaling factor is set when it has been trained."""
    levels = len(shape.vae_channels)
    return AutoencoderKL(
        in_channels=3,
        out_channels=3,
        down_block_types=("DownEncoderBlock2D",) * levels,
        up_block_types=("UpDecoderBlock2D",) * levels,
        block_out_channels=shape.vae_channels,
        layers_per_block=1,
        latent_channels=shape.latent_channels,
        norm_num_groups=8,
        sample_size=shape.sample_size * shape.vae_factor,
        scaling_factor=1.0,
        force_upcast=False,
        mid_block_add_attention=False,
    )


def build_transformer(shape: TinyArchitecture) -> PixArtTransformer2DModel:
    """An untrained text-to-image transformer without a learned-sigma half."""
    return PixArtTransformer2DModel(
        num_attention_heads=shape.heads,
        attention_head_dim=shape.width // shape.heads,
        in_channels=shape.latent_channels,
        out_channels=shape.latent_channels,
        num_layers=shape.layers,
        cross_attention_dim=shape.width,
        caption_channels=shape.text_width,
        sample_size=shape.sample_size,
        patch_size=shape.patch_size,
        interpolation_scale=1,
        use_additional_conditions=False,
    )


def build_text_encoder(shape: TinyArchitecture) -> T5EncoderModel:
    """An untrained T5 encoder; it is trained together with the transformer."""
    return T5EncoderModel(
        T5Config(
            vocab_size=shape.vocabulary,
            d_model=shape.text_width,
            d_kv=shape.text_width // 4,
            d_ff=2 * shape.text_width,
            num_layers=shape.text_layers,
            num_heads=4,
            dropout_rate=0.0,
            feed_forward_proj="gated-gelu",
            pad_token_id=0,
            eos_token_id=1,
        )
    )


def build_tokenizer(shape: TinyArchitecture, captions: Iterable[str]) -> PreTrainedTokenizerFast:
    """A word tokenizer for some captions: their words are tokens, the commonest first; other words are spelt.

    Each text ends in one end token, so the empty prompt is exactly one token. The same captions give the same ids
    (which the byte-pair trainer of `tokenizers` does not promise).

    Raises:
        ConfigurationError: the captions have more words than the vocabulary has room for.
    """
    normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()])
    splitter = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Punctuation()])
    counts = Counter(
        word for caption in captions for word, _ in splitter.pre_tokenize_str(normalizer.normalize_str(caption))
    )
    words = sorted(counts, key=lambda word: (-counts[word], word))
    pieces = [PAD, END, UNKNOWN, *LETTERS, *(f"##{letter}" for letter in LETTERS)]
    pieces += [word for word in words if word not in LETTERS]
    if len(pieces) > shape.vocabulary:
        raise ConfigurationError(f"vocabulary={shape.vocabulary} is too small for {len(pieces)} words and letters")
    vocabulary = {piece: index for index, piece in enumerate(pieces)}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token=UNKNOWN))
    tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = splitter
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.post_processor = processors.TemplateProcessing(single=f"$A {END}", special_tokens=[(END, 1)])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=PAD,
        eos_token=END,
        unk_token=UNKNOWN,
        model_max_length=shape.prompt_tokens,
        model_input_names=["input_ids", "attention_mask"],
    )


def build_scheduler() -> DPMSolverMultistepScheduler:
    """The sampler of image mode: PixArt's linear betas, velocity prediction."""
    return DPMSolverMultistepScheduler(
        num_train_timesteps=1000,
        beta_start=1e-4,
        beta_end=0.02,
        beta_schedule="linear",
        prediction_type="v_prediction",
        timestep_spacing="trailing",
    )


def parameter_count(*modules: torch.nn.Module) -> int:
    """Parameters of all modules together."""
    return sum(parameter.numel() for module in modules for parameter in module.parameters())
