"""How a stream of camera frames is treated."""

from __future__ import annotations

from dataclasses import dataclass

from merge_ros.config.allowed import in_range


@dataclass(frozen=True)
class StreamSettings:
    """How a stream of camera frames is treated.

    Args:
        max_age: seconds between a frame's stamp and the start of work on it, past which it is dropped; 0: never.
        max_rate: frames per second at most, by their stamps; the others are dropped. 0: as many as can be done.
        on_demand: work only while someone subscribes to one of the node's topics.
        inference_timeout: seconds without an answer after which the model counts as hung; 0: never.

    Raises:
        ConfigurationError: a value is not allowed.
    """

    max_age: float = 0.0
    max_rate: float = 0.0
    on_demand: bool = True
    inference_timeout: float = 10.0

    def __post_init__(self) -> None:
        in_range("max_age", self.max_age)
        in_range("max_rate", self.max_rate)
        in_range("inference_timeout", self.inference_timeout)
