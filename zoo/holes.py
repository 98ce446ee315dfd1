"""What a mask encloses, filled in place: background without a way out of the mask in a plane of the grid."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..rasterize.jit import kernel

if TYPE_CHECKING:
    from numpy.typing import NDArray

Array = np.ndarray


def fill_holes(labels: NDArray[np.uint8], value: int) -> None:
    """Give ``value``, in place, to the background that the foreground encloses in a plane of the grid.

    A hole is a 4-connected piece of background that does not reach the border of its plane, in any of the
    three directions of planes; an open tube is one, where it is cut across. Tissue that tumour surrounds in
    a plane is seldom healthy: it is a necrosis too dark, or edema too faint, for the network.

    Args:
        labels: uint8 (X, Y, Z), changed in place; all labels together are the foreground.
        value: of the holes.

    Example:
        >>> labels = np.zeros((1, 3, 3), np.uint8)
        >>> labels[0] = [[1, 1, 1], [1, 0, 1], [1, 1, 0]]
        >>> fill_holes(labels, 2)
        >>> labels[0]
        array([[1, 1, 1],
               [1, 2, 1],
               [1, 1, 0]], dtype=uint8)
    """
    box = _foreground(labels)
    if box is None:
        return
    part = labels[box]
    inside = part != 0
    found = np.zeros_like(inside)
    for axis in range(3):
        planes = np.ascontiguousarray(np.moveaxis(inside, axis, 0))
        holes = np.zeros_like(planes)
        _find_holes(planes, holes, np.empty(planes[0].size, np.int32))
        found |= np.moveaxis(holes, 0, axis)
    part[found] = value


def _foreground(labels: NDArray[np.uint8]) -> tuple[slice, ...] | None:
    """The smallest box around it: beyond, background leads out. None if there is no foreground."""
    ranges = []
    left = labels
    for axis in range(3):
        others = tuple(k for k in range(3) if k != axis)
        hit = np.flatnonzero(left.any(axis=others))
        if not len(hit):
            return None
        ranges.append(slice(int(hit[0]), int(hit[-1]) + 1))
        left = left[(slice(None),) * axis + (ranges[-1],)]
    return tuple(ranges)


@kernel
def _find_holes(planes: Array, holes: Array, stack: Array) -> None:
    """holes (n, a, b) = background of each plane that its border does not reach; the stack holds a * b."""
    count, height, width = planes.shape
    for p in range(count):
        plane, hole = planes[p], holes[p]
        for i in range(height):
            for j in range(width):
                hole[i, j] = not plane[i, j]
        top = 0
        for i in range(height):
            for j in range(width):
                if hole[i, j] and (i == 0 or j == 0 or i == height - 1 or j == width - 1):
                    hole[i, j] = False
                    stack[top] = i * width + j
                    top += 1
        while top > 0:
            top -= 1
            i, j = stack[top] // width, stack[top] % width
            for step in range(4):
                y = i + (step == 0) - (step == 1)
                x = j + (step == 2) - (step == 3)
                if 0 <= y < height and 0 <= x < width and hole[y, x]:
                    hole[y, x] = False
                    stack[top] = y * width + x
                    top += 1
