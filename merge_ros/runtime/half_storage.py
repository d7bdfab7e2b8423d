"""Weights kept in half precision inside an fp32 ONNX file: half the bytes, the same arithmetic.

Every large weight is stored as float16 and cast back to float32 at the head of the graph; engines do that once, when
they load the file. The network is rounded first, so that the file computes what its stored check output says.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import nn

from merge_ros.errors import ConfigurationError

SMALLEST = 256  # numbers: a tensor below that saves nothing


@torch.no_grad()
def round_to_half(graph: nn.Module) -> None:
    """Round every weight that `store_in_half` will store, in place.

    Raises:
        ConfigurationError: a weight is too large for float16.
    """
    limit = torch.finfo(torch.float16).max
    for name, tensor in graph.named_parameters():
        if tensor.numel() < SMALLEST:
            continue
        if not tensor.abs().max() <= limit:
            raise ConfigurationError(
                f"weight {name} reaches {tensor.abs().max():.3g}; half precision ends at {limit:g}"
            )
        tensor.copy_(tensor.half())


def store_in_half(model: Any) -> None:
    """Store all large fp32 initializers of an ONNX model that are exact in float16 as such, with a Cast each.

    Args:
        model: an `onnx.ModelProto`, changed in place.
    """
    from onnx import TensorProto, helper, numpy_helper

    casts = []
    for tensor in model.graph.initializer:
        if tensor.data_type != TensorProto.FLOAT:
            continue
        values = numpy_helper.to_array(tensor)
        half = values.astype(np.float16)
        if values.size < SMALLEST or not np.array_equal(half.astype(np.float32), values):
            continue
        name = tensor.name
        tensor.CopyFrom(numpy_helper.from_array(half, f"{name}.half"))
        casts.append(helper.make_node("Cast", [f"{name}.half"], [name], f"{name}.cast", to=TensorProto.FLOAT))
    nodes = [*casts, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
