"""Writing a GGUF file from the start, tensor by tensor: never more of it in memory than a block of rows.

Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from ...eval.files import reason
from ...zoo.atomic import whole_file
from ...zoo.errors import InputError, ModelError
from ...zoo.ggufcursor import ARRAY, MAGIC, STRING
from ...zoo.ggufheader import TYPES
from ..safefile import Array
from .kquants import quantise, row_bytes

_VERSION, _ALIGNMENT = 3, 32
_UINT32, _INT32, _FLOAT32, _BOOL = 4, 5, 6, 7
_NUMBERS = {kind.name: number for number, kind in TYPES.items()}


@dataclass(frozen=True)
class Planned:
    """A tensor that is to be written.

    Attributes:
        name: in the file.
        shape: in numpy's order, the row's length last.
        format: "F32", "Q8_0", ...
        rows: opens it: blocks of whole rows, float32, the first axis counted.
    """

    name: str
    shape: tuple[int, ...]
    format: str
    rows: Callable[[], Iterable[Array]]

    @property
    def size(self) -> int:
        """Bytes in the file."""
        return math.prod(self.shape[:-1]) * row_bytes(self.shape[-1], self.format)


def write_gguf(path: Path, metadata: Mapping[str, Any], tensors: Sequence[Planned]) -> None:
    """Write a GGUF file in one step: it is there whole, or not at all.

    Args:
        path: of the file.
        metadata: key -> bool, int (uint32), float (float32), str, or a list of one of these (of ints: int32).
        tensors: in the order that they get in the file.

    Raises:
        ModelError: it cannot be written (a full disk), or a format cannot hold a tensor.
    """
    try:
        with whole_file(path) as out:
            _head(out, metadata, tensors)
            for tensor in tensors:
                _data(out, tensor, path)
    except OSError as error:
        raise ModelError(f"{path}: cannot be written ({reason(error)}); nothing was left there") from error


def _head(out: BinaryIO, metadata: Mapping[str, Any], tensors: Sequence[Planned]) -> None:
    out.write(MAGIC + struct.pack("<IQQ", _VERSION, len(tensors), len(metadata)))
    for key, value in metadata.items():
        kind, data = packed(value)
        out.write(_text(key) + struct.pack("<I", kind) + data)
    offset = 0
    for tensor in tensors:
        shape = tensor.shape[::-1]
        out.write(_text(tensor.name) + struct.pack(f"<I{len(shape)}Q", len(shape), *shape))
        out.write(struct.pack("<IQ", _NUMBERS[tensor.format], offset))
        offset += _padded(tensor.size)
    out.write(b"\0" * (-out.tell() % _ALIGNMENT))


def _data(out: BinaryIO, tensor: Planned, path: Path) -> None:
    written = 0
    for block in _opened(tensor, path):
        written += out.write(block)
    if written != tensor.size:
        raise ModelError(f"{path}: {tensor.name} came as {written} bytes, expected {tensor.size}")
    out.write(b"\0" * (_padded(written) - written))


def _opened(tensor: Planned, path: Path) -> Iterator[bytes]:
    try:
        for block in tensor.rows():
            yield quantise(block.reshape(-1, tensor.shape[-1]), tensor.format)
    except InputError as error:
        raise ModelError(f"{path}: {tensor.name}: {error}") from error


def _padded(size: int) -> int:
    return -(-size // _ALIGNMENT) * _ALIGNMENT


def packed(value: Any) -> tuple[int, bytes]:
    """The type's number and the bytes of a value.

    Example:
        >>> packed(True), packed(7), packed("a")
        ((7, b'\\x01'), (4, b'\\x07\\x00\\x00\\x00'), (8, b'\\x01\\x00\\x00\\x00\\x00\\x00\\x00\\x00a'))
    """
    if isinstance(value, bool):
        return _BOOL, struct.pack("<?", value)
    if isinstance(value, int):
        return _UINT32, struct.pack("<I", value)
    if isinstance(value, float):
        return _FLOAT32, struct.pack("<f", value)
    if isinstance(value, str):
        return STRING, _text(value)
    return ARRAY, _array(value)


def _array(values: Sequence[Any]) -> bytes:
    first = values[0] if values else 0
    if isinstance(first, str):
        return struct.pack("<IQ", STRING, len(values)) + b"".join(map(_text, values))
    kind, letter = (_FLOAT32, "f") if isinstance(first, float) else (_INT32, "i")
    return struct.pack(f"<IQ{len(values)}{letter}", kind, len(values), *values)


def _text(value: str) -> bytes:
    data = value.encode()
    return struct.pack("<Q", len(data)) + data
