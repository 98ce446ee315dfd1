"""The Hausdorff distance between two masks taken as sets of all their voxels, not of their surfaces.

It differs from the surface's where one mask lies inside the other: no voxel of the inner one is far from the
outer, its surface is. The nearest voxel of a mask, seen from outside, is always on its surface, so only the
points change: the voxels of one mask that are not in the other.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from ..kernels import surface
from ..packed import Direction, Grid, Surface
from ..selection import Selector

Mask = NDArray[np.uint8]


def hausdorff_of_voxels(pred: Mask, ref: Mask) -> float:
    """The largest distance from a voxel of either mask to the other mask, in voxels.

    Args:
        pred: (planes, rows, columns) uint8, 0/1, not empty.
        ref: the same.

    Returns:
        The distance.

    Example:
        >>> pred, ref = np.zeros((2, 1, 9, 9), np.uint8)
        >>> pred[0, 4, 4] = ref[0, 1:8, 1:8] = 1
        >>> round(hausdorff_of_voxels(pred, ref), 4)
        4.2426
    """
    pred, ref = np.ascontiguousarray(pred), np.ascontiguousarray(ref)
    box = _union_box(pred, ref)
    return math.sqrt(max(_directed(pred, ref, box), _directed(ref, pred, box)))


def _union_box(a: Mask, b: Mask) -> tuple[int, ...]:
    found = surface.scan(a.reshape(-1), b.reshape(-1), *a.shape)
    return tuple(int(edge) for edge in found[:6])


def _directed(a: Mask, b: Mask, box: tuple[int, ...]) -> float:
    """Largest squared distance from a voxel of ``a`` to ``b``."""
    outside = a & (b ^ 1)
    count = int(np.count_nonzero(outside))
    if not count:
        return 0.0
    z0, z1, y0, y1, x0, x1 = box
    size = z1 - z0 + 1, y1 - y0 + 1, x1 - x0 + 1
    words = surface.words_per_row(size[2])
    where = (*a.shape[1:], z0, y0, x0, *size, words)
    grid = Grid(size[0], size[1], words, (1.0, 1.0, 1.0), 2, False, max(1 << 16, a.size // 3))
    packed = [surface.pack(mask.reshape(-1), *where) for mask in (outside, b)]
    points = Surface(_unframed(packed[0], size, words), count, grid)
    border, border_count = surface.eroded_border(packed[1], size[0], size[1], words, False)
    selector = Selector([Direction(points, Surface(border, border_count, grid))])
    return selector.value(count - 1)


def _unframed(bits: NDArray[np.uint64], size: tuple[int, ...], words: int) -> NDArray[np.uint64]:
    """A packed mask without the plane and row of zeros on each side: the layout of a surface."""
    framed = bits[1:-1].reshape(size[0] + 2, size[1] + 2, words)
    out = np.zeros(size[0] * size[1] * words + 2, np.uint64)
    out[1:-1] = framed[1:-1, 1:-1].reshape(-1)
    return out
