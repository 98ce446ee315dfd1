"""How a patient's grid and a model's lie to each other: one geometry, from which both ways follow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from .grid import Grid
from .resample import AxisTable

if TYPE_CHECKING:
    from .contract import InputSpec
    from .resample import Tables

__all__ = ["EQUAL_SPACING", "Plan", "Prepared", "make_plan", "orientation"]

EQUAL_SPACING = 1e-4
"""Ratio of spacings, minus one, below which an axis is copied: 0.02 voxels over a head."""


@dataclass(frozen=True)
class Plan:
    """How a patient's grid and the model's lie to each other; both ways follow from it.

    Args:
        grid: the patient's.
        shape: (D, H, W) of the model.
        axes: the native array axis behind each of (D, H, W).
        flips: whether that axis runs against (S, A, R).
        scale: model spacing / native spacing along (D, H, W); exactly 1 where nothing is interpolated.
        start: where the centre of the model's first voxel lies, in native voxels counted along (S, A, R).
    """

    grid: Grid
    shape: tuple[int, int, int]
    axes: tuple[int, int, int]
    flips: tuple[bool, bool, bool]
    scale: tuple[float, float, float]
    start: tuple[float, float, float]

    @cached_property
    def forward(self) -> Tables:
        """Tables from native voxels to the model's."""
        return tuple(self._forward(t) for t in range(3))  # type: ignore[return-value]

    @cached_property
    def backward(self) -> Tables:
        """Tables from the model's voxels to native ones: the same mapping of points, inverted."""
        return tuple(self._backward(t) for t in range(3))  # type: ignore[return-value]

    @property
    def affine(self) -> np.ndarray:
        """(4, 4) float64: index (d, h, w) of the model's grid -> world mm."""
        out = np.eye(4)
        out[:3, 3] = self.grid.affine[:3, 3]
        for t in range(3):
            column = self.grid.affine[:3, self.axes[t]]
            sign = -1.0 if self.flips[t] else 1.0
            first = self._native(t) - 1 - self.start[t] if self.flips[t] else self.start[t]
            out[:3, t] = sign * self.scale[t] * column
            out[:3, 3] += first * column
        return out

    def _native(self, t: int) -> int:
        return self.grid.shape[self.axes[t]]

    def _forward(self, t: int) -> AxisTable:
        table = AxisTable.build(self._native(t), self.shape[t], self.scale[t], self.start[t])
        return table.source_flipped(self._native(t)) if self.flips[t] else table

    def _backward(self, t: int) -> AxisTable:
        scale = 1.0 / self.scale[t]
        table = AxisTable.build(self.shape[t], self._native(t), scale, -self.start[t] * scale)
        return table.target_flipped() if self.flips[t] else table


@dataclass(frozen=True, eq=False)
class Prepared:
    """What the model is fed, and the way back.

    Args:
        tensor: (C, D, H, W) float32, C-contiguous.
        plan: the geometry.
    """

    tensor: np.ndarray
    plan: Plan


def make_plan(grid: Grid, spec: InputSpec, box: Sequence[tuple[int, int]]) -> Plan:
    """The geometry for one patient.

    Args:
        grid: the patient's.
        spec: gives shape, spacing and crop rule. Where its window slides, the plan is of everything it slides
            over, and no smaller than the window: the brain's box, or the volume with crop "center".
        box: first and last index of the brain along each native axis.

    Example:
        >>> from voxzoo.zoo.contract import InputSpec
        >>> spec = InputSpec("x", ("flair",), (95, 128, 128), (1.5, 1.5, 1.5))
        >>> grid = Grid((240, 240, 155), np.diag([-1.0, -1.0, 1.0, 1.0]))
        >>> plan = make_plan(grid, spec, ((40, 200), (30, 210), (5, 145)))
        >>> plan.axes, plan.flips, plan.start
        ((2, 1, 0), (False, True, True), (4.5, 23.75, 23.75))
    """
    axes, flips = orientation(grid)
    shape, scale, start = [], [], []
    for t, axis in enumerate(axes):
        n = grid.shape[axis]
        low, high = box[axis] if spec.crop == "brain-center" else (0, n - 1)
        middle = (low + high) / 2
        ratio = spec.spacing_mm[t] / grid.spacing_mm[axis]
        ratio = 1.0 if abs(ratio - 1.0) < EQUAL_SPACING else ratio
        size = spec.shape[t]
        if spec.window == "sliding":
            size = max(size, int(np.ceil((high - low + 1) / ratio - EQUAL_SPACING)))
        first = (n - 1 - middle if flips[t] else middle) - ratio * (size - 1) / 2
        shape.append(size)
        scale.append(ratio)
        start.append(float(np.floor(first)) if ratio == 1.0 else first)
    return Plan(grid, tuple(shape), axes, flips, tuple(scale), tuple(start))  # type: ignore[arg-type]


def orientation(grid: Grid) -> tuple[tuple[int, int, int], tuple[bool, bool, bool]]:
    """Native axis behind (S, A, R), and whether it runs against it."""
    from nibabel.orientations import io_orientation

    found = io_orientation(grid.affine)
    axes = [int(np.flatnonzero(found[:, 0] == world)[0]) for world in (2, 1, 0)]
    flips = [bool(found[axis, 1] < 0) for axis in axes]
    return tuple(axes), tuple(flips)  # type: ignore[return-value]
