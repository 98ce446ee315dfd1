"""One person's anatomy: the average brain, scaled, bent, folded anew, and sampled on any lattice."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from .kernels import sample_anatomy, spread_tile
from .template import load_template, noise_tile, random_view

WORK_ORIGIN_MM = np.array([-80.0, -112.0, -78.0])
WORK_SHAPE = (81, 97, 83)
WORK_SPACING_MM = 2.0
"""The lattice on which tumours grow: the whole head at 2 mm, whatever grid the case is sampled on."""

WARP_SPACING_MM = 4.0
WARP_SHAPE = (41, 49, 42)


@dataclass(frozen=True, eq=False)
class Lattice:
    """An axis-aligned set of points: world position of the first, signed steps, and counts."""

    origin_mm: np.ndarray
    steps_mm: np.ndarray
    shape: tuple[int, int, int]


WORK = Lattice(WORK_ORIGIN_MM, np.full(3, WORK_SPACING_MM), WORK_SHAPE)


@dataclass(frozen=True, eq=False)
class Anatomy:
    """What makes one brain differ from the average.

    Args:
        affine: (3, 4) world mm of the person -> world mm of the template.
        warp: (41, 49, 42, 4) float32 mm (the fourth is unused), added to a position before ``affine``.
        traits: atrophy, fold strength, fold width mm, edge contrast, roughness, as ``kernels.sample_anatomy``
            reads them.
        fold_view, shape_view: windows on the noise tile.
    """

    affine: np.ndarray
    warp: np.ndarray
    traits: np.ndarray
    fold_view: np.ndarray
    shape_view: np.ndarray

    def bent(self, shift: np.ndarray) -> Anatomy:
        """The same brain with a further displacement (mm, on the warp lattice): the push of a tumour."""
        return replace(self, warp=(self.warp + shift).astype(np.float32))


@dataclass(frozen=True, eq=False)
class Tissue:
    """A brain on a lattice, float32: 0 fluid, 1 grey, 2 white; ventricles 0..1; depth and midline in mm."""

    tissue: np.ndarray
    ventricle: np.ndarray
    depth: np.ndarray
    midline: np.ndarray


def draw_anatomy(rng: np.random.Generator) -> Anatomy:
    """Draw a person: size and pose, smooth differences of shape, width of ventricles and sulci, folds."""
    age = rng.uniform()
    traits = np.array(
        [
            0.18 * age * rng.uniform(0.4, 1.0),
            rng.uniform(0.65, 1.0),
            rng.uniform(2.4, 3.6),
            rng.uniform(1.8, 2.8),
            rng.uniform(0.08, 0.16),
        ]
    )
    warp = _smooth_warp(rng) + _ventricle_warp(rng, age)
    views = random_view(rng, rng.uniform(15, 22)), random_view(rng, rng.uniform(6, 9))
    return Anatomy(_pose(rng), warp.astype(np.float32), traits, *views)


def sample(anatomy: Anatomy, lattice: Lattice) -> Tissue:
    """The tissues of ``anatomy`` at the points of ``lattice``."""
    template = load_template()
    out = [np.empty(lattice.shape, np.float32) for _ in range(4)]
    sample_anatomy(
        lattice.origin_mm,
        lattice.steps_mm,
        anatomy.affine,
        anatomy.warp,
        WORK_ORIGIN_MM,
        WARP_SPACING_MM,
        template.maps,
        template.origin_mm,
        template.spacing_mm,
        noise_tile(),
        anatomy.fold_view,
        anatomy.shape_view,
        anatomy.traits,
        *out,
    )
    return Tissue(*out)


def _pose(rng: np.random.Generator) -> np.ndarray:
    """Person -> template: the average is large (1.9 L), people are 0.94 of it, tilted by a few degrees."""
    scale = rng.normal(0.942, 0.02) * np.exp(rng.normal(0, 0.015, 3))
    pitch, roll, yaw = np.deg2rad(rng.normal(0, [4.0, 2.0, 2.0]))
    turn = _rotation(0, pitch) @ _rotation(1, roll) @ _rotation(2, yaw)
    linear = turn / scale[:, None]
    centre = np.array([0.0, -18.0, 6.0])
    return np.column_stack([linear, centre - linear @ (centre + rng.normal(0, 2.0, 3))])


def _rotation(axis: int, angle: float) -> np.ndarray:
    matrix = np.eye(3)
    i, j = (axis + 1) % 3, (axis + 2) % 3
    matrix[i, i] = matrix[j, j] = np.cos(angle)
    matrix[i, j], matrix[j, i] = -np.sin(angle), np.sin(angle)
    return matrix


def _smooth_warp(rng: np.random.Generator) -> np.ndarray:
    """Random displacement in mm with waves of about 90, 45 and 22 mm."""
    total = np.zeros((*WARP_SHAPE, 4), np.float32)
    for wave_mm, amplitude_mm in ((90.0, 3.0), (45.0, 1.8), (22.0, 0.8)):
        waves = noise_field(rng, wave_mm, WARP_SHAPE, WARP_SPACING_MM)
        total += waves * np.float32(amplitude_mm * rng.uniform(0.6, 1.2))
    return total


def noise_field(
    rng: np.random.Generator, wave_mm: float, shape: tuple[int, int, int], spacing_mm: float
) -> np.ndarray:
    """(X, Y, Z, 4) float32: four smooth fields of unit deviation, from the work lattice's corner on."""
    out = np.empty((*shape, 4), np.float32)
    view = random_view(rng, wave_mm)
    spread_tile(noise_tile(), view, WORK_ORIGIN_MM, np.full(3, spacing_mm), out)
    return out


def _ventricle_warp(rng: np.random.Generator, age: float) -> np.ndarray:
    """Widen or narrow the middle of the brain, where the ventricles are."""
    strength = rng.uniform(-0.1, 0.15) + 0.25 * age
    axes = [o + WARP_SPACING_MM * np.arange(n) for o, n in zip(WORK_ORIGIN_MM, WARP_SHAPE, strict=True)]
    x, y, z = np.meshgrid(axes[0], axes[1] + 14.0, axes[2] - 14.0, indexing="ij")
    bell = np.exp(-0.5 * ((x / 18) ** 2 + (y / 32) ** 2 + (z / 15) ** 2))
    return -strength * bell[..., None] * np.stack([x, 0.5 * y, z, 0 * z], axis=-1)
