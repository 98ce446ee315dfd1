"""Kernels that scan a volume once: where the brain is, how intensities are distributed, which labels occur.

All take the voxels as one flat, read-only, contiguous array in memory order (``flat_view``), so that one
compiled version serves every axis order. The brain is "voxels that are not zero": some collections hold
negative intensities.
"""

from __future__ import annotations

import numpy as np

from ..rasterize.jit import kernel

__all__ = ["count_bytes", "flat_view", "occupied_box", "value_counts"]


def flat_view(array: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """``array`` as (flat read-only view or copy in memory order, element stride of each axis).

    Example:
        >>> flat_view(np.zeros((2, 3, 4), order="F"))[1].tolist()
        [1, 2, 6]
    """
    if not (array.flags.f_contiguous or array.flags.c_contiguous):
        array = np.asfortranarray(array)
    order = "F" if array.flags.f_contiguous else "C"
    flat = array.reshape(-1, order=order)  # type: ignore[call-overload]
    flat.flags.writeable = False
    return flat, np.array([s // array.itemsize for s in array.strides], dtype=np.int64)


def occupied_box(array: np.ndarray) -> tuple[tuple[int, int], ...] | None:
    """First and last index along each axis with a voxel that is not zero; None for an empty volume.

    Example:
        >>> volume = np.zeros((4, 5, 6)); volume[1:3, 2, 3:6] = 7
        >>> occupied_box(volume)
        ((1, 2), (2, 2), (3, 5))
    """
    order = sorted(range(3), key=lambda axis: -array.strides[axis])
    flat, _ = flat_view(array)
    order = order if array.flags.f_contiguous or array.flags.c_contiguous else [2, 1, 0]
    slow, middle, fast = (array.shape[axis] for axis in order)
    box = np.empty((3, 2), dtype=np.int64)
    _box(flat, slow, middle, fast, box)
    if box[0, 1] < 0:
        return None
    by_axis = {axis: (int(low), int(high)) for axis, (low, high) in zip(order, box, strict=True)}
    return tuple(by_axis[axis] for axis in range(3))


def count_bytes(array: np.ndarray) -> np.ndarray:
    """(256,) int64: how often each value occurs in a uint8 array."""
    counts = np.zeros(256, dtype=np.int64)
    _count_bytes(flat_view(array)[0], counts)
    return counts


def value_counts(array: np.ndarray) -> tuple[np.ndarray, int]:
    """How often each value occurs among the voxels that are not zero, for 8- and 16-bit integers.

    Returns:
        (counts, lowest): ``counts[i]`` voxels have the value ``lowest + i``.
    """
    info = np.iinfo(array.dtype)
    counts = np.zeros(int(info.max) - int(info.min) + 1, dtype=np.int64)
    _value_counts(flat_view(array)[0], int(info.min), counts)
    counts[-int(info.min)] = 0
    return counts, int(info.min)


@kernel
def _row_occupied(flat: np.ndarray, start: int, stop: int) -> bool:
    # No early exit: without one the compiler compares a whole vector register at a time.
    any_set = False
    for i in range(start, stop):
        any_set |= flat[i] != 0
    return any_set


@kernel
def _box(flat: np.ndarray, slow: int, middle: int, fast: int, box: np.ndarray) -> None:
    """Occupied box of a C-ordered (slow, middle, fast) volume: rows first, then only the ends of a row."""
    box[0, 0], box[1, 0], box[2, 0] = slow, middle, fast
    box[0, 1], box[1, 1], box[2, 1] = -1, -1, -1
    for s in range(slow):
        for m in range(middle):
            start = (s * middle + m) * fast
            if not _row_occupied(flat, start, start + fast):
                continue
            box[0, 0], box[0, 1] = min(box[0, 0], s), max(box[0, 1], s)
            box[1, 0], box[1, 1] = min(box[1, 0], m), max(box[1, 1], m)
            low = 0
            while low < box[2, 0] and flat[start + low] == 0:
                low += 1
            box[2, 0] = min(box[2, 0], low)
            high = fast - 1
            while high > box[2, 1] and flat[start + high] == 0:
                high -= 1
            box[2, 1] = max(box[2, 1], high)


@kernel
def _count_bytes(flat: np.ndarray, counts: np.ndarray) -> None:
    """Runs of zeros (most of a label volume) are counted by block, the rest by voxel."""
    block = 256
    for start in range(0, flat.size, block):
        stop = min(start + block, flat.size)
        if not _row_occupied(flat, start, stop):
            counts[0] += stop - start
            continue
        for i in range(start, stop):
            counts[flat[i]] += 1


@kernel
def _value_counts(flat: np.ndarray, lowest: int, counts: np.ndarray) -> None:
    block = 128
    for start in range(0, flat.size, block):
        stop = min(start + block, flat.size)
        if _row_occupied(flat, start, stop):
            for i in range(start, stop):
                counts[np.int64(flat[i]) - lowest] += 1
