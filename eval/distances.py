"""The surface distances of one pair of masks, of which every number in ``eval/surface.py`` is made."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike

from ..rasterize.errors import InputError
from .directed import DirectedDistances, directed_distances
from .empty import PeerEmpty, diagonal_mm, parse_empty, undefined_value
from .packed import Direction, Surfaces, extract
from .percentiles import area_percentile, float32_percentile, linear_percentile
from .presets import DEFAULT_PRESET, get_preset
from .selection import Selector
from .validate import Spacing, as_mask_pair, as_spacing


class SurfaceDistances:
    """The surface distances of one pair of masks, computed as far as they are asked for, and kept.

    Args:
        pred: predicted mask, bool or 0/1 integers, 2-D or 3-D, any memory order.
        ref: reference mask, same shape.
        spacing_mm: mm per voxel: one number, or one per axis in the masks' axis order.
        preset: a name from ``eval/presets.py``.
        empty: an empty policy, see ``eval/empty.py``.

    Raises:
        InputError: different shapes, other dtypes or values, a bad spacing, an unknown preset or policy.

    Example:
        >>> pred, ref = np.zeros((9, 9, 9), bool), np.zeros((9, 9, 9), bool)
        >>> pred[2:6, 2:6, 2:6] = ref[2:6, 2:6, 2:8] = True
        >>> distances = SurfaceDistances(pred, ref, spacing_mm=(2.0, 1.0, 1.0))
        >>> distances.hd(), round(distances.assd(), 3), round(distances.nsd(1.0), 3)
        (2.0, 0.353, 0.882)
    """

    def __init__(
        self,
        pred: ArrayLike,
        ref: ArrayLike,
        spacing_mm: Spacing = 1.0,
        preset: str = DEFAULT_PRESET,
        empty: str | float = "penalty",
    ) -> None:
        pair = as_mask_pair(pred, ref)
        self.spacing_mm = as_spacing(spacing_mm, len(pair.shape))
        self.preset = get_preset(preset)
        self.empty = parse_empty(empty)
        self.shape = pair.shape
        self._surfaces: Surfaces = extract(pair, self.spacing_mm, self.preset.surface)

    @property
    def any_empty(self) -> bool:
        """True when at least one mask has no voxel."""
        return self._surfaces.pred is None or self._surfaces.ref is None

    def hd(self) -> float:
        """Hausdorff distance in mm: the largest distance of any surface point to the other surface."""
        return self._distance("hd", self._largest)

    def hd95(self) -> float:
        """95th percentile of the surface distances in mm, by the preset's rule."""
        return self.hd_percentile(95.0)

    def hd_percentile(self, percentile: float) -> float:
        """Any percentile (0 to 100) of the surface distances in mm, by the preset's rule.

        Raises:
            InputError: a percentile outside 0 to 100.
        """
        if not 0 <= percentile <= 100:
            raise InputError(f"percentile={percentile!r}: expected a number from 0 to 100")
        return self._distance("hd_percentile", lambda: self._percentile(percentile))

    def assd(self) -> float:
        """Average symmetric surface distance in mm; the preset says how two directions are averaged."""
        peer = self.preset.empty_mean
        return self._undefined("assd", 0.0, self.penalty_mm, peer) if self.any_empty else self._mean()

    def nsd(self, tolerance_mm: float) -> float:
        """Normalised surface distance (surface Dice): the share of both surfaces within a tolerance.

        Args:
            tolerance_mm: the largest distance that counts as agreement; 0 or more.

        Returns:
            0 to 1.

        Raises:
            InputError: a negative tolerance or nan.
        """
        if not tolerance_mm >= 0:
            raise InputError(f"tolerance_mm={tolerance_mm!r}: expected 0 or a positive number of mm")
        if self.any_empty:
            return self._undefined("nsd", 1.0, 0.0, self.preset.empty_overlap)
        return self._share_within(float(tolerance_mm))

    @property
    def penalty_mm(self) -> float:
        """What a missed structure costs under ``empty="penalty"``: the preset's, else the image diagonal."""
        own = self.preset.penalty_mm
        return diagonal_mm(self.shape, self.spacing_mm) if own is None else own

    @cached_property
    def pred_to_ref(self) -> DirectedDistances:
        """All distances from the predicted surface to the reference."""
        return self._table(0)

    @cached_property
    def ref_to_pred(self) -> DirectedDistances:
        """All distances from the reference surface to the predicted one."""
        return self._table(1)

    @cached_property
    def _directions(self) -> tuple[Direction, Direction]:
        a, b = self._surfaces.pred, self._surfaces.ref
        if a is None or b is None:
            raise InputError("a mask is empty: there are no distances between the surfaces")
        return Direction(a, b), Direction(b, a)

    @cached_property
    def _selectors(self) -> list[Selector]:
        pred, ref = self._directions
        return [Selector([pred, ref])] if self.preset.pooled else [Selector([pred]), Selector([ref])]

    def _undefined(self, metric: str, perfect: float, penalty: float, peer: PeerEmpty | None) -> float:
        """The policy's value; called only when a mask is empty."""
        both = self._surfaces.pred is None and self._surfaces.ref is None
        return undefined_value(
            self.empty, both_empty=both, perfect=perfect, penalty=penalty, peer=peer, metric=metric
        )

    def _distance(self, metric: str, compute: Callable[[], float]) -> float:
        if self.any_empty:
            return self._undefined(metric, 0.0, self.penalty_mm, self.preset.empty_distance)
        return compute()

    def _largest(self) -> float:
        largest = max(s.value(s.count - 1) for s in self._selectors)
        return self._rounded(math.sqrt(largest))

    def _percentile(self, percentile: float) -> float:
        if self.preset.percentile == "area":
            return max(
                area_percentile(t.distance_mm, t.weight, percentile)
                for t in (self.pred_to_ref, self.ref_to_pred)
            )
        rule = linear_percentile if self.preset.percentile == "linear" else float32_percentile
        return max(rule(s.value, s.count, percentile) for s in self._selectors)

    def _rounded(self, value: float) -> float:
        return float(np.float32(value)) if self.preset.percentile == "float32" else value

    def _mean(self) -> float:
        a, b = self.pred_to_ref, self.ref_to_pred
        if self.preset.pooled_mean:
            total = a.total + b.total
            return (a.mean_mm * a.total + b.mean_mm * b.total) / total
        return (a.mean_mm + b.mean_mm) / 2

    def _share_within(self, tolerance_mm: float) -> float:
        radius2 = _squared(tolerance_mm)
        limit = self._directions[0].points.grid.tables.limit
        if self.preset.surface == "erosion" and radius2 <= limit:
            within = sum(d.within(radius2)[0] for d in self._directions)
            return within / sum(d.points.count for d in self._directions)
        a, b = self.pred_to_ref, self.ref_to_pred
        return (a.total_within(tolerance_mm) + b.total_within(tolerance_mm)) / (a.total + b.total)

    def _table(self, k: int) -> DirectedDistances:
        masks = self._surfaces.masks
        return directed_distances(self._directions[k], masks[k] if masks else None)


def _squared(distance: float) -> float:
    """The largest float whose square root does not exceed a distance."""
    square = distance * distance
    while math.sqrt(square) > distance:
        square = math.nextafter(square, 0.0)
    while math.isfinite(square) and math.sqrt(math.nextafter(square, math.inf)) <= distance:
        square = math.nextafter(square, math.inf)
    return square
