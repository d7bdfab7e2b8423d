"""`merge-ros export`: write the depth path of a model as an ONNX file, or compile it for NVIDIA GPUs."""

from __future__ import annotations

import argparse
import re
import tempfile
from pathlib import Path

from merge_ros.config import EstimatorSettings
from merge_ros.errors import ConfigurationError, MissingDependencyError
from merge_ros.runtime.export_cache import model_fingerprint
from merge_ros.runtime.foldable import require_foldable
from merge_ros.runtime.shipped import shipped_name

DESCRIPTION = """\
Fold a one-step model and write its whole depth path, uint8 pixels to relative depth, as one ONNX file. The file needs
neither torch nor the model folder. Without --batch and --size it takes any batch and any size on the model's grid:

  merge-ros export --model merge-tiny --out depth.onnx
  merge-ros depth photo.jpg --out depth/ --model depth.onnx

Half as large, with weights kept in fp16 and all arithmetic in fp32:

  merge-ros export --half-weights --out depth.onnx

A file for GPUs, and an engine compiled ahead of time for other machines' GPUs by TensorRT-RTX, which needs none itself:

  merge-ros export --precision fp16 --size 256x192 --batch 1 --out depth_fp16.onnx
  merge-ros export --precision fp16 --size 256x192 --targets sm86,sm89 --out depth.plan

An engine for the TensorRT of the machine that runs it is built there, at the first start, and kept.
"""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register the verb."""
    defaults = EstimatorSettings()
    parser = subparsers.add_parser(
        "export",
        help="write a model as an ONNX file, or compile it",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--model", default=defaults.model, help="merge-tiny, a model folder, or a Hugging Face id (%(default)s)"
    )
    parser.add_argument("--converters", default=defaults.converters, help="where depth_converters/ is, if elsewhere")
    parser.add_argument("--task", default=defaults.task, help="name of the converter set (%(default)s)")
    parser.add_argument("--codec", default=defaults.codec, help="as for `merge-ros depth` (%(default)s)")
    parser.add_argument(
        "--out",
        type=Path,
        required=True,
        help="the .onnx file, or the .plan with --targets; an existing one is replaced. In a folder that exists, the "
        "file is named by the fingerprint of the weights, as the one is that ships with the package",
    )
    parser.add_argument("--precision", choices=("fp32", "fp16"), default="fp32", help="of weights (%(default)s)")
    parser.add_argument(
        "--half-weights",
        action="store_true",
        help="store fp32 weights rounded to fp16: half the file, the same arithmetic",
    )
    parser.add_argument("--batch", type=int, help="the only batch that the file shall take (default: any)")
    parser.add_argument(
        "--size",
        type=image_size,
        metavar="WxH",
        help="the only image size that it shall take (default: any on the grid)",
    )
    parser.add_argument(
        "--targets",
        type=lambda text: tuple(text.split(",")),
        metavar="SM,...",
        help="compile for these GPU architectures with TensorRT-RTX: sm80, sm86, sm89, sm120, ...; needs --size",
    )
    parser.set_defaults(run=run)


def image_size(text: str) -> tuple[int, int]:
    """(height, width) from "WIDTHxHEIGHT"."""
    found = re.fullmatch(r"(\d+)x(\d+)", text)
    if found is None:
        raise argparse.ArgumentTypeError(f"{text!r} is not WIDTHxHEIGHT, like 256x192")
    return int(found[2]), int(found[1])


def run(arguments: argparse.Namespace) -> int:
    """Export, and say how large the file is."""
    try:
        from merge_ros.model.checkpoint import load_checkpoint
        from merge_ros.runtime.export import OPSET, ExportOptions, export_onnx
    except ModuleNotFoundError as error:
        raise MissingDependencyError(str(error.name), "torch,export", "exporting a model") from error
    settings = EstimatorSettings(
        model=arguments.model, converters=arguments.converters, task=arguments.task, codec=arguments.codec
    )
    require_foldable(settings)
    if not arguments.targets:
        options = ExportOptions(
            arguments.precision, OPSET, arguments.batch, arguments.size, half_weights=arguments.half_weights
        )
        fingerprint = model_fingerprint(settings)
        out: Path = arguments.out
        path = out / shipped_name(fingerprint) if out.is_dir() else out
        print(f"exporting {arguments.model}; this usually takes half a minute")
        checkpoint = load_checkpoint(arguments.model, arguments.converters, task=arguments.task, codec=arguments.codec)
        export_onnx(checkpoint, path, options, fingerprint)
        print(f"{path}: {path.stat().st_size / 1e6:.1f} MB, checked")
        return 0
    return _compile(arguments)


def _compile(arguments: argparse.Namespace) -> int:
    from merge_ros.files import atomic_write
    from merge_ros.model.checkpoint import load_checkpoint
    from merge_ros.runtime.export import ExportOptions, export_onnx
    from merge_ros.runtime.tensorrt_build import USUAL_TIME, BuildOptions, build_plan, import_tensorrt, opset

    if arguments.size is None:
        raise ConfigurationError("--targets needs --size: a plan is compiled for one image size")
    trt = import_tensorrt("tensorrt_rtx")
    batch = arguments.batch or 1
    build = BuildOptions((batch, *arguments.size), arguments.precision, targets=arguments.targets)
    with tempfile.TemporaryDirectory(prefix="merge_ros_export_") as folder:
        onnx_file = Path(folder) / "depth.onnx"
        print(f"exporting {arguments.model}; this usually takes half a minute")
        checkpoint = load_checkpoint(arguments.model, arguments.converters, task=arguments.task, codec=arguments.codec)
        options = ExportOptions(arguments.precision, opset(trt), batch, arguments.size)
        export_onnx(checkpoint, onnx_file, options)
        print(f"compiling for {', '.join(build.targets)}; this usually takes {USUAL_TIME['tensorrt_rtx']}")
        plan = build_plan(trt, onnx_file, build)
    with atomic_write(arguments.out) as temporary:
        temporary.write_bytes(plan)
    print(f"{arguments.out}: {len(plan) / 1e6:.1f} MB, for tensorrt_rtx {trt.__version__}, not run here")
    return 0
