"""A mask's outline as an answer to ``polygon``: few whole pixels, clockwise from the north-most.

Answers are drawn with the rule ``outline`` (a pixel is filled when its centre is inside or on the edge),
so the ideal answer runs through the centres of the mask's border pixels. It is found from the sub-pixel
outline of ``rasterize``: rounded in three ways, the best of which is improved one point and one pixel at
a time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ...rasterize import (
    clockwise_from_north,
    fill_polygons,
    is_valid_polygon,
    largest_component,
    mask_to_box,
    mask_to_polygon,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .answers import Point

__all__ = ["outline"]

FEWEST = 10
"""Points asked for, at least, of a tumour that is large enough."""

_AROUND = np.array([(0, 0), *((r, c) for r in (-1, 0, 1) for c in (-1, 0, 1) if r or c)])


def outline(mask: NDArray[Any], most: int = 15) -> tuple[Point, ...]:
    """Whole pixels around the largest component of a mask.

    Args:
        mask: (H, W) bool or integers, not empty; at least 2 x 2.
        most: points at most, 4 or more.

    Returns:
        3 to ``most`` points (row, col) inside the mask's box, a valid polygon clockwise from the
        north-most, then west-most; at least 10 wherever edges of 2 pixels or more are left to be divided.
        Around a line or a single pixel the box is widened to 2 pixels.

    Raises:
        GeometryError: an empty mask.

    Example:
        >>> disc = np.hypot(*np.mgrid[-20:21, -20:21]) < 15
        >>> points = outline(disc)
        >>> len(points), points[0]
        (15, (6, 15))
    """
    part = largest_component(mask)
    traced = mask_to_polygon(part, most)
    top, left, bottom, right = _box(part)
    part = part[top : bottom + 1, left : right + 1]
    rounded = [_whole(traced - (top, left), part.shape, inward) for inward in (0.5, 0.25, 0.0)]
    valid = [points for points in rounded if is_valid_polygon(points)] or [_corners(part.shape)]
    best = max(valid, key=lambda points: _overlaps([points], part)[0])
    points = clockwise_from_north(_divided(_improved(best, part), most))
    return tuple((int(row) + top, int(col) + left) for row, col in points)


def _box(part: NDArray[np.bool_]) -> tuple[int, int, int, int]:
    """The box of a mask, made 2 pixels high and wide at least, inside the frame."""
    top, left, bottom, right = mask_to_box(part).tolist()
    top, left = min(top, part.shape[0] - 2), min(left, part.shape[1] - 2)
    return top, left, max(bottom, top + 1), max(right, left + 1)


def _whole(traced: NDArray[np.float64], shape: tuple[int, ...], inward: float) -> NDArray[np.int64]:
    """The traced points, moved ``inward`` along each axis and rounded, without repetitions."""
    last = np.array(shape) - 1
    moved = np.rint(traced - inward * np.sign(traced - last / 2)).astype(np.int64)
    moved = np.clip(moved, 0, last)
    return moved[(moved != np.roll(moved, 1, axis=0)).any(axis=1)]


def _corners(shape: tuple[int, ...]) -> NDArray[np.int64]:
    bottom, right = shape[0] - 1, shape[1] - 1
    return np.array([(0, 0), (0, right), (bottom, right), (bottom, 0)], np.int64)


def _improved(points: NDArray[np.int64], part: NDArray[np.bool_], rounds: int = 2) -> NDArray[np.int64]:
    """Each point in turn moved to the neighbour that overlaps best, as long as the polygon stays valid."""
    best = _overlaps([points], part)[0]
    for i in list(range(len(points))) * rounds:
        tries = np.repeat(points[None], len(_AROUND), axis=0)
        tries[:, i] = np.clip(tries[:, i] + _AROUND, 0, np.array(part.shape) - 1)
        overlaps = _overlaps(tries, part)
        at = int(overlaps.argmax())
        if overlaps[at] > best and is_valid_polygon(tries[at]):
            points, best = tries[at], overlaps[at]
    return points


def _overlaps(polygons: Any, part: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Dice of each drawn polygon with the mask."""
    drawn = fill_polygons(polygons, part.shape, rule="outline").view(bool)
    both = np.count_nonzero(drawn & part, axis=(1, 2))
    return 2.0 * both / (np.count_nonzero(drawn, axis=(1, 2)) + np.count_nonzero(part))


def _divided(points: NDArray[np.int64], most: int) -> NDArray[np.int64]:
    """The same polygon with its longest edges halved until there are enough points."""
    while len(points) < min(FEWEST, most):
        following = np.roll(points, -1, axis=0)
        lengths = np.abs(following - points).max(axis=1)
        for at in np.argsort(-lengths, kind="stable"):
            between = np.insert(points, at + 1, (points[at] + following[at]) // 2, axis=0)
            if lengths[at] >= 2 and is_valid_polygon(between):
                break
        else:
            return points
        points = between
    return points
