"""What a TensorBoard shows of a training run: curves and pictures.

tensorboard --logdir DIR          (DIR: the --out folder of the stages)
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from torch import Tensor
from torch.utils.tensorboard import SummaryWriter

from merge_ros.geometry.depth import colourise
from merge_ros.geometry.normalisation import FAR_QUANTILE, NEAR_QUANTILE


class Board:
    """Event files of one stage.

    Args:
        folder: where they go; a resumed stage goes on in the same folder.
    """

    def __init__(self, folder: Path) -> None:
        self._writer = SummaryWriter(str(folder))

    def curves(self, step: int, figures: dict[str, float]) -> None:
        """One point of each curve."""
        for name, value in figures.items():
            self._writer.add_scalar(name, value, step)
        self._writer.flush()

    def pictures(self, step: int, name: str, pictures: Tensor) -> None:
        """A row of pictures, [batch, 3, H, W] in [-1, 1], or depth maps, [batch, H, W] in any unit."""
        if pictures.ndim == 3:
            maps = [
                colourise(depth, *np.quantile(depth, (NEAR_QUANTILE, FAR_QUANTILE)))
                for depth in pictures.detach().float().numpy()
            ]
        else:
            maps = [
                ((picture.detach().float().clamp(-1, 1) + 1) * 127.5).byte().permute(1, 2, 0).numpy()
                for picture in pictures
            ]
        row = np.concatenate(maps, axis=1)
        self._writer.add_image(name, row, step, dataformats="HWC")
