"""Slices of a case as 8-bit images for models that look at pictures, and the way back to voxels and mm.

Images are in radiological view, whatever the file's axis order: the patient's right is on the left of
axial and coronal images, the face looks left in sagittal ones, the top of the head (axial: the face) is
up. A slice is called by its index along the file's own axis.

What a slice looks like is decided by the image alone: where it is cut by the brain's own box in the modality
shown or by the full frame, how bright it is by its own voxels. The reference is used for one thing, WHICH
slices are shown, when ``which`` is "tumour" or "inner"; ``SliceRule.uses_reference`` says so in records.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from .errors import CaseError, InputError
from .grid import Grid
from .intensity import brain_values, percentile
from .plan import EQUAL_SPACING, Plan
from .resample import AxisTable, IntensityMap, gather
from .scan import Box, Scan, read_scan
from .tasks.segment import region_mask
from .tasks.slices import PLANES, SliceRule
from .voxels import flat_view, occupied_box

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from .cases import Case

__all__ = ["CaseSlices", "SliceRule", "open_slices"]


@dataclass(frozen=True, eq=False)
class CaseSlices:
    """The slices of one case under one rule.

    Args:
        rule: that they follow.
        indices: of the slices shown, along the file's own axis, ascending; may be none.
        volume: voxels of the modality, in the file's own axis order.
        plan: how the images lie in the file's grid: (slice, row, column), slices counted as in the file.
    """

    rule: SliceRule
    indices: tuple[int, ...]
    volume: NDArray[Any]
    plan: Plan

    def image(self, index: int) -> NDArray[np.uint8]:
        """Slice ``index`` as (height, width) uint8.

        Raises:
            InputError: the volume has no such slice.
        """
        shown = self._shown(self.volume, index).astype(np.float64)
        low, high = self._window or (shown.min(), shown.max())
        if not high > low:
            return np.zeros(self.rule.size, np.uint8)
        return (np.clip((shown - low) / (high - low), 0.0, 1.0) * 255).astype(np.uint8)

    def mask(self, mask: NDArray[Any], index: int) -> NDArray[np.bool_]:
        """Slice ``index`` of a mask on the case's grid: the pixels that it covers by half or more.

        What lies outside the image is cut, and a structure smaller than half a pixel vanishes.

        Args:
            mask: bool or integers, non-zero inside, in the file's own axis order.
            index: of the slice.

        Returns:
            (height, width) bool.

        Raises:
            InputError: the mask has another shape than the grid, or the volume no such slice.
        """
        if mask.shape != self.plan.grid.shape:
            raise InputError(f"the mask has shape {mask.shape}, the case {self.plan.grid.shape}")
        return self._shown((mask != 0).view(np.uint8), index) >= 0.5

    def to_voxels(self, index: int, points: ArrayLike) -> NDArray[np.float64]:
        """Where (row, col) pixels of slice ``index`` lie, in voxels of the file.

        Args:
            index: of the slice.
            points: (n, 2) or (2,).

        Returns:
            (n, 3) or (3,) float64, along the file's own axes.
        """
        pixels = np.asarray(points, dtype=np.float64)
        out = np.empty((*pixels.shape[:-1], 3))
        out[..., self.plan.axes[0]] = index
        for t, axis in enumerate(self.plan.axes[1:], start=1):
            along = self.plan.start[t] + self.plan.scale[t] * pixels[..., t - 1]
            out[..., axis] = self.plan.grid.shape[axis] - 1 - along if self.plan.flips[t] else along
        return out

    def to_mm(self, index: int, points: ArrayLike) -> NDArray[np.float64]:
        """Where (row, col) pixels of slice ``index`` lie in the world, (n, 3) or (3,) float64 mm."""
        affine = self.plan.grid.affine
        return self.to_voxels(index, points) @ affine[:3, :3].T + affine[:3, 3]

    @property
    def pixel_mm(self) -> tuple[float, float]:
        """Height and width of one pixel."""
        spacing = [self.plan.grid.spacing_mm[axis] for axis in self.plan.axes]
        return spacing[1] * self.plan.scale[1], spacing[2] * self.plan.scale[2]

    @cached_property
    def _window(self) -> tuple[float, float] | None:
        if self.rule.contrast == "slice":
            return None
        values, counts = brain_values(self.volume)
        return percentile(values, counts, 1.0), percentile(values, counts, 99.0)

    def _shown(self, volume: NDArray[Any], index: int) -> NDArray[np.float32]:
        depth = self.plan.shape[0]
        if not 0 <= index < depth:
            raise InputError(f"slice {index}: the case has {self.rule.plane} slices 0 to {depth - 1}")
        flat, strides = flat_view(volume)
        out = np.empty((1, *self.rule.size), np.float32)
        tables = AxisTable.build(depth, 1, 1.0, float(index)), *self.plan.forward[1:]
        gather(flat, strides[list(self.plan.axes)], tables, IntensityMap(), out)
        return out[0]


def open_slices(case: Case, rule: SliceRule | None = None) -> CaseSlices:
    """Read the modality of a case and find its slices.

    Args:
        case: its reference is read only if ``rule.uses_reference``.
        rule: default ``SliceRule()``.

    Raises:
        MissingModalityError: the case lacks the modality.
        CaseError: a file cannot be read, an image of zeros, or no reference where the rule uses one.

    Example:
        >>> from voxzoo.zoo.cases import case_from_arrays
        >>> head = np.zeros((1, 3, 8, 8)); head[0, :, 2:6, 2:6] = np.arange(16).reshape(4, 4)
        >>> slices = open_slices(case_from_arrays(head, ("flair",)), SliceRule(which="all", size=(4, 4)))
        >>> slices.indices, slices.image(1)[0].tolist()
        ((0, 1, 2), [0, 17, 34, 51])
    """
    rule = SliceRule() if rule is None else rule
    scan = read_scan(case, (rule.modality,))
    box = scan.box()
    plan = _plan(scan, rule, box)
    first, last = box[plan.axes[0]] if rule.which == "all" else _tumour_range(case, rule, plan.axes[0])
    margin = rule.margin if rule.which == "inner" else 0
    return CaseSlices(rule, tuple(range(first + margin, last - margin + 1)), scan.images[0], plan)


def _tumour_range(case: Case, rule: SliceRule, axis: int) -> tuple[int, int]:
    labels = case.read_reference()
    if labels is None:
        raise CaseError(f'{case.id}: without a reference the tumour\'s slices are not known; use which="all"')
    box = occupied_box(region_mask(labels, rule.region).view(np.uint8))
    return (0, -1) if box is None else box[axis]


def _plan(scan: Scan, rule: SliceRule, brain: Box) -> Plan:
    """Square pixels that show all of the brain's box or of the frame, or voxels as they are."""
    grid = scan.grid
    oriented = [_along(grid, code) for code in PLANES[rule.plane]]
    axes = [axis for axis, _ in oriented]
    flips = [False, *(flip for _, flip in oriented[1:])]
    spans = [(0, n - 1) for n in grid.shape] if rule.place == "full" else brain
    side_mm = _side_mm(spans, axes[1:], grid, rule.size)
    scale, start = [1.0], [0.0]
    for axis, flip, size in zip(axes[1:], flips[1:], rule.size, strict=True):
        ratio = 1.0 if rule.place == "crop" else side_mm / grid.spacing_mm[axis]
        ratio = 1.0 if abs(ratio - 1.0) < EQUAL_SPACING else ratio
        middle = sum(spans[axis]) / 2
        first = (grid.shape[axis] - 1 - middle if flip else middle) - ratio * (size - 1) / 2
        scale.append(ratio)
        start.append(float(np.floor(first)) if ratio == 1.0 else first)
    shape = (grid.shape[axes[0]], *rule.size)
    return Plan(grid, shape, tuple(axes), tuple(flips), tuple(scale), tuple(start))  # type: ignore[arg-type]


def _side_mm(
    spans: Sequence[tuple[int, int]], axes: Sequence[int], grid: Grid, size: tuple[int, int]
) -> float:
    """Side of the square pixels with which all of the spans is in the image."""
    extents = [(spans[axis][1] - spans[axis][0] + 1) * grid.spacing_mm[axis] for axis in axes]
    return max(extent / n for extent, n in zip(extents, size, strict=True))


def _along(grid: Grid, code: str) -> tuple[int, bool]:
    """The native axis nearest to the anatomical direction ``code``, and whether it runs against it."""
    codes = grid.codes
    opposite = {"S": "I", "I": "S", "A": "P", "P": "A", "R": "L", "L": "R"}[code]
    return (codes.index(code), False) if code in codes else (codes.index(opposite), True)
