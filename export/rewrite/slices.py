"""3-D convolutions as 2-D ones over depth: onnxruntime has fast kernels for planes, and none for volumes.

A value (B, C, D, H, W) gets a *sliced* twin (B * D, C, H, W), one row per slice. A convolution gathers, for
each slice that it gives, the slices that it sees, as channels; its kernel's depth becomes input channels and
the arithmetic stays the same, product for product. What works on single voxels or planes is done on the twin
too, so that a whole network changes its layout once at the start and once at the end.

Rows may hold several slices, (B * D / r, r * C, H, W): the same bytes, seen with another shape. Transposed
convolutions make such rows, and pooling likes them.
"""

from __future__ import annotations

from typing import NamedTuple

import onnx

from .graph import Source, Tape, rebuilt


class Sliced(NamedTuple):
    """A twin: its name, and how many slices a row holds."""

    name: str
    rows: int


class Lowering:
    """The walk through a graph that gives values their twins.

    Attributes:
        source: the graph that is read.
        tape: the graph that is written.
        folded: values in the form of ``folded.py``: their names there.
    """

    def __init__(self, source: Source) -> None:
        self.source, self.tape = source, Tape()
        self.folded: dict[str, str] = {}
        self._sliced: dict[str, Sliced] = {}
        self._plain = set(source.inputs)

    def size(self, value: str) -> tuple[int, int, int, int] | None:
        """(C, D, H, W) of a volume; None for other values and free sizes."""
        shape = self.source.shape(value)
        if shape is None or len(shape) != 5 or None in shape[1:]:
            return None
        return shape[1:]  # type: ignore[return-value]

    def is_sliced(self, value: str) -> bool:
        """Whether there is a twin already."""
        return value in self._sliced

    def put(self, value: str, twin: str, rows: int = 1) -> None:
        """Note the twin of a value."""
        self._sliced[value] = Sliced(twin, rows)

    def any_rows(self, value: str) -> Sliced:
        """The twin with as many slices in a row as it happens to have."""
        if value not in self._sliced:
            c, _, h, w = self._known(value)
            turned = self.tape.op("Transpose", self.plain(value), perm=[0, 2, 1, 3, 4])
            self.put(value, self.tape.reshape(turned, -1, c, h, w))
        return self._sliced[value]

    def single(self, value: str) -> str:
        """The twin with one slice in a row."""
        twin = self.any_rows(value)
        if twin.rows != 1:
            c, _, h, w = self._known(value)
            self.put(value, self.tape.reshape(twin.name, -1, c, h, w))
        return self._sliced[value].name

    def stacked(self, value: str) -> str:
        """The twin as (B, D, C, H, W)."""
        c, d, h, w = self._known(value)
        return self.tape.reshape(self.any_rows(value).name, -1, d, c, h, w)

    def plain(self, value: str) -> str:
        """The value as it was, made from its twin where only that is there."""
        if value not in self._plain and value in self._sliced:
            self.tape.op("Transpose", self.stacked(value), name=value, perm=[0, 2, 1, 3, 4])
            self._plain.add(value)
        return value

    def copy(self, node: onnx.NodeProto) -> None:
        """Keep a node as it is."""
        for name in node.input:
            self.plain(name)
        self.tape.nodes.append(node)
        self._plain.update(node.output)

    def _known(self, value: str) -> tuple[int, int, int, int]:
        size = self.size(value)
        if size is None:
            raise ValueError(f"{value} is no volume of known size")
        return size


def slice_volumes(model: onnx.ModelProto) -> onnx.ModelProto | None:
    """``model`` with its 3-D convolutions as 2-D ones; None if it has none that can be."""
    from .rules import RULES, starts

    source = Source(model)
    low = Lowering(source)
    if not any(starts(low, node) for node in source.nodes):
        return None
    for node in source.nodes:
        rule = RULES.get(node.op_type)
        if rule is None or not rule(low, node):
            low.copy(node)
    for name in source.outputs:
        low.plain(name)
    return rebuilt(model, low.tape.nodes, low.tape.initialisers)
