"""Where an edge crosses a row of pixels, exactly.

The crossing is computed in floating point; where it lies within rounding of a pixel centre, the sign of
an exact orientation test decides (Shewchuk 1997, *Adaptive precision floating-point arithmetic and fast
robust geometric predicates*), so a fill is exact for every input above underflow.
"""

import numpy as np

from ..jit import kernel

# How the column of a crossing is taken: from a pixel centre by exact arithmetic or by scikit-image's own
# floating-point expression, or from a pixel's left or right side.
EXACT, FLOAT = 0, 1


@kernel
def _two_product(a, b):
    """a * b as an unevaluated sum of two doubles (Dekker 1971)."""
    p = a * b
    c = 134217729.0 * a
    a1 = c - (c - a)
    a2 = a - a1
    c = 134217729.0 * b
    b1 = c - (c - b)
    b2 = b - b1
    return p, a2 * b2 - (((p - a1 * b1) - a2 * b1) - a1 * b2)


@kernel
def _exact_sign(x0, y0, x1, y1, px, py):
    """Sign of x0*y1 - x1*y0 + x1*py - x0*py + y0*px - y1*px, summed without rounding."""
    lefts = (x0, -x1, x1, -x0, y0, -y1)
    rights = (y1, y0, py, py, px, px)
    expansion = np.zeros(12)
    n = 0
    for i in range(6):
        high, low = _two_product(lefts[i], rights[i])
        for q in (low, high):
            for j in range(n):  # grow-expansion: keep the parts non-overlapping, in rising magnitude
                s = q + expansion[j]
                t = s - q
                expansion[j] = (q - (s - t)) + (expansion[j] - t)
                q = s
            expansion[n] = q
            n += 1
    for j in range(n - 1, -1, -1):
        if expansion[j] != 0.0:
            return 1 if expansion[j] > 0.0 else -1
    return 0


@kernel
def orientation(x0, y0, x1, y1, px, py):
    """Sign of the cross product (p0 - p) x (p1 - p), exact."""
    left = (x0 - px) * (y1 - py)
    right = (x1 - px) * (y0 - py)
    det = left - right
    if abs(det) > 3.3306690738754716e-16 * (abs(left) + abs(right)):
        return 1 if det > 0.0 else -1
    return _exact_sign(x0, y0, x1, y1, px, py)


@kernel
def _side(x0, y0, x1, y1, px, py, arithmetic):
    """Sign of (where the edge crosses the line y = py) - px, for y0 < y1."""
    if arithmetic == EXACT:
        return orientation(x0, y0, x1, y1, px, py)
    value = (x0 - px) * (y1 - py) - (x1 - px) * (y0 - py)
    return 1 if value > 0.0 else (-1 if value < 0.0 else 0)


@kernel
def column(x, tolerance, offset, strict, x0, y0, x1, y1, y, arithmetic):
    """The smallest integer k with k + offset >= (or, strict, >) the crossing, whose estimate is x."""
    t = x - offset
    up = np.ceil(t)
    if tolerance < up - t < 1.0 - tolerance:
        return int(up)
    return _column_near(t, offset, strict, x0, y0, x1, y1, y, arithmetic)


@kernel
def _column_near(t, offset, strict, x0, y0, x1, y1, y, arithmetic):
    """``column`` when the estimate t is within rounding of an integer."""
    nearest = np.rint(t)
    sign = _side(x0, y0, x1, y1, nearest + offset, y, arithmetic)
    return int(nearest) + (1 if sign > 0 or (strict and sign == 0) else 0)
