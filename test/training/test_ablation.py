"""The cells of the ablation: each differs from the base in what its name says, and is measured as the table has it."""

from __future__ import annotations

import importlib.util
import json
import sys
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

pytest.importorskip("torch", reason="training needs the extra 'train'")

import torch
from torch import nn

from merge_ros.errors import ConfigurationError
from merge_ros.model.conditioning import Conditioning
from merge_ros.training.ablation_cells import BASE, CELLS, Cell, Skip, build, plan, steps_of
from merge_ros.training.architecture import TinyArchitecture, build_transformer

SHAPE = TinyArchitecture(width=32, heads=2, layers=8, patch_size=2, sample_size=16, text_width=16)
BENCHMARK = Path(__file__).resolve().parents[2] / "benchmarks" / "ablations.py"


@pytest.fixture(scope="module")
def benchmark() -> ModuleType:
    specification = importlib.util.spec_from_file_location("ablations", BENCHMARK)
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def test_cells_differ_from_the_base_in_what_they_are_called() -> None:
    names = [cell.name for cell in CELLS]
    assert len(set(names)) == len(names)
    base = asdict(BASE)
    for cell in CELLS[1:]:
        changed = {key for key, value in asdict(cell).items() if value != base[key]} - {"name"}
        assert len(changed) == (2 if cell.name == "random blocks, t=999" else 1), cell
    assert {0, 20, 50, 150, 300, 999} <= {cell.depth_timestep for cell in CELLS}
    assert {1, 2, 4, 8} <= {cell.groups for cell in CELLS}
    with pytest.raises(ConfigurationError, match="place one of"):
        Cell("wrong", place="nowhere")


def test_plans_say_which_converter_runs_where() -> None:
    assert plan(Cell("", groups=4), 8) == [0, 0, 1, 1, 2, 2, 3, 3]
    assert plan(Cell("", groups=4, place="group"), 8) == [0, None, 1, None, 2, None, 3, None]
    assert plan(Cell("", groups=4, place="first"), 8) == [0, 1, 2, 3, None, None, None, None]
    assert steps_of(Cell("", epsilon=True)) == (5, 20)


@pytest.mark.parametrize(("place", "passes"), [("each", 2), ("group", 1), ("first", 1)])
def test_the_plan_is_what_runs(place: str, passes: int) -> None:
    network, converter = build(Cell("", place=place), build_transformer(SHAPE))
    ran: Counter[nn.Module] = Counter()
    learning = {block for block in converter.transformer_blocks if not isinstance(block, Skip)}
    for block in learning:
        block.register_forward_hook(lambda module, *_: ran.update([module]))
    latent = torch.zeros(1, 4, 8, 8)
    empty = Conditioning(torch.zeros(1, 1, 16), torch.ones(1, 1))
    assert network(latent, latent, torch.tensor([50]), empty).shape == latent.shape
    assert ran == dict.fromkeys(learning, passes)
    assert len(learning) == 4


def test_backbones_are_trained_random_or_learning() -> None:
    shipped = build_transformer(SHAPE)
    weight = "transformer_blocks.3.ff.net.2.weight"
    for backbone in ("trained", "finetuned", "random", "scratch"):
        network, converter = build(Cell("", backbone=backbone), shipped)
        same = torch.equal(network.backbone.state_dict()[weight], shipped.state_dict()[weight])
        assert same == (backbone in ("trained", "finetuned"))
        # Converters begin as the first frozen block of their group.
        assert torch.equal(
            converter.state_dict()["transformer_blocks.1.ff.net.2.weight"],
            network.backbone.state_dict()["transformer_blocks.2.ff.net.2.weight"],
        )


def test_a_run_is_measured_once_and_the_table_reads_it(
    benchmark: ModuleType,
    frames_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    options = ["--model", "merge-tiny", "--data", str(frames_folder), "--held-out", str(frames_folder)]
    options += ["--out", str(tmp_path), "--seeds", "1", "--steps", "2", "--batch", "2", "--cells", "base", "epsilon"]
    options += ["--held-out-frames", "2", "--plot", str(tmp_path / "plot.png")]
    for _ in range(2):
        monkeypatch.setattr(sys, "argv", ["ablations.py", *options])
        benchmark.main()
    results = [json.loads(line) for line in (tmp_path / "ablations.jsonl").read_text().splitlines()]
    assert [result["cell"]["name"] for result in results] == ["base", "epsilon"]  # the second call found them done
    assert [entry["steps"] for entry in results[1]["accuracy"]] == [5, 20]
    assert all(0 < entry["abs_rel"] < 5 and 0 <= entry["delta1"] <= 1 for r in results for entry in r["accuracy"])
    assert all(np.isfinite(entry["core_ms"]) for r in results for entry in r["accuracy"])
    table = capsys.readouterr().out
    assert table.count("| epsilon | 20 |") == 2
    assert (tmp_path / "plot.png").stat().st_size > 1000
