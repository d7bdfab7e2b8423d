"""The assets that `merge-ros generate --asset` makes of its images."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from merge_ros.cli.asset_options import asset_settings, scale_settings
from merge_ros.errors import InputError, ScaleError
from merge_ros.generated import GeneratedImage
from merge_ros.synthesis.asset import build_asset
from merge_ros.synthesis.from_text import generated_view
from merge_ros.synthesis.names import name_from, place_in
from merge_ros.synthesis.write import METADATA, write_asset


class GeneratedAssets:
    """Makes an asset of each image, in a folder beside its files; an image that gives none is told of, and counted.

    Args:
        arguments: of the command line.

    Raises:
        ConfigurationError: a value is not allowed.
    """

    def __init__(self, arguments: argparse.Namespace) -> None:
        self._settings, self._scale, self._out = asset_settings(arguments), scale_settings(arguments), arguments.out
        self.failed = 0

    def __call__(self, name: str, image: GeneratedImage, about: Mapping[str, Any]) -> dict[str, Path]:
        """What was written: "asset", the metadata in the asset's folder; nothing when the image gives no asset."""
        name = name_from(name)
        try:
            view, provenance = generated_view(image, about, self._scale)
            asset = build_asset(view, self._settings)
        except (InputError, ScaleError) as error:  # of this image; the others are still worth doing
            print(f"merge-ros: {name}: no asset: {error}", file=sys.stderr)
            self.failed += 1
            return {}
        write_asset(asset, name, self._out, self._settings, provenance, overwrite=True)
        return {"asset": place_in(self._out, name) / METADATA}
