"""True depth through a model's autoencoder and back: no converter can be more accurate than that."""

from __future__ import annotations

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from merge_ros.evaluation.protocol import at_size
from merge_ros.geometry.normalisation import depth_range, normalise_depth
from merge_ros.model.autoencoder import decode_depth, downsampling, encode
from merge_ros.model.checkpoint import load_checkpoint


class RoundTrip:
    """A model's full VAE, as a callable from true depth to depth.

    Args:
        model: "merge-tiny", a model folder, or a Hugging Face id.

    Raises:
        CheckpointError: the model cannot be loaded.
    """

    def __init__(self, model: str) -> None:
        self._vae = load_checkpoint(model).vae

    @torch.inference_mode()
    def __call__(self, metres: NDArray[np.float32]) -> NDArray[np.float32]:
        """[h, w] metres, 0 unknown, to normalised depth [h, w].

        Raises:
            DatasetError: no known depth, or all of it equal.
        """
        normalised = normalise_depth(metres, *depth_range(metres))
        height, width = normalised.shape
        factor = downsampling(self._vae)
        size = (-(-width // factor) * factor, -(-height // factor) * factor)
        if size != (width, height):  # the VAE takes whole latents only
            normalised = np.asarray(cv2.resize(normalised, size, interpolation=cv2.INTER_NEAREST), np.float32)
        depth = torch.from_numpy(normalised)[None, None].expand(-1, 3, -1, -1)
        return at_size(decode_depth(self._vae, encode(self._vae, depth))[0].numpy(), (height, width))
