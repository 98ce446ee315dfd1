"""The full table: the distance of every surface point, and the area it stands for."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .areas import contour_lengths, surface_areas
from .far import NEARLY, Part, far_distances
from .kernels import surface
from .packed import Bits, Direction, Floats


@dataclass(frozen=True)
class DirectedDistances:
    """All distances from one surface to the other.

    Attributes:
        distance_mm: float64, one per surface point, unsorted.
        weight: what each point stands for: None for 1, or mm^2 (2-D: mm) of surface with corner presets.
        parts: the same squared, in the same order; inexact ones can be refined.
    """

    distance_mm: Floats
    weight: Floats | None
    parts: tuple[Part, ...]

    @property
    def total(self) -> float:
        """Sum of the weights."""
        return float(self.distance_mm.size if self.weight is None else self.weight.sum())

    @property
    def mean_mm(self) -> float:
        """Weighted mean distance."""
        if self.weight is None:
            return float(self.distance_mm.mean())
        return float((self.distance_mm * self.weight).sum() / self.weight.sum())

    def total_within(self, tolerance_mm: float) -> float:
        """Sum of the weights of the points at most that far away; ties are decided exactly."""
        close = np.concatenate([_within(p, tolerance_mm) for p in self.parts])
        return float(np.count_nonzero(close) if self.weight is None else self.weight[close].sum())


def directed_distances(direction: Direction, mask: Bits | None) -> DirectedDistances:
    """Every distance of a direction: a window search for near points, the far methods for the rest.

    Args:
        direction: from which surface to which.
        mask: the packed mask whose corners the points are, where areas are wanted.

    Returns:
        The table.
    """
    every = direction.points
    count, near = direction.within(every.grid.tables.limit)
    sites = direction.sites(near)
    parts = [Part(direction, None, direction.near(sites), 1.0, True)]
    if count < every.count:
        far = every.bits & ~near
        parts.append(far_distances(direction, far, every.count - count))
        sites = np.concatenate([sites, direction.sites(far)])
    distance = np.sqrt(np.concatenate([p.values * p.unit for p in parts]))
    return DirectedDistances(distance, None if mask is None else _areas(direction, sites, mask), tuple(parts))


def _within(part: Part, tolerance_mm: float) -> NDArray[np.bool_]:
    """Which points of a part are within a distance."""
    distance = np.sqrt(part.values * part.unit)
    close = distance <= tolerance_mm
    if not part.exact:
        doubtful = np.flatnonzero(np.abs(distance - tolerance_mm) <= NEARLY * tolerance_mm)
        close[doubtful] = np.sqrt(part.resolve(doubtful)) <= tolerance_mm
    return close


def _areas(direction: Direction, sites: NDArray[np.uint32], mask: Bits) -> Floats:
    """The area (2-D: length) of surface that each grid corner stands for."""
    g = direction.points.grid
    codes = surface.corner_codes(sites, mask, g.ny - 1, g.words, g.flat)
    return (contour_lengths(g.spacing[1:]) if g.flat else surface_areas(g.spacing))[codes]
