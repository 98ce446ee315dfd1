"""Reading an ONNX graph and writing another: what the rewrites share."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper, shape_inference

Shape = tuple[int | None, ...]


class Source:
    """A graph to read: who uses what, which values are constant, what shape everything has.

    Args:
        model: left as it is.
    """

    def __init__(self, model: onnx.ModelProto) -> None:
        graph = shape_inference.infer_shapes(model, data_prop=True).graph
        self.nodes = list(graph.node)
        self.inputs = [value.name for value in graph.input]
        self.outputs = [value.name for value in graph.output]
        self._initialisers = {tensor.name: tensor for tensor in graph.initializer}
        self._made = {node.output[0]: node for node in graph.node if node.op_type == "Constant"}
        self._shapes = {v.name: _shape(v) for v in (*graph.input, *graph.output, *graph.value_info)}
        self._users: dict[str, list[onnx.NodeProto]] = defaultdict(list)
        for node in graph.node:
            for name in node.input:
                self._users[name].append(node)

    def shape(self, name: str) -> Shape | None:
        """The sizes of a value, None where free; None as a whole where nothing is known."""
        if name in self._initialisers:
            return tuple(self._initialisers[name].dims)
        return self._shapes.get(name)

    def constant(self, name: str) -> np.ndarray | None:
        """The value of an initialiser or of a Constant node; None for anything computed."""
        if name in self._initialisers:
            return numpy_helper.to_array(self._initialisers[name])
        if name in self._made:
            return attributes(self._made[name]).get("value")
        return None

    def weights(self, node: onnx.NodeProto) -> list[np.ndarray]:
        """What a node reads beside its first input; empty if any of it is computed."""
        found = [self.constant(name) for name in node.input[1:] if name]
        known = [value for value in found if value is not None]
        return known if len(known) == len(found) else []

    def only_user(self, name: str) -> onnx.NodeProto | None:
        """The one node that reads a value; None if there are several, or if it is an output."""
        users = self._users[name]
        return users[0] if len(users) == 1 and name not in self.outputs else None


class Tape:
    """A graph being written: nodes in order, constants by name."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.initialisers: list[onnx.TensorProto] = []
        self._count = 0

    def op(self, kind: str, *inputs: str, name: str | None = None, **attrs: Any) -> str:
        """Append a node; the name of its one output (``name`` where it has to be a certain one)."""
        output = name or self._fresh(kind)
        self.nodes.append(helper.make_node(kind, list(inputs), [output], name=f"{output}_{kind}", **attrs))
        return output

    def constant(self, value: np.ndarray) -> str:
        """The name of a new constant."""
        name = self._fresh("constant")
        self.initialisers.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def numbers(self, *values: int) -> str:
        """The name of a new int64 constant: a shape, a list of axes."""
        return self.constant(np.array(values, np.int64))

    def reshape(self, value: str, *shape: int, name: str | None = None) -> str:
        """Reshape to ``shape``; its one -1 is the batch."""
        return self.op("Reshape", value, self.numbers(*shape), name=name)

    def _fresh(self, kind: str) -> str:
        self._count += 1
        return f"rw{self._count}_{kind.lower()}"


def attributes(node: onnx.NodeProto) -> dict[str, Any]:
    """The attributes of a node as Python values, tensors as arrays."""
    values = {a.name: helper.get_attribute_value(a) for a in node.attribute}
    return {k: numpy_helper.to_array(v) if isinstance(v, onnx.TensorProto) else v for k, v in values.items()}


def rebuilt(
    model: onnx.ModelProto, nodes: Sequence[onnx.NodeProto], initialisers: Sequence[onnx.TensorProto]
) -> onnx.ModelProto:
    """``model`` with other nodes, and with those of the initialisers that they use."""
    used = {name for node in nodes for name in node.input}
    kept = [t for t in (*model.graph.initializer, *initialisers) if t.name in used]
    graph = helper.make_graph(nodes, model.graph.name, model.graph.input, model.graph.output, kept)
    new = helper.make_model(graph, opset_imports=model.opset_import, ir_version=model.ir_version)
    new.producer_name, new.producer_version = model.producer_name, model.producer_version
    return new


def _shape(value: onnx.ValueInfoProto) -> Shape | None:
    kind = value.type.tensor_type
    if not kind.HasField("shape"):
        return None
    return tuple(d.dim_value if d.HasField("dim_value") else None for d in kind.shape.dim)
