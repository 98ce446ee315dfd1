"""Boxes and points to masks, and the one rounding of half-integers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .checks import as_boxes, as_points, as_shape
from .errors import GeometryError


def round_half_down(values: ArrayLike) -> NDArray[np.int64]:
    """The nearest integer, halves downwards: the pixel that stands for a half-integer centre.

    Args:
        values: numbers of any shape.

    Returns:
        int64 of the same shape.

    Example:
        >>> round_half_down([0.5, 1.5, 1.51, -0.5]).tolist()
        [0, 1, 2, -1]
    """
    return np.ceil(np.asarray(values, dtype=np.float64) - 0.5).astype(np.int64)


def fill_box(box: ArrayLike, shape: Sequence[int]) -> NDArray[np.uint8]:
    """Draw one box: every pixel whose centre lies in it, its border included.

    Args:
        box: [row_min, col_min, row_max, col_max], inclusive; parts outside the frame are cut off.
        shape: (height, width).

    Returns:
        (height, width) uint8, 1 inside.

    Raises:
        GeometryError: not four numbers, NaN, infinite, beyond a million pixels, or a min above its max.
        InputError: a shape that cannot be used.

    Example:
        >>> fill_box([0, 1, 1, 2], (2, 4)).tolist()
        [[0, 1, 1, 0], [0, 1, 1, 0]]
    """
    if np.ndim(box) != 1:
        raise GeometryError(f"box has shape {np.shape(box)}: expected [row_min, col_min, row_max, col_max]")
    return fill_boxes(np.asarray(box)[None], shape)[0]


def fill_boxes(boxes: ArrayLike, shape: Sequence[int]) -> NDArray[np.uint8]:
    """Draw many boxes, each into its own mask; see :func:`fill_box`.

    Args:
        boxes: (N, 4).
        shape: (height, width) of every mask.

    Returns:
        (N, height, width) uint8, 1 inside.

    Raises:
        GeometryError: as :func:`fill_box`.
        InputError: a shape that cannot be used.

    Example:
        >>> fill_boxes([[0, 0, 0, 0], [-5, -5, 9, 9]], (2, 2)).sum(axis=(1, 2)).tolist()
        [1, 4]
    """
    height, width = as_shape(shape)
    array = as_boxes(boxes)
    low = np.maximum(np.ceil(array[:, :2]), 0).astype(np.int64)
    stop = np.maximum(np.floor(array[:, 2:]) + 1, 0).astype(np.int64)
    masks = np.zeros((len(array), height, width), np.uint8)
    for mask, (r0, c0), (r1, c1) in zip(masks, low.tolist(), stop.tolist(), strict=True):
        mask[r0:r1, c0:c1] = 1
    return masks


def fill_point(point: ArrayLike, shape: Sequence[int]) -> NDArray[np.uint8]:
    """Draw one point: the nearest pixel, halves rounded down; none when that is outside the frame.

    Args:
        point: (row, col).
        shape: (height, width).

    Returns:
        (height, width) uint8 with at most one 1.

    Raises:
        GeometryError: not two numbers, NaN, infinite or beyond a million pixels.
        InputError: a shape that cannot be used.

    Example:
        >>> fill_point((0.5, 1), (2, 2)).tolist()
        [[0, 1], [0, 0]]
    """
    if np.ndim(point) != 1:
        raise GeometryError(f"point has shape {np.shape(point)}: expected (row, col)")
    return fill_points(np.asarray(point)[None], shape)[0]


def fill_points(points: ArrayLike, shape: Sequence[int]) -> NDArray[np.uint8]:
    """Draw many points, each into its own mask; see :func:`fill_point`.

    Args:
        points: (N, 2) of (row, col).
        shape: (height, width) of every mask.

    Returns:
        (N, height, width) uint8.

    Raises:
        GeometryError: as :func:`fill_point`.
        InputError: a shape that cannot be used.

    Example:
        >>> fill_points([(0, 0), (7, 7)], (2, 2)).sum(axis=(1, 2)).tolist()
        [1, 0]
    """
    height, width = as_shape(shape)
    pixels = round_half_down(as_points(points, least=0))
    masks = np.zeros((len(pixels), height, width), np.uint8)
    inside = np.flatnonzero(((pixels >= 0) & (pixels < (height, width))).all(axis=1))
    masks[inside, pixels[inside, 0], pixels[inside, 1]] = 1
    return masks
