"""Even-odd polygon fill and the supercover of edges.

Coordinates are (row, col), pixel centres at integers, pixel edges at +-0.5. An edge from y0 to y1 crosses
the rows y0 <= row < y1; in each it toggles the pixels from column ``ceil(crossing)`` on (Foley, van Dam
et al., *Computer Graphics*, ch. 3.6: scan conversion, half-open).
"""

import numpy as np

from ..jit import kernel
from .crossing import EXACT, FLOAT, column
from .words import ones8, ones16, ones32


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
            ones32(row, x)
        ones32(row, b - 32)
    elif n >= 16:
        ones16(row, a)
        ones16(row, b - 16)
    elif n >= 8:
        ones8(row, a)
        ones8(row, b - 8)
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
        c = column(x0 + (r - y0) * slope, tolerance, 0.0, upper, x0, y0, x1, y1, float(r), arithmetic)
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
                left = column(x, tight, 0.5, False, x0, y0, x1, y1, side, EXACT)
                right = column(x, tight, -0.5, True, x0, y0, x1, y1, side, EXACT) - 1
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
        columns = _fill(points, offsets[i], offsets[i + 1], out[i], at, columns, False, EXACT)


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
            columns = _fill(points, offsets[i], offsets[i + 1], out[i], at, columns, upper, FLOAT)
        _mark_vertices(points, offsets[i], offsets[i + 1], out[i])


@kernel
def fill_touched(points, offsets, out):
    """As ``fill_center``, and every pixel whose closed square meets an edge."""
    at = np.zeros(out.shape[1] + 1, np.int32)
    columns = np.empty(4096, np.int32)
    for i in range(offsets.size - 1):
        columns = _fill(points, offsets[i], offsets[i + 1], out[i], at, columns, False, EXACT)
        _touch(points, offsets[i], offsets[i + 1], out[i])
