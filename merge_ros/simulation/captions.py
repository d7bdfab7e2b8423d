"""Captions: a small grammar with a fixed order of words, the colour directly before the object.

room:   a room with white brick walls and a brown wooden floor, a red chair, a blue ball and a green plant
asset:  a red crate and a striped blue ball on a wooden floor in front of a white wall
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from merge_ros.simulation.catalogue import KINDS
from merge_ros.simulation.scene import Scene

MIN_NAMED_SHARE = 0.01  # of the picture's pixels, for an object to be named
MAX_NAMED = 4


def describe(scene: Scene, labels: NDArray[np.int64]) -> str:
    """The caption of a view; `labels` is the scene's thing at each pixel, -1 for none.

    Rooms come first and then the things that fill most of the picture, largest first; assets from left to right.
    """
    visible, pixels = np.unique(labels[labels >= 0], return_counts=True)
    seen = pixels >= MIN_NAMED_SHARE * labels.size
    order = visible[seen] if scene.kind == "asset" else visible[seen][np.argsort(-pixels[seen], kind="stable")]
    named: list[str] = []
    for index in order:
        thing = scene.things[index]
        words = with_article(f"{thing.colour} {thing.name}")
        if KINDS[thing.name].named and words not in named:
            named.append(words)
    listed = enumeration(named[:MAX_NAMED])
    if scene.kind == "asset":
        return f"{listed} {scene.background}" if listed else scene.background
    return f"{scene.background}, {listed}" if listed else scene.background


def with_article(words: str) -> str:
    """`a red ball`, `an orange ball`."""
    return f"{'an' if words[0] in 'aeiou' else 'a'} {words}"


def enumeration(words: list[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    return " and ".join(filter(None, (", ".join(words[:-1]), *words[-1:])))
