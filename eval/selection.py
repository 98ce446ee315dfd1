"""Order statistics of surface distances without computing the distances.

A percentile needs one or two order statistics. How many points lie within a radius is a dilation and a
population count on packed bits, much cheaper than their distances; so the radius that holds the wanted
rank is bracketed, starting from a sample, until one distance or few points are left. Counts of both
directions are always taken at the same radius: the pooled rank counts nothing that the other direction
has not been searched for.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from dataclasses import dataclass

import numpy as np

from .far import Part, far_distances, order_statistics
from .packed import Bits, Direction, Floats

SAMPLE = 256
"""Points whose distances are searched to guess where a rank lies."""


@dataclass
class _Probe:
    """What is known at one radius: its index among the classes, how many points are within, which."""

    index: int
    count: int
    bits: list[Bits] | None


class Selector:
    """Order statistics of the squared distances of one direction, or of several taken together.

    Args:
        directions: one or more directions on the same grid.

    Example:
        >>> from voxzoo.eval.packed import Direction, extract
        >>> from voxzoo.eval.validate import as_mask_pair
        >>> a, b = np.zeros((8, 8, 8), bool), np.zeros((8, 8, 8), bool)
        >>> a[1, 1, 1] = b[1, 4, 5] = True
        >>> both = extract(as_mask_pair(a, b), (1.0, 1.0, 1.0), "erosion")
        >>> Selector([Direction(both.pred, both.ref)]).value(0)
        25.0
    """

    def __init__(self, directions: list[Direction]) -> None:
        self.count = sum(d.points.count for d in directions)
        self._directions = directions
        self._tables = directions[0].points.grid.tables
        self._probes = [_Probe(-1, 0, [d.points.grid.nothing for d in directions])]
        self._bands: list[tuple[int, Floats]] = []
        self._far: list[Part] | None = None
        self._sample = self._take_sample()

    def value(self, rank: int) -> float:
        """The squared distance of the point of that rank (0 = nearest), in mm^2."""
        while True:
            for start, values in self._bands:
                if start <= rank < start + values.size:
                    return float(values[rank - start])
            low, high = self._bracket(rank)
            if high is None and low.index == self._tables.classes.size - 1:
                return self._beyond(rank - low.count, low)
            if high is not None and high.index - low.index == 1:
                return float(self._tables.classes[high.index])
            if high is not None and self._few(low, high):
                self._search_band(low, high)
            else:
                self._probe(self._next(rank, low, high), low, high)

    def _take_sample(self) -> Floats:
        """Sorted squared distances of evenly spread points; all of them where there are few."""
        stride = max(1, self.count // SAMPLE)
        found = [d.near(d.sites(d.points.bits, stride=stride)) for d in self._directions]
        sample = np.sort(np.concatenate(found)) if len(found) > 1 else np.sort(found[0])
        if stride == 1:
            self._bands.append((0, sample[: int(np.searchsorted(sample, np.inf))]))
        return sample

    def _bracket(self, rank: int) -> tuple[_Probe, _Probe | None]:
        """The last probe whose count does not reach the rank, and the next one, which does."""
        k = bisect_right([p.count for p in self._probes], rank)
        return self._probes[k - 1], (self._probes[k] if k < len(self._probes) else None)

    def _next(self, rank: int, low: _Probe, high: _Probe | None) -> int:
        """Where to probe: just around the sample's guess first, then in the middle of what is left."""
        end = self._tables.classes.size if high is None else high.index
        n, p = self._sample.size, rank / self.count
        margin = 1.5 * math.sqrt(n * p * (1 - p)) + 1
        places = (math.ceil(n * p + margin), math.floor(n * p - margin), int(n * p))
        guesses = [self._class(self._sample[min(max(k, 0), n - 1)]) for k in places]
        for index in (guesses[0], guesses[1] - 1, guesses[2], guesses[2] - 1):
            if low.index < index < end:
                return index
        return (low.index + end) // 2

    def _class(self, value: float) -> int:
        """Index of a squared distance among the classes, the last one for inf."""
        last = self._tables.classes.size - 1
        return last if value > self._tables.limit else int(np.searchsorted(self._tables.classes, value))

    def _probe(self, index: int, low: _Probe, high: _Probe | None) -> None:
        """Count at one more radius; of earlier probes only the bracket keeps its bits."""
        found = [d.within(self._tables.classes[index]) for d in self._directions]
        for probe in self._probes:
            if probe is not low and probe is not high and probe.index >= 0:
                probe.bits = None
        self._probes.append(_Probe(index, sum(c for c, _ in found), [b for _, b in found]))
        self._probes.sort(key=lambda p: p.index)

    def _bits(self, probe: _Probe) -> list[Bits]:
        if probe.bits is None:
            probe.bits = [d.within(self._tables.classes[probe.index])[1] for d in self._directions]
        return probe.bits

    def _few(self, low: _Probe, high: _Probe) -> bool:
        """Whether searching the points of a bracket costs less than another count (in ns, as measured)."""
        rows = self._tables.rows_within[high.index]
        words = sum(d.points.bits.size for d in self._directions)
        return (high.count - low.count) * (20 + 1.3 * rows) < words * (3 + 0.05 * rows)

    def _search_band(self, low: _Probe, high: _Probe) -> None:
        """Exact distances of the points between two probes."""
        inner, outer = self._bits(low), self._bits(high)
        found = [d.near(d.sites(o, i)) for d, o, i in zip(self._directions, outer, inner, strict=True)]
        self._bands.append((low.count, np.sort(np.concatenate(found))))

    def _beyond(self, rank: int, low: _Probe) -> float:
        """An order statistic among the points that no neighbourhood search reaches."""
        if self._far is None:
            self._far = []
            near, low.bits = self._bits(low), None
            for d, left in zip(self._directions, near, strict=True):
                np.bitwise_xor(d.points.bits, left, out=left)
                count = int(np.bitwise_count(left).sum())
                if count:
                    self._far.append(far_distances(d, left, count))
        return order_statistics(self._far, (rank,))[0]
