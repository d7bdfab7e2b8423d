"""Which model makes images from text, how far it may go, and what it is asked for."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from merge_ros.config.allowed import in_range, one_of
from merge_ros.config.estimator import BUNDLED_MODEL
from merge_ros.errors import ConfigurationError, InputError

MAX_SEED = 2**32 - 1
MIN_STEPS = 2  # diffusers' pipeline asks DPM-Solver++ in one step for a value that it does not return
MAX_GUIDANCE = 30.0


@dataclass(frozen=True)
class GeneratorSettings:
    """Which model makes images from text, how it is run, and how much one request may ask for.

    Args:
        model: "merge-tiny" (shipped), a model folder, or a Hugging Face id.
        converters: where `depth_converters/` is, if not in `model`; without any there are images, but no depth of them.
        device: "cpu", "cuda:N"; "auto": where the depth engine is whose weights are shared, else a GPU where there is
            one, else the CPU.
        precision: of weights and activations, one of `PRECISIONS`; "auto": that of the depth engine whose weights are
            shared, else fp16 on a GPU and fp32 on a CPU.
        threads: CPU threads, one setting for the whole process; 0 leaves the choice to torch.
        keep_text_encoder: whether the text encoder stays in memory after it was used (T5-XXL has 4.7 billion weights),
            or is loaded again for the next prompt that is not cached.
        cached_prompts: number of prompts whose embeddings are kept, those used last.
        max_side: largest width and height of an image, in pixels.
        max_steps: most denoising steps.
        max_count: most images of one request.
        max_prompt: most characters of a prompt.

    Raises:
        ConfigurationError: a value is not allowed; the message says what came and what is.
    """

    model: str = BUNDLED_MODEL
    converters: str = ""
    device: str = "auto"
    precision: str = "auto"
    threads: int = 0
    keep_text_encoder: bool = False
    cached_prompts: int = 64
    max_side: int = 1024
    max_steps: int = 100
    max_count: int = 64
    max_prompt: int = 1000

    def __post_init__(self) -> None:
        if not self.model:
            raise ConfigurationError("model is empty; allowed: 'merge-tiny', a folder, or a Hugging Face id owner/name")
        one_of("precision", self.precision)
        for name in ("threads", "cached_prompts", "max_side", "max_steps", "max_count", "max_prompt"):
            in_range(name, getattr(self, name))

    def check(self, request: GenerationRequest) -> None:
        """Refuse a request that goes past the limits.

        Raises:
            InputError: naming the limit, what came and what is allowed.
        """
        for name, came, limit in (
            ("prompt", len(request.prompt), "max_prompt"),
            ("negative_prompt", len(request.negative_prompt), "max_prompt"),
            ("width", request.width, "max_side"),
            ("height", request.height, "max_side"),
            ("steps", request.steps, "max_steps"),
            ("count", request.count, "max_count"),
        ):
            allowed = getattr(self, limit)
            if came > allowed:
                size = f"has {came} characters" if limit == "max_prompt" else f"is {came}"
                raise InputError(f"{name} {size}; at most {allowed} are allowed here ({limit})")


@dataclass(frozen=True)
class GenerationRequest:
    """What is asked for.

    Args:
        prompt: what the images shall show; not blank.
        negative_prompt: what they shall not show; needs guidance above 1.
        seed: of the noise of the first image; each further image takes the next number. 0: a random one, which the
            result tells.
        width, height: pixels, multiples of the model's grid; 0 for both: the model's own size at 4:3.
        steps: of denoising, >= 2.
        guidance: scale of classifier-free guidance, in [1, 30]: how much the prompt counts (arXiv 2207.12598); 1 does
            without, which halves the work.
        count: number of images.
        depth: whether each image comes with its relative depth.

    Raises:
        InputError: a value that no model and no limit allows.
    """

    prompt: str
    negative_prompt: str = ""
    seed: int = 0
    width: int = 0
    height: int = 0
    steps: int = 20
    guidance: float = 3.0
    count: int = 1
    depth: bool = False

    def __post_init__(self) -> None:
        for name in ("prompt", "negative_prompt"):
            if not isinstance(getattr(self, name), str):
                raise InputError(f"{name} is {getattr(self, name)!r}; allowed: text")
        if not self.prompt.strip():
            raise InputError("prompt is empty; say what the image shall show")
        for name, low in (("seed", 0), ("width", 0), ("height", 0), ("steps", MIN_STEPS), ("count", 1)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < low:
                raise InputError(f"{name} is {value!r}; allowed: whole numbers from {low} on")
        if self.seed + self.count - 1 > MAX_SEED:
            raise InputError(f"seed {self.seed} with {self.count} image(s) goes past the largest seed, {MAX_SEED}")
        if not isinstance(self.guidance, (int, float)) or not 1 <= self.guidance <= MAX_GUIDANCE:  # NaN fails too
            raise InputError(f"guidance is {self.guidance!r}; allowed: 1 (none) to {MAX_GUIDANCE:g}")
        if self.negative_prompt.strip() and not self.is_guided:
            raise InputError("a negative prompt needs guidance above 1")
        if (self.width == 0) != (self.height == 0):
            raise InputError(
                f"size {self.width}x{self.height}: give both width and height, or 0 for both, the model's own size"
            )

    @property
    def is_guided(self) -> bool:
        """Whether each step compares two predictions, with the prompt and with the negative one."""
        return self.guidance > 1

    def single(self, index: int, seed: int, size: tuple[int, int]) -> GenerationRequest:
        """The request that gives image `index` alone.

        Args:
            seed: the one used for image 0, > 0.
            size: (width, height) used.
        """
        width, height = size
        return dataclasses.replace(self, seed=seed + index, width=width, height=height, count=1)
