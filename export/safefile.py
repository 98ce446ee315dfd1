"""Safetensors files as bytes: a bounded header, tensors by rows, no torch and no pickle.

The layout is 8 bytes (the header's length, little-endian), a JSON header (name -> dtype, shape, offsets), the
tensors. Everything the header says is checked against the file's size before a byte of data is read, so a cut
or hostile file costs neither memory nor time. Source: https://github.com/huggingface/safetensors#format.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from ..eval.files import reason
from ..zoo.errors import IntegrityError, ModelError, ModelNotFoundError

#: Longest header that is read; the adapters of the largest models have less than 2 MB.
MAX_HEADER = 16 << 20
_MAX_DIMS, _MAX_NAME = 8, 1024
#: How files start that ``torch.save`` (zip, or a bare pickle of protocol 2 to 5) and tar wrote.
_PICKLES = (b"PK\x03\x04", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")
#: Bytes of a value. Only the floats can be read; the others are known so that their sizes can be checked.
_BYTES = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "I16": 2, "I8": 1, "U64": 8,
          "U32": 4, "U16": 2, "U8": 1, "BOOL": 1, "F8_E4M3": 1, "F8_E5M2": 1}  # fmt: skip
_NUMPY = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2"}

Array = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Entry:
    """One tensor of a file.

    Attributes:
        name: as in the header.
        dtype: "F32", "F16", "BF16", ...
        shape: () of a scalar.
        start: of its bytes in the file.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    start: int

    @property
    def size(self) -> int:
        """Bytes."""
        return math.prod(self.shape) * _BYTES[self.dtype]


class SafeFile:
    """The tensors of one safetensors file, read when they are asked for.

    Args:
        path: the file.

    Raises:
        ModelNotFoundError: no such file.
        ModelError: a pickle, or no safetensors file.
        IntegrityError: cut short or damaged.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        refuse_pickle(path)
        try:
            with path.open("rb") as file:
                size = path.stat().st_size
                header, begin = _header(path, file, size)
        except OSError as error:
            raise ModelError(f"{path}: cannot be read ({reason(error)})") from error
        self.entries = {e.name: e for e in _entries(path, header, begin)}
        _check_layout(path, list(self.entries.values()), begin, size)

    def read(self, name: str, start: int = 0, stop: int | None = None) -> Array:
        """Rows ``start`` to ``stop`` (of the first axis) of a tensor, in float32.

        Raises:
            ModelError: the tensor holds no floats, or the file cannot be read.
        """
        entry = self.entries[name]
        if entry.dtype not in _NUMPY:
            raise ModelError(f"{self.path}: {name} is {entry.dtype}, expected F32, F16 or BF16")
        rows = entry.shape[0] if entry.shape else 1
        stop = rows if stop is None else min(stop, rows)
        width = entry.size // rows if rows else 0
        raw = self._bytes(entry.start + start * width, max(0, stop - start) * width)
        return _floats(raw, entry.dtype).reshape(max(0, stop - start), *entry.shape[1:])

    def blocks(self, name: str, values: int = 1 << 22) -> Iterator[Array]:
        """A tensor in blocks of rows of about ``values`` values each."""
        entry = self.entries[name]
        rows = entry.shape[0] if entry.shape else 1
        step = max(1, values * rows // max(1, math.prod(entry.shape)))
        for start in range(0, rows, step):
            yield self.read(name, start, start + step)

    def _bytes(self, start: int, count: int) -> bytes:
        try:
            with self.path.open("rb") as file:
                file.seek(start)
                data = file.read(count)
        except OSError as error:
            raise ModelError(f"{self.path}: cannot be read ({reason(error)})") from error
        if len(data) != count:
            raise IntegrityError(f"{self.path}: became shorter while it was read; fetch it again")
        return data


def refuse_pickle(path: Path) -> None:
    """Refuse what ``torch.save`` wrote: reading it runs the code that it holds.

    Raises:
        ModelNotFoundError: no such file.
        ModelError: a pickle, or a file that cannot be read.
    """
    try:
        with path.open("rb") as file:
            start = file.read(4)
    except FileNotFoundError as error:
        raise ModelNotFoundError(f"{path}: cannot be read (no such file)") from error
    except OSError as error:
        raise ModelError(f"{path}: cannot be read ({reason(error)})") from error
    if start.startswith(_PICKLES):
        raise ModelError(
            f"{path}: a PyTorch pickle, which would run code when read; save the weights with "
            "safetensors.torch.save_file and give that file"
        )


def _header(path: Path, file: BinaryIO, size: int) -> tuple[dict[str, Any], int]:
    """The parsed header and where the data begin."""
    head = file.read(9)
    length = struct.unpack("<Q", head[:8])[0] if len(head) == 9 else -1
    if length < 2 or head[8:] != b"{":
        raise ModelError(f"{path}: not a safetensors file ({size} bytes)")
    if length > MAX_HEADER:
        raise ModelError(f"{path}: not a safetensors file: a header of {length} bytes, at most {MAX_HEADER}")
    if 8 + length > size:
        raise IntegrityError(
            f"{path}: cut short: {size} bytes, the header alone has {length}; fetch it again"
        )
    try:
        header = json.loads(b"{" + file.read(length - 1), object_pairs_hook=_unique)
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{path}: not a safetensors file: its header is no JSON ({error})") from error
    return header, 8 + length


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name twice")
    return found


def _entries(path: Path, header: dict[str, Any], begin: int) -> Iterator[Entry]:
    for name, facts in header.items():
        if name == "__metadata__":
            continue
        known: dict[str, Any] = facts if isinstance(facts, dict) else {}
        values: tuple[Any, ...] = tuple(known.get(key) for key in ("dtype", "shape", "data_offsets"))
        dtype, shape, offsets = values
        fine = isinstance(dtype, str) and dtype in _BYTES and _counts(shape) and _counts(offsets)
        if not fine or len(offsets) != 2 or len(shape) > _MAX_DIMS or len(name) > _MAX_NAME:
            raise ModelError(f"{path}: the header says of {name[:80]!r}: {str(facts)[:80]}")
        entry = Entry(name, dtype, tuple(shape), begin + offsets[0])
        if entry.size != offsets[1] - offsets[0]:
            raise IntegrityError(
                f"{path}: {name[:80]} is {dtype} {entry.shape}, which takes {entry.size} bytes; the header "
                f"gives it {offsets[1] - offsets[0]}"
            )
        yield entry


def _counts(value: object) -> bool:
    """Whether a list of whole numbers from 0 below 2**48, so that no product of them hurts."""
    return isinstance(value, list) and all(type(v) is int and 0 <= v < 1 << 48 for v in value)


def _check_layout(path: Path, entries: list[Entry], begin: int, size: int) -> None:
    """The format allows neither holes nor overlaps, and nothing behind the last tensor."""
    end = begin
    for entry in sorted(entries, key=lambda e: (e.start, e.size)):
        if entry.start != end:
            raise IntegrityError(f"{path}: {entry.name[:80]} begins at byte {entry.start}, expected {end}")
        end += entry.size
    if end != size:
        word = "cut short" if end > size else "bytes behind the last tensor"
        raise IntegrityError(f"{path}: {word}: {size} bytes, expected {end}; fetch it again")


def _floats(raw: bytes, dtype: str) -> Array:
    values = np.frombuffer(raw, _NUMPY[dtype])
    if dtype == "BF16":
        return (values.astype(np.uint32) << 16).view(np.float32)
    return values.astype(np.float32)
