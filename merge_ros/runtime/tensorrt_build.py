"""From an ONNX file to a TensorRT plan, with TensorRT 8.6, 10.x, 11.x or TensorRT-RTX.

The releases differ where it counts, and each difference stands here once:

- Networks are strongly typed: layers compute in the types of the graph, so an fp16 file gives an fp16 engine. 10.x and
  RTX are told so when the network is made; 11.x knows nothing else, and may have no flag for it; 8.6 cannot, and is
  given the FP16 flag with the order to obey the types in the graph (docs.nvidia.com/deeplearning/tensorrt, migration
  guides 8x-to-10x and 10x-to-11x).
- 8.6 must be told that the batch is explicit; later ones ignore or lack that flag.
- TensorRT-RTX compiles without a GPU for the architectures it is given, and must not be asked for a timing cache: that
  would need a GPU (docs.nvidia.com/deeplearning/tensorrt-rtx, timing cache migration).
- The parsers read different operator sets: `opset` has which.
"""

from __future__ import annotations

import contextlib
import importlib
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from merge_ros.errors import BackendError, ConfigurationError, MissingDependencyError
from merge_ros.files import keep_for_later
from merge_ros.runtime.exported import INPUT

MODULES = {"tensorrt": "tensorrt", "tensorrt_rtx": "tensorrt_rtx"}
WORKSPACE = 1 << 30  # bytes that one layer may use while it runs
USUAL_TIME = {"tensorrt": "one to ten minutes", "tensorrt_rtx": "five seconds to a minute"}

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class BuildOptions:
    """What a plan is built for.

    Args:
        shape: (batch, height, width) of the images, fixed in the plan.
        precision: of the graph, "fp32" or "fp16".
        workspace: bytes that one layer may use while it runs.
        targets: GPU architectures to compile for ahead of time, "sm89" say, by TensorRT-RTX only; (): the GPU here.
    """

    shape: tuple[int, int, int]
    precision: str
    workspace: int = WORKSPACE
    targets: tuple[str, ...] = ()

    def flags(self) -> str:
        """What of these is in no other field of the cache key."""
        return f"workspace={self.workspace} targets={','.join(self.targets) or 'here'} tf32=off"


def import_tensorrt(backend: str) -> Any:
    """The module of a backend.

    Raises:
        MissingDependencyError: it is not installed.
    """
    try:
        return importlib.import_module(MODULES[backend])
    except ImportError as error:
        raise MissingDependencyError(MODULES[backend], backend, f"backend {backend!r}") from error


def opset(trt: Any) -> int:
    """The ONNX operator set that this release reads: 8.6 knows no `Gelu` (opset 20).

    Not 23, although releases from 10.14 on parse its `Attention`: TensorRT-RTX 1.7 builds that only where it has one
    kernel for it, and fails on a head of 8 channels. It finds the pattern of attention in the simpler operators itself.
    """
    return 20 if _strongly_typed(trt) else 18


def build_plan(trt: Any, onnx_file: Path, options: BuildOptions, timing_cache: Path | None = None) -> bytes:
    """Parse and build.

    Args:
        trt: `tensorrt` or `tensorrt_rtx`.
        timing_cache: file of measured kernel times, read and extended, which makes the next build faster; None: none.

    Raises:
        BackendError: the file cannot be parsed or built; with TensorRT's own messages.
        ConfigurationError: targets that this release does not know, or cannot build for without having them.
    """
    log = make_log(trt)
    builder = trt.Builder(log)
    network = builder.create_network(_network_flags(trt))
    parser = trt.OnnxParser(network, log)
    if not parser.parse_from_file(str(onnx_file)):
        problems = "; ".join(str(parser.get_error(index)) for index in range(parser.num_errors))
        raise BackendError(f"{_name(trt)} cannot parse {onnx_file}: {problems}")
    config = builder.create_builder_config()
    config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, options.workspace)
    config.clear_flag(trt.BuilderFlag.TF32)  # fp32 means fp32
    if options.precision == "fp16" and not _strongly_typed(trt):
        config.set_flag(trt.BuilderFlag.FP16)
        config.set_flag(trt.BuilderFlag.OBEY_PRECISION_CONSTRAINTS)
    _fix_shape(builder, config, network, options.shape)
    _set_targets(trt, config, options.targets)
    times = None if _is_rtx(trt) or timing_cache is None else _read_times(config, timing_cache)
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        raise BackendError(f"{_name(trt)} cannot build {onnx_file}: {log.said()}")
    if times is not None and timing_cache is not None:
        keep_for_later(timing_cache, bytes(times.serialize()))
    return bytes(plan)


def make_log(trt: Any) -> Any:
    """A logger for TensorRT that passes warnings on, and remembers errors for the message of an exception."""

    class Log(trt.ILogger):
        def __init__(self) -> None:
            trt.ILogger.__init__(self)
            self._errors: list[str] = []

        def log(self, severity: Any, message: str) -> None:
            """Called by TensorRT, from any thread."""
            if severity in (trt.ILogger.ERROR, trt.ILogger.INTERNAL_ERROR):
                self._errors.append(message)
            elif severity == trt.ILogger.WARNING:
                logger.info("%s: %s", trt.__name__, message)

        def said(self) -> str:
            """The errors since the start."""
            return "; ".join(self._errors) or "it gave no reason"

    return Log()


def _is_rtx(trt: Any) -> bool:
    return str(trt.__name__) == "tensorrt_rtx"


def _name(trt: Any) -> str:
    return f"{trt.__name__} {trt.__version__}"


def _version(trt: Any) -> tuple[int, int]:
    major, minor = str(trt.__version__).split(".")[:2]
    return int(major), int(minor)


def _strongly_typed(trt: Any) -> bool:
    return _is_rtx(trt) or _version(trt) >= (10, 0)


def _network_flags(trt: Any) -> int:
    flags = trt.NetworkDefinitionCreationFlag
    if not _strongly_typed(trt):
        return 1 << int(flags.EXPLICIT_BATCH)
    return 1 << int(flags.STRONGLY_TYPED) if hasattr(flags, "STRONGLY_TYPED") else 0


def _fix_shape(builder: Any, config: Any, network: Any, shape: tuple[int, int, int]) -> None:
    image = network.get_input(0)
    if image.name != INPUT:
        raise BackendError(f"the network's input is {image.name!r}, not {INPUT!r}: not a file of `merge-ros export`")
    wanted, given = (*shape, 3), tuple(image.shape)
    if any(size not in (-1, want) for size, want in zip(given, wanted, strict=True)):
        raise ConfigurationError(f"images of shape {wanted}; the file was exported for {given} only")
    if -1 in given:
        profile = builder.create_optimization_profile()
        profile.set_shape(INPUT, wanted, wanted, wanted)
        config.add_optimization_profile(profile)


def _set_targets(trt: Any, config: Any, targets: tuple[str, ...]) -> None:
    if not targets:
        return
    if not _is_rtx(trt):
        raise ConfigurationError(f"targets {', '.join(targets)}: only tensorrt_rtx compiles for a GPU that is not here")
    known = trt.ComputeCapability.__members__
    unknown = [target for target in targets if target.upper() not in known]
    if unknown:
        names = ", ".join(name.lower() for name in known if name.startswith("SM"))
        raise ConfigurationError(f"targets {', '.join(unknown)} are unknown to {_name(trt)}; allowed: {names}")
    config.num_compute_capabilities = len(targets)
    for index, target in enumerate(targets):
        config.set_compute_capability(known[target.upper()], index)


def _read_times(config: Any, path: Path) -> Any:
    stored = b""
    with contextlib.suppress(FileNotFoundError):
        stored = path.read_bytes()
    times = config.create_timing_cache(stored)
    if times is None or not config.set_timing_cache(times, ignore_mismatch=False):
        # Of another release or GPU, or damaged: measure afresh.
        times = config.create_timing_cache(b"")
        config.set_timing_cache(times, ignore_mismatch=False)
    return times
