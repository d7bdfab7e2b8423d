"""Which model estimates depth, and how it is run."""

from __future__ import annotations

import re
from dataclasses import dataclass

from merge_ros.config.allowed import in_range, one_of
from merge_ros.errors import ConfigurationError

BUNDLED_MODEL = "merge-tiny"
DEPTH_TASK, NORMALS_TASK = "depth", "normals"
BF16_COST = 0.002  # AbsRel that bf16 may move on the stored check images before "auto" stays with fp32
CODEC_WORDS = ("auto", "full", "light")
LIGHT_CODEC_COST = 0.005  # AbsRel that codec "auto" gives away for speed, at most


@dataclass(frozen=True)
class EstimatorSettings:
    """Which model estimates depth, and how it is run.

    Args:
        model: "merge-tiny" (shipped), a model folder, or a Hugging Face id.
        converters: where `depth_converters/` is, if not in `model`; "" means in `model`.
        task: name of the converter set, which is in the folder `TASK_converters/`: "depth", or your own; "normals" are
            for `NormalsEstimator`.
        codec: autoencoder of the depth path. "full": the model's VAE; "light": the distilled one in its `light_codec/`;
            "auto": the light one where the model has one whose measured cost is at most `LIGHT_CODEC_COST` AbsRel, else
            the full one; anything else is a folder or a Hugging Face id that holds a light one (TAESD, say).
        backend: inference engine, one of `BACKENDS`; "auto" takes the fastest that is installed and that this machine
            can run (`merge-ros engines` says which and why). A backend that is named is never left for another.
        device: "cpu", "cuda:N" or what the backend calls it (see docs/performance.md); "auto": a GPU where there is one
            that the backend can use, else the CPU.
        precision: of weights and activations, one of `PRECISIONS`; "auto": what the backend is usually run in.
        torch_mode: how backend "torch" runs: "eager" is the network as it was trained; "folded", "compiled" and
            "cuda_graph" run the folded one, as it is, through torch.compile, or recorded on a GPU; "auto": folded where
            the checkpoint can be folded, else eager.
        offload: for FLUX on a GPU that does not hold it: "none" or "sequential", see `MemoryPlan` in model/memory.py.
        quantization: for FLUX: "none", "fp8" or "int8", likewise.
        steps: denoising steps; 0 takes what the checkpoint was trained for.
        processing_pixels: the image is scaled to about this many pixels before inference; 0 takes the size that the
            model was made for.
        threads: CPU threads for inference; 0 leaves the choice to the backend.

    Raises:
        ConfigurationError: a value is not allowed; the message says what came and what is.
    """

    model: str = BUNDLED_MODEL
    converters: str = ""
    task: str = DEPTH_TASK
    codec: str = "auto"
    backend: str = "auto"
    device: str = "auto"
    precision: str = "auto"
    torch_mode: str = "auto"
    offload: str = "none"
    quantization: str = "none"
    steps: int = 0
    processing_pixels: int = 0
    threads: int = 0

    def __post_init__(self) -> None:
        if not self.model:
            raise ConfigurationError("model is empty; allowed: 'merge-tiny', a folder, or a Hugging Face id owner/name")
        if not self.codec:
            raise ConfigurationError(
                f"codec is empty; allowed: {', '.join(CODEC_WORDS)}, a folder, or a Hugging Face id"
            )
        if not re.fullmatch(r"\w+", self.task):
            raise ConfigurationError(
                f"task={self.task!r} is no name of a converter set; allowed: letters, digits and _"
            )
        one_of("backend", self.backend)
        one_of("precision", self.precision)
        one_of("torch_mode", self.torch_mode)
        one_of("offload", self.offload)
        one_of("quantization", self.quantization)
        in_range("steps", self.steps)
        in_range("processing_pixels", self.processing_pixels)
        in_range("threads", self.threads)
