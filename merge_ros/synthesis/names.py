"""Names of assets: safe as a file name, a Gazebo model and a USD prim, and never a way out of the folder."""

from __future__ import annotations

import re
import unicodedata
from pathlib import Path

from merge_ros.errors import InputError

LONGEST = 64
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")


def check_name(name: str) -> str:
    """The name, when it is allowed.

    Raises:
        InputError: it is not a letter followed by letters, digits and underscores, or longer than 64 characters.
    """
    if len(name) > LONGEST or not _NAME.fullmatch(name):
        raise InputError(
            f"asset name {name[: 2 * LONGEST]!r} is not allowed; a name is a letter, then letters, digits and "
            f"underscores, at most {LONGEST} characters in all"
        )
    return name


def name_from(text: str) -> str:
    """An allowed name made of a prompt or a file name: `a red crate on a floor` -> `a_red_crate_on_a_floor`.

    Raises:
        InputError: the text holds no letter or digit that could be kept.
    """
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    name = re.sub(r"[^A-Za-z0-9]+", "_", plain).strip("_").lower()
    if not name:
        raise InputError(f"no name can be made of {text[: 2 * LONGEST]!r}: it has no letter or digit; give one")
    name = name if name[0].isalpha() else f"asset_{name}"
    return check_name(name[:LONGEST].rstrip("_"))


def place_in(folder: Path, name: str) -> Path:
    """Where an asset of that name goes: directly in the folder, whatever links there are.

    Raises:
        InputError: the name is not allowed, or leads out of the folder.
    """
    place = folder / check_name(name)
    if place.resolve().parent != folder.resolve():
        raise InputError(f"{place} leads out of {folder}")
    return place
