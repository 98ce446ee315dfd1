"""A walker over protobuf's wire format: where each field of a message starts and ends, and nothing more.

It lets a model file be read, hashed and given a contract without the ``onnx`` package, without a runtime
and without holding the file in memory. Format: https://protobuf.dev/programming-guides/encoding/.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

VARINT, FIXED64, LENGTH, FIXED32 = 0, 1, 2, 5
_FIXED_SIZE = {FIXED64: 8, FIXED32: 4}
_MAX_VARINT = 10


class WireError(ValueError):
    """The bytes are no protobuf message."""


class CutError(WireError):
    """The bytes end in the middle of a field."""


class Field(NamedTuple):
    """One field of a message; positions are byte offsets in the stream.

    Attributes:
        number: the field's number.
        wire: its wire type (0 varint, 1 fixed64, 2 length-delimited, 5 fixed32).
        start: where its key begins.
        value_start: where its value begins, after key and length.
        end: one past its last byte.
        value: the number itself for varints, else 0.
    """

    number: int
    wire: int
    start: int
    value_start: int
    end: int
    value: int


def walk(stream: BinaryIO, start: int, end: int) -> Iterator[Field]:
    """Fields of the message that fills bytes [start, end) of ``stream``, in file order.

    The stream's position is its own between two fields: callers may seek freely.

    Raises:
        WireError: not a message; as its subclass CutError where a field runs past ``end``.

    Example:
        >>> import io
        >>> [(f.number, f.value) for f in walk(io.BytesIO(bytes([0x08, 0x96, 0x01])), 0, 3)]
        [(1, 150)]
    """
    position = start
    while position < end:
        field = _field_at(stream, position, end)
        yield field
        position = field.end


def _field_at(stream: BinaryIO, position: int, end: int) -> Field:
    stream.seek(position)
    head = stream.read(min(2 * _MAX_VARINT, end - position))
    key, used = _varint(head, 0)
    number, wire = key >> 3, key & 7
    if number == 0:
        raise WireError(f"field number 0 at byte {position}")
    value_start, value = position + used, 0
    if wire == VARINT:
        value, used = _varint(head, used)
        stop = position + used
    elif wire == LENGTH:
        size, used = _varint(head, used)
        value_start = position + used
        stop = value_start + size
    elif wire in _FIXED_SIZE:
        stop = value_start + _FIXED_SIZE[wire]
    else:
        raise WireError(f"wire type {wire} at byte {position}")
    if stop > end:
        raise CutError(f"field {number} at byte {position} should end at byte {stop}, the bytes end at {end}")
    return Field(number, wire, position, value_start, stop, value)


def _varint(data: bytes, offset: int) -> tuple[int, int]:
    """The varint at ``offset`` and the offset behind it."""
    value = 0
    for i, byte in enumerate(data[offset : offset + _MAX_VARINT]):
        value |= (byte & 0x7F) << (7 * i)
        if byte < 0x80:
            return value, offset + i + 1
    if len(data) - offset < _MAX_VARINT:
        raise CutError("the bytes end inside a number")
    raise WireError("a number longer than 10 bytes")


def read_value(stream: BinaryIO, field: Field) -> bytes:
    """The bytes of a length-delimited field's value."""
    stream.seek(field.value_start)
    return stream.read(field.end - field.value_start)


def encode_varint(value: int) -> bytes:
    """``value`` (>= 0) as a varint.

    Example:
        >>> encode_varint(150).hex()
        '9601'
    """
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def encode_bytes(number: int, value: bytes) -> bytes:
    """A length-delimited field: key, length, value.

    Example:
        >>> encode_bytes(2, b"hi").hex()
        '12026869'
    """
    return encode_varint(number << 3 | LENGTH) + encode_varint(len(value)) + value
