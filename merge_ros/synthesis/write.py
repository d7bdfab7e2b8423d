"""Write an asset in the formats asked for: one folder, whole or not at all.

OUT/NAME/metadata.json                 prompt, seed, model, where the metres come from, camera, licence
OUT/NAME/NAME.glb                      glTF, Y up as glTF has it
OUT/NAME/NAME.ply                      coloured point cloud
OUT/NAME/obj/                          NAME.obj, NAME.mtl, NAME.png
OUT/NAME/sdf/NAME/                     a Gazebo model: add OUT/NAME/sdf to GZ_SIM_RESOURCE_PATH
OUT/NAME/mjcf/NAME.xml                 MuJoCo
OUT/NAME/usd/NAME.usdc                 USD, for Isaac Sim and others
OUT/NAME/rgbd/                         image.png, depth.png, depth.npy, camera.json
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from merge_ros.config import AssetSettings
from merge_ros.errors import OutputError
from merge_ros.files import atomic_folder
from merge_ros.synthesis.asset import Asset, Progress, no_progress
from merge_ros.synthesis.names import check_name, place_in
from merge_ros.synthesis.provenance import Provenance, metadata
from merge_ros.synthesis.write_mesh import write_glb, write_obj
from merge_ros.synthesis.write_mjcf import write_mjcf
from merge_ros.synthesis.write_rgbd import write_cloud, write_rgbd
from merge_ros.synthesis.write_sdf import write_sdf
from merge_ros.synthesis.write_usd import write_usd

METADATA = "metadata.json"

# Each writer gets the asset, its name and the asset's folder.
WRITERS: dict[str, Callable[[Asset, str, Path], None]] = {
    "glb": write_glb,
    "obj": write_obj,
    "sdf": write_sdf,
    "mjcf": write_mjcf,
    "usd": write_usd,
    "ply": write_cloud,
    "rgbd": write_rgbd,
}


def write_asset(
    asset: Asset,
    name: str,
    out: Path,
    settings: AssetSettings,
    provenance: Provenance,
    progress: Progress = no_progress,
    *,
    overwrite: bool = False,
) -> list[Path]:
    """Write an asset into the folder `out / name`, which appears whole or not at all.

    Args:
        asset: what `build_asset` made.
        name: of the asset, see `names.check_name`.
        out: folder of all assets; made if missing.
        settings: those that it was built with; their formats are written.
        provenance: for the metadata.
        progress: told the name of each format before it is written; what it raises ends the work.
        overwrite: whether an asset of that name may be replaced.

    Returns:
        All files that were written, in order.

    Raises:
        InputError: the name is not allowed, or taken.
        MissingDependencyError: a format needs a package that is not installed; the message names the extra.
        OutputError: the disk is full, read-only, or the like.
    """
    place = place_in(out, name)
    try:
        with atomic_folder(place, overwrite=overwrite) as folder:
            write_into(folder, asset, name, settings, provenance, progress)
    except OSError as error:
        raise OutputError(f"{name} cannot be written into {out}: {error}") from error
    return sorted(path for path in place.rglob("*") if path.is_file())


def write_into(
    folder: Path,
    asset: Asset,
    name: str,
    settings: AssetSettings,
    provenance: Provenance,
    progress: Progress = no_progress,
) -> None:
    """Write an asset's files into a folder that nobody reads yet; see `write_asset`."""
    check_name(name)
    for file_format in settings.formats:
        progress(file_format)
        WRITERS[file_format](asset, name, folder)
    text = json.dumps(metadata(name, asset, provenance, settings), indent=2)
    (folder / METADATA).write_text(text + "\n")
