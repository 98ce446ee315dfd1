"""Distances of many far points at once: a separable transform that exists only where it is needed.

An exact Euclidean distance transform is three minimisations, one per axis (Saito & Toriwaki 1994). Here the
first two run inside the sites' own planes and rows and the queries' own columns, the last at the rows that
hold queries; all are vectorised "minimum of a row plus a constant" over rows taken outwards, stopping when
the constant alone exceeds every minimum. The plane results are kept for a slab of rows at a time, so that
memory stays below what the caller allows.

The numbers are uint16 where every squared distance is a small integer multiple of one unit, else float64.
"""

from __future__ import annotations

import numpy as np

from ...rasterize.jit import kernel
from .bits import ONE, ZERO, U, leading_zeros, min_sums, popcount, trailing_zeros

CHUNK = 8
"""Rows between two looks at whether the rest can still matter."""


@kernel
def _minimise(dst, i, src, j, width, block, offsets, costs, n, far):
    """``dst[i:i+width]`` = minimum over n rows of ``src[j + offset:][:width] + cost``, costs ascending."""
    for k in range(i, i + width):
        dst[k] = far
    for k in range(0, width, block):
        r, bound = 0, far
        while r < n and costs[r] < bound:
            end = min(n, r + CHUNK)
            bound = min_sums(dst, i + k, src, j + k, offsets, costs, r, end)
            r = end


@kernel
def extent(s, nz, ny, W):
    """Bounding box ``z0, z1, y0, y1, x0, x1`` of a bitmap, ends included; ``z1 < z0`` if it is empty."""
    z0, z1, y0, y1 = nz, -1, ny, -1
    columns = np.zeros(W, np.uint64)
    for z in range(nz):
        for y in range(ny):
            o = 1 + (z * ny + y) * W
            some = ZERO
            for w in range(W):
                v = s[o + w]
                some |= v
                columns[w] |= v
            if some != ZERO:
                z0, z1 = min(z0, z), z
                y0, y1 = min(y0, y), max(y1, y)
    x0, x1 = W * 64, -1
    for x in range(W * 64):
        if (columns[x >> 6] >> U(x & 63)) & ONE != ZERO:
            x0, x1 = min(x0, x), x
    return z0, z1, y0, y1, x0, x1


@kernel
def _row_distances(s, o, W, x0, nx, x2, g, base):
    """``g[base + i]`` = squared distance along the row at word ``o`` from ``x0 + i`` to its nearest point.

    Returns False, writing nothing, if the row has no point.
    """
    end = x0 + nx
    shift = base - x0
    before = -1
    for w in range(W):
        v = s[o + w]
        while v != ZERO:
            x = (w << 6) + trailing_zeros(v)
            v &= v - ONE
            split = x0
            if before >= 0:
                split = (before + x) // 2 + 1
                for i in range(max(x0, before), min(end, split)):
                    g[shift + i] = x2[i - before]
            for i in range(max(x0, split), min(end, x + 1)):
                g[shift + i] = x2[x - i]
            before = x
    if before < 0:
        return False
    for i in range(max(x0, before), end):
        g[shift + i] = x2[i - before]
    return True


@kernel
def _outwards(row_y, rows, y, stride, y2, offsets, costs):
    """Rows of a plane in the order of their distance from row ``y``: where they are, what they cost."""
    above = 0
    while above < rows and row_y[above] < y:
        above += 1
    below = above - 1
    for n in range(rows):
        if above == rows or (below >= 0 and y - row_y[below] <= row_y[above] - y):
            offsets[n], costs[n] = below * stride, y2[y - row_y[below]]
            below -= 1
        else:
            offsets[n], costs[n] = above * stride, y2[row_y[above] - y]
            above += 1


@kernel
def transform(q, s, ny, W, qbox, sbox, z2, y2, x2, far, slab, row_start, out):
    """Squared distance of every point of ``q`` to the nearest point of ``s``, in scan order.

    Args are two bitmaps and their extents; per axis the squared distance of 0, 1, ... voxels, in the dtype
    of the result; a number no distance exceeds; how many rows of plane distances to keep at a time; for
    every row ``z * ny + y`` the number of points of ``q`` before it. ``s`` must not be empty.
    """
    block = 64 // z2.itemsize
    qz0, qz1, qy0, qy1, qx0, qx1 = qbox[0], qbox[1], qbox[2], qbox[3], qbox[4], qbox[5]
    sz0, sz1, sy0, sy1 = sbox[0], sbox[1], sbox[2], sbox[3]
    nx = qx1 - qx0 + 1
    stride = (nx + block - 1) // block * block
    planes, site_rows = sz1 - sz0 + 1, sy1 - sy0 + 1
    g = np.zeros(site_rows * stride, z2.dtype)
    row_y = np.empty(site_rows, np.int64)
    occupied = np.empty(planes, np.int64)
    kept = np.empty(planes * slab * stride, z2.dtype)
    acc = np.empty(stride, z2.dtype)
    offsets = np.empty(max(planes, site_rows), np.int64)
    costs = np.empty(max(planes, site_rows), z2.dtype)
    for ya in range(qy0, qy1 + 1, slab):
        yb = min(ya + slab, qy1 + 1)
        used = 0
        for p in range(planes):
            rows = 0
            for y in range(sy0, sy1 + 1):
                o = 1 + ((sz0 + p) * ny + y) * W
                if _row_distances(s, o, W, qx0, nx, x2, g, rows * stride):
                    row_y[rows] = y
                    rows += 1
            if rows == 0:
                continue
            for y in range(ya, yb):
                _outwards(row_y, rows, y, stride, y2, offsets, costs)
                o = (used * slab + y - ya) * stride
                _minimise(kept, o, g, 0, stride, block, offsets, costs, rows, far)
            occupied[used] = sz0 + p
            used += 1
        for z in range(qz0, qz1 + 1):
            _outwards(occupied, used, z, slab * stride, z2, offsets, costs)
            for y in range(ya, yb):
                o = 1 + (z * ny + y) * W
                first, end = -1, -1
                for w in range(W):
                    if q[o + w] != ZERO:
                        if first < 0:
                            first = (w << 6) + trailing_zeros(q[o + w]) - qx0
                        end = (w << 6) + 64 - leading_zeros(q[o + w]) - qx0
                if first < 0:
                    continue
                first = first // block * block
                width = (end - first + block - 1) // block * block
                _minimise(
                    acc, first, kept, (y - ya) * stride + first, width, block, offsets, costs, used, far
                )
                n = row_start[z * ny + y]
                for w in range(W):
                    v = q[o + w]
                    while v != ZERO:
                        out[n] = acc[(w << 6) + trailing_zeros(v) - qx0]
                        v &= v - ONE
                        n += 1


@kernel
def row_starts(q, rows, W):
    """For every row of a bitmap the number of points before it."""
    start = np.empty(rows, np.int64)
    n = 0
    for r in range(rows):
        start[r] = n
        for w in range(1 + r * W, 1 + (r + 1) * W):
            n += popcount(q[w])
    return start
