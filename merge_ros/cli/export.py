"""`merge-ros export`: write the depth path of a model as one ONNX file."""

from __future__ import annotations

import argparse
from pathlib import Path

from merge_ros.config import EstimatorSettings

DESCRIPTION = """\
Fold a one-step model and write its whole depth path, uint8 pixels to relative depth, as one ONNX file (fp32, opset 20)
for any batch and any image size on the model's grid. The file needs neither torch nor the model folder:

  merge-ros export --model merge-tiny --out depth.onnx
  merge-ros depth photo.jpg --out depth/ --backend onnx --model depth.onnx
"""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register the verb."""
    defaults = EstimatorSettings()
    parser = subparsers.add_parser(
        "export",
        help="write a model as one ONNX file",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--model", default=defaults.model, help="merge-tiny, a model folder, or a Hugging Face id (%(default)s)"
    )
    parser.add_argument("--converters", default=defaults.converters, help="where depth_converters/ is, if elsewhere")
    parser.add_argument("--codec", default=defaults.codec, help="as for `merge-ros depth` (%(default)s)")
    parser.add_argument("--out", type=Path, required=True, help="the .onnx file; an existing one is replaced")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Export and say how large the file is."""
    from merge_ros.errors import MissingDependencyError

    try:
        from merge_ros.model.checkpoint import load_checkpoint
        from merge_ros.runtime.export import export_onnx
    except ModuleNotFoundError as error:
        raise MissingDependencyError(str(error.name), "torch,export", "exporting a model") from error
    print(f"exporting {arguments.model}; this usually takes half a minute")
    export_onnx(load_checkpoint(arguments.model, arguments.converters, codec=arguments.codec), arguments.out)
    print(f"{arguments.out}: {arguments.out.stat().st_size / 1e6:.1f} MB, checked")
    return 0
