"""How a node answers requests for images."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from merge_ros.config.allowed import RANGES, in_range, one_of
from merge_ros.config.generator import GeneratorSettings
from merge_ros.errors import ConfigurationError


@dataclass(frozen=True)
class ImageServerSettings:
    """What requests for images may ask of a node that estimates depth.

    Args:
        mode_policy: what becomes of depth in mode "depth" while a request is worked on: "interleave" (camera frames are
            worked on between denoising steps), "pause" (they are dropped and counted, and the status says so) or
            "refuse" (it is the request that is refused: for robots that must not slow down).
        asset_directory: an absolute folder, below which requests may write; "": they may not write.
        generate_queue: requests that may wait while another is worked on; one more is refused.
        generate_max_side, generate_max_steps, generate_max_count, generate_max_prompt: limits of one request, as in
            `GeneratorSettings`.
        generate_keep_text_encoder: as in `GeneratorSettings`.
        generate_min_free: megabytes that must be free in the asset directory before anything is made to be written.

    Raises:
        ConfigurationError: a value is not allowed.
    """

    mode_policy: str = "interleave"
    asset_directory: str = ""
    generate_queue: int = 4
    generate_max_side: int = GeneratorSettings.max_side
    generate_max_steps: int = GeneratorSettings.max_steps
    generate_max_count: int = GeneratorSettings.max_count
    generate_max_prompt: int = GeneratorSettings.max_prompt
    generate_keep_text_encoder: bool = GeneratorSettings.keep_text_encoder
    generate_min_free: int = 200

    def __post_init__(self) -> None:
        one_of("mode_policy", self.mode_policy)
        if self.asset_directory and not Path(self.asset_directory).is_absolute():
            raise ConfigurationError(
                f"asset_directory={self.asset_directory!r} must be an absolute path, or empty: nothing is written"
            )
        for name in ("queue", "max_side", "max_steps", "max_count", "max_prompt", "min_free"):
            in_range(f"generate_{name}", getattr(self, f"generate_{name}"))

    def limits(self) -> GeneratorSettings:
        """Settings that a request is checked by."""
        return GeneratorSettings(
            max_side=self.generate_max_side,
            max_steps=self.generate_max_steps,
            max_count=self.generate_max_count,
            max_prompt=self.generate_max_prompt,
        )

    def generator(self, model: str, converters: str, threads: int) -> GeneratorSettings:
        """Settings of the generator, which outlives changes of the limits and so has none of its own."""
        return GeneratorSettings(
            model=model,
            converters=converters,
            threads=threads,
            keep_text_encoder=self.generate_keep_text_encoder,
            max_side=int(RANGES["max_side"][1]),
            max_steps=int(RANGES["max_steps"][1]),
            max_count=int(RANGES["max_count"][1]),
            max_prompt=int(RANGES["max_prompt"][1]),
        )
