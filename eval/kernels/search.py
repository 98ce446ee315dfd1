"""Exact nearest neighbours on packed surfaces: dilations, row windows, row scans.

All distances are squared mm in float64, and one expression defines them: with ``d_k`` the displacement in
voxels along the caller's axis k and ``s_k`` its spacing, ``((d_0 s_0)^2 + (d_1 s_1)^2) + (d_2 s_2)^2``, each
operation rounded. The kernels' axes ``(z, y, x)`` may be any permutation of the caller's, and float
addition is commutative but not associative: ``last`` says which kernel axis is the caller's last, the one
that is added last. So results are equal, bit for bit, to those of a brute-force float64 search.

Rounded addition and multiplication are monotone: along one row the nearest point is the best one.
"""

from __future__ import annotations

import numpy as np

from ...rasterize.jit import kernel
from .bits import LANES, ONE, ZERO, U, leading_zeros, or_pair, popcount, trailing_zeros, widen


@kernel(inline="always")
def _sum3(az, ay, ax, last):
    """The canonical sum of three squared displacements."""
    if last == 2:
        return (az + ay) + ax
    if last == 0:
        return (ay + ax) + az
    return (az + ax) + ay


@kernel
def list_sites(include, exclude, stride, count):
    """Positions (``word * 64 + bit``, uint32) of every ``stride``-th bit of ``include & ~exclude``.

    ``count`` is an upper bound of how many there are.
    """
    out = np.empty(count, np.uint32)
    n = 0
    skip = stride >> 1
    for j in range(include.size):
        v = include[j] & ~exclude[j]
        if v == ZERO:
            continue
        c = popcount(v)
        if c <= skip:
            skip -= c
            continue
        while v != ZERO:
            if skip == 0:
                out[n] = (j << 6) + trailing_zeros(v)
                n += 1
                skip = stride
            skip -= 1
            v &= v - ONE
    return out[:n]


@kernel
def nearest_in_window(sites, s, nz, ny, W, rows_z, rows_y, z2, y2, x2, last, limit, out):
    """Squared distance of every site to the nearest point of ``s``, inf where it exceeds ``limit``.

    Rows ``(rows_z, rows_y)`` (displacements) come sorted by ``z2 + y2``, their squared distance; ``x2[k]``
    is the squared distance of k voxels along x, inf from 33 on. In each row a 64-bit window is centred at
    the site: count-zeros instructions give the nearest bit. ``limit`` must not exceed the rows' radius
    or ``x2[32]``. Returns how many sites were resolved.
    """
    done = 0
    nr = rows_z.size
    offset = np.empty(nr, np.int64)
    for r in range(nr):
        offset[r] = (rows_z[r] * ny + rows_y[r]) * W
    for i in range(sites.size):
        p = np.int64(sites[i])
        row = ((p >> 6) - 1) // W
        z = row // ny
        y = row - z * ny
        base = (p - 32) >> 6
        shift = U((p - 32) & 63)
        unshift = U(63) - shift
        best = np.inf
        for r in range(nr):
            if z2[r] + y2[r] >= best:
                break
            zz, yy = z + rows_z[r], y + rows_y[r]
            if zz < 0 or zz >= nz or yy < 0 or yy >= ny:
                continue
            j = base + offset[r]
            window = (s[j] >> shift) | ((s[j + 1] << unshift) << ONE)
            if window != ZERO:
                k = min(trailing_zeros(window >> U(32)), leading_zeros(window << U(31)))
                best = min(best, _sum3(z2[r], y2[r], x2[k], last))
        if best > limit:
            best = np.inf
        else:
            done += 1
        out[i] = best
    return done


@kernel
def within_ball(q, s, nz, ny, W, rows_z, rows_y, z2, y2, x2, last, radius2, out):
    """Mark in ``out`` the points of ``q`` with a point of ``s`` within the radius (squared); count them.

    A dilation by a ball, one plane at a time. The ball is a stack of rows; row ``(dz, dy)`` reaches k voxels
    to both sides, as do ``(+-dz, +-dy)``. Two planes are OR-ed once per dz, two rows of that per dy, and a
    Horner scheme from the longest reach down ("widen all so far by one voxel, OR the rows of the next
    reach") replaces all shifts but one per voxel of radius.
    """
    nr = 0
    while nr < rows_z.size and z2[nr] + y2[nr] <= radius2:
        nr += 1
    reach = np.empty(nr, np.int64)
    longest, mz, my = 0, 0, 0
    for r in range(nr):
        k = 0
        while _sum3(z2[r], y2[r], x2[k + 1], last) <= radius2:
            k += 1
        reach[r] = k
        longest, mz, my = max(longest, k), max(mz, rows_z[r]), max(my, rows_y[r])
    terms = np.empty((nr, 2), np.int64)
    first_term = np.zeros(longest + 2, np.int64)
    n = 0
    for g in range(longest + 1):
        for r in range(nr):
            if reach[r] == longest - g and rows_z[r] >= 0 and rows_y[r] >= 0:
                terms[n, 0], terms[n, 1] = rows_z[r], rows_y[r]
                n += 1
        first_term[g + 1] = n

    plane = ny * W
    margin = my * W + LANES
    size = plane + 2 * margin + LANES
    pairs = np.zeros((mz + 1) * size, np.uint64)
    acc, wide = np.zeros(size, np.uint64), np.zeros(size, np.uint64)
    count = 0
    for z in range(nz):
        o = 1 + z * plane
        first, end = -1, 0
        for w in range(plane):
            out[U(o + w)] = ZERO
            if q[U(o + w)] != ZERO:
                if first < 0:
                    first = w
                end = w + 1
        if first < 0:
            continue
        first, end = first // W * W, (end + W - 1) // W * W
        for d in range(mz + 1):
            base = d * size + margin
            a, b = 1 + (z - d) * plane, 1 + (z + d) * plane
            if d <= z and z + d < nz:
                for w in range(plane):
                    pairs[U(base + w)] = s[U(a + w)] | s[U(b + w)]
            elif d <= z or z + d < nz:
                a = a if d <= z else b
                for w in range(plane):
                    pairs[U(base + w)] = s[U(a + w)]
            else:
                for w in range(plane):
                    pairs[U(base + w)] = ZERO
        for w in range(size):
            acc[U(w)] = ZERO
        wide[margin + first - 1] = ZERO  # all that may be read of it before it is written
        for g in range(longest + 1):
            for t in range(first_term[g], first_term[g + 1]):
                base = terms[t, 0] * size
                dy = terms[t, 1] * W
                for w in range(margin + first, margin + end, LANES):
                    or_pair(acc, w, pairs, base + w - dy, base + w + dy)
            if g < longest:
                for w in range(margin + first, margin + end, LANES):
                    widen(wide, w, acc)
                acc, wide = wide, acc
        for w in range(first, end):
            v = q[U(o + w)] & acc[U(margin + w)]
            out[U(o + w)] = v
            count += popcount(v)
    return count


@kernel(inline="always")
def _nearest_in_row(s, o, W, x):
    """Voxels from ``x`` to the nearest point of the row at word ``o``; the row must not be empty."""
    w, b = x >> 6, x & 63
    best = W << 6
    v = s[o + w] >> U(b)
    if v != ZERO:
        best = trailing_zeros(v)
    else:
        for k in range(w + 1, W):
            if s[o + k] != ZERO:
                best = (k << 6) + trailing_zeros(s[o + k]) - x
                break
    v = s[o + w] << U(63 - b)
    if v != ZERO:
        best = min(best, leading_zeros(v))
    else:
        for k in range(w - 1, -1, -1):
            if s[o + k] != ZERO:
                best = min(best, x - (k << 6) - 63 + leading_zeros(s[o + k]))
                break
    return best


@kernel
def nearest_by_rows(sites, s, nz, ny, W, sbox, z2, y2, x2, last, bounds, out):
    """Squared distance of every site to the nearest point of ``s``, however far.

    Planes and rows are taken outwards and dropped as soon as their own displacement exceeds the best so
    far. ``bounds`` are known upper bounds (or inf); ``z2``, ``y2``, ``x2`` the squared displacements of 0,
    1, ... voxels; ``sbox`` the extent of ``s``, which must not be empty.
    """
    sz0, sz1, sy0, sy1 = sbox[0], sbox[1], sbox[2], sbox[3]
    occupied = np.zeros(nz * ny, np.bool_)
    for r in range(nz * ny):
        v = ZERO
        for w in range(1 + r * W, 1 + (r + 1) * W):
            v |= s[w]
        occupied[r] = v != ZERO
    for i in range(sites.size):
        p = np.int64(sites[i])
        row = ((p >> 6) - 1) // W
        z = row // ny
        y = row - z * ny
        x = p - 64 - ((row * W) << 6)
        best, bound = np.inf, bounds[i]
        for dz in range(max(0, max(sz0 - z, z - sz1)), max(z - sz0, sz1 - z) + 1):
            if z2[dz] > bound:
                break
            for dy in range(max(0, max(sy0 - y, y - sy1)), max(y - sy0, sy1 - y) + 1):
                if z2[dz] + y2[dy] > bound:
                    break
                for side in range(4):
                    zz = z + dz if side & 1 else z - dz
                    yy = y + dy if side & 2 else y - dy
                    if (dz == 0 and side & 1) or (dy == 0 and side & 2):
                        continue
                    if zz < sz0 or zz > sz1 or yy < sy0 or yy > sy1 or not occupied[zz * ny + yy]:
                        continue
                    k = _nearest_in_row(s, 1 + (zz * ny + yy) * W, W, x)
                    d = _sum3(z2[dz], y2[dy], x2[k], last)
                    if d < best:
                        best, bound = d, min(bound, d)
        out[i] = best
