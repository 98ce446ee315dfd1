"""Masks to polygons, boxes and centres, in the conventions that the fills use.

A polygon traced here and drawn with the rule ``center`` gives its mask back: exactly when no limit is set on
its points (holes aside), as closely as its points allow otherwise.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .checks import as_masks
from .errors import GeometryError, InputError
from .kernels import polygon
from .shapes import round_half_down


def mask_to_polygon(mask: ArrayLike, max_points: int | None = 12) -> NDArray[np.float64]:
    """Outline of the largest component with few points, placed so that the refill overlaps best.

    The boundary between pixels is followed (8-connected; of equally large components the first in raster
    order), reduced by Visvalingam & Whyatt (1993) and by least loss of Dice, then every vertex moves while
    the Dice of the refill (rule ``center``) rises. Holes are not represented.

    Args:
        mask: (H, W) bool or integers, non-zero inside.
        max_points: at most this many points, 3 or more; ``None`` for the whole boundary along pixel edges,
            which refills to the component exactly. A component whose boundary has few enough corners
            (one pixel: 4) keeps them all.

    Returns:
        (n, 2) float64 of (row, col), 3 <= n <= max_points, clockwise on screen, from the north-most, then
        west-most, point; valid in Shapely's sense, always.

    Raises:
        GeometryError: an empty mask.
        InputError: not a 2-D mask, or max_points below 3.

    Example:
        >>> mask_to_polygon([[0, 0, 0], [0, 1, 1]]).tolist()
        [[0.5, 0.5], [0.5, 2.5], [1.5, 2.5], [1.5, 0.5]]
    """
    most = -1 if max_points is None else _as_limit(max_points)
    points = polygon.mask_polygon(as_masks(mask, 2), most)
    if len(points) == 0:
        raise _empty("mask")
    return points


def mask_to_polygons(masks: ArrayLike, max_points: int = 12) -> list[NDArray[np.float64]]:
    """:func:`mask_to_polygon` for every mask of a stack, in one pass.

    Args:
        masks: (N, H, W) bool or integers, or a sequence of N masks of one shape.
        max_points: at most this many points each, 3 or more.

    Returns:
        N arrays (n_i, 2) of (row, col).

    Raises:
        GeometryError: an empty mask, named by its place.
        InputError: not a stack of 2-D masks, or max_points below 3.

    Example:
        >>> [p.tolist() for p in mask_to_polygons(np.eye(3, dtype=bool)[None], max_points=5)]
        [[[-0.5, 0.0], [2.0, 2.5], [2.5, 2.0], [0.0, -0.5]]]
    """
    array = as_masks(masks, 3, "masks")
    most = _as_limit(max_points)
    out = np.empty((len(array), max(most, 4), 2))
    counts = np.zeros(len(array), np.int64)
    polygon.mask_polygons(array, most, out, counts)
    if not counts.all():
        empty = np.flatnonzero(counts == 0)
        raise _empty(f"mask {', '.join(map(str, empty[:5]))} of {len(array)}")
    return [points[:n].copy() for points, n in zip(out, counts.tolist(), strict=True)]


def mask_to_box(mask: ArrayLike) -> NDArray[np.int64]:
    """The smallest box around every non-zero pixel.

    Args:
        mask: (H, W) bool or integers.

    Returns:
        [row_min, col_min, row_max, col_max], inclusive.

    Raises:
        GeometryError: an empty mask.
        InputError: not a 2-D mask.

    Example:
        >>> mask_to_box([[0, 0, 0], [0, 1, 1]]).tolist()
        [1, 1, 1, 2]
    """
    array = as_masks(mask, 2)
    rows, cols = np.flatnonzero(array.any(axis=1)), np.flatnonzero(array.any(axis=0))
    if rows.size == 0:
        raise _empty("mask")
    return np.array([rows[0], cols[0], rows[-1], cols[-1]], np.int64)


def mask_to_center(
    mask: ArrayLike, of: Literal["mass", "box"] = "mass", integer: bool = False
) -> NDArray[np.float64] | NDArray[np.int64]:
    """The centre of a mask.

    Args:
        mask: (H, W) bool or integers; every non-zero pixel counts the same.
        of: ``mass`` for the mean of the pixel centres, ``box`` for the middle of :func:`mask_to_box`, which
            may be half-integer.
        integer: round to a pixel, halves down.

    Returns:
        (row, col), float64, or int64 with ``integer``. It may lie outside a concave mask.

    Raises:
        GeometryError: an empty mask.
        InputError: not a 2-D mask, or another ``of``.

    Example:
        >>> mask_to_center([[1, 1], [1, 0]], of="box").tolist()
        [0.5, 0.5]
        >>> mask_to_center([[1, 1], [1, 0]], of="box", integer=True).tolist()
        [0, 0]
    """
    if of not in ("mass", "box"):
        raise InputError(f"of={of!r}: expected 'mass' or 'box'")
    array = as_masks(mask, 2)
    if of == "box":
        box = mask_to_box(array)
        center = (box[:2] + box[2:]) / 2
    else:
        rows, cols = np.nonzero(array)
        if rows.size == 0:
            raise _empty("mask")
        center = np.array([rows.mean(), cols.mean()])
    return round_half_down(center) if integer else center


def largest_component(mask: ArrayLike, connectivity: int = 8) -> NDArray[np.bool_]:
    """The connected component with most pixels; of equals the first in raster order.

    Args:
        mask: (H, W) bool or integers.
        connectivity: 8 (corners connect, as in :func:`mask_to_polygon`) or 4.

    Returns:
        (H, W) bool; all False for an empty mask.

    Raises:
        InputError: not a 2-D mask, or another connectivity.

    Example:
        >>> largest_component([[1, 0, 1], [0, 0, 1]]).astype(int).tolist()
        [[0, 0, 1], [0, 0, 1]]
    """
    import cv2

    if connectivity not in (4, 8):
        raise InputError(f"connectivity={connectivity!r}: expected 4 or 8")
    array = as_masks(mask, 2)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(array, connectivity=connectivity)
    if count == 1:
        return np.zeros(array.shape, bool)
    areas = stats[1:, cv2.CC_STAT_AREA]
    largest = np.isin(labels, 1 + np.flatnonzero(areas == areas.max()))
    return labels == labels.flat[np.argmax(largest)]


def _as_limit(max_points: int) -> int:
    if not isinstance(max_points, (int, np.integer)) or isinstance(max_points, bool) or max_points < 3:
        raise InputError(f"max_points={max_points!r}: expected an integer of at least 3")
    return int(max_points)


def _empty(name: str) -> GeometryError:
    return GeometryError(f"{name} is empty: it has no outline, box or centre; leave such slices out first")
