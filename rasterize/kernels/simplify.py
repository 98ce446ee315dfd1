"""A contour with fewer points.

Visvalingam & Whyatt 1993, then coordinate descent of the vertices on the Dice of the refill. By Green's
theorem the pixels inside a simple polygon, and those of them inside the mask, are sums over its edges
(prefix sums of the mask along each row), so moving a vertex costs only its two edges.
"""

import numpy as np

from ..jit import kernel


@kernel
def _twice_area(a, b, c):
    return abs((b[1] - a[1]) * (c[0] - a[0]) - (b[0] - a[0]) * (c[1] - a[1]))


@kernel
def thin(points, target):
    """Drop, in passes of rising tolerance, points whose triangle with both neighbours is small; in place."""
    n, tolerance = points.shape[0], 0.55
    while n > target:
        kept, left, skipped = 1, n, False
        for i in range(1, n):
            small = i + 1 < n and not skipped and left > target
            if small and _twice_area(points[kept - 1], points[i], points[i + 1]) < tolerance:
                skipped = True
                left -= 1
            else:
                points[kept] = points[i]
                kept += 1
                skipped = False
        n = kept
        tolerance *= 1.3
    return points[:n]


@kernel
def prefix(part):
    """table[r, c]: the pixels left of column c in row r, plus 2**32 times those of them in the mask."""
    height, width = part.shape
    table = np.zeros((height, width + 1), np.int64)
    for y in range(height):
        running = np.int64(0)
        for x in range(width):
            running += (np.int64(part[y, x]) << 32) + 1
            table[y, x + 1] = running
    return table


@kernel
def _edge(table, y0, x0, y1, x1):
    """An edge's share of (area, overlap) in the packing of ``prefix``: + downwards, - upwards.

    Both ends lie within the crop, its last column and row of pixel centres included.
    """
    if y0 <= y1:
        first, stop, sign = int(np.ceil(y0)), int(np.ceil(y1)), 1
    else:
        first, stop, sign = int(np.ceil(y1)), int(np.ceil(y0)), -1
    if first == stop:
        return 0
    slope = (x1 - x0) / (y1 - y0)
    origin = x0 - y0 * slope
    total = 0
    for r in range(first, stop):
        total += table[r, int(np.ceil(origin + r * slope))]
    return sign * total


@kernel
def _edges(table, points, shares):
    """Share of every edge (i, i + 1) into ``shares``; returns their sum, the polygon's own."""
    n = points.shape[0]
    total = 0
    for i in range(n):
        j = i + 1 if i + 1 < n else 0
        shares[i] = _edge(table, points[i, 0], points[i, 1], points[j, 0], points[j, 1])
        total += shares[i]
    return total


@kernel
def _dice(total, area):
    """Dice of a polygon's packed (area, overlap) with a mask of ``area`` pixels."""
    return 2.0 * (total >> 32) / ((total & 0xFFFFFFFF) + area)


@kernel
def merge(points, table, area, target):
    """Remove, one by one, the vertex whose removal costs least Dice; in place."""
    n = points.shape[0]
    shares, merged = np.empty(n, np.int64), np.empty(n, np.int64)
    total = _edges(table, points, shares)
    for i in range(n):
        merged[i] = _skip_edge(table, points, n, i)
    while n > target:
        worst, best, p = 0, -2.0, n - 1
        for i in range(n):
            score = _dice(total - shares[p] - shares[i] + merged[i], area)
            if score > best:
                worst, best = i, score
            p = i
        p = worst - 1 if worst > 0 else n - 1
        total += merged[worst] - shares[p] - shares[worst]
        shares[p] = merged[worst]
        for i in range(worst, n - 1):
            points[i] = points[i + 1]
            shares[i], merged[i] = shares[i + 1], merged[i + 1]
        n -= 1
        for i in (worst - 1 if worst > 0 else n - 1, worst if worst < n else 0):
            merged[i] = _skip_edge(table, points, n, i)
    return points[:n]


@kernel
def _skip_edge(table, points, n, i):
    """Share of the edge that would replace vertex i of the first n."""
    p, q = (i - 1 if i > 0 else n - 1), (i + 1 if i + 1 < n else 0)
    return _edge(table, points[p, 0], points[p, 1], points[q, 0], points[q, 1])


_TOUCH = 1e-9  # segments nearer than this (in doubled area) count as touching: no verdict hangs on rounding


@kernel
def _turn(ay, ax, by, bx, cy, cx):
    d = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
    return 1 if d > _TOUCH else (-1 if d < -_TOUCH else 0)


@kernel
def _meet(ay, ax, by, bx, cy, cx, dy, dx):
    """Do the closed segments ab and cd have a point in common?"""
    s, t = _turn(ay, ax, by, bx, cy, cx), _turn(ay, ax, by, bx, dy, dx)
    if s * t > 0:
        return False
    u, v = _turn(cy, cx, dy, dx, ay, ax), _turn(cy, cx, dy, dx, by, bx)
    if u * v > 0:
        return False
    if s == 0 and t == 0:
        apart_x = max(min(ax, bx), min(cx, dx)) > min(max(ax, bx), max(cx, dx)) + _TOUCH
        apart_y = max(min(ay, by), min(cy, dy)) > min(max(ay, by), max(cy, dy)) + _TOUCH
        return not (apart_x or apart_y)
    return True


@kernel
def _folds(ay, ax, vy, vx, by, bx):
    """Do the edges from v to a and from v to b lie over each other?"""
    ahead = (ay - vy) * (by - vy) + (ax - vx) * (bx - vx)
    return ahead > -_TOUCH and _turn(vy, vx, ay, ax, by, bx) == 0


@kernel
def _stays_simple(points, i, y, x):
    """May vertex i of a simple polygon move to (y, x) and leave it simple?"""
    n = points.shape[0]
    p, q = (i - 1 if i > 0 else n - 1), (i + 1 if i + 1 < n else 0)
    py, px, qy, qx = points[p, 0], points[p, 1], points[q, 0], points[q, 1]
    if _folds(py, px, y, x, qy, qx) or (n == 3 and _turn(py, px, y, x, qy, qx) == 0):
        return False
    a = q
    while n > 3 and a != p:  # the edges that do not end in vertex i
        b = a + 1 if a + 1 < n else 0
        ay, ax, by, bx = points[a, 0], points[a, 1], points[b, 0], points[b, 1]
        if a == q:
            if _folds(y, x, qy, qx, by, bx):
                return False
        elif _meet(y, x, qy, qx, ay, ax, by, bx):
            return False
        if b == p:
            if _folds(y, x, py, px, ay, ax):
                return False
        elif _meet(py, px, y, x, ay, ax, by, bx):
            return False
        a = b
    return True


@kernel
def is_simple(points):
    """Do no two edges meet but neighbours in their vertex?"""
    for i in range(points.shape[0]):  # noqa: SIM110 (numba has no generators here)
        if not _stays_simple(points, i, points[i, 0], points[i, 1]):
            return False
    return True


@kernel
def descend(points, table, area, step, least, shrink):
    """Move vertices, one at a time, to the best of eight places at their own step while the Dice rises.

    A vertex that finds nothing better shortens its step; one that moves wakes its neighbours. Places that
    would make the polygon cross or touch itself are not taken. In place.
    """
    n = points.shape[0]
    bottom, right = table.shape[0] - 1.0, table.shape[1] - 2.0
    shares = np.empty(n, np.int64)
    total = _edges(table, points, shares)
    dice = _dice(total, area)
    steps = np.full(n, step)
    awake = dice < 1.0
    while awake:
        awake = False
        for i in range(n):
            if steps[i] < least:
                continue
            awake = True
            p, q = (i - 1 if i > 0 else n - 1), (i + 1 if i + 1 < n else 0)
            py, px, qy, qx = points[p, 0], points[p, 1], points[q, 0], points[q, 1]
            dy, dx = qy - py, qx - px  # along and across the chord between the neighbours, then diagonally
            scale = steps[i] / max(np.sqrt(dy * dy + dx * dx), 1e-9)
            dy, dx = dy * scale, dx * scale
            rest = total - shares[p] - shares[i]
            best, best_y, best_x, best_in, best_out = dice, 0.0, 0.0, 0, 0
            for k in range(8):
                if k == 4:
                    dy, dx = (dy - dx) * 0.70710678, (dx + dy) * 0.70710678
                dy, dx = (-dx, dy) if k % 2 == 0 else (-dy, -dx)
                y = min(max(points[i, 0] + dy, 0.0), bottom)
                x = min(max(points[i, 1] + dx, 0.0), right)
                way_in = _edge(table, py, px, y, x)
                way_out = _edge(table, y, x, qy, qx)
                score = _dice(rest + way_in + way_out, area)
                if score > best + 1e-12 and _stays_simple(points, i, y, x):
                    best, best_y, best_x, best_in, best_out = score, y, x, way_in, way_out
            if best > dice:
                dice, total = best, rest + best_in + best_out
                points[i, 0], points[i, 1], shares[p], shares[i] = best_y, best_x, best_in, best_out
                steps[p], steps[q] = max(steps[p], steps[i] * 0.99), max(steps[q], steps[i] * 0.99)
            else:
                steps[i] *= shrink
    return dice


@kernel
def remove_simply(points, target):
    """Visvalingam that never lets the polygon cross itself; slow, for contours where the fast way did.

    Removes the smallest triangle that holds no other vertex. Every simple polygon has such an ear (Meisters
    1975); where rounding hides it, the result stays longer than asked.
    """
    n = points.shape[0]
    areas = np.empty(n)
    while n > target:
        for i in range(n):
            areas[i] = _twice_area(points[(i - 1) % n], points[i], points[(i + 1) % n])
        ear = -1
        for i in range(n):
            smaller = ear < 0 or areas[i] < areas[ear]
            if smaller and _is_ear(points[:n], (i - 1) % n, i, (i + 1) % n):
                ear = i
        if ear < 0:
            break
        for k in range(ear, n - 1):
            points[k] = points[k + 1]
        n -= 1
    return points[:n]


@kernel
def _is_ear(points, p, i, q):
    """Does no vertex lie in or on the triangle p, i, q, and do its neighbours not fold over the chord?"""
    a, b, c = points[p], points[i], points[q]
    wind = _turn(a[0], a[1], b[0], b[1], c[0], c[1])
    for k in range(points.shape[0]):
        if k in (p, i, q):
            continue
        v = points[k]
        if _turn(a[0], a[1], c[0], c[1], v[0], v[1]) == 0:
            return False
        if wind == 0:
            continue
        s = wind * _turn(a[0], a[1], b[0], b[1], v[0], v[1])
        t = wind * _turn(b[0], b[1], c[0], c[1], v[0], v[1])
        u = wind * _turn(c[0], c[1], a[0], a[1], v[0], v[1])
        if s >= 0 and t >= 0 and u >= 0:
            return False
    return True


@kernel
def box_around(part, most):
    """Last resort: the crop's inner frame as four points, or a triangle when only three are allowed."""
    height, width = part.shape
    top, left, bottom, right = 0.5, 0.5, height - 1.5, width - 1.5
    out = np.empty((min(most, 4), 2))
    out[0, 0], out[0, 1], out[1, 0], out[1, 1] = top, left, top, right
    out[2, 0], out[2, 1] = bottom, right
    if most >= 4:
        out[3, 0], out[3, 1] = bottom, left
    return out
