"""Order statistics of the contour distances of many small 2-D masks, one after the other in one kernel."""

from __future__ import annotations

import numpy as np

from ...rasterize.jit import kernel
from .bits import ONE, SLACK, ZERO, U, leading_zeros, pack64, popcount, trailing_zeros
from .search import _nearest_in_row


@kernel
def _pack_slice(a, start, ny, nx, W, m):
    """Pack a slice into rows 1..ny of ``m``; returns its first and last row with a pixel."""
    nw = (nx + 63) >> 6
    rest = nx - ((nw - 1) << 6)
    tail = U(0xFFFFFFFFFFFFFFFF) >> U(64 - rest)
    first, last = ny, -1
    for y in range(ny):
        o = start + y * nx
        j = 1 + (y + 1) * W
        some = ZERO
        for w in range(nw - 1):
            v = pack64(a, o + (w << 6))
            m[j + w] = v
            some |= v
        o += (nw - 1) << 6
        v = ZERO
        if o + 64 <= a.size:
            v = pack64(a, o) & tail
        else:
            for x in range(rest):
                v |= U(a[o + x] != 0) << U(x)
        m[j + nw - 1] = v
        if (some | v) != ZERO:
            first, last = min(first, y), y
    return first, last


@kernel
def _contour(m, first, last, W, s, rows):
    """4-connected inner border of rows ``first..last``, its count; ``rows`` marks rows with points."""
    n = 0
    for y in range(first, last + 1):
        some = ZERO
        for w in range(W):
            i = 1 + (y + 1) * W + w
            v = m[i]
            inner = ((v << ONE) | (m[i - 1] >> U(63))) & ((v >> ONE) | (m[i + 1] << U(63)))
            v &= ~(inner & m[i - W] & m[i + W])
            s[1 + y * W + w] = v
            some |= v
            n += popcount(v)
        rows[y] = some != ZERO
    return n


@kernel
def _distances(q, q0, q1, s, s0, s1, rows, W, y2, x2, d2, n):
    """Write to ``d2``, from ``n`` on, the squared distance of every point of ``q`` to ``s``; the new end."""
    for y in range(q0, q1 + 1):
        for w in range(W):
            v = q[1 + y * W + w]
            while v != ZERO:
                x = (w << 6) + trailing_zeros(v)
                v &= v - ONE
                base, shift = (x + 32) >> 6, U((x + 32) & 63)
                unshift = U(63) - shift
                best = np.inf
                for dy in range(max(0, max(s0 - y, y - s1)), max(y - s0, s1 - y) + 1):
                    c = y2[dy]
                    if c >= best:
                        break
                    for side in range(1 if dy == 0 else 2):
                        yy = y - dy if side == 0 else y + dy
                        if yy < s0 or yy > s1 or not rows[yy]:
                            continue
                        j = yy * W + base
                        window = (s[j] >> shift) | ((s[j + 1] << unshift) << ONE)
                        if window != ZERO:
                            k = min(trailing_zeros(window >> U(32)), leading_zeros(window << U(31)))
                            best = min(best, c + x2[k])
                        elif c + x2[SLACK] < best:
                            best = min(best, c + x2[_nearest_in_row(s, 1 + yy * W, W, x)])
                d2[n] = best
                n += 1
    return n


@kernel
def _select(d, start, end, rank):
    """Move the value of that rank among ``d[start:end]`` to its place, smaller ones before (Hoare's FIND)."""
    low, high, k = start, end - 1, start + rank
    while low < high:
        pivot = d[(low + high) >> 1]
        i, j = low, high
        while i <= j:
            while d[i] < pivot:
                i += 1
            while d[j] > pivot:
                j -= 1
            if i <= j:
                d[i], d[j] = d[j], d[i]
                i += 1
                j -= 1
        if j < k:
            low = i
        if k < i:
            high = j


@kernel
def contour_order_statistics(a, b, slices, ny, nx, W, y2, x2, pooled, ranks, found, counts):
    """Pairs of neighbouring order statistics of the contour distances of every pair of slices.

    Args are flat byte masks of ``slices`` images ``(ny, nx)``; squared displacements; for every number of
    points n the ranks wanted, ``ranks[n]``, two for each percentile. Writes ``found[i, 0]`` (pred to ref, or
    both ``pooled``) and ``found[i, 1]`` (ref to pred), each the squared distances of the ranks, and the
    numbers of points ``counts[i]``.
    """
    ma, mb = np.zeros((ny + 2) * W + 2, np.uint64), np.zeros((ny + 2) * W + 2, np.uint64)
    sa, sb = np.zeros(ny * W + 2, np.uint64), np.zeros(ny * W + 2, np.uint64)
    rows_a, rows_b = np.zeros(ny, np.bool_), np.zeros(ny, np.bool_)
    d2 = np.empty(2 * ny * nx, np.float64)
    for i in range(slices):
        a0, a1 = _pack_slice(a, i * ny * nx, ny, nx, W, ma)
        b0, b1 = _pack_slice(b, i * ny * nx, ny, nx, W, mb)
        na = _contour(ma, a0, a1, W, sa, rows_a)
        nb = _contour(mb, b0, b1, W, sb, rows_b)
        counts[i, 0], counts[i, 1] = na, nb
        if na == 0 or nb == 0:
            continue
        _distances(sa, a0, a1, sb, b0, b1, rows_b, W, y2, x2, d2, 0)
        total = _distances(sb, b0, b1, sa, a0, a1, rows_a, W, y2, x2, d2, na)
        middle = total if pooled else na
        for k in range(2):
            start, end = (0, middle) if k == 0 else (middle, total)
            if end == start:
                continue
            for q in range(0, ranks.shape[1], 2):
                low, high = ranks[end - start, q], ranks[end - start, q + 1]
                _select(d2, start, end, low)
                found[i, k, q] = found[i, k, q + 1] = d2[start + low]
                if high > low:
                    next_one = np.inf
                    for p in range(start + low + 1, end):
                        next_one = min(next_one, d2[p])
                    found[i, k, q + 1] = next_one
