"""Boxes and polygons as stacks of masks, and their scores per slice or as one volume.

Distances are in pixels: what a language model is asked for are pixels of the image it was shown.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...rasterize.polygons import fill_polygons
from ..overlap import count_slices
from ..slices import hd_slices
from ..surface import SurfaceDistances
from .boxes import FARTHEST, Corners, Shape, empty_distance, extents
from .overlaps import Table, overlaps
from .references import SliceMask
from .voxel_distance import hausdorff_of_voxels

Masks = NDArray[np.uint8]


def draw_boxes(corners: Sequence[Corners | None], shape: Shape, wrap: bool = False) -> Masks:
    """The boxes of :func:`~voxzoo.eval.language.boxes.extents` as masks.

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


def draw_polygons(polygons: Sequence[Corners | None], shape: Shape) -> Masks:
    """Polygons, pixels on the outline included, cut at the frame; nothing where there are none.

    One point is its pixel, two points are the pixels on their line, as ``skimage.draw.polygon`` has it.

    Args:
        polygons: per slice points (row, col), at least one, or None.
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
        closed = [_closed(tuple(map(tuple, polygons[i] or ()))) for i in there]
        masks[there] = fill_polygons(closed, shape, rule="outline")
    return masks


def draw_references(references: Sequence[Any], shape: Shape) -> Masks:
    """Reference polygons as :func:`draw_polygons` does, and reference pixels as they are."""
    masks = draw_polygons([None if isinstance(r, SliceMask) else r for r in references], shape)
    for mask, reference in zip(masks, references, strict=True):
        if isinstance(reference, SliceMask):
            mask[...] = reference.pixels
    return masks


@lru_cache(maxsize=1 << 13)
def _closed(points: tuple[tuple[float, float], ...]) -> NDArray[np.float64]:
    """Three points at least, none too far. References and baselines come again and again."""
    array = np.clip(np.array(points, dtype=np.float64), -FARTHEST, FARTHEST)
    array = np.concatenate([array, np.repeat(array[-1:], max(0, 3 - len(array)), axis=0)])
    array.setflags(write=False)
    return array


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
        >>> score_slices(one, one, 128.0)["dice"].tolist()
        [1.0]
    """
    table = _overlaps(pred, ref)
    table["hd"], table["hd95"] = hd_slices(pred, ref, empty, (100.0, 95.0))
    return table


def _overlaps(pred: Masks, ref: Masks, together: bool = False) -> Table:
    counts = np.array([(c.tp, c.fp, c.fn, c.tn) for c in count_slices(pred, ref)])
    return overlaps(*(counts.sum(axis=0, keepdims=True) if together else counts).T)


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
    scores = {name: float(values[0]) for name, values in _overlaps(pred, ref, together=True).items()}
    some = bool(pred.any()), bool(ref.any())
    if not all(some):
        far = empty_distance(empty, pred.shape[1:], both_empty=not any(some))
        return {**scores, "hd": far, "hd95": far}
    if all_voxels:
        far = hausdorff_of_voxels(pred, ref)
        return {**scores, "hd": far, "hd95": far}
    surfaces = SurfaceDistances(pred, ref)
    return {**scores, "hd": surfaces.hd(), "hd95": surfaces.hd95()}
