"""From bytes to bit-packed surfaces.

A packed set of grid points ("bitmap") is a flat uint64 array: one guard word, ``nz * ny`` rows of ``W``
words, one guard word. Row ``(z, y)`` starts at word ``1 + (z * ny + y) * W``; bit ``x`` of a row is the
point ``(z, y, x)``; at least ``SLACK`` zero bits end every row, so shifts and windows of up to 31 bits can
run over the flat array without looking where rows begin.

Two surfaces are known (see ``eval/presets.py``): the 6-connected inner border ("erosion"), and the corners
of the voxel grid whose 2x2x2 neighbourhood is mixed ("corners": one point more along every axis).
"""

from __future__ import annotations

import numpy as np

from ...rasterize.jit import kernel
from ...rasterize.kernels.words import load64
from .bits import ONE, SLACK, ZERO, U, pack64, popcount


@kernel
def scan(a, b, nz, ny, nx):
    """Bounding box of the union of two byte masks, and the OR of all bytes of each.

    Returns ``(z0, z1, y0, y1, x0, x1, or_a, or_b)``, ends included; ``z1 < z0`` if there is nothing.
    """
    nw = nx >> 3
    columns = np.zeros(nw + 8, np.uint64)
    z0, z1, y0, y1 = nz, -1, ny, -1
    or_a, or_b = ZERO, ZERO
    for z in range(nz):
        for y in range(ny):
            o = (z * ny + y) * nx
            p, q = ZERO, ZERO
            for w in range(nw):
                p |= load64(a, o + 8 * w)
                q |= load64(b, o + 8 * w)
            for x in range(nw << 3, nx):
                p |= U(a[o + x])
                q |= U(b[o + x])
            if (p | q) == ZERO:
                continue
            or_a |= p
            or_b |= q
            z0 = min(z0, z)
            z1 = z
            y0 = min(y0, y)
            y1 = max(y1, y)
            for w in range(nw):
                columns[w] |= load64(a, o + 8 * w) | load64(b, o + 8 * w)
            for x in range(nw << 3, nx):
                columns[nw + x - (nw << 3)] |= U(a[o + x] | b[o + x])
    x0, x1 = nx, -1
    for x in range(nx):
        w = x >> 3
        byte = columns[w] >> U((x & 7) << 3) if w < nw else columns[nw + x - (nw << 3)]
        if (byte & U(255)) != ZERO:
            x0 = min(x0, x)
            x1 = x
    return z0, z1, y0, y1, x0, x1, or_a, or_b


@kernel
def pack(a, ny, nx, z0, y0, x0, cz, cy, cx, W):
    """Bits of the box ``(cz, cy, cx)`` at ``(z0, y0, x0)`` of a byte mask of planes ``(ny, nx)``.

    The bitmap has a plane and a row of zeros on each side: voxel ``(z, y)`` is row ``(z + 1, y + 1)``.
    """
    m = np.zeros((cz + 2) * (cy + 2) * W + 2, np.uint64)
    nw = (cx + 63) >> 6
    rest = cx - ((nw - 1) << 6)
    tail = U(0xFFFFFFFFFFFFFFFF) >> U(64 - rest)
    for z in range(cz):
        for y in range(cy):
            o = ((z0 + z) * ny + y0 + y) * nx + x0
            j = 1 + ((z + 1) * (cy + 2) + y + 1) * W
            for w in range(nw - 1):
                m[j + w] = pack64(a, o + (w << 6))
            o += (nw - 1) << 6
            if o + 64 <= a.size:
                m[j + nw - 1] = pack64(a, o) & tail
            else:
                v = ZERO
                for x in range(rest):
                    v |= U(a[o + x] != 0) << U(x)
                m[j + nw - 1] = v
    return m


@kernel
def eroded_border(m, cz, cy, W, flat):
    """Voxels with a 6-connected (``flat``: 4-connected) neighbour outside the mask or the image.

    Returns the bitmap of ``(cz, cy)`` rows and its number of points.
    """
    s = np.zeros(cz * cy * W + 2, np.uint64)
    up = (cy + 2) * W
    n = 0
    for z in range(cz):
        i = 1 + ((z + 1) * (cy + 2) + 1) * W
        o = 1 + z * cy * W
        for w in range(cy * W):
            v = m[U(i + w)]
            inner = ((v << ONE) | (m[U(i + w - 1)] >> U(63))) & ((v >> ONE) | (m[U(i + w + 1)] << U(63)))
            inner &= m[U(i + w - W)] & m[U(i + w + W)]
            if not flat:
                inner &= m[U(i + w - up)] & m[U(i + w + up)]
            v &= ~inner
            s[U(o + w)] = v
            n += popcount(v)
    return s, n


@kernel
def mixed_corners(m, cz, cy, W, flat):
    """Grid corners whose 8 (``flat``: 4) voxels are neither all inside nor all outside.

    Corner ``(z, y, x)`` touches the voxels ``z-1..z``, ``y-1..y``, ``x-1..x``. Returns the bitmap of
    ``(cz + 1, cy + 1)`` (``flat``: ``(1, cy + 1)``) rows and its number of points.
    """
    oz, oy = (1 if flat else cz + 1), cy + 1
    s = np.zeros(oz * oy * W + 2, np.uint64)
    up = (cy + 2) * W
    n = 0
    for z in range(oz):
        i = 1 + (z + 1) * up + W
        o = 1 + z * oy * W
        for w in range(oy * W):
            k = i + w
            some, every = m[k] | m[k - W], m[k] & m[k - W]
            before, every_before = m[k - 1] | m[k - 1 - W], m[k - 1] & m[k - 1 - W]
            if not flat:
                some |= m[k - up] | m[k - up - W]
                every &= m[k - up] & m[k - up - W]
                before |= m[k - up - 1] | m[k - up - 1 - W]
                every_before &= m[k - up - 1] & m[k - up - 1 - W]
            some |= (some << ONE) | (before >> U(63))
            every &= (every << ONE) | (every_before >> U(63))
            v = some & ~every
            s[U(o + w)] = v
            n += popcount(v)
    return s, n


@kernel
def corner_codes(sites, m, cy, W, flat):
    """Which voxels around each corner are inside: bit ``4 * dz + 2 * dy + dx`` for the voxel at ``-1 + d``.

    Args are positions in the bitmap of :func:`mixed_corners` and the packed mask. In ``flat`` codes only
    the bits with ``dz = 1`` can be set.
    """
    codes = np.empty(sites.size, np.uint8)
    oy, up = cy + 1, (cy + 2) * W
    for i in range(sites.size):
        word = np.int64(sites[i] >> 6) - 1
        row = word // W
        z = row // oy
        y = row - z * oy
        x = ((word - row * W) << 6) + np.int64(sites[i] & 63)
        code = 0
        for dz in range(1 if flat else 0, 2):
            for dy in range(2):
                for dx in range(2):
                    bit = x - 1 + dx
                    if bit >= 0:
                        v = m[1 + (z + dz) * up + (y + dy) * W + (bit >> 6)]
                        code |= np.int64((v >> U(bit & 63)) & ONE) << (4 * dz + 2 * dy + dx)
        codes[i] = code
    return codes


def words_per_row(nx: int) -> int:
    """Words of a packed row of ``nx`` points, its ``SLACK`` of zero bits included."""
    return (nx + SLACK + 63) // 64
