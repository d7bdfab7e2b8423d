"""Connected pieces of a mesh, with SciPy, which the extra `assets` brings."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from merge_ros.errors import MissingDependencyError


def load_scipy() -> Any:
    """Import the parts of SciPy that are needed here.

    Raises:
        MissingDependencyError: SciPy is not installed.
    """
    try:
        import scipy
        import scipy.ndimage
        import scipy.sparse.csgraph
        import scipy.spatial
    except ImportError as error:
        raise MissingDependencyError("scipy", "assets", "making assets") from error
    return scipy


def components(triangles: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """Connected pieces of a mesh.

    Args:
        triangles: [n, 3] vertex indices below `count`.
        count: vertices.

    Returns:
        [count] number of the piece of each vertex; one that is in no triangle is a piece of its own.
    """
    scipy = load_scipy()
    starts, ends = triangles[:, [0, 1]].ravel(), triangles[:, [1, 2]].ravel()
    graph = scipy.sparse.coo_matrix((np.ones(len(starts), np.int8), (starts, ends)), (count, count))
    return np.asarray(scipy.sparse.csgraph.connected_components(graph, directed=False)[1], np.int64)
