"""Reading the primitives of a GGUF file one after the other, each checked against the file's end first."""

from __future__ import annotations

import mmap
import struct
from typing import Any

import numpy as np

__all__ = ["ARRAY", "KINDS", "MAGIC", "STRING", "Cursor", "Cut", "Garbled"]

MAGIC = b"GGUF"
STRING, ARRAY = 8, 9
KINDS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
"""Number of a type of value -> its letter in ``struct``; strings and arrays have none."""
_MOST_TEXTS = 1 << 23
_LONGEST_TEXT = 256 << 20


class Garbled(Exception):
    """The bytes say what cannot be."""


class Cut(Garbled):
    """The bytes end before what they announce."""


class Cursor:
    """A place in a file's content.

    Args:
        content: of the file.
        size: bytes.

    Attributes:
        at: the place.
    """

    def __init__(self, content: mmap.mmap | bytes, size: int) -> None:
        self._content = content
        self.size = size
        self.at = 0

    def number(self, letter: str) -> Any:
        """The number of this ``struct`` letter, little-endian."""
        length = struct.calcsize(letter)
        start = self._take(length, "a number")
        return struct.unpack_from(f"<{letter}", self._content, start)[0]

    def text(self, longest: int, what: str) -> str:
        """A string: its length, then UTF-8.

        Raises:
            Garbled: longer than ``longest``, or not UTF-8.
        """
        length = self.number("Q")
        if length > longest and length <= self.size - self.at:
            raise Garbled(f"{what} of {length} bytes; at most {longest} are allowed")
        start = self._take(length, what)
        try:
            return self._content[start : start + length].decode()
        except UnicodeDecodeError as error:
            raise Garbled(f"{what} at byte {start} is not UTF-8 text") from error

    def value(self, kind: int, key: str) -> Any:
        """One value that is no array."""
        if kind == STRING:
            return self.text(_LONGEST_TEXT, f"the value of {key!r}")
        if kind not in KINDS:
            raise Garbled(f"key {key!r}: a value of type {kind}, which does not exist")
        return self.number(KINDS[kind])

    def array(self, key: str) -> tuple[int, Any]:
        """(type of the elements, the elements): an ndarray of numbers or a list of str."""
        kind, count = self.number("I"), self.number("Q")
        if kind == STRING:
            self.check_count(count, 8, _MOST_TEXTS, f"strings of {key!r}")
            return kind, [self._piece(key) for _ in range(count)]
        if kind not in KINDS:
            what = "arrays of arrays" if kind == ARRAY else f"values of type {kind}, which does not exist"
            raise Garbled(f"key {key!r}: {what}")
        dtype = np.dtype(f"<{KINDS[kind]}")
        self.check_count(count, dtype.itemsize, self.size, f"numbers of {key!r}")
        start = self._take(count * dtype.itemsize, key)
        return kind, np.frombuffer(self._content, dtype, count, start).copy()

    def check_count(self, count: int, least: int, most: int, what: str) -> None:
        """Refuse a count of things of at least ``least`` bytes that cannot all be in the rest of the file."""
        if count * least > self.size - self.at:
            raise Cut(f"{count} {what} announced at byte {self.at}, {self.size - self.at} bytes are left")
        if count > most:
            raise Garbled(f"{count} {what}; at most {most} are allowed")

    def _piece(self, key: str) -> str:
        """A token: vocabularies hold pieces of UTF-8 too, which are kept as surrogates."""
        length = self.number("Q")
        start = self._take(length, f"a string of {key!r}")
        return self._content[start : start + length].decode("utf-8", "surrogateescape")

    def _take(self, length: int, what: str) -> int:
        start = self.at
        if length > self.size - start:
            raise Cut(f"{what} of {length} bytes at byte {start}, the file has {self.size}")
        self.at = start + length
        return start
