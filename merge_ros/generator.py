"""Text in, images out, with their relative depth: the frozen backbone of the depth model, without its converters."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from merge_ros import __version__
from merge_ros.config import MAX_SEED, GenerationRequest, GeneratorSettings
from merge_ros.errors import GenerationCancelled, InputError, MissingDependencyError
from merge_ros.estimator import DepthEstimator
from merge_ros.generated import GeneratedImage
from merge_ros.runtime.engine import let_workers_sleep

if TYPE_CHECKING:
    from merge_ros.runtime.image_engine import ImageEngine

STAGES = ("text", "denoise", "decode", "depth")


@dataclass(frozen=True)
class GenerationStep:
    """Where a request stands.

    Args:
        stage: what is being done, one of `STAGES`. "denoise" is told after each step, the others when they begin.
        image: which image of the request, from 0.
        count: images of the request.
        step: denoising steps of this image that are done.
        steps: denoising steps of one image.
        preview: decodes what the image will look like, [H, W, 3] uint8 RGB, as far as is known; takes as long as the
            stage "decode". None before the first step is done.
    """

    stage: str
    image: int
    count: int
    step: int
    steps: int
    preview: Callable[[], NDArray[np.uint8]] | None = None

    @property
    def fraction(self) -> float:
        """Share of all denoising steps that is done, 0 to 1."""
        return (self.image * self.steps + self.step) / (self.count * self.steps)


OnStep = Callable[[GenerationStep], bool | None]
"""Called at each `GenerationStep`; False cancels the request, and so does an error that it raises."""


class ImageGenerator:
    """A loaded text-to-image model.

    Not thread-safe: one request at a time. The depth estimator whose weights it shares may run meanwhile, in another
    thread or in the step callback: neither changes anything that the other uses.

    Args:
        settings: which model, and how to run it; None takes the defaults.
        depth: the depth estimator of this process. Where it runs the same model on the engine "torch" in mode "eager",
            its weights serve both, and nothing is loaded or copied here but what depth does not have. Otherwise the
            weights of image mode are loaded now, once; `description` says which, and why.

    Attributes:
        settings: as they came, or the defaults.
        description: one line with model, device, precision, and whose weights these are.
        shares_weights: whether backbone and converters are those of the depth estimator.

    Raises:
        BackendError: the device is not here.
        CheckpointError: the model cannot be loaded.
        MissingDependencyError: torch, diffusers or transformers is not installed.
    """

    def __init__(self, settings: GeneratorSettings | None = None, depth: DepthEstimator | None = None) -> None:
        let_workers_sleep()
        try:
            from merge_ros.runtime.image_engine import ImageEngine
        except ModuleNotFoundError as error:
            raise MissingDependencyError(str(error.name), "torch", "making images from text") from error
        self.settings = settings or GeneratorSettings()
        self._engine: ImageEngine | None = ImageEngine(self.settings, depth.engine if depth is not None else None)
        self.shares_weights: bool = self._engine.shares_weights
        self.description: str = self._engine.description
        self._fingerprint = ""

    def __call__(self, request: GenerationRequest, on_step: OnStep | None = None) -> list[GeneratedImage]:
        """Make all images of a request; see `stream`."""
        return list(self.stream(request, on_step))

    def stream(self, request: GenerationRequest, on_step: OnStep | None = None) -> Iterator[GeneratedImage]:
        """Make the images of a request, each handed out when it is done.

        The same request gives the same images, bit for bit, whatever came before it and whatever its count is: image
        i of seed s is image 0 of seed s + i. They are those of diffusers' PixArtAlphaPipeline (no resolution binning,
        no caption cleaning, noise drawn on the CPU).

        Args:
            request: checked before this returns.
            on_step: called at each step; what it returns or raises can cancel.

        Yields:
            `count` images in order.

        Raises:
            InputError: the request goes past the limits, the model cannot make it, or the generator was closed.
            CheckpointError: the text encoder cannot be loaded.
            BackendError: the device ran out of memory.
            GenerationCancelled: `on_step` returned False.
        """
        self.check(request)
        return self._images(request, on_step)

    def check(self, request: GenerationRequest) -> None:
        """Everything that can be wrong with a request, before any compute.

        Raises:
            InputError: what came, and what is allowed.
        """
        self.settings.check(request)
        self._open().check(request)

    def about(self) -> dict[str, Any]:
        """What the metadata of a result must say about the model; its hash takes reading all weights once."""
        engine = self._open()
        self._fingerprint = self._fingerprint or engine.fingerprint()
        return {
            "model": self.settings.model,
            "converters": self.settings.converters,
            "model_hash": self._fingerprint,
            "device": engine.device,
            "precision": engine.precision,
            "merge_ros": __version__,
        }

    @property
    def native_size(self) -> tuple[int, int]:
        """(width, height) of an image where the request names none."""
        return self._open().native_size

    @property
    def grid(self) -> int:
        """Image sides must be multiples of this many pixels."""
        return self._open().grid

    def close(self) -> None:
        """Let go of the model and its memory; later calls raise InputError. Closing twice is allowed."""
        self._engine = None

    def _open(self) -> ImageEngine:
        if self._engine is None:
            raise InputError("the generator was closed")
        return self._engine

    def _images(self, request: GenerationRequest, on_step: OnStep | None) -> Iterator[GeneratedImage]:
        engine = self._open()
        seed = request.seed or 1 + secrets.randbelow(MAX_SEED - request.count)
        size = (request.width, request.height) if request.width else engine.native_size
        told = _Teller(on_step, request)

        told.begin("text", 0)
        clock = _Clock()
        text = engine.encode(request)
        clock.stop("text")
        for index in range(request.count):
            single = request.single(index, seed, size)
            latent = engine.draw(single, text, told.denoising(index))
            clock.stop("denoise")
            told.begin("decode", index)
            rgb = engine.picture(latent)
            clock.stop("decode")
            depth = None
            if request.depth:
                told.begin("depth", index)
                depth = engine.depth(latent)
                clock.stop("depth")
            yield GeneratedImage(rgb, depth, single, clock.seconds)
            clock = _Clock()


class _Clock:
    """Seconds by stage; a stage begins where the one before it stopped."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._last = time.perf_counter()

    def stop(self, stage: str) -> None:
        now = time.perf_counter()
        self.seconds[stage], self._last = now - self._last, now


class _Teller:
    """Calls the step callback, and cancels when it says so."""

    def __init__(self, on_step: OnStep | None, request: GenerationRequest) -> None:
        self._on_step, self._count, self._steps = on_step, request.count, request.steps

    def begin(self, stage: str, image: int) -> None:
        """A stage before (text) or after denoising begins."""
        done = 0 if stage == "text" else self._steps
        self._tell(GenerationStep(stage, image, self._count, done, self._steps))

    def denoising(self, image: int) -> Callable[[int, Callable[[], NDArray[np.uint8]]], None]:
        """What an image tells after each of its steps."""

        def step(done: int, preview: Callable[[], NDArray[np.uint8]]) -> None:
            self._tell(GenerationStep("denoise", image, self._count, done, self._steps, preview))

        return step

    def _tell(self, step: GenerationStep) -> None:
        if self._on_step is not None and self._on_step(step) is False:
            raise GenerationCancelled(
                f"cancelled at {step.stage} of image {step.image + 1} of {step.count}, step {step.step} of {step.steps}"
            )
