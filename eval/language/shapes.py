"""Boxes and polygons of one patient's slices as stacks of masks, and their scores per slice or as one volume.

Distances are in pixels: what a language model is asked for are pixels of the image it was shown. A ratio
whose denominator is 0 is 0, so an empty prediction has precision 0 and specificity 1.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...rasterize.polygons import fill_polygons
from ..empty import diagonal_mm, undefined_value
from ..overlap import Counts, count_slices
from ..slices import hd95_slices
from ..surface import SurfaceDistances
from .voxel_distance import hausdorff_of_voxels

Masks = NDArray[np.uint8]
Corners = Sequence[Sequence[float]]
Table = dict[str, NDArray[np.float64]]
OVERLAPS = ("dice", "iou", "precision", "recall", "specificity")
METRICS = ("dice", "iou", "hd", "hd95", "precision", "recall", "specificity")
FARTHEST = 100_000
"""Points beyond are moved there: no frame reaches that far, and nothing is drawn beyond a million pixels."""


def draw_boxes(corners: Sequence[Corners | None], shape: tuple[int, int], wrap: bool = False) -> Masks:
    """The boxes around corner points, cut at the frame; nothing where there are none.

    Args:
        corners: per slice points (row, col), or None.
        shape: (height, width).
        wrap: draw as ``mask[min:max + 1]`` does in Python, where a negative index counts from the far side.

    Returns:
        (slices, height, width) uint8.

    Example:
        >>> draw_boxes([[(0, 1), (1, 1)], None], (2, 2)).tolist()
        [[[0, 1], [0, 1]], [[0, 0], [0, 0]]]
    """
    masks = np.zeros((len(corners), *shape), np.uint8)
    for mask, (r0, r1, c0, c1) in zip(masks, extents(corners, shape, wrap).tolist(), strict=True):
        mask[r0:r1, c0:c1] = 1
    return masks


def extents(
    corners: Sequence[Corners | None], shape: tuple[int, int], wrap: bool = False
) -> NDArray[np.int64]:
    """Half-open [row0, row1, col0, col1] of the boxes around corner points; all 0 where there is none.

    Args:
        corners, shape, wrap: as for :func:`draw_boxes`.

    Returns:
        (slices, 4) int64, inside the frame.

    Example:
        >>> extents([[(-3, 1), (1, 9)], [(-3, 1), (5, 1)]], (4, 4)).tolist()
        [[0, 2, 1, 4], [0, 4, 1, 2]]
        >>> extents([[(-3, 1), (5, 1)]], (4, 4), wrap=True).tolist()
        [[1, 4, 1, 2]]
    """
    intervals = [(0, 0, 0, 0) if points is None else _extent(points, shape, wrap) for points in corners]
    return np.array(intervals, np.int64).reshape(-1, 4)


def _extent(points: Sequence[Sequence[float]], shape: tuple[int, int], wrap: bool) -> tuple[int, ...]:
    sides = []
    for values, size in zip(zip(*points, strict=True), shape, strict=True):
        low, high = max(min(values), -FARTHEST), min(max(values), FARTHEST)
        sides += _interval(math.ceil(low), math.floor(high), size, wrap)
    return tuple(sides)


def _interval(low: int, high: int, size: int, wrap: bool) -> tuple[int, int]:
    if wrap:
        start, stop, _ = slice(low, high + 1).indices(size)
    else:
        start, stop = max(low, 0), min(high + 1, size)
    return (start, stop) if start < stop else (0, 0)


def draw_polygons(polygons: Sequence[ArrayLike | None], shape: tuple[int, int]) -> Masks:
    """Polygons, pixels on the outline included, cut at the frame; nothing where there are none.

    One point is its pixel, two points are the pixels on their line, as ``skimage.draw.polygon`` has it.

    Args:
        polygons: per slice (n, 2) of (row, col), n >= 1, or None.
        shape: (height, width).

    Returns:
        (slices, height, width) uint8.

    Example:
        >>> masks = draw_polygons([[(0, 0), (0, 1)], None, [(0, 0), (0, 1), (1, 0)]], (2, 2))
        >>> masks.sum(axis=(1, 2)).tolist()
        [2, 0, 3]
    """
    masks = np.zeros((len(polygons), *shape), np.uint8)
    there = [i for i, points in enumerate(polygons) if points is not None]
    if there:
        masks[there] = fill_polygons([_closed(polygons[i]) for i in there], shape, rule="outline")
    return masks


def _closed(points: ArrayLike | None) -> NDArray[np.float64]:
    array = np.clip(np.asarray(points, dtype=np.float64), -FARTHEST, FARTHEST)
    return np.concatenate([array, np.repeat(array[-1:], max(0, 3 - len(array)), axis=0)])


def score_slices(pred: Masks, ref: Masks, empty: str | float) -> Table:
    """Every figure of every slice.

    Args:
        pred: (slices, height, width) uint8, 0/1.
        ref: the same.
        empty: what a distance is worth where one mask is empty; see ``eval/empty.py``.

    Returns:
        Metric name -> (slices,) float64.

    Example:
        >>> one = draw_boxes([[(0, 0), (3, 3)]], (8, 8))
        >>> {name: values.tolist() for name, values in score_slices(one, one, 128.0).items()}["dice"]
        [1.0]
    """
    table = overlaps(count_slices(pred, ref))
    table["hd"] = hd95_slices(pred, ref, empty=empty, percentile=100.0)
    table["hd95"] = hd95_slices(pred, ref, empty=empty)
    return table


def overlaps(counts: Sequence[Counts]) -> Table:
    """Overlap scores of many comparisons; 0/0 is 0.

    Example:
        >>> overlaps([Counts(0, 0, 4, 6)])["specificity"].tolist()
        [1.0]
    """
    tp, fp, fn, tn = np.array([(c.tp, c.fp, c.fn, c.tn) for c in counts], np.float64).reshape(-1, 4).T
    fractions = {
        "dice": (2 * tp, 2 * tp + fp + fn),
        "iou": (tp, tp + fp + fn),
        "precision": (tp, tp + fp),
        "recall": (tp, tp + fn),
        "specificity": (tn, tn + fp),
    }
    return {name: part / np.where(whole > 0, whole, 1) for name, (part, whole) in fractions.items()}


def score_volume(pred: Masks, ref: Masks, empty: str | float, all_voxels: bool = False) -> dict[str, float]:
    """Every figure of the slices stacked into one volume, one pixel apart.

    Args:
        pred: (slices, height, width) uint8, 0/1.
        ref: the same.
        empty: as for :func:`score_slices`; the penalty is the diagonal of a slice.
        all_voxels: the distance as the study took it, for both ``hd`` and ``hd95``.

    Returns:
        Metric name -> value.
    """
    counts = Counts(*(sum(getattr(c, n) for c in count_slices(pred, ref)) for n in ("tp", "fp", "fn", "tn")))
    scores = {name: float(values[0]) for name, values in overlaps([counts]).items()}
    if counts.pred == 0 or counts.ref == 0:
        both = counts.pred == counts.ref
        far = undefined_value(
            empty, both_empty=both, perfect=0.0, penalty=diagonal_mm(pred.shape[1:], (1, 1))
        )
        return {**scores, "hd": far, "hd95": far}
    if all_voxels:
        far = hausdorff_of_voxels(pred, ref)
        return {**scores, "hd": far, "hd95": far}
    surfaces = SurfaceDistances(pred, ref)
    return {**scores, "hd": surfaces.hd(), "hd95": surfaces.hd95()}


def row_edge_distance(
    pred: NDArray[np.int64], ref: NDArray[np.int64], shape: tuple[int, int]
) -> float | None:
    """The study's "HD95" of two boxes.

    The points of a box are the pixels where the central difference along the rows (``numpy.gradient``, axis
    0) of its mask is not 0: whole runs of columns in up to four rows. Rows and columns are independent, so
    the directed maxima follow from them apart. The figure lies 95 % of the way between the two.

    Args:
        pred: half-open [row0, row1, col0, col1], of :func:`extents`.
        ref: the same.
        shape: (height, width).

    Returns:
        Pixels; None where a box has no such point.

    Example:
        >>> a, b = extents([[(2, 2), (5, 5)], [(2, 2), (5, 8)]], (16, 16))
        >>> round(row_edge_distance(a, b, (16, 16)), 6)
        2.85
    """
    rows = [_edge_rows(int(box[0]), int(box[1]), shape[0]) for box in (pred, ref)]
    if not rows[0].size or not rows[1].size or pred[2] == pred[3] or ref[2] == ref[3]:
        return None
    gaps = np.abs(rows[0][:, None] - rows[1][None, :])
    columns = (
        max(ref[2] - pred[2], pred[3] - ref[3], 0),
        max(pred[2] - ref[2], ref[3] - pred[3], 0),
    )
    directed = [np.hypot(gaps.min(axis=1 - k).max(), columns[k]) for k in (0, 1)]
    low, high = sorted(float(d) for d in directed)
    return low + 0.95 * (high - low)


def _edge_rows(start: int, stop: int, height: int) -> NDArray[np.int64]:
    """Rows where the gradient of a column that is 1 from ``start`` to ``stop`` is not 0."""
    near = np.unique(np.clip([start - 1, start, stop - 1, stop], 0, height - 1))
    before, after = np.maximum(near - 1, 0), np.minimum(near + 1, height - 1)
    inside = [(start <= side) & (side < stop) for side in (before, after)]
    return near[inside[0] != inside[1]]
