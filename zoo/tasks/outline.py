"""A mask's outline as an answer to ``polygon``: few whole pixels, clockwise from the north-most.

Answers are drawn with the rule ``outline`` (a pixel is filled when its centre is inside or on the edge),
so the ideal answer runs through the centres of the mask's border pixels.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ...rasterize import clockwise_from_north, fill_polygons, largest_component, mask_to_box, mask_to_polygon

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .answers import Point

__all__ = ["outline"]

FEWEST = 10
"""Points asked for, at least, of a tumour that is large enough."""


def outline(mask: NDArray[Any], most: int = 15) -> tuple[Point, ...]:
    """Whole pixels around the largest component of a mask.

    Args:
        mask: (H, W) bool or integers, not empty.
        most: points at most.

    Returns:
        3 to ``most`` points (row, col) inside the frame, clockwise from the north-most, then west-most;
        at least 10 wherever edges of 2 pixels or more are left to be divided.

    Raises:
        GeometryError: an empty mask.

    Example:
        >>> disc = np.hypot(*np.mgrid[-20:21, -20:21]) < 15
        >>> points = outline(disc)
        >>> len(points), points[0]
        (15, (6, 15))
    """
    part = largest_component(mask)
    if not part.any():
        mask_to_box(part)  # raises: there is nothing to go round
    traced = mask_to_polygon(part, most)
    best = max((_whole(traced, part, inward) for inward in (0.5, 0.25, 0.0)), key=lambda p: _overlap(p, part))
    points = _divided(best, most)
    return tuple((int(row), int(col)) for row, col in points)


def _whole(traced: NDArray[np.float64], part: NDArray[np.bool_], inward: float) -> NDArray[np.int64]:
    """The traced points, moved ``inward`` along each axis and rounded, without repetitions."""
    top, left, bottom, right = mask_to_box(part).tolist()
    middle = np.array([(top + bottom) / 2, (left + right) / 2])
    moved = np.rint(traced - inward * np.sign(traced - middle)).astype(np.int64)
    moved = np.clip(moved, (0, 0), np.array(part.shape) - 1)
    kept = moved[(moved != np.roll(moved, 1, axis=0)).any(axis=1)]
    return kept if len(np.unique(kept, axis=0)) >= 3 else _corners(part)


def _corners(part: NDArray[np.bool_]) -> NDArray[np.int64]:
    """The corners of the box, made at least 2 pixels high and wide where the frame allows it."""
    top, left, bottom, right = mask_to_box(part).tolist()
    height, width = part.shape
    bottom = min(max(bottom, top + 1), height - 1)
    right = min(max(right, left + 1), width - 1)
    top, left = min(top, max(bottom - 1, 0)), min(left, max(right - 1, 0))
    return np.array([(top, left), (top, right), (bottom, right), (bottom, left)], np.int64)


def _overlap(points: NDArray[np.int64], part: NDArray[np.bool_]) -> float:
    """Dice of the drawn points with the mask."""
    drawn = fill_polygons([points], part.shape, rule="outline")[0]
    return 2.0 * np.count_nonzero(drawn & part) / (np.count_nonzero(drawn) + np.count_nonzero(part))


def _divided(points: NDArray[np.int64], most: int) -> NDArray[np.int64]:
    """Clockwise from the north, with the longest edges halved until there are enough points."""
    out = clockwise_from_north(points).astype(np.int64)
    while len(out) < min(FEWEST, most):
        lengths = np.abs(np.roll(out, -1, axis=0) - out).max(axis=1)
        at = int(lengths.argmax())
        if lengths[at] < 2:
            break
        between = (out[at] + out[(at + 1) % len(out)]) // 2
        out = np.insert(out, at + 1, between, axis=0)
    return clockwise_from_north(out).astype(np.int64)
