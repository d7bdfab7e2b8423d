"""`merge-ros fetch`: download official and other models, and check that they arrived whole."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from tqdm import tqdm

from merge_ros.config import OFFICIAL_MODELS
from merge_ros.errors import ConfigurationError

if TYPE_CHECKING:
    from merge_ros.model.hub import Hub, Plan
    from merge_ros.model.huggingface import HuggingFaceHub

DESCRIPTION = """\
Download models from the Hugging Face hub. What would come is told first, with its licence and size, and nothing is
downloaded before you agree. A download that was cut off goes on where it stopped; at the end every file is compared
with the hash that the hub has of it.

  merge-ros fetch merge-base                    PixArt-alpha 512 and its depth converters
  merge-ros fetch merge-large                   FLUX.1-dev and its depth converters; gated: log in with `hf auth login`
  merge-ros fetch madebyollin/taesd --yes       any repository; --yes agrees beforehand
  merge-ros fetch merge-base --out models/base  one model folder in place of the hub's cache
  merge-ros fetch merge-base --offline          check what is in the cache, without a network
"""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register the verb."""
    parser = subparsers.add_parser(
        "fetch",
        help="download official and other models",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "models", nargs="+", metavar="MODEL", help=f"{', '.join(OFFICIAL_MODELS)}, or a Hugging Face id owner/name"
    )
    parser.add_argument("--out", type=Path, help="a folder for one model (default: the hub's cache)")
    parser.add_argument("--offline", action="store_true", help="download nothing; check what is in the cache")
    parser.add_argument("--yes", action="store_true", help="do not ask")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Plan, ask, download, check."""
    from merge_ros.model.huggingface import HuggingFaceHub

    if arguments.out and len(arguments.models) > 1:
        raise ConfigurationError(f"--out is for one model, and {len(arguments.models)} were named")
    if arguments.out and arguments.offline:
        raise ConfigurationError("--offline looks into the hub's cache, and --out is not in it; leave one out")
    hub = HuggingFaceHub(offline=arguments.offline)
    repositories = {hub_id: parts for model in arguments.models for hub_id, parts in _repositories(model).items()}
    if arguments.offline:
        return _check_offline(hub, repositories)
    return fetch(hub, repositories, arguments.out, agreed=arguments.yes)


def fetch(hub: Hub, repositories: dict[str, tuple[str, ...]], out: Path | None, *, agreed: bool) -> int:
    """Tell what would come, ask, bring it, and check it.

    Args:
        hub: where from.
        repositories: id and the sub-folders that are needed; none: those that a model has.
        out: a folder for all of them; None: the hub's cache.
        agreed: do not ask.

    Returns:
        0 when all is there and checked, 1 when the user said no.

    Raises:
        CheckpointError: a repository cannot be reached, lacks a part, or came damaged.
        ConfigurationError: nobody can be asked, because input is no terminal.
    """
    from merge_ros.model.hub import check_files, make_plan

    plans = [make_plan(hub.describe(hub_id), parts) for hub_id, parts in repositories.items()]
    _tell(plans)
    if not agreed and not _agreed():
        print("nothing was downloaded")
        return 1
    for plan in plans:
        folder = hub.download(plan, out)
        with tqdm(total=plan.size, unit="B", unit_scale=True, desc=f"checking {plan.hub_id}", disable=None) as bar:
            check_files(folder, plan, bar.update)
        print(f"{plan.hub_id}: {len(plan.files)} files in {folder}, all as the hub has them")
    return 0


def _repositories(model: str) -> dict[str, tuple[str, ...]]:
    official = OFFICIAL_MODELS.get(model)
    if official:
        return {official.backbone: official.parts, official.converters: ("depth_converters",)}
    if model.count("/") != 1:
        allowed = ", ".join(OFFICIAL_MODELS)
        raise ConfigurationError(f"{model!r} is unknown; allowed: {allowed}, or a Hugging Face id owner/name")
    return {model: ()}


def _tell(plans: list[Plan]) -> None:
    for plan in plans:
        licence = plan.licence or "not stated"
        gated = "; its owner wants terms accepted there first" if plan.gated else ""
        print(f"{plan.hub_id}: {plan.size / 1e9:.2f} GB in {len(plan.files)} files")
        print(f"  licence: {licence} (https://huggingface.co/{plan.hub_id}{gated})")
    if len(plans) > 1:
        print(f"together: {sum(plan.size for plan in plans) / 1e9:.2f} GB")


def _agreed() -> bool:
    if not sys.stdin.isatty():
        raise ConfigurationError("nobody can be asked here: --yes agrees to the licences and the sizes above")
    return input("Download under these licences? [y/N] ").strip().lower() in ("y", "yes")


def _check_offline(hub: HuggingFaceHub, repositories: dict[str, tuple[str, ...]]) -> int:
    from merge_ros.model.hub import ALL_PARTS, check_cache
    from merge_ros.model.locate import part_patterns

    for hub_id, parts in repositories.items():
        folder = hub.find(hub_id, part_patterns(parts or ALL_PARTS))
        with tqdm(unit="B", unit_scale=True, desc=f"checking {hub_id}", disable=None) as bar:
            count = check_cache(folder, bar.update)
        print(f"{hub_id}: {count} files in {folder}, all whole")
    return 0
