"""What a mask encloses, filled in place: background without a way out of the mask in a plane of the grid."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..rasterize.jit import kernel
from .voxels import occupied_box

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
    box = occupied_box(labels)
    if box is None:
        return
    part = labels[tuple(slice(first, last + 1) for first, last in box)]  # beyond it, background leads out
    background = part == 0
    found = np.zeros_like(background)
    for axis in range(3):
        planes = np.moveaxis(background, axis, 0).copy()
        _clear_reached(planes, np.empty(planes[0].size, np.int32))
        found |= np.moveaxis(planes, 0, axis)
    part[found] = value


@kernel
def _clear_reached(planes: Array, stack: Array) -> None:
    """Clear what each border reaches in planes (n, a, b) of background; the stack holds a * b."""
    count, height, width = planes.shape
    for p in range(count):
        hole, top = planes[p], 0
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
