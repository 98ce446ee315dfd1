"""The bundled average brain, and the noise tile that every random texture of the phantoms is cut from."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import numpy as np

DEPTH_STEP_MM = 0.2
DEPTH_ZERO = 40.0
TILE_SIZE = 64
TILE_WAVE = 6.0
"""Typical distance in tile voxels from crest to crest of the noise tile."""

_TILE_SEED = 152


@dataclass(frozen=True, eq=False)
class Template:
    """Tissue maps of an average adult brain, both halves.

    Args:
        maps: (X, Y, Z, 4) uint8 C-contiguous: grey matter and white matter (255 = 1), depth below the brain's
            surface, fluid of the ventricles (255 = 1).
        origin_mm: world position (right, anterior, superior) of voxel 0.
        spacing_mm: one spacing for the three axes.
    """

    maps: np.ndarray
    origin_mm: np.ndarray
    spacing_mm: float


@cache
def load_template() -> Template:
    """The bundled template; the stored half is mirrored at x = 0.

    Example:
        >>> load_template().maps.shape
        (103, 132, 110, 4)
    """
    with files(__package__).joinpath("icbm152_half.npz").open("rb") as stream, np.load(stream) as stored:
        half, origin, spacing = stored["maps"], stored["origin_mm"], float(stored["spacing_mm"])
    full = np.concatenate([half[:, :0:-1], half], axis=1)
    corner = np.array([-(half.shape[1] - 1) * spacing, origin[1], origin[2]])
    maps = np.ascontiguousarray(np.moveaxis(full, 0, -1))
    maps.setflags(write=False)
    return Template(maps, corner, spacing)


@cache
def noise_tile() -> np.ndarray:
    """(64, 64, 64, 4) float32: four independent, periodic, band-passed Gaussian fields of unit deviation.

    A case looks at the tile through random windows, at any scale: that costs a few reads per voxel and keeps
    an anatomy independent of the grid it is sampled on.
    """
    from scipy.ndimage import gaussian_filter

    rng = np.random.Generator(np.random.PCG64(_TILE_SEED))
    white = rng.standard_normal((4, TILE_SIZE, TILE_SIZE, TILE_SIZE), dtype=np.float32)
    sigma = TILE_WAVE / 4.5
    bands = [
        gaussian_filter(w, sigma, mode="wrap") - gaussian_filter(w, 3 * sigma, mode="wrap") for w in white
    ]
    tile = np.stack([band / band.std() for band in bands], axis=-1)
    tile.setflags(write=False)
    return tile


def random_view(rng: np.random.Generator, wave_mm: float) -> np.ndarray:
    """A random window on the tile with crests ``wave_mm`` apart: (3, 2) factor and offset, axis by axis."""
    factor = TILE_WAVE / wave_mm * rng.choice((-1.0, 1.0), 3) * rng.uniform(0.85, 1.15, 3)
    return np.column_stack([factor, rng.uniform(0, TILE_SIZE, 3)])
