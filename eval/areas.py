"""How much surface a grid corner stands for: marching cubes at half-voxel resolution, derived, not copied.

A corner of the voxel grid sees 2x2x2 voxels. Where inside and outside meet on an edge of the cube between
their centres, the surface crosses at the middle of that edge. The crossings are joined face by face into
loops; on a face with two diagonal pairs, the corners of the cube's minority (inside, if at most four of the
eight are) are cut off. A loop that is not plane is cut into triangles the way that gives the largest area at
unit spacing, and keeps that cut at every spacing.

These rules reproduce the areas that DeepMind's surface-distance (Nikolov et al., arXiv:1809.04430) uses;
the tests compare all 256 codes with that package at several spacings.

Codes: bit ``4 * dz + 2 * dy + dx`` is the voxel at ``-1 + (dz, dy, dx)`` from the corner.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import product

import numpy as np
from numpy.typing import NDArray

_CORNERS = tuple(product((0, 1), repeat=3))
_EDGES = tuple((a, b) for a in _CORNERS for b in _CORNERS if a < b and sum(map(int.__ne__, a, b)) == 1)
_FACES = tuple(tuple(c for c in _CORNERS if c[axis] == side) for axis in range(3) for side in (0, 1))

Corner = tuple[int, ...]
Edge = tuple[Corner, Corner]


def surface_areas(spacing_mm: tuple[float, float, float]) -> NDArray[np.float64]:
    """Area in mm^2 that each of the 256 neighbourhood codes contributes.

    Args:
        spacing_mm: mm per voxel along (z, y, x).

    Returns:
        256 areas; 0 for the two uniform neighbourhoods.

    Example:
        One voxel inside cuts off a corner: an equilateral triangle of side sqrt(1/2).

        >>> bool(abs(surface_areas((1.0, 1.0, 1.0))[1] - 3**0.5 / 8) < 1e-15)
        True
    """
    sz, sy, sx = spacing_mm
    scale = np.array([sy * sx, sz * sx, sz * sy])
    return np.array([np.linalg.norm(n * scale, axis=1).sum() for n in _all_normals()])


def contour_lengths(spacing_mm: tuple[float, float]) -> NDArray[np.float64]:
    """Length in mm that each of the 16 codes of a 2x2 neighbourhood contributes.

    Args:
        spacing_mm: mm per pixel along (y, x).

    Returns:
        256 lengths, indexed by the 3-D code with ``dz = 1`` (so the 2-D code times 16); the rest is 0.
    """
    sy, sx = spacing_mm
    diagonal = 0.5 * float(np.hypot(sy, sx))
    lengths = np.zeros(256)
    for code in range(1, 15):
        a, b, c, d = ((code >> k) & 1 for k in range(4))
        if (a + b + c + d) % 2:
            lengths[code << 4] = diagonal
        elif a == d:
            lengths[code << 4] = 2 * diagonal
        else:
            lengths[code << 4] = sx if a == b else sy
    return lengths


@lru_cache(maxsize=1)
def _all_normals() -> tuple[NDArray[np.float64], ...]:
    """Per code, the area-weighted normals (n, 3) of its triangles at unit spacing."""
    return tuple(_normals(code) for code in range(256))


def _normals(code: int) -> NDArray[np.float64]:
    inside = {c: bool(code >> (4 * c[0] + 2 * c[1] + c[2]) & 1) for c in _CORNERS}
    cut_off = code.bit_count() <= 4
    segments = [s for face in _FACES for s in _segments(face, inside, cut_off)]
    normals = [n for loop in _loops(segments) for n in _largest_cut(loop)]
    return np.array(normals).reshape(-1, 3)


def _segments(face: tuple[Corner, ...], inside: dict[Corner, bool], cut_off: bool) -> list[tuple[Edge, Edge]]:
    """How the surface crosses one face of the cube: pairs of crossed edges."""
    crossed = [e for e in _EDGES if e[0] in face and e[1] in face and inside[e[0]] != inside[e[1]]]
    if len(crossed) == 2:
        return [(crossed[0], crossed[1])]
    pairs = [[e for e in crossed if c in e] for c in face if inside[c] == cut_off]
    return [(p[0], p[1]) for p in pairs] if len(crossed) == 4 else []


def _loops(segments: list[tuple[Edge, Edge]]) -> list[list[Edge]]:
    """Chain segments into closed loops of crossed edges."""
    neighbours: dict[Edge, list[Edge]] = {}
    for a, b in segments:
        neighbours.setdefault(a, []).append(b)
        neighbours.setdefault(b, []).append(a)
    loops = []
    while neighbours:
        loop = [next(iter(neighbours))]
        while following := [e for e in neighbours.pop(loop[-1]) if e in neighbours and e not in loop]:
            loop.append(following[0])
        loops.append(loop)
    return loops


def _largest_cut(loop: list[Edge]) -> list[NDArray[np.float64]]:
    """Normals of the triangles of the largest triangulation of a loop of edge midpoints."""
    points = [(np.array(a) + np.array(b)) / 2 for a, b in loop]
    cuts = [[_normal(points, t) for t in cut] for cut in _triangulations(0, len(loop) - 1)]
    return max(cuts, key=lambda normals: sum(float(np.linalg.norm(n)) for n in normals))


def _normal(points: list[NDArray[np.float64]], triangle: tuple[int, int, int]) -> NDArray[np.float64]:
    a, b, c = (points[k] for k in triangle)
    return np.cross(b - a, c - a) / 2


def _triangulations(i: int, j: int) -> list[list[tuple[int, int, int]]]:
    """All ways to cut the polygon of vertices i..j into triangles."""
    if j - i < 2:
        return [[]]
    return [
        [*left, *right, (i, k, j)]
        for k in range(i + 1, j)
        for left in _triangulations(i, k)
        for right in _triangulations(k, j)
    ]
