"""The contour of one component: its corners, its outline, the mid-points of its pixel edges."""

import numpy as np

from ..jit import kernel
from .component import longer


@kernel
def crack_corners(part):
    """Corners of the outer boundary along pixel edges, clockwise on screen, as (2 row, 2 col, pinch).

    ``pinch`` is 1 where two pixels touch by their corner only and the boundary passes between them. Doubled
    coordinates keep corners integers.
    """
    out = np.empty((512, 3), np.int64)
    x, y, heading = 0, 1, 0
    while part[1, x] == 0:
        x += 1
    x0 = x
    out[0, 0], out[0, 1], out[0, 2] = 2 * y - 1, 2 * x - 1, 0
    n = 1
    while True:
        if heading == 0:
            x += 1
            ahead_left, ahead_right = part[y - 1, x], part[y, x]
        elif heading == 1:
            y += 1
            ahead_left, ahead_right = part[y, x], part[y, x - 1]
        elif heading == 2:
            x -= 1
            ahead_left, ahead_right = part[y, x - 1], part[y - 1, x - 1]
        else:
            y -= 1
            ahead_left, ahead_right = part[y - 1, x - 1], part[y - 1, x]
        if ahead_left == 0 and ahead_right != 0:
            continue
        if y == 1 and x == x0 and heading == 3 and ahead_left == 0:
            return out[:n]
        if n == out.shape[0]:
            out = longer(out)
        out[n, 0], out[n, 1] = 2 * y - 1, 2 * x - 1
        out[n, 2] = 1 if ahead_left != 0 and ahead_right == 0 else 0
        n += 1
        heading = (heading + 3) & 3 if ahead_left != 0 else (heading + 1) & 3


@kernel
def outline(corners):
    """The boundary itself. A pinch moves a quarter pixel into the background, so no vertex is met twice."""
    n = corners.shape[0]
    out = np.empty((n, 2))
    for i in range(n):
        p, q = (i - 1) % n, (i + 1) % n
        for k in range(2):
            out[i, k] = 0.5 * corners[i, k]
            if corners[i, 2]:  # outward from a left turn: back along the way in, forward along the way out
                out[i, k] += 0.25 * (
                    np.sign(corners[p, k] - corners[i, k]) + np.sign(corners[q, k] - corners[i, k])
                )
    return out


@kernel
def _keep(points, n, y, x):
    """Append (y, x), dropping the last point where it lies straight between; returns the new length."""
    if n >= 2:
        ay, ax = points[n - 1, 0] - points[n - 2, 0], points[n - 1, 1] - points[n - 2, 1]
        if ax * (y - points[n - 2, 0]) == ay * (x - points[n - 2, 1]):
            n -= 1
    points[n, 0], points[n, 1] = y, x
    return n + 1


@kernel
def midpoints(corners):
    """Mid-points of the pixel edges on the boundary: marching squares at one half, straight runs thinned."""
    n = corners.shape[0]
    out = np.empty((2 * n, 2))
    k = 0
    for i in range(n):
        j = i + 1 if i + 1 < n else 0
        y0, x0, y1, x1 = 0.5 * corners[i, 0], 0.5 * corners[i, 1], 0.5 * corners[j, 0], 0.5 * corners[j, 1]
        dy, dx = 0.5 * np.sign(y1 - y0), 0.5 * np.sign(x1 - x0)
        k = _keep(out, k, y0 + dy, x0 + dx)
        if abs(y1 - y0) + abs(x1 - x0) > 1.0:
            k = _keep(out, k, y1 - dy, x1 - dx)
    return out[:k]
