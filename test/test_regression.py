"""The shipped weights are as accurate as their card says, on frames that are always the same."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="the weights are measured in torch, in fp32")

from merge_ros.config import BUNDLED_MODEL
from merge_ros.model.locate import find_model

REPOSITORY = Path(__file__).resolve().parent.parent
CARD = find_model(BUNDLED_MODEL, ()) / "README.md"
TOLERANCE = 0.02  # relative

spec = importlib.util.spec_from_file_location("regression_set", REPOSITORY / "benchmarks" / "make_regression_set.py")
regression_set = importlib.util.module_from_spec(spec)
spec.loader.exec_module(regression_set)


def test_the_set_is_small_and_whole() -> None:
    files = [path for path in regression_set.FOLDER.rglob("*") if path.is_file()]
    assert len(files) == 2 * 40
    assert sum(path.stat().st_size for path in files) <= 1e6
    for kind in regression_set.KINDS:
        assert len(list((regression_set.FOLDER / "rgb" / kind).glob("*.jpg"))) == 20


def test_the_weights_are_as_accurate_as_the_card_says() -> None:
    """`python benchmarks/make_regression_set.py --measure` prints the card's line anew."""
    stated = regression_set.card_figures(CARD.read_text())
    assert regression_set.measure_kinds() == pytest.approx(stated, rel=TOLERANCE)


def test_a_card_without_the_line() -> None:
    with pytest.raises(ValueError, match="make_regression_set"):
        regression_set.card_figures("# merge-tiny")
