"""The largest 8-connected component of a mask, from its runs."""

import numpy as np

from ..jit import kernel
from .words import load64


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
def longer(rows):
    """The same rows with as much room again."""
    out = np.empty((2 * rows.shape[0], rows.shape[1]), rows.dtype)
    out[: rows.shape[0]] = rows
    return out


@kernel
def find_runs(mask, runs):
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
                runs = longer(runs)
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
def largest(runs, n):
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
def crop(runs, n, root):
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
