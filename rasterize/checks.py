"""Checks of points, boxes, shapes and masks, shared by everything that draws or traces.

Points are (row, col), pixel centres at integers, pixel edges at +-0.5. Boxes are [row_min, col_min, row_max,
col_max], inclusive.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .errors import GeometryError, InputError

FAR = 1e6
"""Coordinates beyond this many pixels are refused: no image is that large, a units mistake often is."""


def as_shape(shape: Sequence[int]) -> tuple[int, int]:
    """Check the (height, width) of a mask to draw."""
    values = tuple(shape) if isinstance(shape, (tuple, list, np.ndarray)) else ()
    if len(values) != 2 or not all(isinstance(n, (int, np.integer)) and n > 0 for n in values):
        raise InputError(f"shape={shape!r}: expected two positive integers, (height, width)")
    return int(values[0]), int(values[1])


def as_points(points: ArrayLike, name: str = "points", least: int = 1) -> NDArray[np.float64]:
    """Check a list of (row, col) points: at least ``least``, finite and not absurdly far away."""
    try:
        array = np.asarray(points, dtype=np.float64)
    except (TypeError, ValueError):
        raise GeometryError(f"{name} are not numbers: expected an (n, 2) array of (row, col)") from None
    if array.ndim != 2 or array.shape[1] != 2:
        raise GeometryError(f"{name} have shape {array.shape}: expected (n, 2), a (row, col) each")
    if array.shape[0] < least:
        raise GeometryError(f"{name}: got {array.shape[0]}, but a polygon needs at least {least} points")
    check_coordinates(array, name)
    return np.ascontiguousarray(array)


def check_coordinates(array: NDArray[np.float64], name: str) -> None:
    """Refuse NaN, infinities and coordinates beyond ``FAR``."""
    if np.abs(array).max(initial=0.0) <= FAR:  # false for NaN too
        return
    bad = array[~np.isfinite(array)]
    if bad.size:
        raise GeometryError(f"{name} hold {bad.size} NaN or infinite coordinates: expected finite (row, col)")
    worst = array.flat[np.abs(array).argmax()]
    raise GeometryError(
        f"{name} hold the coordinate {worst:g}: beyond {FAR:g} pixels nothing is drawn; "
        "are they in pixels of this image?"
    )


def as_boxes(boxes: ArrayLike, name: str = "boxes") -> NDArray[np.float64]:
    """Check (n, 4) boxes: finite, min <= max."""
    try:
        array = np.asarray(boxes, dtype=np.float64)
    except (TypeError, ValueError):
        raise GeometryError(f"{name} are not numbers: expected (n, 4)") from None
    if array.ndim != 2 or array.shape[1] != 4:
        raise GeometryError(
            f"{name} have shape {array.shape}: expected [row_min, col_min, row_max, col_max] each"
        )
    check_coordinates(array, name)
    inverted = np.flatnonzero((array[:, :2] > array[:, 2:]).any(axis=1))
    if inverted.size:
        first = array[inverted[0]].tolist()
        raise GeometryError(
            f"{name}: {first} has a min above its max; the order is row_min, col_min, row_max, col_max"
        )
    return array


def as_masks(masks: ArrayLike, ndim: int, name: str = "mask") -> NDArray[np.uint8]:
    """A mask (or a stack of them) as C-contiguous bytes, non-zero inside; copies only where it must."""
    array = np.asarray(masks)
    if array.ndim != ndim or 0 in array.shape[-2:]:
        wanted = "(H, W)" if ndim == 2 else "(N, H, W)"
        raise InputError(f"{name} has shape {array.shape}: expected {wanted}")
    if array.dtype != bool and not np.issubdtype(array.dtype, np.integer):
        raise InputError(f"{name} has dtype {array.dtype}: expected bool or integers; threshold it first")
    if array.dtype.itemsize > 1:
        array = array != 0
    return np.ascontiguousarray(array).view(np.uint8)
