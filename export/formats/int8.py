"""Weights kept as int8 with one scale per output channel: a quarter of the size, float32 arithmetic.

Symmetric: w ~ q * s with s = max|w| / 127 of each channel and no zero point, as DequantizeLinear (opset 13)
defines it. Scales are computed in float64 and kept in float32.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from ...zoo.errors import UsageError
from ..rewrite.graph import attributes
from .fp16 import with_graph

SMALLEST = 256
"""Tensors of fewer values stay as they are: their scales would cost what is saved."""


def convert(model: onnx.ModelProto, inputs: Sequence[NDArray[np.float32]] = ()) -> onnx.ModelProto:
    """The model with the weights of its convolutions and matrix products as int8, dequantised per channel.

    Raises:
        UsageError: it has none of float32, being small or kept in less already.
    """
    new = onnx.ModelProto()
    new.CopyFrom(model)
    axes = _channel_axes(model)
    kept, restored = [], []
    for tensor in model.graph.initializer:
        axis = axes.get(tensor.name)
        if axis is None or np.prod(tensor.dims) < SMALLEST or tensor.data_type != TensorProto.FLOAT:
            kept.append(tensor)
            continue
        name = tensor.name
        values, scales = quantise(numpy_helper.to_array(tensor), axis)
        kept += [
            numpy_helper.from_array(values, f"{name}.int8"),
            numpy_helper.from_array(scales, f"{name}.scale"),
        ]
        restored.append(
            helper.make_node("DequantizeLinear", [f"{name}.int8", f"{name}.scale"], [name], axis=axis)
        )
    if not restored:
        raise UsageError(
            f"onnx-int8: there is no float32 weight of {SMALLEST} or more values to keep in less"
        )
    return with_graph(new, [*restored, *model.graph.node], kept)


def quantise(weight: NDArray[np.float32], axis: int) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Round a weight to int8, one scale per index of ``axis``.

    Args:
        weight: any shape.
        axis: of the output channels.

    Returns:
        int8 values in -127..127 of the same shape, and the float32 scales.

    Example:
        >>> values, scales = quantise(np.array([[1.0, -2.0], [0.0, 0.0]], np.float32), axis=0)
        >>> values.tolist(), (values[0] * scales[0]).round(2)
        ([[64, -127], [0, 0]], array([ 1.01, -2.  ], dtype=float32))
    """
    others = tuple(a for a in range(weight.ndim) if a != axis % weight.ndim)
    largest = np.abs(weight).max(axis=others, keepdims=True).astype(np.float64)
    scale = np.where(largest > 0, largest / 127, 1.0).astype(np.float32)
    values = np.clip(np.rint(weight / scale.astype(np.float64)), -127, 127).astype(np.int8)
    return values, scale.ravel()


def _channel_axes(model: onnx.ModelProto) -> dict[str, int]:
    """Weight -> axis of its output channels, of those that only one kind of node reads."""
    found: dict[str, set[int | None]] = {}
    for node in model.graph.node:
        for place, name in enumerate(node.input):
            found.setdefault(name, set()).add(_axis(node, place, model))
    return {name: next(iter(axes)) for name, axes in found.items() if len(axes) == 1 and None not in axes}  # type: ignore[misc]


def _axis(node: onnx.NodeProto, place: int, model: onnx.ModelProto) -> int | None:
    if place != 1:
        return None
    if node.op_type == "Conv":
        return 0
    facts = attributes(node)
    if node.op_type == "ConvTranspose":
        return 1 if facts.get("group", 1) == 1 else None
    if node.op_type == "Gemm":
        return 0 if facts.get("transB", 0) else 1
    if node.op_type == "MatMul":
        return _last_axis(node.input[1], model)
    return None


def _last_axis(name: str, model: onnx.ModelProto) -> int | None:
    ranks = [len(t.dims) for t in model.graph.initializer if t.name == name]
    return ranks[0] - 1 if ranks and ranks[0] >= 2 else None
