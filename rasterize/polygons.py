"""Polygons to masks, by named pixel rules, and their repair.

========================  =========================================================================
rule                      a pixel is filled when
========================  =========================================================================
``center`` (default)      its centre is inside, exactly; on an edge: top and left in, bottom and right
                          out, so polygons that share an edge share no pixel and leave none out
``outline``               its centre is inside or on the edge, decided as ``skimage.draw.polygon`` does
``opencv``                ``cv2.fillPoly`` fills it, after rounding the points to integers (halves to
                          even, as ``numpy.rint``); the drawn line makes shapes about half a pixel larger
``all_touched``           its closed unit square and the closed polygon have a point in common, exactly
========================  =========================================================================

Where a polygon crosses itself, a point is inside when a ray from it meets the edges an odd number of times
(even-odd), under every rule. What lies outside the frame is cut off.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .checks import as_points, as_shape, check_coordinates
from .errors import GeometryError, InputError
from .kernels import fill

RULES = ("center", "outline", "opencv", "all_touched")

_KERNELS = {
    "center": fill.fill_center,
    "outline": fill.fill_outline,
    "all_touched": fill.fill_touched,
}
_UNDERFLOW = 1e-100  # the exact orientation test multiplies: nearer to 0 than this is taken as 0


def fill_polygon(points: ArrayLike, shape: Sequence[int], rule: str = "center") -> NDArray[np.uint8]:
    """Draw one polygon, closed from its last point to its first.

    Args:
        points: (n, 2) of (row, col), n >= 3, sub-pixel and out-of-frame values allowed.
        shape: (height, width) of the mask.
        rule: one of ``RULES``; see the module.

    Returns:
        (height, width) uint8, 1 inside.

    Raises:
        GeometryError: fewer than 3 points, NaN, infinite, or beyond a million pixels.
        InputError: a shape or a rule that cannot be used.

    Example:
        >>> fill_polygon([(0.5, 0.5), (0.5, 2.5), (2.5, 2.5), (2.5, 0.5)], (3, 4)).tolist()
        [[0, 0, 0, 0], [0, 1, 1, 0], [0, 1, 1, 0]]
    """
    return fill_polygons([points], shape, rule)[0]


def fill_polygons(
    polygons: Iterable[ArrayLike],
    shape: Sequence[int],
    rule: str = "center",
    out: NDArray[np.uint8] | None = None,
) -> NDArray[np.uint8]:
    """Draw many polygons, each into its own mask.

    Args:
        polygons: (n_i, 2) arrays of (row, col), or one (N, n, 2) array.
        shape: (height, width) of every mask.
        rule: one of ``RULES``; see the module.
        out: (N, height, width) uint8, C-contiguous, to draw into; it is cleared first.

    Returns:
        (N, height, width) uint8, 1 inside; ``out`` when it was given.

    Raises:
        GeometryError: as :func:`fill_polygon`, naming the polygon by its place in the list.
        InputError: a shape, a rule or an ``out`` that cannot be used.

    Example:
        >>> triangle = [(0, 0), (0, 3), (3, 0)]
        >>> fill_polygons([triangle, triangle], (4, 4), rule="outline").sum(axis=(1, 2)).tolist()
        [10, 10]
    """
    if rule not in RULES:
        raise InputError(f"rule={rule!r}: expected one of {', '.join(RULES)}")
    height, width = as_shape(shape)
    points, offsets = _concatenated(polygons)
    masks = _canvas(out, (offsets.size - 1, height, width))
    if rule == "opencv":
        _fill_opencv(points, offsets, masks)
    else:
        _KERNELS[rule](points, offsets, masks)
    return masks


def _canvas(out: NDArray[np.uint8] | None, shape: tuple[int, int, int]) -> NDArray[np.uint8]:
    if out is None:
        return np.zeros(shape, np.uint8)
    if out.shape != shape or out.dtype != np.uint8 or not out.flags.c_contiguous:
        raise InputError(
            f"out has shape {out.shape} and dtype {out.dtype}: expected C-contiguous {shape} uint8"
        )
    out[...] = 0
    return out


def _concatenated(polygons: Iterable[ArrayLike]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """All points below each other, and where each polygon begins. The fast way checks them all at once."""
    items: list[Any] = list(polygons)
    try:
        points = np.concatenate(items, dtype=np.float64) if items else np.empty((0, 2))
        sizes = np.fromiter(map(len, items), np.int64, len(items))
    except (TypeError, ValueError):
        points, sizes = np.empty(0), np.zeros(1, np.int64)
    if points.ndim != 2 or points.shape[1] != 2 or sizes.min(initial=3) < 3:
        _raise_first(items)
    try:
        check_coordinates(points, "points")
    except GeometryError:
        _raise_first(items)
    if np.any(tiny := np.abs(points) < _UNDERFLOW):
        points[tiny] = 0.0
    return np.ascontiguousarray(points), np.concatenate(([0], np.cumsum(sizes)))


def _raise_first(items: list[Any]) -> None:
    """Name the first polygon that is wrong, and how."""
    for i, item in enumerate(items):
        as_points(item, "points" if len(items) == 1 else f"points of polygon {i}", least=3)


def _fill_opencv(points: NDArray[np.float64], offsets: NDArray[np.int64], masks: NDArray[np.uint8]) -> None:
    import cv2

    rounded = np.rint(points[:, ::-1]).astype(np.int32)
    for mask, start, stop in zip(masks, offsets[:-1], offsets[1:], strict=True):
        cv2.fillPoly(mask, [rounded[start:stop]], 1)


def is_valid_polygon(points: ArrayLike) -> bool:
    """Is this a simple polygon with an area (Shapely's, that is the OGC's, definition of valid)?

    Args:
        points: (n, 2) of (row, col).

    Returns:
        False for a crossing or touching outline, no area, fewer than 3 points, NaN or infinite values.

    Example:
        >>> is_valid_polygon([(0, 0), (0, 4), (4, 0)]), is_valid_polygon([(0, 0), (4, 4), (0, 4), (4, 0)])
        (True, False)
    """
    import shapely

    try:
        array = as_points(points, least=3)
    except GeometryError:
        return False
    return bool(shapely.Polygon(array).is_valid and shapely.Polygon(array).area > 0)


def repair_polygon(points: ArrayLike) -> NDArray[np.float64]:
    """A valid polygon from one that crosses or touches itself: the largest part of its even-odd interior.

    Args:
        points: (n, 2) of (row, col), n >= 3.

    Returns:
        (m, 2) of (row, col), clockwise on screen from the north-most (then west-most) vertex, without holes.
        A valid polygon keeps its points, in that order.

    Raises:
        GeometryError: as :func:`fill_polygon`, or when no area is left.

    Example:
        >>> repair_polygon([(0, 0), (4, 4), (0, 4), (4, 0)]).tolist()
        [[0.0, 0.0], [2.0, 2.0], [4.0, 0.0]]
    """
    import shapely

    polygon = shapely.Polygon(as_points(points, least=3))
    if not polygon.is_valid:
        parts = shapely.get_parts(shapely.make_valid(polygon))
        parts = [q for p in parts for q in shapely.get_parts(p) if q.geom_type == "Polygon"]
        polygon = max(parts, key=lambda part: part.area, default=shapely.Polygon())
    if polygon.is_empty or polygon.area == 0:
        raise GeometryError(
            f"points: the {np.shape(points)[0]} points enclose no area; nothing can be repaired"
        )
    return clockwise_from_north(np.asarray(polygon.exterior.coords)[:-1])


def clockwise_from_north(points: ArrayLike) -> NDArray[np.float64]:
    """The same polygon, clockwise on screen (rows run down), begun at its north-most, then west-most, point.

    Args:
        points: (n, 2) of (row, col), n >= 3.

    Returns:
        (n, 2) float64.

    Example:
        >>> clockwise_from_north([(2, 0), (2, 2), (0, 1)]).tolist()
        [[0.0, 1.0], [2.0, 2.0], [2.0, 0.0]]
    """
    array = as_points(points, least=3)
    row, col = array[:, 0], array[:, 1]
    if np.sum(col * np.roll(row, -1) - np.roll(col, -1) * row) < 0:
        array = array[::-1]
    start = np.lexsort((array[:, 1], array[:, 0]))[0]
    return np.ascontiguousarray(np.roll(array, -start, axis=0))
