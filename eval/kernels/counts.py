"""Counting kernels: how often two masks, or two label maps, hold which pair of values.

Masks: eight 0/1 bytes are added at once as one word; no byte overflows within 248 words, no pair of bytes
within 120 times as many ("SIMD within a register", Warren, *Hacker's Delight*, ch. 5). LLVM turns the loop
into full-width vector additions, which leaves memory as the limit.

Label maps: where 64 voxels hold one and the same pair, which is nearly everywhere in an image, they are
counted at once, elsewhere by eights; voxels at borders go to one of four histograms in turn, so that equal
neighbours do not wait for each other's store.
"""

from __future__ import annotations

import numpy as np

from ...rasterize.jit import kernel
from ...rasterize.kernels.words import load64
from .bits import ZERO, U

_BYTES = U(0x00FF00FF00FF00FF)
_LOW16 = U(0xFFFF)
_ONES = U(0x0101010101010101)
_BLOCK = 248  # words whose 0/1 bytes add up within a byte
_SUPER = 120 * _BLOCK  # words whose pairs of bytes add up within 16 bits
_STRIDE = 64  # voxels that are looked at together for one pair of labels


@kernel
def _pairwise(word):
    """Eight bytes as four 16-bit sums."""
    return (word & _BYTES) + ((word >> U(8)) & _BYTES)


@kernel
def _sum16(word):
    """Sum of the four 16-bit parts of a word."""
    low = (word & _LOW16) + ((word >> U(16)) & _LOW16)
    return np.int64(low + ((word >> U(32)) & _LOW16) + (word >> U(48)))


@kernel
def _overlap(a, b, start, stop):
    """(a and b, a, b, OR of a's bytes, OR of b's) over bytes [start, stop) of two flat 0/1 masks."""
    both, in_a, in_b, or_a, or_b = 0, 0, 0, ZERO, ZERO
    i = start
    while i + 8 <= stop:
        last = i + 8 * min((stop - i) >> 3, _SUPER)
        xx, yy, zz = ZERO, ZERO, ZERO
        while i < last:
            words = min((last - i) >> 3, _BLOCK)
            x, y, z = ZERO, ZERO, ZERO
            for k in range(words):
                p, q = load64(a, i + 8 * k), load64(b, i + 8 * k)
                x += p & q
                y += p
                z += q
                or_a |= p
                or_b |= q
            xx += _pairwise(x)
            yy += _pairwise(y)
            zz += _pairwise(z)
            i += 8 * words
        both += _sum16(xx)
        in_a += _sum16(yy)
        in_b += _sum16(zz)
    for k in range(i, stop):
        both += np.int64(a[k] & b[k])
        in_a += np.int64(a[k])
        in_b += np.int64(b[k])
        or_a |= U(a[k])
        or_b |= U(b[k])
    return both, in_a, in_b, or_a, or_b


@kernel
def overlap(a, b):
    """(both, a, b, OR of a's bytes, OR of b's) of two flat uint8 masks; see ``overlap_rows``."""
    return _overlap(a, b, 0, a.size)


@kernel
def overlap_rows(a, b, rows, out):
    """Count each of ``rows`` equal parts of two flat uint8 masks into out[row] = (both, a, b).

    Returns the OR of all bytes of a and of b: above 1 (in any byte) the masks are not 0/1 and the counts
    mean nothing.
    """
    size = a.size // rows
    or_a, or_b = ZERO, ZERO
    for r in range(rows):
        both, in_a, in_b, p, q = _overlap(a, b, r * size, (r + 1) * size)
        out[r, 0], out[r, 1], out[r, 2] = both, in_a, in_b
        or_a |= p
        or_b |= q
    return or_a, or_b


@kernel
def pairs(a, b, rows, columns, out):
    """Add up how often each pair of values occurs: out[:, rows[a] + columns[b]] over two flat uint8 arrays.

    ``rows`` and ``columns`` map each of the 256 byte values to its share of an index; ``out`` is (4, cells),
    to be summed over its first axis.
    """
    i, stop = 0, a.size
    while i + _STRIDE <= stop:
        p, q = load64(a, i), load64(b, i)
        differ = (p ^ ((p & U(255)) * _ONES)) | (q ^ ((q & U(255)) * _ONES))
        for k in range(i + 8, i + _STRIDE, 8):
            differ |= (p ^ load64(a, k)) | (q ^ load64(b, k))
        if differ == ZERO:
            out[0, rows[a[i]] + columns[b[i]]] += _STRIDE
        else:
            for k in range(i, i + _STRIDE, 8):  # written out: as a function it is not inlined, 2.5x slower
                p, q = load64(a, k), load64(b, k)
                if p == (p & U(255)) * _ONES and q == (q & U(255)) * _ONES:
                    out[0, rows[a[k]] + columns[b[k]]] += 8
                    continue
                out[0, rows[a[k]] + columns[b[k]]] += 1
                out[1, rows[a[k + 1]] + columns[b[k + 1]]] += 1
                out[2, rows[a[k + 2]] + columns[b[k + 2]]] += 1
                out[3, rows[a[k + 3]] + columns[b[k + 3]]] += 1
                out[0, rows[a[k + 4]] + columns[b[k + 4]]] += 1
                out[1, rows[a[k + 5]] + columns[b[k + 5]]] += 1
                out[2, rows[a[k + 6]] + columns[b[k + 6]]] += 1
                out[3, rows[a[k + 7]] + columns[b[k + 7]]] += 1
        i += _STRIDE
    for k in range(i, stop):
        out[0, rows[a[k]] + columns[b[k]]] += 1
