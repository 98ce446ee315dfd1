"""Floating-point operations of an ONNX network, counted from its graph: convolutions and matrix products.

A multiplication and its addition count as two. Element-wise work, pooling and normalisation are left out: a
few per cent. The file is walked as bytes, so no package is needed; where it does not state the shapes inside,
the ``onnx`` package, if it is installed, infers them.
Field numbers: https://github.com/onnx/onnx/blob/main/onnx/onnx.proto.
"""

from __future__ import annotations

import io
import math
import os
import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from ...zoo import wire

Dims = tuple[int, ...]
COUNTED = ("Conv", "ConvInteger", "QLinearConv", "ConvTranspose", "MatMul", "MatMulInteger", "Gemm")
SAME_SHAPE = ("Cast", "DequantizeLinear", "QuantizeLinear", "Identity", "DynamicQuantizeLinear")
"""Their first output has the shape of their first input."""


@dataclass
class Node:
    """An operation of a graph."""

    op: str
    inputs: list[str]
    outputs: list[str]
    transpose_a: bool = False


@dataclass
class Graph:
    """The parts of a graph that counting needs: its nodes, and name -> dimensions."""

    nodes: list[Node] = field(default_factory=list)
    dims: dict[str, Dims] = field(default_factory=dict)


@dataclass(frozen=True)
class Flops:
    """What one run of a network takes.

    Attributes:
        count: operations; None where a shape is not known.
        nodes: convolutions and matrix products in the graph.
        reason: why there is no count.
    """

    count: int | None
    nodes: int
    reason: str = ""


def count_flops(source: str | os.PathLike[str] | bytes) -> Flops:
    """Count the operations of one run with a batch of one.

    Args:
        source: path or bytes of an ONNX file.

    Raises:
        ModelError: never: what cannot be read has no count, and the reason is told.

    Example:
        >>> from voxzoo.eval.bench.peak import gemm_model
        >>> count_flops(gemm_model(rows=8, size=16, times=3)).count == 3 * 2 * 8 * 16 * 16
        True
    """
    data = source if isinstance(source, bytes) else Path(source).read_bytes()
    try:
        found = _count(read_graph(data))
        if found.count is None:
            inferred = _inferred(data)
            found = found if inferred is None else _count(read_graph(inferred))
    except (wire.WireError, KeyError) as error:
        return Flops(None, 0, f"the graph cannot be read: {error}")
    return found


def _count(graph: Graph) -> Flops:
    total = nodes = 0
    for node in graph.nodes:
        if node.op in SAME_SHAPE and node.inputs[0] in graph.dims:
            graph.dims.setdefault(node.outputs[0], graph.dims[node.inputs[0]])
        if node.op not in COUNTED:
            continue
        nodes += 1
        ours = _of_node(node, graph.dims)
        if ours is None:
            return Flops(None, nodes, f"the file does not say the shapes around {node.outputs[0]!r}")
        total += ours
    return Flops(total, nodes)


def _of_node(node: Node, dims: dict[str, Dims]) -> int | None:
    """2 x products; every weight of a convolution meets every position once."""
    first, out = node.inputs[0], node.outputs[0]
    second = node.inputs[3] if node.op == "QLinearConv" else node.inputs[1]
    shapes = [dims.get(name) for name in (first, second, out)]
    a, b, y = shapes
    if node.op == "ConvTranspose":
        return None if a is None or b is None else 2 * math.prod(a) * math.prod(b[1:])
    if "Conv" in node.op:
        return None if b is None or y is None else 2 * math.prod(y) * math.prod(b[1:])
    inner = None if a is None else a[-2] if node.transpose_a else a[-1]
    return None if inner is None or y is None else 2 * math.prod(y) * inner


def read_graph(data: bytes) -> Graph:
    """The nodes of an ONNX file's main graph and the dimensions that it states; free ones count as one.

    Raises:
        wire.WireError: not a protobuf message.
    """
    stream = io.BytesIO(data)
    graph = Graph()
    for top in wire.walk(stream, 0, len(data)):
        if top.number == 7:
            for part in wire.walk(stream, top.value_start, top.end):
                _add(stream, part, graph)
    return graph


def _add(stream: BinaryIO, part: wire.Field, graph: Graph) -> None:
    """GraphProto: 1 node, 5 initializer, 11 input, 12 output, 13 value_info."""
    if part.number == 1:
        graph.nodes.append(_node(stream, part))
    elif part.number == 5:
        name, dims = _initializer(stream, part)
        graph.dims[name] = dims
    elif part.number in (11, 12, 13):
        name, stated = _value(stream, part)
        if stated is not None:
            graph.dims.setdefault(name, stated)


def _node(stream: BinaryIO, part: wire.Field) -> Node:
    """NodeProto: 1 input, 2 output, 4 op_type, 5 attribute (1 name, 3 i)."""
    texts: dict[int, list[str]] = defaultdict(list)
    transpose = False
    for f in wire.walk(stream, part.value_start, part.end):
        if f.number in (1, 2, 4):
            texts[f.number].append(_text(stream, f))
        elif f.number == 5:
            inside = {g.number: g for g in wire.walk(stream, f.value_start, f.end)}
            named = 1 in inside and _text(stream, inside[1]) == "transA"
            transpose |= named and 3 in inside and inside[3].value == 1
    return Node("".join(texts[4]), texts[1], texts[2], transpose)


def _initializer(stream: BinaryIO, part: wire.Field) -> tuple[str, Dims]:
    """TensorProto: 1 dims, 8 name."""
    name, dims = "", list[int]()
    for f in wire.walk(stream, part.value_start, part.end):
        if f.number == 1:
            dims += [f.value] if f.wire == wire.VARINT else _packed(wire.read_value(stream, f))
        elif f.number == 8:
            name = _text(stream, f)
    return name, tuple(dims)


def _value(stream: BinaryIO, part: wire.Field) -> tuple[str, Dims | None]:
    """ValueInfoProto: 1 name, 2 type > 1 tensor_type > 2 shape > 1 dim > 1 dim_value, 2 dim_param."""
    fields = {f.number: f for f in wire.walk(stream, part.value_start, part.end)}
    name = _text(stream, fields[1])
    inner = fields.get(2)
    for number in (1, 2):
        if inner is None:
            return name, None
        inner = {f.number: f for f in wire.walk(stream, inner.value_start, inner.end)}.get(number)
    return name, None if inner is None else tuple(_dimensions(stream, inner))


def _dimensions(stream: BinaryIO, shape: wire.Field) -> Iterator[int]:
    for dim in list(wire.walk(stream, shape.value_start, shape.end)):
        fields = {f.number: f for f in wire.walk(stream, dim.value_start, dim.end)}
        named = _text(stream, fields[2]) if 2 in fields else ""
        yield (fields[1].value if 1 in fields else 0) or free_size(named)


def free_size(name: str) -> int:
    """What a free dimension is with a batch of one: "batch" 1, "2*batch" 2 (mirror images in the batch).

    Example:
        >>> free_size("2*batch"), free_size("batch"), free_size("")
        (2, 1, 1)
    """
    found = re.fullmatch(r"(\d+) ?\* ?\w+", name)
    return int(found[1]) if found else 1


def _packed(data: bytes) -> list[int]:
    """Varints one behind the other."""
    numbers, value, shift = [], 0, 0
    for byte in data:
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            numbers.append(value)
            value = shift = 0
    return numbers


def _text(stream: BinaryIO, f: wire.Field) -> str:
    return wire.read_value(stream, f).decode(errors="replace")


def _inferred(data: bytes) -> bytes | None:
    """The model with its shapes inferred; None without the onnx package, or where it cannot either."""
    try:
        import onnx
    except ImportError:
        return None
    try:
        model = onnx.load_from_string(data)
        for value in model.graph.input:
            for dim in value.type.tensor_type.shape.dim:
                if not dim.dim_value:
                    dim.dim_value = 1
        return onnx.shape_inference.infer_shapes(model, data_prop=True).SerializeToString()
    except (onnx.shape_inference.InferenceError, ValueError):
        return None
