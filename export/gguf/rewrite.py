"""A copy of a GGUF file in which some tensors are changed: streamed, key-values and layout as they were.

Rows are read, changed, written and forgotten in blocks, so memory does not grow with the model.
Key-values are copied byte by byte (tokenizer and chat template among them), but for those asked for.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from ...eval.files import reason
from ...zoo.errors import InputError, ModelError, RunError
from ...zoo.ggufcursor import MAGIC
from ...zoo.gguffile import chunks
from ...zoo.ggufheader import TYPES, GgufHeader
from . import kquants
from .change import Change, Rows
from .output import packed
from .pair import rows_and_columns
from .tensors import read_rows

#: Values of a block of rows: 8 MB in float32, of which half a dozen are alive at a time.
BLOCK = 1 << 21
_NUMBER = {type.name: number for number, type in TYPES.items()}


@dataclass(frozen=True)
class Output:
    """One tensor of the file to be written.

    Attributes:
        change: what happens to it; no steps of one that is only copied or brought into another format.
        format: that it gets: "F32", "Q8_0", ...
    """

    change: Change
    format: str

    @property
    def size(self) -> int:
        """Bytes."""
        source = self.change.source
        if self.format == source.type_name:
            return source.size
        rows, columns = rows_and_columns(source)
        return rows * kquants.row_bytes(columns, self.format)


@dataclass(frozen=True)
class Effect:
    """What became of one tensor.

    Attributes:
        name: in the file.
        before, format: its format in the base and in the merged file.
        change: |dW| / |W|: what the adapters ask for, relative to the base (Frobenius norms).
        noise: |W written - W asked for| / |dW|: how much of the change the format drowns.
    """

    name: str
    before: str
    format: str
    change: float
    noise: float


def rewrite(
    header: GgufHeader, outputs: Sequence[Output], entries: Mapping[str, bytes | None], target: Path
) -> list[Effect]:
    """Write the changed copy.

    Args:
        header: of the base.
        outputs: every tensor of the new file, in order.
        entries: key -> the whole encoded key-value that replaces or follows the base's; None leaves it out.
        target: written plainly; a caller who needs it whole or not at all renames it.

    Returns:
        The effect on every tensor that has steps.

    Raises:
        RunError: the disk is full, or ``target`` cannot be written.
        ModelError: what comes out is not finite, or too large for its format.
    """
    kept = [value for key, value in header.metadata.items() if key not in entries]
    new = [data for data in entries.values() if data is not None]
    try:
        with open(header.name, "rb") as base, target.open("wb") as out:
            out.write(MAGIC + struct.pack("<IQQ", header.version, len(outputs), len(kept) + len(new)))
            for value in kept:
                out.writelines(chunks(base, value.start, value.end))
            out.writelines(new)
            out.writelines(_table(outputs, header.alignment))
            return [effect for one in outputs if (effect := _write(header, base, out, one))]
    except OSError as error:
        raise RunError(f"{target}: cannot be written ({reason(error)}); nothing was kept") from error


def entry(key: str, value: bool | int | float | str) -> bytes:
    """A key-value as it stands in a file.

    Example:
        >>> entry("a", 7).hex()
        '0100000000000000610400000007000000'
    """
    kind, data = packed(value)
    return packed(key)[1] + struct.pack("<I", kind) + data


def _table(outputs: Sequence[Output], alignment: int) -> Iterator[bytes]:
    """Lines of the table of tensors: they follow each other, each at a multiple of the alignment."""
    offset = 0
    for one in outputs:
        shape = one.change.source.shape
        yield packed(one.change.target)[1] + struct.pack(f"<I{len(shape)}Q", len(shape), *shape)
        yield struct.pack("<IQ", _NUMBER[one.format], offset)
        offset += -(-one.size // alignment) * alignment


def _write(header: GgufHeader, base: BinaryIO, out: BinaryIO, one: Output) -> Effect | None:
    """The bytes of one tensor, at the next multiple of the alignment, and behind it the padding."""
    out.write(b"\0" * (-out.tell() % header.alignment))
    source, effect = one.change.source, None
    if not one.change.steps and one.format == source.type_name:
        out.writelines(chunks(base, source.offset, source.offset + source.size))
    else:
        effect = _convert(header, out, one)
    out.write(b"\0" * (-out.tell() % header.alignment))
    return effect


def _convert(header: GgufHeader, out: BinaryIO, one: Output) -> Effect | None:
    change, source = one.change, one.change.source
    rows, columns = rows_and_columns(source)
    steps = [open_step() for open_step in change.steps]
    step_rows = max(1, BLOCK // columns)
    sums = np.zeros(3)
    for start in range(0, rows, step_rows):
        stop = min(rows, start + step_rows)
        weights = base = read_rows(header, source, start, stop)
        for step in steps:
            weights = step(weights, base, start, stop)
        data = _quantised(weights, one)
        out.write(data)
        if steps:
            sums += _sums(base, weights, data, one.format)
    if not steps:
        return None
    full, moved, lost = np.sqrt(sums)
    return Effect(
        change.target,
        source.type_name,
        one.format,
        float(moved / full) if full else float("inf"),
        float(lost / moved) if moved else 0.0,
    )


def _quantised(weights: Rows, one: Output) -> bytes:
    try:
        return kquants.quantise(weights, one.format)
    except InputError as error:
        raise ModelError(f"{one.change.target}: {error}; nothing was kept") from error


def _sums(base: Rows, weights: Rows, data: bytes, format: str) -> list[float]:
    """Squares of |W|, |dW| and of what the format loses."""
    lost = 0.0
    if format != "F32":
        lost = _square(kquants.dequantise(data, format, weights.shape[1]) - weights)
    return [_square(base), _square(weights - base), lost]


def _square(values: Rows) -> float:
    flat = values.reshape(-1)
    return float(np.dot(flat, flat))
