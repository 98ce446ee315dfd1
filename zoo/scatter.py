"""Kernels of the way back: a network's probabilities onto the patient's grid, as numbers or as labels.

All take one slab of planes of the network's grid, with the tables (``zoo/resample.py``) of the native planes
it reaches, and do the same arithmetic in the same order: a label written from a slab is the one that the
restored probabilities would give, bit for bit, and those never exist.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..rasterize.jit import kernel
from .resample import Tables, add_row, combine_columns

__all__ = ["scatter", "scatter_above", "scatter_strongest"]

Array = np.ndarray


def scatter(prob: np.ndarray, tables: Tables, strides: np.ndarray, out: np.ndarray) -> None:
    """Fill the zeroed ``out`` (flat float32, element ``strides`` along ``prob``'s axes) from ``prob``."""
    z, y, x = tables
    _scatter(
        prob, z.first, z.count, z.weight, y.first, y.count, y.weight,
        x.first, x.count, x.weight, strides, out,
    )  # fmt: skip


def scatter_above(
    prob: np.ndarray, tables: Tables, strides: np.ndarray, threshold: float, value: int, out: np.ndarray
) -> None:
    """Write ``value`` to ``out`` (flat uint8) where ``scatter(...) > threshold``, most of it unvisited."""
    z, y, x = tables
    _scatter_above(
        prob, z.first, z.count, z.weight, y.first, y.count, y.weight,
        x.first, x.count, x.weight, strides, np.float32(threshold), np.uint8(value), out,
    )  # fmt: skip


def scatter_strongest(
    prob: np.ndarray, tables: Tables, strides: np.ndarray, values: np.ndarray, out: np.ndarray
) -> None:
    """Write to the zeroed ``out`` (flat uint8) the value of the channel that ``scatter(...)`` makes largest.

    Args:
        prob: (K, D, H, W).
        tables: native voxels from ``prob``'s.
        strides: elements of ``out`` along (D, H, W).
        values: (K,) uint8; 0 is the background, which wins ties. Without a background channel, channels
            have to be above 0.
        out: labels.
    """
    z, y, x = tables
    order = np.argsort(values != 0, kind="stable")  # the background first: others have to exceed it
    _scatter_strongest(
        prob, z.first, z.count, z.weight, y.first, y.count, y.weight,
        x.first, x.count, x.weight, strides, values, order, out,
    )  # fmt: skip


@kernel
def _plane_of(prob: Array, first: int, count: int, weight: Array, plane: Array) -> None:
    plane[:] = 0.0
    for k in range(count):
        for y in range(plane.shape[0]):
            add_row(prob[first + k, y], weight[k], plane[y])


@kernel
def _row_of(plane: Array, first: int, count: int, weight: Array, row: Array) -> None:
    row[:] = 0.0
    for k in range(count):
        add_row(plane[first + k], weight[k], row)


@kernel
def _scatter(
    prob: Array, zf: Array, zc: Array, zw: Array, yf: Array, yc: Array, yw: Array,
    xf: Array, xc: Array, xw: Array, strides: Array, out: Array,
) -> None:  # fmt: skip
    sz, sy, sx = strides[0], strides[1], strides[2]
    plane = np.empty((prob.shape[1], prob.shape[2]), dtype=np.float32)
    row = np.empty(prob.shape[2], dtype=np.float32)
    line = np.empty(xf.size, dtype=np.float32)
    for z in range(zf.size):
        if zc[z] == 0:
            continue
        _plane_of(prob, zf[z], zc[z], zw[z], plane)
        for y in range(yf.size):
            if yc[y] == 0:
                continue
            _row_of(plane, yf[y], yc[y], yw[y], row)
            combine_columns(row, xf, xc, xw, 1, line)
            start = z * sz + y * sy
            for x in range(xf.size):
                out[start + x * sx] = line[x]


@kernel
def _can_exceed(values: Array, threshold: float) -> Any:
    """Whether a weighted mean of ``values`` could be above ``threshold``, rounding included."""
    best = -np.float32(np.inf)
    for v in values:
        best = max(best, v)
    return best + np.float32(1e-5) * abs(best) > threshold


@kernel
def _scatter_above(
    prob: Array, zf: Array, zc: Array, zw: Array, yf: Array, yc: Array, yw: Array,
    xf: Array, xc: Array, xw: Array, strides: Array, threshold: float, value: int, out: Array,
) -> None:  # fmt: skip
    """As ``_scatter``, the same arithmetic in the same order, where anything can be above the threshold."""
    sz, sy, sx = strides[0], strides[1], strides[2]
    plane = np.empty((prob.shape[1], prob.shape[2]), dtype=np.float32)
    row = np.empty(prob.shape[2], dtype=np.float32)
    line = np.empty(xf.size, dtype=np.float32)
    hot = np.empty(prob.shape[0], dtype=np.bool_)
    for z in range(prob.shape[0]):
        hot[z] = _can_exceed(prob[z].ravel(), threshold)
    for z in range(zf.size):
        needed = False
        for k in range(zc[z]):
            needed |= hot[zf[z] + k]
        if not needed:
            continue
        _plane_of(prob, zf[z], zc[z], zw[z], plane)
        for y in range(yf.size):
            if yc[y] == 0:
                continue
            _row_of(plane, yf[y], yc[y], yw[y], row)
            if not _can_exceed(row, threshold):
                continue
            combine_columns(row, xf, xc, xw, 1, line)
            start = z * sz + y * sy
            for x in range(xf.size):
                if line[x] > threshold:
                    out[start + x * sx] = value


@kernel
def _scatter_strongest(
    prob: Array, zf: Array, zc: Array, zw: Array, yf: Array, yc: Array, yw: Array,
    xf: Array, xc: Array, xw: Array, strides: Array, values: Array, order: Array, out: Array,
) -> None:  # fmt: skip
    sz, sy, sx = strides[0], strides[1], strides[2]
    planes = np.empty((prob.shape[0], prob.shape[2], prob.shape[3]), dtype=np.float32)
    row = np.empty(prob.shape[3], dtype=np.float32)
    line = np.empty(xf.size, dtype=np.float32)
    best = np.empty(xf.size, dtype=np.float32)
    for z in range(zf.size):
        if zc[z] == 0:
            continue
        for k in range(prob.shape[0]):
            _plane_of(prob[k], zf[z], zc[z], zw[z], planes[k])
        for y in range(yf.size):
            if yc[y] == 0:
                continue
            best[:] = 0.0
            start = z * sz + y * sy
            for k in order:
                _row_of(planes[k], yf[y], yc[y], yw[y], row)
                combine_columns(row, xf, xc, xw, 1, line)
                if values[k] == 0:
                    best[:] = line
                    continue
                for x in range(xf.size):
                    if line[x] > best[x]:
                        best[x] = line[x]
                        out[start + x * sx] = values[k]
