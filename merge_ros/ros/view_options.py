"""What the viewer shows, and where: known without ROS, for the command line."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

from merge_ros.errors import ConfigurationError

WEB_PORT = 9090  # Rerun's own


@dataclass(frozen=True)
class ViewOptions:
    """What the viewer shows, and where.

    Args:
        node: full name of the depth node whose topics are shown.
        image: topic of its camera image.
        record: a file to write as well, or None.
        web: serve a web page even where there is a display for a window.
        port: of the web page; the data comes through the next one.

    Raises:
        ConfigurationError: a value is not allowed.
    """

    node: str = "/merge"
    image: str = "/camera/image_raw"
    record: Path | None = None
    web: bool = False
    port: int = WEB_PORT

    def __post_init__(self) -> None:
        for name in ("node", "image"):
            if not getattr(self, name).startswith("/"):
                raise ConfigurationError(f"{name}={getattr(self, name)!r} must be a full name, starting with /")
        if not 1024 <= self.port <= 65534:
            raise ConfigurationError(f"port={self.port} must lie between 1024 and 65534")
        if self.record is not None and self.record.suffix != ".rrd":
            raise ConfigurationError(f"record={self.record}: Rerun's recordings end in .rrd")


def add_view_options(parser: argparse.ArgumentParser) -> None:
    """The options as arguments of a command."""
    defaults = ViewOptions()
    parser.add_argument("--node", default=defaults.node, help="full name of the depth node (%(default)s)")
    parser.add_argument("--image", default=defaults.image, help="topic of its camera image (%(default)s)")
    parser.add_argument("--record", type=Path, metavar="FILE.rrd", help="write a recording too")
    parser.add_argument("--web", action="store_true", help="serve a web page even where there is a display")
    parser.add_argument("--port", type=int, default=defaults.port, help="of the web page (%(default)s); data: the next")


def view_options(arguments: argparse.Namespace) -> ViewOptions:
    """The options from parsed arguments."""
    return ViewOptions(arguments.node, arguments.image, arguments.record, arguments.web, arguments.port)
