"""Large networks on small GPUs, through diffusers' own hooks: docs/checkpoints.md says what fits where."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from typing import Any

import torch
from diffusers import FluxTransformer2DModel, ModelMixin, TorchAoConfig
from diffusers.hooks import apply_group_offloading

from merge_ros.errors import ConfigurationError, MissingDependencyError
from merge_ros.model.flux_converter import FluxConverter


@dataclass(frozen=True)
class MemoryPlan:
    """How the transformer and its converters lie in memory.

    Args:
        offload: "none": all on the device; "sequential": in the machine's memory, each layer brought to the device
            while it runs.
        quantization: "none"; "fp8": weights of Linear layers stored in 8-bit floating point (e4m3) and widened to the
            network's precision while their layer runs; "int8": stored as 8-bit integers with a scale for each output
            channel (torchao), while they are loaded, so that the machine never holds them whole.

    Raises:
        ConfigurationError: both at once with "int8", whose tensors cannot be taken apart for offloading.
    """

    offload: str = "none"
    quantization: str = "none"

    def __post_init__(self) -> None:
        if self.quantization == "int8" and self.offload != "none":
            raise ConfigurationError(
                f"quantization='int8' and offload={self.offload!r} exclude each other; fp8 goes with offloading"
            )

    def __str__(self) -> str:
        """For the description of an engine: "" when nothing is asked for."""
        named = {"offload": self.offload, "quantization": self.quantization}
        return "".join(f", {name} {word}" for name, word in named.items() if word != "none")

    @property
    def plain(self) -> bool:
        """Whether nothing is asked for."""
        return self.offload == self.quantization == "none"

    def loader_settings(self) -> dict[str, Any]:
        """What diffusers' `from_pretrained` is told.

        Raises:
            MissingDependencyError: "int8" without torchao.
        """
        if self.quantization != "int8":
            return {}
        try:
            from torchao.quantization import Int8WeightOnlyConfig
        except ImportError as error:
            raise MissingDependencyError("torchao", "large", "quantization 'int8'") from error
        return {"quantization_config": TorchAoConfig(Int8WeightOnlyConfig())}


NO_PLAN = MemoryPlan()


def place(part: ModelMixin, device: torch.device, plan: MemoryPlan) -> None:
    """Bring a backbone or a converter set to where it runs. The hooks stay with it.

    Args:
        part: on the CPU, in the precision that it shall compute in.

    Raises:
        ConfigurationError: a plan for a network that needs none.
        MissingDependencyError: offloading, without accelerate.
    """
    if plan.plain:
        part.to(device)
        return
    if not isinstance(part, (FluxTransformer2DModel, FluxConverter)):
        # Weights that belong to no layer, of which PixArt has some, do not follow the hooks; and 0.6 G parameters fit.
        raise ConfigurationError(
            f"offload={plan.offload!r} and quantization={plan.quantization!r} are for FLUX, not {type(part).__name__}"
        )
    if plan.quantization == "fp8":
        part.enable_layerwise_casting(storage_dtype=torch.float8_e4m3fn, compute_dtype=part.dtype)
    if plan.offload == "sequential":
        if importlib.util.find_spec("accelerate") is None:  # diffusers' hooks move tensors with it
            raise MissingDependencyError("accelerate", "large", "offload 'sequential'")
        apply_group_offloading(part, onload_device=device, offload_type="leaf_level")
    else:
        part.to(device)
