"""Write the folded depth path as one ONNX file that needs nothing else: any batch, any size on the grid.

The file says in its metadata what an engine has to know, and holds the fp32 network's output for one fixed image, so
that every engine that loads it can show that it computes the same.
"""

from __future__ import annotations

import base64
import logging
import warnings
from pathlib import Path

import torch

from merge_ros.errors import BackendError, MissingDependencyError
from merge_ros.files import atomic_write
from merge_ros.model.checkpoint import Checkpoint
from merge_ros.runtime.check_image import check_image
from merge_ros.runtime.exported import CHECK_OUTPUT, GRID, INPUT, NATIVE_PIXELS, OUTPUT
from merge_ros.runtime.graph import DepthGraph, fold_checkpoint

OPSET = 20  # the newest that ONNX Runtime, OpenVINO and TensorRT 10 all read
MAX_BATCH = 64
MAX_SIDE = 256  # in grid units

logger = logging.getLogger(__name__)


def export_onnx(checkpoint: Checkpoint, path: Path) -> None:
    """Fold, export and check a one-step checkpoint. Takes about half a minute for merge-tiny.

    Args:
        checkpoint: on the CPU in fp32.
        path: the .onnx file; it appears complete or not at all.

    Raises:
        ConfigurationError: the checkpoint cannot be folded.
        MissingDependencyError: onnx or onnxscript is not installed.
        OSError: the file cannot be written.
    """
    try:
        import onnx
        import onnxscript  # noqa: F401  (torch's exporter needs it)
    except ImportError as error:
        raise MissingDependencyError(str(error.name), "export", "exporting a model to ONNX") from error
    graph = fold_checkpoint(checkpoint)
    logger.info("exporting %s to ONNX; this usually takes half a minute", checkpoint.folder)
    model = _to_onnx(graph, checkpoint.grid)
    with torch.inference_mode():
        expected = graph(torch.from_numpy(check_image(checkpoint.grid)))
    onnx.helper.set_model_props(
        model,
        {
            GRID: str(checkpoint.grid),
            NATIVE_PIXELS: str(checkpoint.native_pixels),
            CHECK_OUTPUT: base64.b64encode(expected.numpy().astype("<f4").tobytes()).decode("ascii"),
        },
    )
    # Shape inference over the whole graph: torch has written files that only this finds unusable.
    onnx.checker.check_model(model, full_check=True)
    with atomic_write(path) as temporary:
        onnx.save(model, temporary)


def _to_onnx(graph: DepthGraph, grid: int):  # type: ignore[no-untyped-def]  # onnx is imported where it is needed
    rows = torch.export.Dim("rows", min=1, max=MAX_SIDE)
    columns = torch.export.Dim("columns", min=1, max=MAX_SIDE)
    shapes = ({0: torch.export.Dim("batch", min=1, max=MAX_BATCH), 1: grid * rows, 2: grid * columns},)
    # Sizes that are neither 1 nor equal, or the exporter takes them for constants or for the same dimension.
    example = torch.zeros((2, 3 * grid, 4 * grid, 3), dtype=torch.uint8)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # deprecations inside torch's exporter, nothing a user can act on
        program = torch.onnx.export(
            graph,
            (example,),
            dynamo=True,
            opset_version=OPSET,
            input_names=[INPUT],
            output_names=[OUTPUT],
            dynamic_shapes=shapes,
            verbose=False,
        )
    if program is None:  # only without `dynamo=True`
        raise BackendError("torch wrote no ONNX program")
    return program.model_proto
