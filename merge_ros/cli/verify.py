"""`merge-ros verify`: does a model give the numbers that were recorded from it elsewhere?"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from merge_ros.config import BACKENDS

DESCRIPTION = """\
Run a model in fp32 on the inputs stored in a safetensors file and compare with the outputs stored beside them.

Keys, for MERGE-B: text, mask, timestep and image -> image_out (image mode), dense -> depth_out (depth mode; image
latent ++ depth latent). For MERGE-L, packed: text, pooled, timestep, img_ids, txt_ids, guidance where the model has it,
image and dense (depth latent ++ image latent). For whole pipelines: image in [0, 1], latents, prompt_embeds, and
prompt_mask (MERGE-B) or pooled_prompt_embeds (MERGE-L) -> depth_N, the picture after N denoising steps. Every output
that is in the file is compared.
Exit status 1 when one differs by more than the tolerance.
"""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register the verb."""
    parser = subparsers.add_parser(
        "verify",
        help="compare a model with recorded tensors",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--model", required=True, help="merge-tiny, a model folder, or a Hugging Face id")
    parser.add_argument("--reference", required=True, type=Path, help="safetensors file with inputs and outputs")
    parser.add_argument("--backend", default="torch", choices=BACKENDS, help="inference backend (%(default)s)")
    parser.add_argument(
        "--tolerance",
        type=float,
        help="largest absolute difference allowed (default: 1e-5 for one pass, 1e-4 for a pipeline)",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of a table")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Compare, print, and return 1 past the tolerance."""
    from merge_ros.evaluation.parity import verify  # torch takes seconds to import; `--help` should not

    differences = verify(arguments.model, arguments.reference, backend=arguments.backend, tolerance=arguments.tolerance)
    ok = all(difference.ok for difference in differences)
    if arguments.json:
        rows = [
            {"output": d.output, "max_abs_diff": d.max_abs_diff, "tolerance": d.tolerance, "ok": d.ok}
            for d in differences
        ]
        report = {
            "model": arguments.model,
            "reference": str(arguments.reference),
            "backend": arguments.backend,
            "outputs": rows,
            "ok": ok,
        }
        print(json.dumps(report, indent=2))
    else:
        print(f"{'output':<12} {'max abs diff':>13} {'tolerance':>10}")
        for d in differences:
            print(f"{d.output:<12} {d.max_abs_diff:>13.3g} {d.tolerance:>10.3g}  {'ok' if d.ok else 'TOO LARGE'}")
    return 0 if ok else 1
