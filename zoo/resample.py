"""Separable resampling between a patient's voxels and a model's, with the intensity map fused in.

**The filter.** The value at a point is the mean of the source over a box as wide as the larger of the two
voxels, each source voxel being constant over its extent. Where the target is as fine as the source or finer,
those weights *are* linear interpolation; at equal spacing they are 0 and 1, so nothing is interpolated;
where it is coarser they average what lies in the target voxel, so that no voxel is skipped and nothing
aliases. Beyond the source's outer voxels' extent there is nothing: 0. Within it the edge voxel goes on.

**The tables.** An axis is a table (first source index, number of taps, weights) per target index; flips and
crops are in the table, axis order is in the strides. Planes are combined first (over the slowest axis), then
rows, then columns, so that each source voxel is read from memory once per plane that needs it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..rasterize.jit import kernel

__all__ = ["AxisTable", "IntensityMap", "Tables", "gather"]

Array = np.ndarray

NEGLIGIBLE = 1e-9
"""Overlap, in voxels, that is rounding rather than geometry."""


@dataclass(frozen=True, eq=False)
class AxisTable:
    """One axis: target i takes ``count[i]`` voxels, ``first[i]``, ``first[i] + step`` ..., by ``weight[i]``.

    ``step`` is -1 where the source runs the other way: its voxels are then added up in the same order as
    those of the same patient stored the right way round, so that both give the same bits.
    """

    first: np.ndarray
    count: np.ndarray
    weight: np.ndarray
    step: int = 1

    @staticmethod
    def build(source: int, target: int, scale: float, start: float) -> AxisTable:
        """Table for ``target`` voxels whose centres lie at source index ``start + scale * i``.

        Example:
            >>> table = AxisTable.build(source=4, target=2, scale=2.0, start=0.5)
            >>> table.first.tolist(), table.count.tolist(), table.weight[:, :2].tolist()
            ([0, 2], [2, 2], [[0.5, 0.5], [0.5, 0.5]])
        """
        width = max(1.0, scale)
        centre = start + scale * np.arange(target, dtype=np.float64)
        low, high = centre - width / 2, centre + width / 2
        first = np.floor(low + 0.5).astype(np.int64)
        index = first[:, None] + np.arange(int(np.ceil(width)) + 1)
        overlap = np.minimum(high[:, None], index + 0.5) - np.maximum(low[:, None], index - 0.5)
        inside = (centre >= -0.5) & (centre <= source - 0.5)
        keep = (overlap > NEGLIGIBLE) & (index >= 0) & (index < source) & inside[:, None]
        return AxisTable._packed(first, np.where(keep, overlap, 0.0))

    @staticmethod
    def _packed(first: np.ndarray, weight: np.ndarray) -> AxisTable:
        """Normalise each row of weights and move its first weight to the front."""
        used = weight > 0
        count = used.sum(axis=1)
        skip = used.argmax(axis=1)
        column = np.minimum(skip[:, None] + np.arange(weight.shape[1]), weight.shape[1] - 1)
        packed = np.take_along_axis(weight, column, axis=1)
        packed[np.arange(weight.shape[1]) >= count[:, None]] = 0.0
        packed /= np.where(count > 0, packed.sum(axis=1), 1.0)[:, None]
        return AxisTable(np.where(count > 0, first + skip, 0), count, packed.astype(np.float32))

    def source_flipped(self, source: int) -> AxisTable:
        """The table for a source whose axis runs the other way."""
        return AxisTable(source - 1 - self.first, self.count, self.weight, -self.step)

    def part(self, begin: int, end: int, origin: int = 0) -> AxisTable:
        """The targets ``begin:end`` alone, of a source whose first voxel is the voxel ``origin`` of this one.

        Example:
            >>> table = AxisTable.build(source=4, target=2, scale=2.0, start=0.5)
            >>> table.part(1, 2, origin=2).first.tolist()
            [0]
        """
        rows = slice(begin, end)
        return AxisTable(self.first[rows] - origin, self.count[rows], self.weight[rows], self.step)

    def target_flipped(self) -> AxisTable:
        """The table for a target whose axis runs the other way."""
        return AxisTable(
            self.first[::-1].copy(), self.count[::-1].copy(), self.weight[::-1].copy(), self.step
        )


@dataclass(frozen=True)
class IntensityMap:
    """(clip(v, low, high) - mean) * gain for every voxel that is not 0; 0 stays 0."""

    low: float = -np.inf
    high: float = np.inf
    mean: float = 0.0
    gain: float = 1.0


Tables = tuple[AxisTable, AxisTable, AxisTable]


def gather(
    flat: np.ndarray, strides: np.ndarray, tables: Tables, intensity: IntensityMap, out: np.ndarray
) -> None:
    """Fill ``out`` (D, H, W) float32 from the voxels ``flat`` with element ``strides`` along (D, H, W)."""
    z, y, x = tables
    low, high, mean, gain = (
        np.float32(v) for v in (intensity.low, intensity.high, intensity.mean, intensity.gain)
    )
    _gather(
        flat, strides, z.first, z.count, z.weight, z.step, y.first, y.count, y.weight, y.step,
        x.first, x.count, x.weight, x.step, low, high, mean, gain, out,
    )  # fmt: skip


@kernel
def _span(first: Array, count: Array, step: int) -> tuple[Any, Any]:
    """Source range [low, high) that a table touches; (0, 0) if none."""
    low, high = np.int64(1) << 60, np.int64(0)
    for i in range(first.size):
        if count[i] > 0:
            last = first[i] + step * (count[i] - 1)
            low, high = min(low, min(first[i], last)), max(high, max(first[i], last) + 1)
    return (low, high) if high > 0 else (np.int64(0), np.int64(0))


@kernel
def _add_mapped_row(
    flat: Array, start: int, stride: int, weight: float,
    low: Any, high: Any, mean: Any, gain: Any, row: Array,
) -> None:  # fmt: skip
    """row += weight * map(source row): the unit-stride branch is the one compilers vectorise."""
    zero = np.float32(0.0)
    if stride == 1:
        source = flat[start : start + row.size]
        for i in range(row.size):
            v: Any = np.float32(source[i])
            mapped = (min(max(v, low), high) - mean) * gain
            row[i] += weight * (zero if v == zero else mapped)
        return
    for i in range(row.size):
        v = np.float32(flat[start + i * stride])
        mapped = (min(max(v, low), high) - mean) * gain
        row[i] += weight * (zero if v == zero else mapped)


@kernel
def add_row(source: Array, weight: float, row: Array) -> None:
    for i in range(row.size):
        row[i] += weight * source[i]


@kernel
def combine_columns(row: Array, first: Array, count: Array, weight: Array, step: int, out: Array) -> None:
    """out[i] = sum of the taps of column i; 0 without taps."""
    for i in range(out.size):
        total = np.float32(0.0)
        for k in range(count[i]):
            total += weight[i, k] * row[first[i] + step * k]
        out[i] = total


@kernel
def _gather(
    flat: Array, strides: Array, zf: Array, zc: Array, zw: Array, zs: int,
    yf: Array, yc: Array, yw: Array, ys: int, xf: Array, xc: Array, xw: Array, xs: int,
    low: float, high: float, mean: float, gain: float, out: Array,
) -> None:  # fmt: skip
    sz, sy, sx = strides[0], strides[1], strides[2]
    y0, y1 = _span(yf, yc, ys)
    x0, x1 = _span(xf, xc, xs)
    plane = np.empty((y1 - y0, x1 - x0), dtype=np.float32)
    row = np.empty(x1 - x0, dtype=np.float32)
    columns = np.where(xc > 0, xf - x0, 0)
    for z in range(out.shape[0]):
        if zc[z] == 0:
            out[z] = 0.0
            continue
        plane[:] = 0.0
        for k in range(zc[z]):
            base = (zf[z] + zs * k) * sz + y0 * sy + x0 * sx
            for y in range(y1 - y0):
                _add_mapped_row(flat, base + y * sy, sx, zw[z, k], low, high, mean, gain, plane[y])
        for y in range(out.shape[1]):
            row[:] = 0.0
            for k in range(yc[y]):
                add_row(plane[yf[y] - y0 + ys * k], yw[y, k], row)
            combine_columns(row, columns, xc, xw, xs, out[z, y])
