"""Counts against sums by hand, and nothing left behind in what was counted."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("torch")

import torch

from merge_ros.model.checkpoint import load_checkpoint
from merge_ros.runtime.counting import count_flops, count_parameters, stage_flops
from merge_ros.runtime.graph import fold_checkpoint


def test_a_product_and_a_convolution() -> None:
    left, right = torch.zeros(3, 5), torch.zeros(5, 7)
    assert count_flops(lambda: left @ right) == 2 * 3 * 5 * 7
    layer = torch.nn.Conv2d(4, 6, 3, padding=1)
    assert count_flops(lambda: layer(torch.zeros(1, 4, 8, 9))) == 2 * 4 * 6 * 9 * 8 * 9
    assert count_parameters(layer, layer) == 4 * 6 * 9 + 6


def test_stages_of_a_folded_network(random_model: Path) -> None:
    graph = fold_checkpoint(load_checkpoint(str(random_model)))
    image = torch.randint(0, 256, (2, 48, 64, 3), dtype=torch.uint8)
    before = graph(image)
    stages = stage_flops(graph, (2, 48, 64))
    assert stages["frame"] == stages["encoder"] + stages["transformer"] + stages["decoder"]
    assert stages["frame"] == 2 * stage_flops(graph, (1, 48, 64))["frame"]
    # Two converters of one block each for four frozen blocks: each stands in two places, and counts once as weights.
    transformer = graph.transformer
    tokens, width = (48 // 8) * (64 // 8), transformer.patch.out_channels
    linear = [
        layer.weight.numel() for block in transformer.blocks for layer in (block.qkv, block.out, block.up, block.down)
    ]
    products = sum(linear) + transformer.patch.weight.numel() + transformer.head.weight.numel()
    attention = 2 * tokens * width * len(transformer.blocks)  # scores and sums, per query
    assert stages["transformer"] == 2 * 2 * tokens * (products + attention)
    assert len(transformer.blocks) == 8 and len(set(transformer.blocks)) == 6
    blocks = {id(block): block for block in transformer.blocks}.values()
    ends = count_parameters(transformer.patch, transformer.head)
    assert count_parameters(transformer) == sum(count_parameters(block) for block in blocks) + ends
    assert torch.equal(graph(image), before), "counting left something behind"
