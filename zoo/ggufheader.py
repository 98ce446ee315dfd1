"""The header of a GGUF file: key-values and the table of tensors, read in bounded time and memory.

Every count, length and offset is checked against the file's size before anything is read or made, so that a
cut, renamed or forged file is refused in words and costs no more than its own header. Nothing is guessed:
what llama.cpp would not load (another byte order, arrays of arrays, two tensors of one name, tensors that
overlap or reach past the end) is refused here first.
Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md.
"""

from __future__ import annotations

import math
import mmap
import os
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .errors import IntegrityError, ModelError, ModelNotFoundError
from .ggufcursor import ARRAY, MAGIC, Cursor, Cut, Garbled

__all__ = ["TYPES", "GgufHeader", "GgufTensor", "GgufValue", "TensorType", "read_gguf_header"]

VERSIONS = (2, 3)
DEFAULT_ALIGNMENT = 32
_MOST_KEYS, _MOST_TENSORS, _MOST_DIMENSIONS = 1 << 16, 1 << 18, 4
_LONGEST_KEY, _LONGEST_NAME = 65535, 4096
_MOST_ALIGNMENT = 1 << 16


@dataclass(frozen=True)
class TensorType:
    """How numbers are stored: ``bytes`` for each ``block`` of them."""

    name: str
    block: int
    bytes: int


TYPES: dict[int, TensorType] = {
    number: TensorType(name, block, size)
    for number, name, block, size in (
        (0, "F32", 1, 4), (1, "F16", 1, 2), (2, "Q4_0", 32, 18), (3, "Q4_1", 32, 20), (6, "Q5_0", 32, 22),
        (7, "Q5_1", 32, 24), (8, "Q8_0", 32, 34), (9, "Q8_1", 32, 40), (10, "Q2_K", 256, 84),
        (11, "Q3_K", 256, 110), (12, "Q4_K", 256, 144), (13, "Q5_K", 256, 176), (14, "Q6_K", 256, 210),
        (15, "Q8_K", 256, 292), (16, "IQ2_XXS", 256, 66), (17, "IQ2_XS", 256, 74), (18, "IQ3_XXS", 256, 98),
        (19, "IQ1_S", 256, 50), (20, "IQ4_NL", 32, 18), (21, "IQ3_S", 256, 110), (22, "IQ2_S", 256, 82),
        (23, "IQ4_XS", 256, 136), (24, "I8", 1, 1), (25, "I16", 1, 2), (26, "I32", 1, 4), (27, "I64", 1, 8),
        (28, "F64", 1, 8), (29, "IQ1_M", 256, 56), (30, "BF16", 1, 2), (34, "TQ1_0", 256, 54),
        (35, "TQ2_0", 256, 66), (39, "MXFP4", 32, 17), (40, "NVFP4", 64, 36), (41, "Q1_0", 128, 18),
    )
}  # fmt: skip
"""Number in the file -> type (``ggml.h``)."""


@dataclass(frozen=True)
class GgufValue:
    """One key-value.

    Attributes:
        value: bool, int, float, str, a list of str, or an ndarray of numbers.
        kind: its type's number in the file; 9 is an array, whose elements are of ``item_kind``.
        item_kind: None unless it is an array.
        start, end: where the whole entry, key included, lies in the file.
    """

    value: Any
    kind: int
    item_kind: int | None
    start: int
    end: int


@dataclass(frozen=True)
class GgufTensor:
    """One line of the table of tensors.

    Attributes:
        name: in the file.
        shape: lengths, the one that runs fastest first (numpy's order is the reverse).
        type: its number; see ``TYPES``.
        offset: of its bytes from the file's beginning.
        size: bytes.
    """

    name: str
    shape: tuple[int, ...]
    type: int
    offset: int
    size: int

    @property
    def type_name(self) -> str:
        """ "F32", "Q8_0", ..."""
        return TYPES[self.type].name

    @property
    def count(self) -> int:
        """How many numbers it holds."""
        return math.prod(self.shape)


@dataclass(frozen=True)
class GgufHeader:
    """Everything that stands before the tensors' bytes.

    Attributes:
        name: the path, for messages.
        size: of the file, bytes.
        version: of the format: 2 or 3.
        alignment: each tensor begins at a multiple of this, counted from ``data_start``.
        metadata: key -> value, in the file's order.
        tensors: name -> tensor, in the file's order.
        table_start, table_end: where the table of tensors lies.
        data_start: where the tensor section begins; it ends with the file.
    """

    name: str
    size: int
    version: int
    alignment: int
    metadata: dict[str, GgufValue]
    tensors: dict[str, GgufTensor]
    table_start: int
    table_end: int
    data_start: int

    def get(self, key: str, default: Any = None) -> Any:
        """The value under a key."""
        found = self.metadata.get(key)
        return default if found is None else found.value

    @property
    def architecture(self) -> str:
        """ "llama", "clip" of an mmproj, ...; "" where the file does not say."""
        found = self.get("general.architecture", "")
        return found if isinstance(found, str) else ""

    @property
    def main_type(self) -> str:
        """The type that most of the tensors' bytes are of: "Q8_0"; "none" without tensors."""
        sizes: dict[str, int] = {}
        for tensor in self.tensors.values():
            sizes[tensor.type_name] = sizes.get(tensor.type_name, 0) + tensor.size
        return max(sizes, key=lambda name: sizes[name], default="none")


def read_gguf_header(path: str | os.PathLike[str]) -> GgufHeader:
    """Read the header of a GGUF file; of the tensors' bytes nothing is read.

    Args:
        path: the file.

    Raises:
        ModelNotFoundError: no such file.
        ModelError: it cannot be read, is no GGUF, or says of itself what cannot be.
        IntegrityError: it is cut short.
    """
    name = os.fspath(path)
    if not Path(name).is_file():
        raise ModelNotFoundError(f"{name}: no such file")
    try:
        with open(name, "rb") as stream:
            size = os.fstat(stream.fileno()).st_size
            refuse_strangers(name, stream.read(512), size)
            with mmap.mmap(stream.fileno(), size, access=mmap.ACCESS_READ) as content:
                return _parse(name, Cursor(content, size))
    except OSError as error:
        raise ModelError(f"{name}: cannot be read: {error.strerror or error}") from error


def is_gguf(path: str | os.PathLike[str]) -> bool:
    """Whether a file begins like one.

    Example:
        >>> is_gguf(__file__)
        False
    """
    try:
        with open(path, "rb") as stream:
            return stream.read(4) == MAGIC
    except OSError:
        return False


def refuse_strangers(name: str, head: bytes, size: int) -> None:
    """Name the things that people hand in by mistake.

    Raises:
        ModelError: the file does not begin like a GGUF.
    """
    if head.startswith(MAGIC):
        return
    what = "it begins with " + repr(head[:4])
    if size == 0:
        what = "it is empty (0 bytes)"
    elif head.startswith(b"version https://git-lfs"):
        what = "a git-LFS pointer: fetch the real one with `git lfs pull`"
    elif head.lstrip().startswith(b"<"):
        what = "a web page or XML: the download went wrong"
    elif head.startswith(b"PK") or (head[:1] == b"\x80" and head[1:2] in b"\x02\x03\x04\x05"):
        what = "a pickle or a zip (as torch.save writes): refused, because loading it runs code"
    elif head[8:9] == b"{":
        what = "safetensors, by its looks: convert the checkpoint to GGUF first"
    elif head.startswith((b"ggml", b"lmgg", b"tjgg", b"ggjt")):
        what = "the format before GGUF: convert the model again"
    raise ModelError(f"{name}: not a GGUF file: {what}")


def _parse(name: str, cursor: Cursor) -> GgufHeader:
    try:
        return _header(name, cursor)
    except Cut as error:
        raise IntegrityError(f"{name}: cut short: {error}; fetch it again") from error
    except Garbled as error:
        raise ModelError(f"{name}: a damaged GGUF file: {error}") from error


def _header(name: str, cursor: Cursor) -> GgufHeader:
    cursor.at = len(MAGIC)
    version = cursor.number("I")
    if version not in VERSIONS:
        swapped = struct.unpack(">I", struct.pack("<I", version))[0] in VERSIONS
        why = "is big-endian, for other machines" if swapped else f"has version {version}; known are 2 and 3"
        raise Garbled(f"it {why}")
    tensor_count, key_count = cursor.number("Q"), cursor.number("Q")
    cursor.check_count(key_count, 13, _MOST_KEYS, "key-values")
    cursor.check_count(tensor_count, 24, _MOST_TENSORS, "tensors")
    metadata: dict[str, GgufValue] = {}
    for _ in range(key_count):
        key, entry = _entry(cursor)
        if key in metadata:
            raise Garbled(f"it holds the key {key!r} twice")
        metadata[key] = entry
    alignment = _alignment(metadata)
    table_start = cursor.at
    rows = [_row(cursor) for _ in range(tensor_count)]
    data_start = -(-cursor.at // alignment) * alignment
    tensors = _placed(rows, alignment, data_start, cursor.size)
    return GgufHeader(
        name, cursor.size, version, alignment, metadata, tensors, table_start, cursor.at, data_start
    )


def _entry(cursor: Cursor) -> tuple[str, GgufValue]:
    start = cursor.at
    key = cursor.text(_LONGEST_KEY, "a key")
    kind = cursor.number("I")
    if kind != ARRAY:
        return key, GgufValue(cursor.value(kind, key), kind, None, start, cursor.at)
    item_kind, values = cursor.array(key)
    return key, GgufValue(values, kind, item_kind, start, cursor.at)


def _alignment(metadata: dict[str, GgufValue]) -> int:
    entry = metadata.get("general.alignment")
    if entry is None:
        return DEFAULT_ALIGNMENT
    value = entry.value
    whole = isinstance(value, int) and not isinstance(value, bool)
    if not whole or not 1 <= value <= _MOST_ALIGNMENT or value & (value - 1):
        raise Garbled(f"general.alignment: got {value!r}, expected a power of two up to {_MOST_ALIGNMENT}")
    return value


Row = tuple[str, tuple[int, ...], int, int]


def _row(cursor: Cursor) -> Row:
    """(name, shape, type, offset from the tensor section's beginning)."""
    name = cursor.text(_LONGEST_NAME, "a tensor's name")
    dimensions = cursor.number("I")
    if dimensions > _MOST_DIMENSIONS:
        raise Garbled(f"tensor {name!r}: {dimensions} dimensions; there are at most {_MOST_DIMENSIONS}")
    shape = tuple(cursor.number("Q") for _ in range(dimensions))
    return name, shape, cursor.number("I"), cursor.number("Q")


def _placed(rows: list[Row], alignment: int, data_start: int, size: int) -> dict[str, GgufTensor]:
    """The table with places in the file, all of them inside it and apart."""
    tensors: dict[str, GgufTensor] = {}
    for name, shape, kind, offset in rows:
        if name in tensors:
            raise Garbled(f"it holds the tensor {name!r} twice")
        if offset % alignment:
            raise Garbled(f"tensor {name!r}: begins at {offset}, no multiple of {alignment}")
        tensors[name] = GgufTensor(name, shape, kind, data_start + offset, _bytes(name, shape, kind))
    end, before = data_start, ""
    for tensor in sorted(tensors.values(), key=lambda tensor: (tensor.offset, tensor.size)):
        if tensor.offset < end and tensor.size:
            raise Garbled(f"the tensors {before!r} and {tensor.name!r} overlap")
        end, before = max(end, tensor.offset + tensor.size), tensor.name
        if end > size:
            raise Cut(f"tensor {tensor.name!r} ends at byte {end}, the file has {size}")
    return tensors


def _bytes(name: str, shape: tuple[int, ...], kind: int) -> int:
    if kind not in TYPES:
        raise Garbled(f"tensor {name!r}: stored as type {kind}, which this voxzoo does not know")
    stored, count = TYPES[kind], math.prod(shape)
    if count and shape and shape[0] % stored.block:
        raise Garbled(f"tensor {name!r}: rows of {shape[0]}, no multiple of {stored.name}'s {stored.block}")
    if count > np.iinfo(np.int64).max:
        raise Garbled(f"tensor {name!r}: shape {shape} is more than any file holds")
    return count // stored.block * stored.bytes
