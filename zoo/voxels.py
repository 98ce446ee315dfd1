"""Kernels that scan a volume once: where the brain is, how intensities are distributed, which labels occur.

All take the voxels as one flat, read-only, contiguous array in memory order (``flat_view``), so that one
compiled version serves every axis order. The brain is "voxels that are not zero": some collections hold
negative intensities. Most of a head volume is background, so every kernel asks of a whole block first
whether anything in it is set; written over a slice and without an early exit, that compiles to vector code.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..rasterize.jit import kernel

__all__ = ["Translation", "flat_view", "occupied_box", "translate", "value_counts"]

Array = np.ndarray

BLOCK = 32
"""Voxels that are skipped together when all are zero."""


def flat_view(array: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """``array`` as (flat read-only view or copy in memory order, element stride of each axis).

    Example:
        >>> flat_view(np.zeros((2, 3, 4), order="F"))[1].tolist()
        [1, 2, 6]
    """
    if not (array.flags.f_contiguous or array.flags.c_contiguous):
        array = np.asfortranarray(array)
    flat = array.reshape(-1, order="F" if array.flags.f_contiguous else "C")
    flat.flags.writeable = False
    return flat, np.array([s // array.itemsize for s in array.strides], dtype=np.int64)


def occupied_box(array: np.ndarray) -> tuple[tuple[int, int], ...] | None:
    """First and last index along each axis with a voxel that is not zero; None for an empty volume.

    Example:
        >>> volume = np.zeros((4, 5, 6)); volume[1:3, 2, 3:6] = 7
        >>> occupied_box(volume)
        ((1, 2), (2, 2), (3, 5))
    """
    flat, _ = flat_view(array)
    # Not from the strides: those of an axis of length 1 mean nothing.
    is_c = array.flags.c_contiguous and not array.flags.f_contiguous
    order = (0, 1, 2) if is_c else (2, 1, 0)
    box = np.empty((3, 2), dtype=np.int64)
    _box(flat, array.shape[order[0]], array.shape[order[1]], array.shape[order[2]], box)
    if box[0, 1] < 0:
        return None
    return tuple((int(box[order.index(axis), 0]), int(box[order.index(axis), 1])) for axis in range(3))


def value_counts(array: np.ndarray) -> tuple[np.ndarray, int]:
    """How often each value occurs among the voxels that are not zero, for 8- and 16-bit integers.

    Returns:
        (counts, lowest): ``counts[i]`` voxels have the value ``lowest + i``.

    Example:
        >>> counts, lowest = value_counts(np.array([0, 3, 3, 7], np.uint8))
        >>> counts[[3 - lowest, 7 - lowest, 0 - lowest]].tolist(), int(counts.sum())
        ([2, 1, 0], 3)
    """
    info = np.iinfo(array.dtype)
    counts = np.zeros(int(info.max) - int(info.min) + 1, dtype=np.int64)
    _value_counts(flat_view(array)[0], int(info.min), counts)
    counts[-int(info.min)] = 0
    return counts, int(info.min)


@dataclass(frozen=True, eq=False)
class Translation:
    """What became of a label volume.

    Args:
        labels: uint8, of the shape and memory order of the input; wherever a label was refused, 0.
        counts: (256,) how many voxels hold each whole label of the file.
        fractions: voxels that hold no whole number (NaN included).
        outside: voxels below 0 or above 255.
        first: the first value of either kind, for the message.
    """

    labels: np.ndarray
    counts: np.ndarray
    fractions: int
    outside: int
    first: float


def translate(array: np.ndarray, table: np.ndarray, tolerance: float) -> Translation:
    """Look every label up in ``table``, and count.

    Args:
        array: (X, Y, Z) of any integer or float type.
        table: (256,) uint8, new label of each old one; the new label of 0 is 0.
        tolerance: how far a float may be from a whole number.
    """
    flat, _ = flat_view(array)
    out = np.zeros(flat.size, dtype=np.uint8)
    counts, report = np.zeros(256, dtype=np.int64), np.zeros(3)
    _translate(flat, table, tolerance, out, counts, report)
    order = "F" if array.flags.f_contiguous or not array.flags.c_contiguous else "C"
    labels = out.reshape(array.shape, order=order)  # type: ignore[call-overload]
    return Translation(labels, counts, int(report[0]), int(report[1]), float(report[2]))


@kernel
def _occupied(values: Array) -> bool:
    # No early exit: without one the compiler compares a whole vector register at a time.
    any_set = False
    for i in range(values.size):
        any_set |= values[i] != 0
    return any_set


@kernel
def _box(flat: Array, slow: int, middle: int, fast: int, box: Array) -> None:
    """Occupied box of a C-ordered (slow, middle, fast) volume: rows first, then only the ends of a row."""
    box[0, 0], box[1, 0], box[2, 0] = slow, middle, fast
    box[:, 1] = -1
    for s in range(slow):
        for m in range(middle):
            start = (s * middle + m) * fast
            row = flat[start : start + fast]
            if not _occupied(row):
                continue
            box[0, 0], box[0, 1] = min(box[0, 0], s), max(box[0, 1], s)
            box[1, 0], box[1, 1] = min(box[1, 0], m), max(box[1, 1], m)
            low = 0
            while low < box[2, 0] and row[low] == 0:
                low += 1
            box[2, 0] = min(box[2, 0], low)
            high = fast - 1
            while high > box[2, 1] and row[high] == 0:
                high -= 1
            box[2, 1] = max(box[2, 1], high)


@kernel
def _value_counts(flat: Array, lowest: int, counts: Array) -> None:
    for start in range(0, flat.size, BLOCK):
        block = flat[start : start + BLOCK]
        if _occupied(block):
            for v in block:
                counts[np.uint16(np.int64(v) - lowest)] += 1


@kernel
def _translate(flat: Array, table: Array, tolerance: float, out: Array, counts: Array, report: Array) -> None:
    for start in range(0, flat.size, BLOCK):
        block = flat[start : start + BLOCK]
        if not _occupied(block):
            counts[0] += block.size
            continue
        for i in range(block.size):
            value = np.float64(block[i])
            whole = np.rint(value)
            # NaN compares false with everything, so being near a whole number is what has to be shown.
            near = abs(value - whole) <= tolerance
            if near and 0 <= whole <= 255:
                counts[np.uint8(whole)] += 1
                out[start + i] = table[np.uint8(whole)]
            else:
                if report[0] + report[1] == 0:
                    report[2] = value
                report[1 if near else 0] += 1
