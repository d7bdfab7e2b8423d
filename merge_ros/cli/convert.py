"""`merge-ros convert`: a model in the authors' layout, in ours, in one file, or as ONNX."""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from merge_ros.config import EstimatorSettings
from merge_ros.errors import ConfigurationError, MissingDependencyError

FORMS = ("authors", "folder", "safetensors", "onnx")

DESCRIPTION = """\
Write a model in another form. Tensors stay bit for bit the same in all but onnx, and every way leads back:

  authors       a folder whose converters load into the MERGE authors' code
  folder        a folder with the names that this package and diffusers use
  safetensors   one file with all weights, settings and tokenizers
  onnx          the folded depth path of a one-step model; `merge-ros export` has more choices

Sources are model folders, Hugging Face ids, and files that --to safetensors wrote. With --converters, a backbone and
converters from two places become one model:

  merge-ros convert --model PixArt-alpha/PixArt-XL-2-512x512 --converters hongk1998/merge-base-depth-v1 \\
      --to folder --out merge-base
  merge-ros convert --model merge-tiny --to safetensors --out merge-tiny.safetensors
  merge-ros convert --model merge-tiny.safetensors --to folder --out merge-tiny
"""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register the verb."""
    defaults = EstimatorSettings()
    parser = subparsers.add_parser(
        "convert",
        help="write a model in another form",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--model", required=True, help="merge-tiny, a model folder, a Hugging Face id, or a file from --to safetensors"
    )
    parser.add_argument(
        "--converters", default=defaults.converters, help="where the converter sets are, if not in the model"
    )
    parser.add_argument(
        "--task", default=defaults.task, help="converter set for onnx, and the one to take from a hub (%(default)s)"
    )
    parser.add_argument("--to", required=True, choices=FORMS, help="what to write")
    parser.add_argument("--out", required=True, type=Path, help="the folder or file; a folder must be new or empty")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Convert, and say how large the result is."""
    try:
        from merge_ros.model import conversion
    except ModuleNotFoundError as error:
        raise MissingDependencyError(str(error.name), "torch", "converting a model") from error
    out: Path = arguments.out
    if arguments.to in ("safetensors", "onnx") and out.suffix != f".{arguments.to}":
        raise ConfigurationError(f"--out {out} must end in .{arguments.to} for --to {arguments.to}")
    with _as_folder(arguments) as folder:
        if arguments.to == "onnx":
            _export(folder, arguments.task, out)
        elif arguments.to == "safetensors":
            conversion.to_single_file(folder, out)
        elif arguments.to == "authors":
            conversion.to_authors_layout(folder, out)
        else:
            conversion.to_own_layout(folder, out)
    files = [out] if out.is_file() else [file for file in out.rglob("*") if file.is_file()]
    print(f"{out}: {sum(file.stat().st_size for file in files) / 1e6:.1f} MB")
    return 0


@contextmanager
def _as_folder(arguments: argparse.Namespace) -> Iterator[Path]:
    """The model as one folder, made for the moment where it is not one."""
    from merge_ros.model import conversion
    from merge_ros.model.checkpoint import PARTS
    from merge_ros.model.locate import find_model

    name = f"{arguments.task}_converters"
    with tempfile.TemporaryDirectory(prefix="merge_ros_convert_", dir=_beside(arguments.out)) as temporary:
        if Path(arguments.model).is_file():
            folder = Path(temporary) / "unpacked"
            conversion.from_single_file(Path(arguments.model), folder)
        else:
            folder = find_model(arguments.model, PARTS if arguments.converters else (*PARTS, name))
        if arguments.converters:
            joined = Path(temporary) / "joined"
            conversion.gather(folder, find_model(arguments.converters, (name,)), joined)
            folder = joined
        yield folder


def _beside(out: Path) -> Path:
    """The folder that the result goes into: there is room for a model where it shall be."""
    out.absolute().parent.mkdir(parents=True, exist_ok=True)
    return out.absolute().parent


def _export(folder: Path, task: str, out: Path) -> None:
    from merge_ros.model.checkpoint import load_checkpoint
    from merge_ros.runtime.export import export_onnx
    from merge_ros.runtime.export_cache import model_fingerprint
    from merge_ros.runtime.foldable import require_foldable

    settings = EstimatorSettings(model=str(folder), task=task)
    require_foldable(settings)
    export_onnx(
        load_checkpoint(str(folder), task=task, codec=settings.codec), out, fingerprint=model_fingerprint(settings)
    )
