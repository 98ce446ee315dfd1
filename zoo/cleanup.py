"""What is not to be believed, mended in labels in place: holes, small components, and small regions.

Components are found on runs, the stretches of foreground within a row, joined where rows touch (union-find,
as in Rosenfeld and Pfaltz 1966, doi 10.1145/321356.321357, over runs instead of voxels): a segmented head has
some thousand, so there is no volume of component numbers, and background is passed over once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..rasterize.jit import kernel
from .holes import fill_holes
from .tasks import segment
from .voxels import value_counts

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .contract import OutputSpec

__all__ = ["clean", "drop_small", "fill_small"]

Array = np.ndarray
ROUNDING = 1e-9
"""Share of a limit that may be lost to rounding: what has exactly the limit's volume stays."""


def clean(labels: NDArray[np.uint8], spacing_mm: Sequence[float], output: OutputSpec) -> NDArray[np.uint8]:
    """Mend, in place, what the contract says: holes, then components, then regions.

    Holes come first, so that what lies in one is no component by itself.

    Args:
        labels: uint8 (X, Y, Z), changed in place.
        spacing_mm: per array axis.
        output: says what, and how small.

    Returns:
        ``labels``.
    """
    if output.fill_holes:
        fill_holes(labels, segment.paint_order(output.channels)[0][1])
    if output.min_component_mm3 > 0 or output.min_component_share > 0:
        drop_small(labels, spacing_mm, output.min_component_mm3, output.min_component_share)
    if output.min_region_mm3:
        fill_small(labels, spacing_mm, output.channels, output.min_region_mm3)
    return labels


def drop_small(
    labels: NDArray[np.uint8], spacing_mm: Sequence[float], min_mm3: float, min_share: float = 0.0
) -> None:
    """Set to 0, in place, the components of the foreground that are too small.

    Components are of all labels together, 26-connected.

    Args:
        labels: uint8 (X, Y, Z), changed in place.
        spacing_mm: per array axis.
        min_mm3: what is smaller goes; what has exactly this volume stays.
        min_share: what is smaller than this share of the largest component goes too.

    Example:
        >>> labels = np.array([[[1, 1, 0, 2]]], np.uint8)
        >>> drop_small(labels, (1, 1, 1), 2.0)
        >>> labels
        array([[[1, 1, 0, 0]]], dtype=uint8)
    """
    rows = _rows(labels)
    slow, middle, _ = rows.shape
    ends_of = np.zeros(slow * middle + 1, np.int64)
    _count_runs(rows, ends_of)
    begin, end = np.empty((2, int(ends_of[-1])), np.int32)
    _find_runs(rows, ends_of, begin, end)
    parent = np.arange(len(begin))
    _connect(slow, middle, ends_of, begin, end, parent)
    sizes = np.bincount(parent, weights=end - begin, minlength=1)
    limit = max(min_mm3 / float(np.prod(spacing_mm)), min_share * float(sizes.max())) * (1 - ROUNDING)
    _erase(rows, ends_of, begin, end, sizes[parent] < limit)


def fill_small(
    labels: NDArray[np.uint8],
    spacing_mm: Sequence[float],
    channels: Sequence[str],
    floors: Mapping[str, float],
) -> None:
    """Give the voxels of a region that is too small, in place, to the region around it.

    A network that sees a few voxels of enhancing tumour in one without any has not found a small one: it
    errs. The innermost region is judged first; its voxels count for the next.

    Args:
        labels: uint8 (X, Y, Z), changed in place.
        spacing_mm: per array axis.
        channels: regions of the network.
        floors: region -> mm3; what has exactly this volume, in all its components, stays.

    Example:
        >>> labels = np.array([[[2, 1, 3, 3, 1, 2]]], np.uint8)
        >>> fill_small(labels, (1, 1, 1), ("wt", "tc", "et"), {"et": 3.0})
        >>> labels
        array([[[2, 1, 1, 1, 1, 2]]], dtype=uint8)
    """
    nested = [(channels[channel], value) for channel, value in segment.paint_order(channels)]
    counts, table = value_counts(labels)[0], np.arange(256, dtype=np.uint8)
    voxel_mm3 = float(np.prod(spacing_mm))
    for i in range(len(nested) - 1, -1, -1):
        inside = [value for _, value in nested[i:]]
        floor = floors.get(nested[i][0], 0.0) * (1 - ROUNDING)
        # Whatever was given away before this region has become part of it.
        if int(counts[inside].sum()) * voxel_mm3 < floor:
            table[np.isin(table, inside)] = nested[i - 1][1] if i else 0
    if (table != np.arange(256)).any():
        _relabel(_rows(labels), table)


def _rows(labels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The same voxels, C-ordered: (slow, middle, fast)."""
    return labels if labels.flags.c_contiguous else labels.T


@kernel
def _relabel(rows: Array, table: Array) -> None:
    for s in range(rows.shape[0]):
        for m in range(rows.shape[1]):
            row = rows[s, m]
            for f in range(row.size):
                row[f] = table[row[f]]


@kernel
def _count_runs(rows: Array, ends_of: Array) -> None:
    """ends_of[r + 1] = runs of the rows up to r."""
    total = 0
    for s in range(rows.shape[0]):
        for m in range(rows.shape[1]):
            row = rows[s, m]
            # The changes from nothing to something, in a loop that compilers vectorise.
            begun: Any = np.int64(row[0] != 0)
            for f in range(1, row.size):
                begun += np.int64((row[f] != 0) & (row[f - 1] == 0))
            total += begun
            ends_of[s * rows.shape[1] + m + 1] = total


@kernel
def _find_runs(rows: Array, ends_of: Array, begin: Array, end: Array) -> None:
    """begin and end (exclusive) of every run, row by row; rows without any are not looked at again."""
    for s in range(rows.shape[0]):
        for m in range(rows.shape[1]):
            r = s * rows.shape[1] + m
            at, f, row = ends_of[r], 0, rows[s, m]
            while at < ends_of[r + 1]:
                while row[f] == 0:
                    f += 1
                begin[at] = f
                while f < row.size and row[f] != 0:
                    f += 1
                end[at] = f
                at += 1


@kernel
def _root(parent: Array, i: int) -> Any:
    while parent[i] != i:
        parent[i] = parent[parent[i]]
        i = parent[i]
    return i


@kernel
def _join(a: int, a_end: int, b: int, b_end: int, begin: Array, end: Array, parent: Array) -> None:
    """Join the runs of two rows that touch, corners included."""
    while a < a_end and b < b_end:
        if begin[a] <= end[b] and begin[b] <= end[a]:
            one, other = _root(parent, a), _root(parent, b)
            parent[max(one, other)] = min(one, other)
        if end[a] < end[b]:
            a += 1
        else:
            b += 1


@kernel
def _connect(slow: int, middle: int, ends_of: Array, begin: Array, end: Array, parent: Array) -> None:
    """parent[i] = the first run of run i's component."""
    for s in range(slow):
        for m in range(middle):
            r = s * middle + m
            if ends_of[r] == ends_of[r + 1]:
                continue
            if m > 0:
                _join(ends_of[r], ends_of[r + 1], ends_of[r - 1], ends_of[r], begin, end, parent)
            if s > 0:
                for n in range(max(m - 1, 0), min(m + 2, middle)):
                    q = (s - 1) * middle + n
                    _join(ends_of[r], ends_of[r + 1], ends_of[q], ends_of[q + 1], begin, end, parent)
    for i in range(parent.size):
        parent[i] = _root(parent, i)


@kernel
def _erase(rows: Array, ends_of: Array, begin: Array, end: Array, chosen: Array) -> None:
    for s in range(rows.shape[0]):
        for m in range(rows.shape[1]):
            r = s * rows.shape[1] + m
            for i in range(ends_of[r], ends_of[r + 1]):
                if chosen[i]:
                    rows[s, m, begin[i] : end[i]] = 0
