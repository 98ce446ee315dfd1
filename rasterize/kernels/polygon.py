"""From a mask to the polygon of its largest component."""

import numpy as np

from ..jit import kernel
from .component import crop, find_runs, largest
from .contour import crack_corners, midpoints, outline
from .simplify import box_around, descend, is_simple, merge, prefix, remove_simply, thin


@kernel
def _polygon(part, area, most):
    """At most ``most`` points around one component, in the coordinates of its crop; most < 0: no limit."""
    corners = crack_corners(part)
    if most < 0 or corners.shape[0] <= most:
        points = outline(corners)
        if most < 0 or is_simple(points):
            return points
    table = prefix(part)
    contour = midpoints(corners)
    points = merge(thin(contour.copy(), 5 * most // 2), table, area, most)
    if not is_simple(points):
        points = remove_simply(contour, most)
        if points.shape[0] > most or not is_simple(points):
            points = box_around(part, most)
    descend(points, table, area, 1.5, 0.3, 0.5)
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
        runs, n = find_runs(masks[i], runs)
        counts[i] = 0
        if n > 0:
            root, area = largest(runs, n)
            part, top, left = crop(runs, n, root)
            points = _polygon(part, area, most)
            counts[i] = points.shape[0]
            _from_north(points, top, left, out[i])


@kernel
def mask_polygon(mask, most):
    """Polygon of the largest component, whole for most < 0; no points for an empty mask."""
    runs, n = find_runs(mask, np.empty((512, 4), np.int32))
    if n == 0:
        return np.empty((0, 2))
    root, area = largest(runs, n)
    part, top, left = crop(runs, n, root)
    points = _polygon(part, area, most)
    out = np.empty_like(points)
    _from_north(points, top, left, out)
    return out
