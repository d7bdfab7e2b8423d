"""Muon for the matrices of transformer blocks, AdamW for everything else."""

from __future__ import annotations

import torch
from torch import nn
from torch.optim import Optimizer


def optimizers(
    modules: nn.ModuleDict,
    rate: float,
    matrix_rate: float | None,
    weight_decay: float,
    betas: tuple[float, float] = (0.9, 0.99),
) -> list[Optimizer]:
    """The optimisers of a run; each parameter group remembers its full rate as "full_rate".

    Muon orthogonalises the step of each weight matrix (Jordan 2024, kellerjordan.github.io/posts/muon; scaled to
    AdamW's step size after arXiv 2502.16982). At the same number of pictures, text to image needed
    three quarters of AdamW's steps (300 steps of batch 32).

    Args:
        modules: what is trained.
        rate: of AdamW.
        matrix_rate: of Muon; None: AdamW for all.
        weight_decay: of both.
        betas: of AdamW.
    """
    matrices: list[nn.Parameter] = []
    others: list[nn.Parameter] = []
    for name, parameter in modules.named_parameters():
        if parameter.requires_grad:
            is_matrix = parameter.ndim == 2 and "transformer_blocks" in name and "table" not in name
            (matrices if is_matrix and matrix_rate is not None else others).append(parameter)
    found: list[Optimizer] = []
    if others:
        found.append(torch.optim.AdamW(others, rate, betas=betas, weight_decay=weight_decay))
    if matrices and matrix_rate is not None:
        found.append(
            torch.optim.Muon(
                matrices, matrix_rate, weight_decay=weight_decay, momentum=0.95, adjust_lr_fn="match_rms_adamw"
            )
        )
    for optimizer in found:
        for group in optimizer.param_groups:
            group["full_rate"] = group["lr"]
    return found
