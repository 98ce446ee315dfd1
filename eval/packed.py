"""Two masks as bit-packed surfaces on one cropped grid, and the kernels that ask them for distances.

Everything here works in the kernels' axes ``(z, y, x)``, x being the fastest in memory; a 2-D image is one
plane. Squared distances are in mm^2, float64, bit-equal to a brute-force search (``kernels/search.py``).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from .kernels import edt, search, surface
from .validate import MaskPair, not_binary

Bits = NDArray[np.uint64]
Floats = NDArray[np.float64]

MAX_ROWS = 500
"""Rows of the ball that is searched before a distance counts as far (a radius of 12.6 isotropic voxels)."""

KEPT = 0.3
"""Bytes per voxel that the far transform may keep of its plane distances."""

WINDOW = 31
"""Voxels that a 64-bit window sees on both sides."""


@dataclass(frozen=True)
class Tables:
    """The neighbourhood that is searched first: rows by distance, and every distance that can occur.

    Attributes:
        rows_z, rows_y: displacements of the rows, sorted by ``z2 + y2``.
        z2, y2: their squared displacements in mm^2.
        x2: squared displacement of 0, 1, ... voxels along x; inf from 33 on.
        limit: largest squared distance that is searched.
        classes: every squared distance up to ``limit``, ascending.
        rows_within: for every class how many rows its ball has.
    """

    rows_z: NDArray[np.int64]
    rows_y: NDArray[np.int64]
    z2: Floats
    y2: Floats
    x2: Floats
    limit: float
    classes: Floats
    rows_within: NDArray[np.int64]


def _square(lengths: NDArray) -> Floats:
    return np.asarray(lengths * lengths, dtype=np.float64)


def _sum3(z2: Floats, y2: Floats, x2: Floats, last: int) -> Floats:
    """The canonical sum of the kernels: the caller's last axis is added last."""
    return ((z2 + y2) + x2, (y2 + x2) + z2, (z2 + x2) + y2)[(last + 1) % 3]


@lru_cache(maxsize=64)
def tables(spacing: tuple[float, float, float], last: int, flat: bool) -> Tables:
    """The tables of a spacing (mm along z, y, x); ``flat`` has no other planes."""
    sz, sy, sx = spacing
    radius = WINDOW * sx
    radius = min(radius, WINDOW * sy) if flat else min(radius, math.sqrt(MAX_ROWS * sz * sy / math.pi))
    mz, my = 0 if flat else int(radius / sz), int(radius / sy)
    dz, dy = (d.ravel() for d in np.mgrid[-mz : mz + 1, -my : my + 1])
    z2, y2 = _square(dz * sz), _square(dy * sy)
    order = np.argsort(z2 + y2, kind="stable")
    order = order[(z2 + y2)[order] <= radius * radius]
    x2 = _square(np.arange(66) * sx)
    x2[WINDOW + 2 :] = np.inf
    quadrant = order[(dz[order] >= 0) & (dy[order] >= 0)]
    every = _sum3(z2[quadrant, None], y2[quadrant, None], x2[None, : WINDOW + 1], last)
    classes = np.unique(every[every <= radius * radius])
    within = np.searchsorted((z2 + y2)[order], classes, side="right")
    return Tables(dz[order], dy[order], z2[order], y2[order], x2, float(classes[-1]), classes, within)


@dataclass(frozen=True)
class Grid:
    """The cropped grid that both surfaces share.

    Attributes:
        nz, ny, words: planes, rows of a plane, words of a row.
        spacing: mm along z, y, x.
        last: the kernel axis that is the caller's last.
        flat: True for 2-D images.
        budget: bytes that the far transform may keep.
    """

    nz: int
    ny: int
    words: int
    spacing: tuple[float, float, float]
    last: int
    flat: bool
    budget: int

    @cached_property
    def tables(self) -> Tables:
        return tables(self.spacing, self.last, self.flat)

    @cached_property
    def nothing(self) -> Bits:
        """The empty bitmap."""
        return np.zeros(self.nz * self.ny * self.words + 2, np.uint64)

    def squares(self, lengths: tuple[int, ...]) -> tuple[Floats, ...]:
        """Per axis the squared displacement of 0, 1, ... ``length`` voxels."""
        return tuple(_square(np.arange(n + 1) * s) for n, s in zip(lengths, self.spacing, strict=True))


@dataclass(frozen=True)
class Surface:
    """One bit-packed surface and its number of points."""

    bits: Bits
    count: int
    grid: Grid

    @cached_property
    def box(self) -> NDArray[np.int64]:
        """Extent z0, z1, y0, y1, x0, x1 of the points, ends included."""
        return np.array(edt.extent(self.bits, self.grid.nz, self.grid.ny, self.grid.words))


@dataclass(frozen=True)
class Surfaces:
    """Both surfaces, with the codes of their neighbourhoods where areas are wanted.

    Attributes:
        pred, ref: the surfaces; None for an empty mask.
        masks: packed masks (pred, ref), kept for "corners" only.
    """

    pred: Surface | None
    ref: Surface | None
    masks: tuple[Bits, ...] = field(default=(), repr=False)


def extract(pair: MaskPair, spacing: tuple[float, ...], kind: Literal["erosion", "corners"]) -> Surfaces:
    """Scan, crop, pack and outline a pair of masks.

    Args:
        pair: from :func:`as_mask_pair`, 2-D or 3-D.
        spacing: mm per voxel in the caller's axis order.
        kind: see ``eval/presets.py``.

    Returns:
        The surfaces.

    Raises:
        InputError: a mask with other values than 0 and 1.
    """
    flat = len(pair.shape) == 2
    nz, ny, nx = (1, *pair.pred.shape) if flat else pair.pred.shape
    a, b = pair.pred.reshape(-1), pair.ref.reshape(-1)
    *box, any_pred, any_ref = surface.scan(a, b, nz, ny, nx)
    if (any_pred | any_ref) & 0xFEFEFEFEFEFEFEFE:
        raise not_binary("pred", pair.pred) if any_pred & 0xFEFEFEFEFEFEFEFE else not_binary("ref", pair.ref)
    if not (any_pred and any_ref):
        return _mostly_empty(bool(any_pred), bool(any_ref), pair)
    z0, z1, y0, y1, x0, x1 = box
    cz, cy, cx = z1 - z0 + 1, y1 - y0 + 1, x1 - x0 + 1
    more = int(kind == "corners")
    words = surface.words_per_row(cx + more)
    local = (1.0, *(spacing[k] for k in pair.axes)) if flat else tuple(spacing[k] for k in pair.axes)
    grid = Grid(
        cz if flat else cz + more,
        cy + more,
        words,
        local,  # type: ignore[arg-type]
        2 if flat else pair.axes.index(2),
        flat,
        max(1 << 16, int(KEPT * a.size)),
    )
    outline = surface.mixed_corners if more else surface.eroded_border
    masks = tuple(surface.pack(m, ny, nx, z0, y0, x0, cz, cy, cx, words) for m in (a, b))
    pred, ref = (
        Surface(bits, count, grid) for bits, count in (outline(m, cz, cy, words, flat) for m in masks)
    )
    return Surfaces(pred, ref, masks if more else ())


def _mostly_empty(any_pred: bool, any_ref: bool, pair: MaskPair) -> Surfaces:
    """Surfaces where a mask is empty: nothing will be asked of the other one but that it exists."""
    grid = Grid(1, 1, 1, (1.0, 1.0, 1.0), 2, False, 0)
    some = Surface(np.zeros(3, np.uint64), 1, grid)
    return Surfaces(some if any_pred else None, some if any_ref else None)


@dataclass(frozen=True)
class Direction:
    """Distances from the points of one surface to another."""

    points: Surface
    target: Surface

    def within(self, radius2: float) -> tuple[int, Bits]:
        """How many points, and which, lie within a squared distance of at most the tables' limit."""
        g, t = self.points.grid, self.points.grid.tables
        out = np.empty_like(self.points.bits)
        out[0] = out[-1] = 0
        args = (g.nz, g.ny, g.words, t.rows_z, t.rows_y, t.z2, t.y2, t.x2, g.last, float(radius2), out)
        return search.within_ball(self.points.bits, self.target.bits, *args), out

    def sites(self, include: Bits, exclude: Bits | None = None, stride: int = 1) -> NDArray[np.uint32]:
        """Positions of every ``stride``-th point of a part of this surface."""
        size = self.points.count // stride + 1
        return search.list_sites(
            include, self.points.grid.nothing if exclude is None else exclude, stride, size
        )

    def near(self, sites: NDArray[np.uint32]) -> Floats:
        """Squared distances of some points; inf beyond the tables' limit."""
        g, t = self.points.grid, self.points.grid.tables
        out = np.empty(sites.size)
        args = (g.nz, g.ny, g.words, t.rows_z, t.rows_y, t.z2, t.y2, t.x2, g.last, t.limit, out)
        search.nearest_in_window(sites, self.target.bits, *args)
        return out

    def exact(self, sites: NDArray[np.uint32], bounds: Floats | None = None) -> Floats:
        """Squared distances of some points, however far; ``bounds`` are known upper bounds."""
        g = self.points.grid
        out = np.empty(sites.size)
        bounds = np.full(sites.size, np.inf) if bounds is None else bounds
        squares = g.squares((g.nz, g.ny, g.words * 64))
        args = (g.nz, g.ny, g.words, self.target.box, *squares, g.last, bounds, out)
        search.nearest_by_rows(sites, self.target.bits, *args)
        return out
