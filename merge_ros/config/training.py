"""How converters are trained: data, recipe, optimiser, and what is written when."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from merge_ros.errors import ConfigurationError

RECIPES = ("published", "one_step")
TASKS = ("depth", "normals")
LAYOUTS = ("hypersim", "vkitti", "rooms", "folder")
PREDICTIONS = ("auto", "epsilon", "v_prediction", "flow")
SCHEDULES = ("constant", "linear", "cosine")
TRAINING_PRECISIONS = ("fp32", "fp16", "bf16")


@dataclass(frozen=True)
class SourceSettings:
    """One data set.

    Args:
        layout: one of `LAYOUTS`, see `training/sources/layouts.py`.
        path: folder, or an uncompressed tar file.
        share: of the updates that take their frames here, relative to the other sources' shares.
        list: text file with the frames to use, a line each: picture and depth (or normals), relative to `path`; ""
            takes all that are found.
        size: (width, height) that frames are scaled to; None leaves them (all must then have one size).

    Raises:
        ConfigurationError: a value is not allowed.
    """

    layout: str
    path: str
    share: float = 1.0
    list: str = ""
    size: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        _one_of("layout", self.layout, LAYOUTS)
        _at_least("share", self.share, 0.0, above=True)
        if not self.path:
            raise ConfigurationError("a data source needs a path")
        if self.size is not None and (len(self.size) != 2 or min(self.size) < 8):
            raise ConfigurationError(f"size={self.size} must be [width, height], at least 8 each")


@dataclass(frozen=True)
class ConverterSettings:
    """Which converters are made.

    Args:
        groups: converter blocks G (of each of the two sets, for FLUX).
        ff_mult: width multiplier of the feed-forward part (PixArt only; FLUX converters have the backbone's shape).
        start: folder that holds converters to begin from; "" begins from the backbone's own blocks.

    Raises:
        ConfigurationError: a value is not allowed.
    """

    groups: int = 14
    ff_mult: int = 1
    start: str = ""

    def __post_init__(self) -> None:
        _at_least("groups", self.groups, 1)
        _at_least("ff_mult", self.ff_mult, 1)


@dataclass(frozen=True)
class PublishedSettings:
    """The recipe of the paper: many steps from noise (arXiv 2510.23574, section 4.1; Marigold, arXiv 2312.02145).

    Args:
        prediction: what the converters predict, one of `PREDICTIONS`; "auto": epsilon for PixArt, flow for FLUX.
        noise_strength: of each coarser level of the noise relative to the level before, annealed with the timestep;
            0: plain noise.

    Raises:
        ConfigurationError: a value is not allowed.
    """

    prediction: str = "auto"
    noise_strength: float = 0.9

    def __post_init__(self) -> None:
        _one_of("prediction", self.prediction, PREDICTIONS)
        _within("noise_strength", self.noise_strength, 0.0, 1.0)


@dataclass(frozen=True)
class OneStepSettings:
    """Our recipe: x0 in one step from an empty slot (Lotus, arXiv 2409.18124; E2E-FT, arXiv 2409.11355).

    Args:
        depth_timestep: what the frozen blocks are told, 0 to 999; low, as the image latent is clean.
        latent_weight: of the L1 loss on latents.
        pixel_weight: of the loss on decoded pixels: affine-invariant for depth, the angle for normals.
        outline_weight: of the difference of slopes, depth only.
        pixel_from: share of the updates after which the losses on pixels begin, 0 to 1.
        detail_weight: of the detail preserver: the same network also rebuilds the picture; 0 turns it off.

    Raises:
        ConfigurationError: a value is not allowed.
    """

    depth_timestep: int = 50
    latent_weight: float = 1.0
    pixel_weight: float = 0.5
    outline_weight: float = 0.25
    pixel_from: float = 0.1
    detail_weight: float = 0.0

    def __post_init__(self) -> None:
        _within("depth_timestep", self.depth_timestep, 0, 999)
        _within("pixel_from", self.pixel_from, 0.0, 1.0)
        for name in ("latent_weight", "pixel_weight", "outline_weight", "detail_weight"):
            _at_least(name, getattr(self, name), 0.0)
        if self.latent_weight + self.pixel_weight == 0:
            raise ConfigurationError("latent_weight and pixel_weight are both 0: nothing would be learned")


@dataclass(frozen=True)
class OptimizerSettings:
    """How weights change.

    Args:
        rate: learning rate of AdamW.
        matrix_rate: of Muon for the matrices of transformer blocks; None: AdamW for all.
        betas: of AdamW.
        weight_decay: of both.
        clip: largest norm of the gradient.
        schedule: of the rates after the warm-up, one of `SCHEDULES`; linear and cosine end at 0.
        warmup: updates of linear rise.
        ema: decay per update of the weights' moving average, which is then what is delivered; 0: none.

    Raises:
        ConfigurationError: a value is not allowed.
    """

    rate: float = 1e-4
    matrix_rate: float | None = None
    betas: tuple[float, float] = (0.9, 0.999)
    weight_decay: float = 0.01
    clip: float = 1.0
    schedule: str = "linear"
    warmup: int = 500
    ema: float = 0.0

    def __post_init__(self) -> None:
        _at_least("rate", self.rate, 0.0, above=True)
        if self.matrix_rate is not None:
            _at_least("matrix_rate", self.matrix_rate, 0.0, above=True)
        if len(self.betas) != 2 or not all(0 <= beta < 1 for beta in self.betas):
            raise ConfigurationError(f"betas={self.betas} must be two numbers in [0, 1)")
        _at_least("weight_decay", self.weight_decay, 0.0)
        _at_least("clip", self.clip, 0.0, above=True)
        _one_of("schedule", self.schedule, SCHEDULES)
        _at_least("warmup", self.warmup, 0)
        if not 0 <= self.ema < 1:
            raise ConfigurationError(f"ema={self.ema} must lie in [0, 1)")

    def factor(self, update: int, updates: int) -> float:
        """The share of the full rate at an update, 0 to `updates` - 1, as in diffusers.optimization."""
        if update < self.warmup:
            return (update + 1) / self.warmup
        past = (update - self.warmup) / max(1, updates - self.warmup)
        if self.schedule == "linear":
            return 1 - past
        return 0.5 * (1 + math.cos(math.pi * past)) if self.schedule == "cosine" else 1.0


@dataclass(frozen=True)
class TrainingSettings:
    """A whole training of converters.

    Args:
        model: folder or Hugging Face id of the frozen text-to-image model; "merge-tiny" for the shipped one.
        out: work folder; a training that was stopped there goes on.
        data: where frames come from.
        recipe: "published" or "one_step": which of the two groups of settings below holds.
        task: "depth" or "normals".
        converters, published, one_step, optimizer: see there.
        updates: of the weights.
        batch: frames of one pass in each process.
        accumulation: passes whose gradients make one update.
        precision: of the passes; the weights that learn are fp32 throughout.
        gradient_checkpointing: compute activations twice rather than keep them.
        cache_latents: keep latents on disk: a folder, or "" to encode every frame each time.
        workers: processes that read files, for each training process; 0: none beside it.
        seed: of weights, order of frames and noise.
        checkpoint_updates: between two checkpoints.
        log_updates: between two points of the curves.
        picture_updates: between two rows of pictures.

    Raises:
        ConfigurationError: a value is not allowed.
    """

    model: str
    out: str
    data: tuple[SourceSettings, ...]
    recipe: str = "one_step"
    task: str = "depth"
    converters: ConverterSettings = field(default_factory=ConverterSettings)
    published: PublishedSettings = field(default_factory=PublishedSettings)
    one_step: OneStepSettings = field(default_factory=OneStepSettings)
    optimizer: OptimizerSettings = field(default_factory=OptimizerSettings)
    updates: int = 30000
    batch: int = 4
    accumulation: int = 1
    precision: str = "fp32"
    gradient_checkpointing: bool = False
    cache_latents: str = ""
    workers: int = 4
    seed: int = 0
    checkpoint_updates: int = 500
    log_updates: int = 50
    picture_updates: int = 1000

    def __post_init__(self) -> None:
        for name in ("model", "out"):
            if not getattr(self, name):
                raise ConfigurationError(f"{name} is empty")
        if not self.data:
            raise ConfigurationError("data is empty: at least one source is needed")
        _one_of("recipe", self.recipe, RECIPES)
        _one_of("task", self.task, TASKS)
        _one_of("precision", self.precision, TRAINING_PRECISIONS)
        for name in ("updates", "batch", "accumulation", "checkpoint_updates", "log_updates", "picture_updates"):
            _at_least(name, getattr(self, name), 1)
        _at_least("workers", self.workers, 0)
        _at_least("seed", self.seed, 0)


def _one_of(name: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise ConfigurationError(f"{name}={value!r} is unknown; allowed: {', '.join(allowed)}")


def _within(name: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:
        raise ConfigurationError(f"{name}={value} must lie between {low} and {high}")


def _at_least(name: str, value: float, low: float, *, above: bool = False) -> None:
    if not (value > low if above else value >= low) or math.isinf(value):
        raise ConfigurationError(f"{name}={value} must be {'greater than' if above else 'at least'} {low}")
