"""Boxes against boxes in closed form: overlaps and distances of many pairs at once, without a mask.

Boxes are half-open, [row0, row1, col0, col1], inside a frame; [0, 0, 0, 0] is empty. What comes out equals
the scores of the drawn boxes (``shapes.score_slices``): the contour of a box is the ring of its outermost
pixels, and the distance of a pixel to a ring follows from its row and column.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ..empty import diagonal_mm, undefined_value
from .overlaps import Table, overlaps

Boxes = NDArray[np.int64]
Ints = NDArray[np.int32]
Corners = Sequence[Sequence[float]]
Shape = tuple[int, int]
FARTHEST = 100_000
"""Points beyond are moved there: no frame reaches that far."""
CHUNK = 512
_NONE = np.int32(np.iinfo(np.int32).max)


def extents(corners: Sequence[Corners | None], shape: Shape, wrap: bool = False) -> Boxes:
    """The boxes around corner points, cut at the frame; empty where there are none.

    Args:
        corners: per slice points (row, col), or None.
        shape: (height, width).
        wrap: as ``mask[min:max + 1]`` has it in Python, where a negative index counts from the far side.

    Returns:
        (slices, 4) int64, half-open.

    Example:
        >>> extents([[(-3, 1), (1, 9)], [(-3, 1), (5, 1)]], (4, 4)).tolist()
        [[0, 2, 1, 4], [0, 4, 1, 2]]
        >>> extents([[(-3, 1), (5, 1)]], (4, 4), wrap=True).tolist()
        [[1, 4, 1, 2]]
    """
    intervals = [(0, 0, 0, 0) if points is None else _extent(points, shape, wrap) for points in corners]
    return np.array(intervals, np.int64).reshape(-1, 4)


def _extent(points: Corners, shape: Shape, wrap: bool) -> tuple[int, ...]:
    sides: list[int] = []
    for values, size in zip(zip(*points, strict=True), shape, strict=True):
        low, high = max(min(values), -FARTHEST), min(max(values), FARTHEST)
        start, stop = _interval(math.ceil(low), math.floor(high), size, wrap)
        if start >= stop:
            return 0, 0, 0, 0
        sides += (start, stop)
    return tuple(sides)


def _interval(low: int, high: int, size: int, wrap: bool) -> tuple[int, int]:
    if wrap:
        start, stop, _ = slice(low, high + 1).indices(size)
        return start, stop
    return max(low, 0), min(high + 1, size)


def score_boxes(pred: Boxes, ref: Boxes, shape: Shape, empty: str | float) -> Table:
    """Every figure of every pair of boxes.

    Args:
        pred: (slices, 4), of :func:`extents`.
        ref: the same.
        shape: (height, width) of the frame.
        empty: what a distance is worth where one box is empty; see ``eval/empty.py``.

    Returns:
        Metric name -> (slices,) float64; distances in pixels.

    Example:
        >>> a, b = extents([[(4, 4), (7, 7)]], (16, 16)), extents([[(4, 4), (7, 10)]], (16, 16))
        >>> score_boxes(a, b, (16, 16), 128.0)["hd95"].tolist()
        [3.0]
    """
    chunks = [
        _score(pred[start : start + CHUNK], ref[start : start + CHUNK], shape, empty)
        for start in range(0, max(1, len(pred)), CHUNK)
    ]
    return {name: np.concatenate([chunk[name] for chunk in chunks]) for name in chunks[0]}


def _score(pred: Boxes, ref: Boxes, shape: Shape, empty: str | float) -> Table:
    area, other = ((box[:, 1] - box[:, 0]) * (box[:, 3] - box[:, 2]) for box in (pred, ref))
    both = _common(pred, ref, 0) * _common(pred, ref, 2)
    table = overlaps(both, area - both, other - both, shape[0] * shape[1] - area - other + both)
    hd, hd95 = np.maximum(_directed(pred, ref), _directed(ref, pred))
    for number in (1, 2):
        absent = ((area == 0).astype(int) + (other == 0)) == number
        if absent.any():
            hd[absent] = hd95[absent] = empty_distance(empty, shape, both_empty=number == 2)
    return {**table, "hd": hd, "hd95": hd95}


def _common(a: Boxes, b: Boxes, k: int) -> NDArray[np.int64]:
    start, stop = np.maximum(a[:, k], b[:, k]), np.minimum(a[:, k + 1], b[:, k + 1])
    return np.maximum(stop - start, 0)


def empty_distance(empty: str | float, shape: Shape, both_empty: bool = False) -> float:
    """A distance where one mask is empty, or both are; the penalty is the diagonal of the frame in pixels.

    Example:
        >>> empty_distance(128, (4, 4)), round(empty_distance("penalty", (128, 128)), 2)
        (128.0, 181.02)
    """
    diagonal = diagonal_mm(shape, (1.0, 1.0))
    return undefined_value(empty, both_empty=both_empty, perfect=0.0, penalty=diagonal, metric="distance")


def _directed(a: Boxes, b: Boxes) -> NDArray[np.float64]:
    """Largest and 95th percentile of the distances from the ring of ``a`` to that of ``b``; (2, slices)."""
    squares, count = _ring_distances(a.astype(np.int32), b.astype(np.int32))
    squares.sort(axis=1)
    last = np.maximum(count - 1, 0)
    position = last * 0.95
    rank = np.floor(position).astype(np.int64)
    line = np.arange(len(a))
    low, high = (np.sqrt(squares[line, k]) for k in (rank, np.minimum(rank + 1, last)))
    share, step = position - rank, high - low
    # From the nearer end, as numpy.percentile does.
    percentile = np.where(share < 0.5, low + step * share, high - step * (1 - share))
    return np.stack([np.sqrt(squares[line, last]), percentile])


def _ring_distances(a: Ints, b: Ints) -> tuple[Ints, Ints]:
    """Squared distances of the outermost pixels of ``a`` to those of ``b``, padded, and how many there are.

    The ring is four runs of pixels: top, bottom, and the left and right between them.
    """
    r0, r1, c0, c1 = a[:, 0:1], a[:, 1:2] - 1, a[:, 2:3], a[:, 3:4] - 1
    along = np.arange(max(1, int((c1 - c0).max(initial=0)) + 1), dtype=np.int32)[None, :]
    down = np.arange(max(1, int((r1 - r0).max(initial=0)) - 1), dtype=np.int32)[None, :]
    across, between = along <= c1 - c0, down < r1 - r0 - 1
    runs = (
        (_to_ring(r0, c0 + along, b), across & (r1 >= r0)),
        (_to_ring(r1, c0 + along, b), across & (r1 > r0)),
        (_to_ring(r0 + 1 + down, c0, b), between & (c1 >= c0)),
        (_to_ring(r0 + 1 + down, c1, b), between & (c1 > c0)),
    )
    squares = np.concatenate([np.where(there, found, _NONE) for found, there in runs], axis=1)
    return squares, sum(there.sum(axis=1) for _, there in runs)


def _to_ring(rows: Ints, cols: Ints, box: Ints) -> Ints:
    """Squared distances of pixels to the ring of a box: outside to the box, inside to the nearest side."""
    down = np.minimum(rows - box[:, 0:1], box[:, 1:2] - 1 - rows)
    across = np.minimum(cols - box[:, 2:3], box[:, 3:4] - 1 - cols)
    inside = np.maximum(np.minimum(down, across), 0)
    return inside**2 + (np.minimum(down, 0) ** 2 + np.minimum(across, 0) ** 2)


def row_edge_distance(pred: Boxes, ref: Boxes, height: int) -> float | None:
    """The study's "HD95" of two boxes.

    The points of a box are the pixels where the central difference along the rows (``numpy.gradient``, axis
    0) of its mask is not 0: whole runs of columns in up to four rows. Rows and columns are independent, so
    the directed maxima follow from them apart. The figure lies 95 % of the way between the two.

    Args:
        pred: half-open [row0, row1, col0, col1], of :func:`extents`.
        ref: the same.
        height: of the frame.

    Returns:
        Pixels; None where a box has no such point.

    Example:
        >>> a, b = extents([[(2, 2), (5, 5)], [(2, 2), (5, 8)]], (16, 16))
        >>> round(row_edge_distance(a, b, 16), 6)
        2.85
    """
    rows = [_edge_rows(int(box[0]), int(box[1]), height) for box in (pred, ref)]
    if not rows[0] or not rows[1] or pred[2] == pred[3] or ref[2] == ref[3]:
        return None
    columns = max(ref[2] - pred[2], pred[3] - ref[3], 0), max(pred[2] - ref[2], ref[3] - pred[3], 0)
    directed = [
        math.hypot(max(min(abs(a - b) for b in rows[1 - k]) for a in rows[k]), columns[k]) for k in (0, 1)
    ]
    return min(directed) + 0.95 * (max(directed) - min(directed))


def _edge_rows(start: int, stop: int, height: int) -> list[int]:
    """Rows where the gradient of a column that is 1 from ``start`` to ``stop`` is not 0."""
    near = {min(max(row, 0), height - 1) for row in (start - 1, start, stop - 1, stop)}
    return [
        row for row in near if _inside(row - 1, start, stop) != _inside(min(row + 1, height - 1), start, stop)
    ]


def _inside(row: int, start: int, stop: int) -> bool:
    return start <= max(row, 0) < stop
