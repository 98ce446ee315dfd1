"""Compiled loops: even-odd polygon fill, supercover of edges, component, contour, simplification.

Coordinates are (row, col) in the arrays that arrive, pixel centres at integers, pixel edges at +-0.5.

Fill: an edge from y0 to y1 crosses the rows y0 <= row < y1; in each it toggles the pixels from column
``ceil(crossing)`` on (Foley, van Dam et al., *Computer Graphics*, ch. 3.6: scan conversion, half-open). The
crossing is computed in floating point; where it lies within rounding of a pixel centre, the sign of an exact
orientation test decides (Shewchuk 1997, *Adaptive precision floating-point arithmetic and fast robust
geometric predicates*), so a fill is exact for every input above underflow.

Simplification: Visvalingam & Whyatt 1993, then coordinate descent of the vertices on the Dice of the refill.
By Green's theorem the pixels inside a simple polygon, and those of them inside the mask, are sums over its
edges (prefix sums of the mask along each row), so moving a vertex costs only its two edges.
"""

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from .jit import kernel

CENTER, OUTLINE, ALL_TOUCHED = 0, 1, 2

# How the column of a crossing is taken: from a pixel centre by exact arithmetic or by scikit-image's own
# floating-point expression, or from a pixel's left or right side.
_EXACT, _FLOAT = 0, 1


@intrinsic
def load64(typing_context, array, index):
    """Eight bytes of a contiguous uint8 array as one word; ``index`` in bytes, no alignment needed."""
    signature = types.uint64(array, types.intp)

    def generate(context, builder, signature, arguments):
        data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
        pointer = builder.bitcast(builder.gep(data, [arguments[1]]), ir.IntType(64).as_pointer())
        word = builder.load(pointer)
        word.align = 1
        return word

    return signature, generate


def _store_of_ones(size):
    """An intrinsic that writes ``size`` bytes of 1 at a byte index of a contiguous uint8 array."""

    @intrinsic
    def store(typing_context, array, index):
        signature = types.void(array, types.intp)

        def generate(context, builder, signature, arguments):
            data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
            block = ir.VectorType(ir.IntType(8), size)
            pointer = builder.bitcast(builder.gep(data, [arguments[1]]), block.as_pointer())
            builder.store(ir.Constant(block, [1] * size), pointer).align = 1
            return context.get_dummy_value()

        return signature, generate

    return store


_ones8, _ones16, _ones32 = _store_of_ones(8), _store_of_ones(16), _store_of_ones(32)


# ---------------------------------------------------------------- orientation


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
    if arithmetic == _EXACT:
        return orientation(x0, y0, x1, y1, px, py)
    value = (x0 - px) * (y1 - py) - (x1 - px) * (y0 - py)
    return 1 if value > 0.0 else (-1 if value < 0.0 else 0)


@kernel
def _column(x, tolerance, offset, strict, x0, y0, x1, y1, y, arithmetic):
    """The smallest integer k with k + offset >= (or, strict, >) the crossing, whose estimate is x."""
    t = x - offset
    up = np.ceil(t)
    if tolerance < up - t < 1.0 - tolerance:
        return int(up)
    return _column_near(t, offset, strict, x0, y0, x1, y1, y, arithmetic)


@kernel
def _column_near(t, offset, strict, x0, y0, x1, y1, y, arithmetic):
    """``_column`` when the estimate t is within rounding of an integer."""
    nearest = np.rint(t)
    sign = _side(x0, y0, x1, y1, nearest + offset, y, arithmetic)
    return int(nearest) + (1 if sign > 0 or (strict and sign == 0) else 0)


# ---------------------------------------------------------------- fill


@kernel
def _sort(columns, start, stop):
    """Shell sort in place: rows with more than two crossings are rare and short."""
    gap = (stop - start) // 2
    while gap > 0:
        for i in range(start + gap, stop):
            value = columns[i]
            j = i
            while j - gap >= start and columns[j - gap] > value:
                columns[j] = columns[j - gap]
                j -= gap
            columns[j] = value
        gap //= 2


@kernel
def _span(row, a, b):
    """row[a:b] = 1 by overlapping block stores: half the time of a memset call on spans this short."""
    n = b - a
    if n >= 32:
        for x in range(a, b - 32, 32):
            _ones32(row, x)
        _ones32(row, b - 32)
    elif n >= 16:
        _ones16(row, a)
        _ones16(row, b - 16)
    elif n >= 8:
        _ones8(row, a)
        _ones8(row, b - 8)
    else:
        for x in range(a, b):
            row[x] = 1


@kernel
def _row_range(y0, y1, upper, height):
    """Rows an edge crosses: y0 <= row < y1, or with ``upper`` y0 < row <= y1; clipped to the frame."""
    if upper:
        first, stop = np.floor(y0) + 1.0, np.floor(y1) + 1.0
    else:
        first, stop = np.ceil(y0), np.ceil(y1)
    return int(max(first, 0.0)), int(min(stop, float(height)))


@kernel
def _fill(points, start, stop, out, at, columns, upper, arithmetic):
    """Fill out with the even-odd interior of points[start:stop]; returns the (possibly grown) scratch.

    ``at`` has height + 1 zeros: it counts the crossings of each row, then says where its columns begin.
    """
    height, width = out.shape
    y0, x0 = points[stop - 1, 0], points[stop - 1, 1]
    low, high = height, 0
    for i in range(start, stop):
        y1, x1 = points[i, 0], points[i, 1]
        first, last = _row_range(min(y0, y1), max(y0, y1), upper, height)
        if first < last:
            low, high = min(low, first), max(high, last)
            at[first] += 1
            at[last] -= 1
        y0, x0 = y1, x1
    if low >= high:
        return columns
    running, total = 0, 0
    for r in range(low, high):
        running += at[r]
        at[r] = total
        total += running
    at[high] = total
    if total > columns.size:
        columns = np.empty(2 * total, np.int32)
    y0, x0 = points[stop - 1, 0], points[stop - 1, 1]
    for i in range(start, stop):
        y1, x1 = points[i, 0], points[i, 1]
        if y0 < y1:
            _cross(x0, y0, x1, y1, width, height, at, columns, upper, arithmetic)
        elif y1 < y0:
            _cross(x1, y1, x0, y0, width, height, at, columns, upper, arithmetic)
        y0, x0 = y1, x1
    begin = 0
    for r in range(low, high):  # _cross moved at[r] from the beginning to the end of its row
        end = at[r]
        at[r] = 0
        if end - begin > 2:
            _sort(columns, begin, end)
        for k in range(begin, end - 1, 2):
            a, b = columns[k], columns[k + 1]
            _span(out[r], min(a, b), max(a, b))
        begin = end
    at[high] = 0
    return columns


@kernel
def _cross(x0, y0, x1, y1, width, height, at, columns, upper, arithmetic):
    """Note the column of every crossing of one edge, y0 < y1."""
    first, last = _row_range(y0, y1, upper, height)
    slope = (x1 - x0) / (y1 - y0)
    tolerance = 1e-14 * (1.0 + abs(x0) + abs(x1))
    for r in range(first, last):
        c = _column(x0 + (r - y0) * slope, tolerance, 0.0, upper, x0, y0, x1, y1, float(r), arithmetic)
        columns[at[r]] = min(max(c, 0), width)
        at[r] += 1


@kernel
def _mark_vertices(points, start, stop, out):
    """Pixels whose centre is a vertex, within scikit-image's 1e-12."""
    height, width = out.shape
    for i in range(start, stop):
        y, x = np.rint(points[i, 0]), np.rint(points[i, 1])
        near = abs(points[i, 0] - y) < 1e-12 and abs(points[i, 1] - x) < 1e-12
        if near and 0 <= y < height and 0 <= x < width:
            out[int(y), int(x)] = 1


@kernel
def _touch(points, start, stop, out):
    """Mark every pixel whose closed square meets an edge."""
    y0, x0 = points[stop - 1, 0], points[stop - 1, 1]
    for i in range(start, stop):
        y1, x1 = points[i, 0], points[i, 1]
        if y0 <= y1:
            _touch_edge(x0, y0, x1, y1, out)
        else:
            _touch_edge(x1, y1, x0, y0, out)
        y0, x0 = y1, x1


@kernel
def _touch_edge(x0, y0, x1, y1, out):
    """One edge, y0 <= y1: in each row of pixels, the columns between where it enters and leaves."""
    height, width = out.shape
    first = int(max(np.ceil(y0 - 0.5), 0.0))
    last = int(min(np.floor(y1 + 0.5), height - 1.0))
    slope = (x1 - x0) / (y1 - y0) if y1 > y0 else 0.0
    tolerance = 1e-14 * (1.0 + abs(x0) + abs(x1))
    for r in range(first, last + 1):
        a, b = width, -1
        for end in range(2):  # where the edge enters this row of squares, and where it leaves
            side = r - 0.5 if end == 0 else r + 0.5
            if end == 0 and y0 >= side:
                x, tight, inner = x0, -1.0, False
            elif end == 1 and y1 <= side:
                x, tight, inner = x1, -1.0, False
            else:
                x, tight, inner = x0 + (side - y0) * slope, tolerance, True
            x = min(max(x, -2.0), width + 1.0) if not inner else x
            if x < -1.0:
                left, right = -1, -1
            elif x > width:
                left, right = width, width
            else:
                left = _column(x, tight, 0.5, False, x0, y0, x1, y1, side, _EXACT)
                right = _column(x, tight, -0.5, True, x0, y0, x1, y1, side, _EXACT) - 1
                if not inner:
                    right = int(np.floor(x + 0.5))
            a, b = min(a, left), max(b, right)
        for c in range(max(a, 0), min(b, width - 1) + 1):
            out[r, c] = 1


@kernel
def fill_center(points, offsets, out):
    """Fill out[i] (zeros on entry) with polygon points[offsets[i]:offsets[i+1]]: pixel-centre rule."""
    at = np.zeros(out.shape[1] + 1, np.int32)
    columns = np.empty(4096, np.int32)
    for i in range(offsets.size - 1):
        columns = _fill(points, offsets[i], offsets[i + 1], out[i], at, columns, False, _EXACT)


@kernel
def fill_outline(points, offsets, out):
    """As ``fill_center``, pixels whose centre lies on the outline included, as scikit-image decides it.

    scikit-image counts crossings to the right over y0 <= row < y1 and to the left over y0 < row <= y1, and
    keeps a pixel when either is odd, or when it is a vertex: the union of two half-open fills.
    """
    at = np.zeros(out.shape[1] + 1, np.int32)
    columns = np.empty(4096, np.int32)
    for i in range(offsets.size - 1):
        for upper in (False, True):
            columns = _fill(points, offsets[i], offsets[i + 1], out[i], at, columns, upper, _FLOAT)
        _mark_vertices(points, offsets[i], offsets[i + 1], out[i])


@kernel
def fill_touched(points, offsets, out):
    """As ``fill_center``, and every pixel whose closed square meets an edge."""
    at = np.zeros(out.shape[1] + 1, np.int32)
    columns = np.empty(4096, np.int32)
    for i in range(offsets.size - 1):
        columns = _fill(points, offsets[i], offsets[i + 1], out[i], at, columns, False, _EXACT)
        _touch(points, offsets[i], offsets[i + 1], out[i])


# ---------------------------------------------------------------- largest component


@kernel
def _root(parent, i):
    while parent[i] != i:
        parent[i] = parent[parent[i]]
        i = parent[i]
    return i


@kernel
def _skip_zeros(row, x, width):
    """The first column from x on that may hold a non-zero byte: 32 bytes a step, then 8."""
    while x + 32 <= width:
        if (load64(row, x) | load64(row, x + 8) | load64(row, x + 16) | load64(row, x + 24)) != 0:
            break
        x += 32
    while x + 8 <= width and load64(row, x) == 0:
        x += 8
    while x < width and row[x] == 0:
        x += 1
    return x


@kernel
def _longer(rows):
    """The same rows with as much room again."""
    out = np.empty((2 * rows.shape[0], rows.shape[1]), rows.dtype)
    out[: rows.shape[0]] = rows
    return out


@kernel
def _find_runs(mask, runs):
    """Runs of non-zero pixels as rows (row, first, stop, parent), 8-connected by union-find; and how many.

    He, Chao & Suzuki 2008, *A run-based two-scan labeling algorithm*. A root is the first run of its
    component, in raster order. ``runs`` is the memory to use, replaced where it is too small.
    """
    height, width = mask.shape
    n, previous = 0, 0
    for y in range(height):
        row = mask[y]
        begin, above = n, previous
        x = _skip_zeros(row, 0, width)
        while x < width:
            first = x
            while x < width and row[x] != 0:
                x += 1
            if n == runs.shape[0]:
                runs = _longer(runs)
            runs[n, 0], runs[n, 1], runs[n, 2], runs[n, 3] = y, first, x, n
            while above < begin and runs[above, 2] < first:
                above += 1
            j = above
            while j < begin and runs[j, 1] <= x:
                a, b = _root(runs[:, 3], j), _root(runs[:, 3], n)
                runs[max(a, b), 3] = min(a, b)
                j += 1
            n += 1
            x = _skip_zeros(row, x, width)
        previous = begin
    return runs, n


@kernel
def _largest(runs, n):
    """Root and area of the component with most pixels; of equals the first in raster order."""
    area = np.zeros(n, np.int64)
    for i in range(n):
        runs[i, 3] = _root(runs[:, 3], i)
        area[runs[i, 3]] += runs[i, 2] - runs[i, 1]
    best = 0
    for i in range(n):
        if area[i] > area[best]:
            best = i
    return best, area[best]


@kernel
def _crop(runs, n, root):
    """One component alone, on its bounding box with a border of one zero pixel, and where that begins."""
    top, left = runs[root, 0], runs[root, 1]
    bottom, right = top, left
    for i in range(root, n):
        if runs[i, 3] == root:
            bottom = runs[i, 0]
            left, right = min(left, runs[i, 1]), max(right, runs[i, 2])
    part = np.zeros((bottom - top + 3, right - left + 2), np.uint8)
    for i in range(root, n):
        if runs[i, 3] == root:
            y = runs[i, 0] - top + 1
            for x in range(runs[i, 1] - left + 1, runs[i, 2] - left + 1):
                part[y, x] = 1
    return part, top - 1, left - 1


# ---------------------------------------------------------------- contour


@kernel
def _crack_corners(part):
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
            out = _longer(out)
        out[n, 0], out[n, 1] = 2 * y - 1, 2 * x - 1
        out[n, 2] = 1 if ahead_left != 0 and ahead_right == 0 else 0
        n += 1
        heading = (heading + 3) & 3 if ahead_left != 0 else (heading + 1) & 3


@kernel
def _outline(corners):
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
def _midpoints(corners):
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


# ---------------------------------------------------------------- simplification


@kernel
def _twice_area(a, b, c):
    return abs((b[1] - a[1]) * (c[0] - a[0]) - (b[0] - a[0]) * (c[1] - a[1]))


@kernel
def _thin(points, target):
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
def _prefix(part):
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
    """An edge's share of (area, overlap) in the packing of ``_prefix``: + downwards, - upwards.

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
def _merge(points, table, area, target):
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
def _descend(points, table, area, step, least, shrink):
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
def _remove_simply(points, target):
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
def _box_around(part, most):
    """Last resort: the crop's inner frame as four points, or a triangle when only three are allowed."""
    height, width = part.shape
    top, left, bottom, right = 0.5, 0.5, height - 1.5, width - 1.5
    out = np.empty((min(most, 4), 2))
    out[0, 0], out[0, 1], out[1, 0], out[1, 1] = top, left, top, right
    out[2, 0], out[2, 1] = bottom, right
    if most >= 4:
        out[3, 0], out[3, 1] = bottom, left
    return out


@kernel
def _polygon(part, area, most):
    """At most ``most`` points around one component, in the coordinates of its crop; most < 0: no limit."""
    corners = _crack_corners(part)
    if most < 0 or corners.shape[0] <= most:
        points = _outline(corners)
        if most < 0 or is_simple(points):
            return points
    table = _prefix(part)
    contour = _midpoints(corners)
    points = _merge(_thin(contour.copy(), 5 * most // 2), table, area, most)
    if not is_simple(points):
        points = _remove_simply(contour, most)
        if points.shape[0] > most or not is_simple(points):
            points = _box_around(part, most)
    _descend(points, table, area, 1.5, 0.3, 0.5)
    return points


@kernel
def _from_north(points, top, left, out):
    """Copy into out, shifted, beginning with the north-most (then west-most) vertex."""
    n, s = points.shape[0], 0
    for i in range(n):
        north = points[i, 0] - points[s, 0]
        if north < 0 or (north == 0 and points[i, 1] < points[s, 1]):
            s = i
    for i in range(n):
        j = (s + i) % n
        out[i, 0], out[i, 1] = points[j, 0] + top, points[j, 1] + left


@kernel
def mask_polygons(masks, most, out, counts):
    """Polygon of the largest component of each mask into out[i, :counts[i]]; count 0 for an empty mask."""
    runs = np.empty((512, 4), np.int32)
    for i in range(masks.shape[0]):
        runs, n = _find_runs(masks[i], runs)
        counts[i] = 0
        if n > 0:
            root, area = _largest(runs, n)
            part, top, left = _crop(runs, n, root)
            points = _polygon(part, area, most)
            counts[i] = points.shape[0]
            _from_north(points, top, left, out[i])


@kernel
def mask_polygon(mask, most):
    """Polygon of the largest component, whole for most < 0; no points for an empty mask."""
    runs, n = _find_runs(mask, np.empty((512, 4), np.int32))
    if n == 0:
        return np.empty((0, 2))
    root, area = _largest(runs, n)
    part, top, left = _crop(runs, n, root)
    points = _polygon(part, area, most)
    out = np.empty_like(points)
    _from_north(points, top, left, out)
    return out
