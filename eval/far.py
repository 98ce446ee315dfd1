"""Distances beyond the searched neighbourhood: a few points one by one, many by a transform."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from .kernels import edt
from .packed import Bits, Direction, Floats, Surface

NEARLY = 1e-12
"""Relative slack that covers the rounding of a squared distance summed in another order."""


@dataclass(frozen=True)
class Part:
    """Squared distances of a part of a direction's points.

    Attributes:
        direction: whose points these are.
        bits: which of them (in scan order); None when ``exact``.
        values: squared distances in units of ``unit``.
        unit: mm^2.
        exact: False when values may be off by a few ulps (see :func:`order_statistics`).
    """

    direction: Direction
    bits: Bits | None
    values: NDArray
    unit: float
    exact: bool

    def resolve(self, chosen: NDArray[np.intp]) -> Floats:
        """The exact squared distances of some of the points."""
        values = self.values[chosen] * self.unit
        if self.exact or self.bits is None:
            return values
        sites = self.direction.sites(self.bits)[chosen]
        return self.direction.exact(sites, values * (1 + NEARLY))


def far_distances(direction: Direction, bits: Bits, count: int) -> Part:
    """Squared distances of the points in ``bits``, by whichever method is cheaper.

    Args:
        direction: whose points they are.
        bits: which of its points.
        count: how many they are, at least 1.

    Returns:
        The distances, in scan order.
    """
    grid, target = direction.points.grid, direction.target.box
    queries = Surface(bits, count, grid).box
    if _cost_one_by_one(count, target) < _cost_at_once(queries, target):
        return Part(direction, None, direction.exact(direction.sites(bits)), 1.0, True)
    return _transform(direction, bits, count, queries)


def _cost_one_by_one(count: int, target: NDArray[np.int64]) -> float:
    """Nanoseconds, roughly, as measured: a point looks at half of the target's rows."""
    planes, rows, _ = _lengths(target)
    return 0.5 * count * planes * rows


def _cost_at_once(queries: NDArray[np.int64], target: NDArray[np.int64]) -> float:
    """Nanoseconds, roughly, as measured: one per 32 voxels of a row and row looked at."""
    planes, rows, columns = _lengths(queries)
    target_planes, target_rows, _ = _lengths(target)
    looks = rows * target_planes * (target_rows + planes)
    return looks * (columns // 32 + 1) + target_planes * target_rows * columns


def _lengths(box: NDArray[np.int64]) -> tuple[int, int, int]:
    z, y, x = (int(n) for n in box[1::2] - box[::2] + 1)
    return z, y, x


def _transform(direction: Direction, bits: Bits, count: int, queries: NDArray[np.int64]) -> Part:
    """All distances at once: in small integers where the spacing allows, else in float64."""
    grid, target = direction.points.grid, direction.target.box
    reach = [int(max(queries[k + 1] - target[k], target[k + 1] - queries[k])) for k in (0, 2, 4)]
    steps, unit, exact = _integer_steps(grid.spacing, reach)
    if steps is None:
        squares: tuple[NDArray, ...] = grid.squares(tuple(reach))
        far: np.generic = np.float64(np.inf)
        unit = 1.0
    else:
        squares = tuple(
            ((np.arange(n + 1) * k) ** 2).astype(np.uint16) for n, k in zip(reach, steps, strict=True)
        )
        far = np.uint16(65535)
    out = np.empty(count, far.dtype)
    plane = int(target[1] - target[0] + 1) * (int(queries[5] - queries[4]) + 33) * out.itemsize
    slab = max(1, min(int(queries[3] - queries[2]) + 1, grid.budget // plane))
    starts = edt.row_starts(bits, grid.nz * grid.ny, grid.words)
    args = (grid.ny, grid.words, queries, target, *squares, far, slab, starts, out)
    edt.transform(bits, direction.target.bits, *args)
    return Part(direction, None if exact else bits, out, unit, exact)


def _integer_steps(spacing: tuple[float, ...], reach: list[int]) -> tuple[list[int] | None, float, bool]:
    """Spacings as small integers of one unit, if squared distances then fit 16 bits.

    Returns the integers or None, the squared unit in mm^2, and whether float64 sums of squares are exact
    in any order.
    """
    ratios = [Fraction(s) for s in spacing]
    common = math.lcm(*(r.denominator for r in ratios))
    steps = [int(r * common) for r in ratios]
    exact = sum((n * k) ** 2 for n, k in zip(reach, steps, strict=True)) < 1 << 53
    shared = math.gcd(*steps)
    steps = [k // shared for k in steps]
    fits = exact and sum((n * k) ** 2 for n, k in zip(reach, steps, strict=True)) < 65535
    return (steps if fits else None), float(Fraction(shared, common) ** 2), exact


def order_statistics(parts: list[Part], ranks: tuple[int, ...]) -> list[float]:
    """The exact squared distances of the given ranks (0 = smallest) among all points of some parts.

    Where values are off by some ulps, those next to the one asked for are searched again exactly.
    """
    values = [p.values * p.unit if len(parts) > 1 else p.values for p in parts]
    every = np.concatenate(values) if len(parts) > 1 else values[0]
    unit = 1.0 if len(parts) > 1 else parts[0].unit
    picked = [float(v) * unit for v in np.partition(every, ranks)[list(ranks)]]
    if all(p.exact for p in parts):
        return picked
    return [_resolved(parts, v, r) for v, r in zip(picked, ranks, strict=True)]


def _resolved(parts: list[Part], value: float, rank: int) -> float:
    """The exact value of one rank, near which ``value`` is."""
    low, high = value * (1 - NEARLY), value * (1 + NEARLY)
    below, band = 0, []
    for part in parts:
        values = part.values * part.unit
        below += int(np.count_nonzero(values < low))
        band.append(part.resolve(np.flatnonzero((values >= low) & (values <= high))))
    return float(np.sort(np.concatenate(band))[rank - below])
