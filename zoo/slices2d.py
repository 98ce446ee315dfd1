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
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from .errors import CaseError, InputError
from .grid import Grid
from .intensity import brain_values, percentile
from .resample import AxisTable, IntensityMap, gather
from .tasks.segment import REGIONS, region_mask
from .voxels import flat_view, occupied_box

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from .cases import Case

__all__ = ["CONTRASTS", "PLACES", "PLANES", "WHICH", "CaseSlices", "SliceRule", "open_slices"]

PLANES = {"axial": "SPL", "coronal": "AIL", "sagittal": "RIP"}
"""Where the slices are counted along (either way), where rows run to, and where columns run to."""

WHICH = ("all", "tumour", "inner")
PLACES = ("brain", "full", "crop")
CONTRASTS = ("slice", "brain")


@dataclass(frozen=True)
class SliceRule:
    """Which slices of a case are shown, and how.

    Args:
        modality: name of the image.
        plane: "axial", "coronal" or "sagittal".
        which: "all" from the first to the last with a voxel that is not 0; "tumour" from the first to the
            last with a voxel of ``region``; "inner" that range less ``margin`` slices at each end.
        margin: slices; 20 as in the study, only for "inner".
        place: "brain" scales the brain's box (over the whole volume) to fill the image, "full" the whole
            frame, both with equal mm along rows and columns; "crop" copies voxels one to one around the
            middle of the brain's box, as in the study, and cuts what does not fit.
        contrast: "slice" stretches what is shown from its least to its greatest value over 0..255,
            truncated, as in the study; "brain" from the 1st to the 99th percentile of the volume's brain.
        size: (height, width) of the image in pixels.
        region: "wt", "tc" or "et": what counts as tumour.

    Raises:
        InputError: a value that is none of these.

    Example:
        >>> SliceRule(which="all").uses_reference, SliceRule().uses_reference
        (False, True)
    """

    modality: str = "flair"
    plane: str = "axial"
    which: str = "tumour"
    margin: int = 20
    place: str = "brain"
    contrast: str = "slice"
    size: tuple[int, int] = (128, 128)
    region: str = "wt"

    def __post_init__(self) -> None:
        known = {"plane": PLANES, "which": WHICH, "place": PLACES, "contrast": CONTRASTS, "region": REGIONS}
        for name, values in known.items():
            if getattr(self, name) not in values:
                raise InputError(f"{name}={getattr(self, name)!r}: expected one of {', '.join(values)}")
        if self.margin < 0 or len(self.size) != 2 or min(self.size) < 1:
            raise InputError(
                f"margin={self.margin}, size={self.size}: expected 0 or more, and (height, width)"
            )

    @property
    def uses_reference(self) -> bool:
        """Whether the choice of slices looks at the reference. Nothing else ever does."""
        return self.which != "all"

    def record(self) -> dict[str, Any]:
        """All of it, for a record or a hash of options."""
        return {**asdict(self), "size": list(self.size), "uses_reference": self.uses_reference}


@dataclass(frozen=True, eq=False)
class CaseSlices:
    """The slices of one case under one rule.

    Args:
        grid: of the case.
        rule: that they follow.
        indices: of the slices shown, along the file's own axis, ascending.
        volume: the modality, float32, on ``grid``.
        box: first and last index of the brain along each native axis.
    """

    grid: Grid
    rule: SliceRule
    indices: tuple[int, ...]
    volume: NDArray[np.float32]
    box: tuple[tuple[int, int], ...]

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
        """Slice ``index`` of a mask on ``grid`` as (height, width) bool: pixels at least half covered.

        A structure smaller than half a pixel vanishes; at equal spacing nothing does.

        Raises:
            InputError: the mask has another shape than the grid, or the volume no such slice.
        """
        if mask.shape != self.grid.shape:
            raise InputError(f"the mask has shape {mask.shape}, the case {self.grid.shape}")
        return self._shown(np.asarray(mask != 0).view(np.uint8), index) >= 0.5

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
        out[..., self._axes[0]] = index
        for which, axis in enumerate(self._axes[1:]):
            start, scale = self._lattice[which]
            along = start + scale * pixels[..., which]
            out[..., axis] = self.grid.shape[axis] - 1 - along if self._flips[which + 1] else along
        return out

    def to_mm(self, index: int, points: ArrayLike) -> NDArray[np.float64]:
        """Where (row, col) pixels of slice ``index`` lie in the world, (n, 3) or (3,) mm."""
        return self.to_voxels(index, points) @ self.grid.affine[:3, :3].T + self.grid.affine[:3, 3]

    @property
    def pixel_mm(self) -> tuple[float, float]:
        """Height and width of one pixel."""
        spacing = [self.grid.spacing_mm[axis] for axis in self._axes[1:]]
        rows, cols = (mm * scale for mm, (_, scale) in zip(spacing, self._lattice, strict=True))
        return rows, cols

    @cached_property
    def _orientation(self) -> list[tuple[int, bool]]:
        """Native axis along (slices, rows, columns), and whether it runs against the view."""
        return [_along(self.grid, code) for code in PLANES[self.rule.plane]]

    @property
    def _axes(self) -> list[int]:
        return [axis for axis, _ in self._orientation]

    @property
    def _flips(self) -> list[bool]:
        return [flip for _, flip in self._orientation]

    @cached_property
    def _lattice(self) -> list[tuple[float, float]]:
        """(start, scale) along rows and columns: voxel = start + scale * pixel, counted along the view."""
        return [_place(self, which) for which in (0, 1)]

    @cached_property
    def _tables(self) -> list[AxisTable]:
        tables = []
        for (start, scale), axis, flip, size in zip(
            self._lattice, self._axes[1:], self._flips[1:], self.rule.size, strict=True
        ):
            table = AxisTable.build(self.grid.shape[axis], size, scale, start)
            tables.append(table.source_flipped(self.grid.shape[axis]) if flip else table)
        return tables

    @cached_property
    def _window(self) -> tuple[float, float] | None:
        if self.rule.contrast == "slice":
            return None
        values, counts = brain_values(self.volume)
        return percentile(values, counts, 1.0), percentile(values, counts, 99.0)

    def _shown(self, volume: NDArray[Any], index: int) -> NDArray[np.float32]:
        depth = self.grid.shape[self._axes[0]]
        if not 0 <= index < depth:
            raise InputError(
                f"slice {index}: the case has {depth} {self.rule.plane} slices, 0 to {depth - 1}"
            )
        flat, strides = flat_view(volume)
        out = np.empty((1, *self.rule.size), np.float32)
        rows, cols = self._tables
        at = AxisTable.build(depth, 1, 1.0, float(index))
        gather(flat, strides[self._axes], (at, rows, cols), IntensityMap(), out)
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
    volume = np.asarray(case.read_image(rule.modality), dtype=np.float32)
    box = occupied_box(volume)
    if box is None:
        raise CaseError(f"{case.id}: the {rule.modality} image holds nothing but zeros")
    grid = case.grid()
    axis = _along(grid, PLANES[rule.plane][0])[0]
    first, last = box[axis] if rule.which == "all" else _tumour_range(case, rule, axis)
    margin = rule.margin if rule.which == "inner" else 0
    return CaseSlices(grid, rule, tuple(range(first + margin, last - margin + 1)), volume, box)


def _tumour_range(case: Case, rule: SliceRule, axis: int) -> tuple[int, int]:
    labels = case.read_reference()
    if labels is None:
        raise CaseError(f'{case.id}: without a reference the tumour\'s slices are not known; use which="all"')
    box = occupied_box(region_mask(labels, rule.region).view(np.uint8))
    return (0, -1) if box is None else box[axis]


def _along(grid: Grid, code: str) -> tuple[int, bool]:
    """The native axis nearest to the anatomical direction ``code``, and whether it runs against it."""
    opposite = {"S": "I", "I": "S", "A": "P", "P": "A", "R": "L", "L": "R"}[code]
    codes = grid.codes
    return (codes.index(code), False) if code in codes else (codes.index(opposite), True)


def _place(slices: CaseSlices, which: int) -> tuple[float, float]:
    """Start and scale along rows (0) or columns (1)."""
    rule, grid, axes = slices.rule, slices.grid, slices._axes[1:]
    spans = [(0, grid.shape[axis] - 1) if rule.place == "full" else slices.box[axis] for axis in axes]
    axis, (low, high) = axes[which], spans[which]
    n, size = grid.shape[axis], rule.size[which]
    middle = (low + high) / 2
    middle = n - 1 - middle if slices._flips[which + 1] else middle
    if rule.place == "crop":
        return float(np.floor(middle - (size - 1) / 2)), 1.0
    scale = _pixel_side_mm(spans, axes, grid, rule.size) / grid.spacing_mm[axis]
    return middle - scale * (size - 1) / 2, scale


def _pixel_side_mm(
    spans: Sequence[tuple[int, int]], axes: Sequence[int], grid: Grid, size: tuple[int, int]
) -> float:
    """Side of the square pixels with which all of the span is in the image."""
    sides = [
        (b - a + 1) * grid.spacing_mm[axis] / n for (a, b), axis, n in zip(spans, axes, size, strict=True)
    ]
    return max(sides)
