"""MERGE depth estimation and image generation for ROS 2.

The subpackages are imported on demand: `import merge_ros` itself needs neither torch nor ROS.
"""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("merge_ros")
except PackageNotFoundError:  # a source tree that was not installed
    __version__ = "0+uninstalled"

__all__ = ["__version__"]
