"""Write the folded depth path as one ONNX file that needs nothing else.

The file says in its metadata what an engine has to know, and holds the fp32 network's output for one fixed image, so
that every engine that loads it can show that it computes the same.
"""

from __future__ import annotations

import logging
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from merge_ros.errors import BackendError, ConfigurationError, MissingDependencyError
from merge_ros.files import atomic_write
from merge_ros.model.checkpoint import Checkpoint
from merge_ros.runtime.check_image import check_image
from merge_ros.runtime.exported import FINGERPRINT, INPUT, OUTPUT, ExportedModel, check_size
from merge_ros.runtime.graph import DepthGraph, fold_checkpoint
from merge_ros.runtime.half_storage import round_to_half, store_in_half

OPSET = 20  # the newest that ONNX Runtime, OpenVINO and TensorRT 10 all read
OPSETS = (18, 20)  # 18: for TensorRT 8.6
MAX_BATCH = 64
MAX_SIDE = 256  # in grid units
PROTOBUF_LIMIT = 2**31 - 2**20  # bytes of a message, less some room for the graph (protobuf.dev/programming-guides)

_DTYPES = {"fp32": torch.float32, "fp16": torch.float16}

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ExportOptions:
    """What the file is written for.

    Args:
        precision: of weights and activations, "fp32" or "fp16"; fp16 is for GPUs. Input and output stay uint8 and fp32.
        opset: ONNX operator set, one of `OPSETS`.
        batch: the only batch that the file shall take, 1 to `MAX_BATCH`; None: any.
        size: the only (height, width) of images; None: any on the grid. Fixed shapes make the fastest TensorRT engines.
        half_weights: round the weights to fp16 and store them so, in a file that computes in fp32: half the bytes.

    Raises:
        ConfigurationError: a value is not allowed.
    """

    precision: str = "fp32"
    opset: int = OPSET
    batch: int | None = None
    size: tuple[int, int] | None = None
    half_weights: bool = False

    def __post_init__(self) -> None:
        if self.precision not in _DTYPES:
            raise ConfigurationError(f"a file cannot be written in {self.precision!r}; allowed: {', '.join(_DTYPES)}")
        if self.opset not in OPSETS:
            raise ConfigurationError(f"opset={self.opset}; allowed: {', '.join(map(str, OPSETS))}")
        if self.batch is not None and not 1 <= self.batch <= MAX_BATCH:
            raise ConfigurationError(f"batch={self.batch} must lie between 1 and {MAX_BATCH}")
        if self.half_weights and self.precision != "fp32":
            raise ConfigurationError(f"half_weights is for precision fp32; {self.precision} weights are small already")


def export_onnx(
    checkpoint: Checkpoint, path: Path, options: ExportOptions | None = None, fingerprint: str = ""
) -> None:
    """Fold, export and check a one-step checkpoint. Takes about half a minute for merge-tiny.

    Args:
        checkpoint: on the CPU in fp32.
        path: the .onnx file; it appears complete or not at all.
        options: None: fp32, any batch, any size on the grid.
        fingerprint: of the checkpoint (`export_cache.model_fingerprint`), to be written into the file.

    Raises:
        ConfigurationError: the checkpoint cannot be folded, the size is off the model's grid, or the weights do not fit
            into one ONNX file.
        MissingDependencyError: onnx or onnxscript is not installed.
        OSError: the file cannot be written.
    """
    options = options or ExportOptions()
    require_exporter()
    _check_fixed_size(options.size, checkpoint.grid)
    graph = fold_checkpoint(checkpoint)
    if options.half_weights:
        round_to_half(graph)
    logger.info("exporting %s to ONNX; this usually takes half a minute", checkpoint.folder)
    height, width = options.size or check_size(checkpoint.native_pixels, checkpoint.grid)
    with torch.inference_mode():
        expected = graph(torch.from_numpy(check_image(height, width)))[0].numpy()
    pixels = height * width if options.size else checkpoint.native_pixels
    described = ExportedModel(checkpoint.grid, pixels, options.precision, options.batch, options.size, expected)
    write_onnx(graph, checkpoint.grid, path, options, described.to_metadata() | {FINGERPRINT: fingerprint})


def write_onnx(graph: DepthGraph, grid: int, path: Path, options: ExportOptions, metadata: dict[str, str]) -> None:
    """Write a folded graph with these metadata, and have the whole file checked.

    Args:
        graph: on the CPU; it is turned into the precision of the file.
        grid: image sides are multiples of this many pixels.
    """
    import onnx

    graph.to(_DTYPES[options.precision])
    size = sum(tensor.numel() * tensor.element_size() for tensor in graph.parameters())  # shared blocks once
    if size > PROTOBUF_LIMIT:
        raise ConfigurationError(
            f"{size / 1e9:.2f} GB of {options.precision} weights do not fit into one ONNX file of 2 GB; "
            "allowed: --precision fp16"
        )
    model = _to_onnx(graph, grid, options)
    if options.half_weights:
        store_in_half(model)
    onnx.helper.set_model_props(model, metadata)
    with atomic_write(path) as temporary:
        onnx.save(model, temporary)
        # With shape inference over the whole graph: torch has written files that only this finds unusable.
        onnx.checker.check_model(temporary, full_check=True)


def require_exporter() -> None:
    """Raise `MissingDependencyError` when the packages that write ONNX are not installed."""
    try:
        import onnx  # noqa: F401
        import onnxscript  # noqa: F401  (torch's exporter needs it)
    except ImportError as error:
        raise MissingDependencyError(str(error.name), "export", "exporting a model to ONNX") from error


def _check_fixed_size(size: tuple[int, int] | None, grid: int) -> None:
    if size is None:
        return
    if min(size) < grid or max(size) > MAX_SIDE * grid or size[0] % grid or size[1] % grid:
        raise ConfigurationError(
            f"size {size[1]}x{size[0]}: both sides must be multiples of {grid} from {grid} to {MAX_SIDE * grid}"
        )


def _to_onnx(graph: DepthGraph, grid: int, options: ExportOptions) -> Any:
    rows = torch.export.Dim("rows", min=1, max=MAX_SIDE)
    columns = torch.export.Dim("columns", min=1, max=MAX_SIDE)
    free: dict[int, Any] = {}
    if options.batch is None:
        free[0] = torch.export.Dim("batch", min=1, max=MAX_BATCH)
    if options.size is None:
        free |= {1: grid * rows, 2: grid * columns}
    # Free sizes that are neither 1 nor equal, or the exporter takes them for constants or for the same dimension.
    shape = (options.batch or 2, *(options.size or (3 * grid, 4 * grid)), 3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # deprecations inside torch's exporter, nothing a user can act on
        program = torch.onnx.export(
            graph,
            (torch.zeros(shape, dtype=torch.uint8),),
            dynamo=True,
            opset_version=options.opset,
            input_names=[INPUT],
            output_names=[OUTPUT],
            dynamic_shapes=(free,) if free else None,
            verbose=False,
        )
    if program is None:  # only without `dynamo=True`
        raise BackendError("torch wrote no ONNX program")
    return program.model_proto
