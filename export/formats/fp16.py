"""Weights kept as float16 and cast to float32 when the file is opened: half the size, the same arithmetic.

Relative rounding is 2^-11 for weights between 6e-5 and 65504; smaller ones lose digits, larger ones don't
fit, so a tensor that holds any stays float32.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from ...zoo.errors import UsageError

SMALLEST = 64
"""Tensors of fewer values stay as they are: biases and norms cost nothing."""


def convert(model: onnx.ModelProto, inputs: Sequence[NDArray[np.float32]] = ()) -> onnx.ModelProto:
    """The model with its large float32 initialisers as float16 and a Cast behind each.

    Raises:
        UsageError: it has none, being small or kept in less already.
    """
    new = onnx.ModelProto()
    new.CopyFrom(model)
    kept, casts = [], []
    for tensor in model.graph.initializer:
        if _suits(tensor):
            half = numpy_helper.from_array(
                numpy_helper.to_array(tensor).astype(np.float16), f"{tensor.name}.fp16"
            )
            casts.append(helper.make_node("Cast", [half.name], [tensor.name], to=TensorProto.FLOAT))
            kept.append(half)
        else:
            kept.append(tensor)
    if not casts:
        raise UsageError(
            f"onnx-fp16: there is no float32 weight of {SMALLEST} or more values to keep in less"
        )
    return with_graph(new, [*casts, *model.graph.node], kept)


def with_graph(
    model: onnx.ModelProto, nodes: Sequence[onnx.NodeProto], initialisers: Sequence[TensorProto]
) -> onnx.ModelProto:
    """Put nodes and initialisers in the place of those of ``model``."""
    nodes, initialisers = list(nodes), list(initialisers)
    del model.graph.node[:], model.graph.initializer[:], model.graph.value_info[:]
    model.graph.node.extend(nodes)
    model.graph.initializer.extend(initialisers)
    return model


def _suits(tensor: TensorProto) -> bool:
    if tensor.data_type != TensorProto.FLOAT or np.prod(tensor.dims) < SMALLEST:
        return False
    return bool(np.abs(numpy_helper.to_array(tensor)).max() <= np.finfo(np.float16).max)
