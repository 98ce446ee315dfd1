"""One phantom: anatomy, tumour and scan drawn from a seed, sampled on the grid that is asked for."""

from __future__ import annotations

from collections.abc import Sequence as Items
from dataclasses import dataclass

import numpy as np

from ..errors import InputError, UsageError
from .anatomy import WORK, Lattice, Tissue, draw_anatomy, sample
from .intensities import MODALITIES, Scan, Sequence, draw_scan
from .kernels import acquire_slices, blur_plane, finish, paint
from .template import noise_tile
from .tumour import Plan, Tumour, draw_plan, grow_tumour

DEFAULT_SHAPE = (168, 200, 160)
HEAD_MM = (168.0, 200.0, 160.0)
"""Box (left-right, front-back, up-down) that holds every phantom's brain."""

CENTRE_MM = np.array([0.0, -16.5, 6.0])
"""World position of the middle of every phantom's grid."""

HIGH_SHARE = 0.6
MARGIN_MM = 2.0

SIGNAL_REACH = 16.0
"""Signals (white matter = 1) beyond this saturate."""


@dataclass(frozen=True, eq=False)
class Phantom:
    """A made patient.

    Args:
        images: modality -> (X, Y, Z) int16, background 0, brain >= 1.
        labels: (X, Y, Z) uint8: 0 background, 1 necrosis, 2 edema, 3 enhancing.
        affine: (4, 4) float64, array index -> world mm. Axes run to the patient's left, back and head
            ("LPS"), as in BraTS files.
        grade: "high" or "low".
        facts: what was drawn, as text: kind, planned volumes, push.
    """

    images: dict[str, np.ndarray]
    labels: np.ndarray
    affine: np.ndarray
    grade: str
    facts: dict[str, str]


def phantom_case(
    seed: int,
    index: int = 0,
    *,
    shape: Items[int] = DEFAULT_SHAPE,
    spacing_mm: float | Items[float] | None = None,
    grade: str | None = None,
) -> Phantom:
    """Make one phantom: the same person, tumour and scan for the same ``seed`` and ``index`` on every grid.

    Args:
        seed: non-negative; names a series.
        index: number in the series.
        shape: voxels along (left, back, up).
        spacing_mm: voxel size, one number or three; None takes the smallest equal one at which ``shape``
            holds the whole head (1 mm for the default shape).
        grade: "high", "low", or None to draw it (60 % high).

    Returns:
        Images, labels and affine; bit for bit the same in every process of one machine.

    Raises:
        InputError: shape or spacing cannot be used, or a negative seed.
        UsageError: an unknown grade.

    Example:
        >>> made = phantom_case(7, shape=(32, 40, 32))
        >>> sorted(made.images), made.labels.shape, made.images["t1"].dtype.name
        (['flair', 't1', 't1ce', 't2'], (32, 40, 32), 'int16')
    """
    grid = phantom_grid(shape, spacing_mm)
    person, disease, visit, noise, _ = _generators(seed, index)
    if grade not in (None, "high", "low"):
        raise UsageError(f'a phantom\'s grade is "high", "low" or None, got {grade!r}')
    plan = draw_plan(disease, grade or drawn_grade(seed, index))
    scan = draw_scan(visit, plan.grade)
    tumour = grow_tumour(disease, plan, draw_anatomy(person))
    images, labels = _render(grid, tumour, plan, scan, noise)
    return Phantom(images, labels, grid_affine(grid), plan.grade, _facts(plan, seed, index))


def drawn_grade(seed: int, index: int) -> str:
    """The grade of a phantom for which none is asked: known without making it."""
    return "high" if _generators(seed, index)[4].uniform() < HIGH_SHARE else "low"


def phantom_grid(shape: Items[int], spacing_mm: float | Items[float] | None = None) -> Lattice:
    """The lattice of a phantom: ``shape`` voxels round the middle of the head, axes to left, back and up.

    Raises:
        InputError: not three positive sizes, or not one or three positive finite spacings.
    """
    counts = tuple(int(n) for n in shape)
    if len(counts) != 3 or min(counts) < 1 or max(counts) > 2048:
        raise InputError(f"a phantom's shape has three sizes from 1 to 2048, got {tuple(shape)}")
    if spacing_mm is None:
        spacing_mm = max(head / n for head, n in zip(HEAD_MM, counts, strict=True))
    given = np.asarray(spacing_mm, np.float64)
    if given.shape not in ((), (3,)) or not np.isfinite(given).all() or (given <= 0).any():
        raise InputError(f"a phantom's spacing is one or three positive numbers in mm, got {spacing_mm}")
    steps = np.broadcast_to(given, (3,)) * np.array([-1.0, -1.0, 1.0])
    return Lattice(CENTRE_MM - steps * (np.array(counts) - 1) / 2, steps, counts)


def grid_affine(grid: Lattice) -> np.ndarray:
    """(4, 4) affine of a lattice."""
    affine = np.diag([*grid.steps_mm, 1.0])
    affine[:3, 3] = grid.origin_mm
    return affine


def _generators(seed: int, index: int) -> list[np.random.Generator]:
    """Independent streams for person, disease, visit, noise and grade; noise alone depends on the grid."""
    if int(seed) != seed or int(index) != index or seed < 0 or index < 0:
        raise InputError(f"seed and index of a phantom are whole numbers >= 0, got {seed!r} and {index!r}")
    root = np.random.SeedSequence([int(seed), int(index)])
    return [np.random.Generator(np.random.PCG64(child)) for child in root.spawn(5)]


def _facts(plan: Plan, seed: int, index: int) -> dict[str, str]:
    return {
        "kind": plan.kind,
        "planned_whole_ml": f"{plan.whole_ml:.1f}",
        "planned_core_ml": f"{plan.whole_ml * plan.core_share:.1f}",
        "push_mm": f"{plan.push_mm:.1f}",
        "seed": str(seed),
        "index": str(index),
    }


def _render(
    grid: Lattice, tumour: Tumour, plan: Plan, scan: Scan, noise: np.random.Generator
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Images and labels on the whole grid; the work is done in the box round the brain alone."""
    images = {name: np.zeros(grid.shape, np.int16) for name in MODALITIES}
    labels = np.zeros(grid.shape, np.uint8)
    window, box = _brain_box(grid, tumour.depth)
    if min(box.shape) < 1:
        return images, labels
    tissue = sample(tumour.anatomy, box)
    signals, box_labels = _signals(box, tissue, tumour, plan, scan)
    for channel, (name, sequence) in enumerate(zip(MODALITIES, scan.sequences, strict=True)):
        seen = _acquire(signals[channel], sequence, np.abs(box.steps_mm), noise)
        out = np.zeros(box.shape, np.int16)
        finish(
            seen,
            tissue.depth,
            scan.strip,
            noise_tile(),
            scan.views[4],
            box.origin_mm,
            box.steps_mm,
            _units(sequence),
            SIGNAL_REACH,
            out,
        )
        images[name][window] = out
    labels[window] = np.where(images["flair"][window] > 0, box_labels, 0)
    return images, labels


def _brain_box(grid: Lattice, depth: np.ndarray) -> tuple[tuple[slice, ...], Lattice]:
    """The part of ``grid`` that the brain reaches, found on the work lattice."""
    inside = np.argwhere(depth > -2.0)
    low = WORK.origin_mm + (inside.min(0) - 1) * WORK.steps_mm - MARGIN_MM
    high = WORK.origin_mm + (inside.max(0) + 1) * WORK.steps_mm + MARGIN_MM
    ends = np.sort(np.stack([low - grid.origin_mm, high - grid.origin_mm]) / grid.steps_mm, axis=0)
    first = np.clip(np.floor(ends[0]), 0, grid.shape).astype(int)
    last = np.clip(np.ceil(ends[1]) + 1, first, grid.shape).astype(int)
    window = tuple(slice(int(a), int(b)) for a, b in zip(first, last, strict=True))
    counts = tuple(int(n) for n in last - first)
    return window, Lattice(grid.origin_mm + first * grid.steps_mm, grid.steps_mm, counts)  # type: ignore[arg-type]


def _signals(
    box: Lattice, tissue: Tissue, tumour: Tumour, plan: Plan, scan: Scan
) -> tuple[np.ndarray, np.ndarray]:
    """(4, X, Y, Z) float32 signals before acquisition, and the labels."""
    signals = np.empty((len(MODALITIES), *box.shape), np.float32)
    labels = np.zeros(box.shape, np.uint8)
    fine, coarse, vessel, bias, _ = scan.views
    paint(
        box.origin_mm,
        box.steps_mm,
        tissue.tissue,
        tissue.ventricle,
        tissue.depth,
        tissue.midline,
        tumour.levels,
        WORK.origin_mm,
        float(WORK.steps_mm[0]),
        noise_tile(),
        fine,
        coarse,
        vessel,
        bias,
        scan.means,
        plan.habit,
        scan.extra,
        scan.bias,
        scan.grain,
        signals,
        labels,
    )
    return signals, labels


def _acquire(
    signal: np.ndarray, sequence: Sequence, spacing_mm: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """One modality as scanned: point spread, slices, Rician noise; axes as given."""
    order = [axis for axis in range(3) if axis != sequence.thick_axis] + [sequence.thick_axis]
    image = np.ascontiguousarray(np.transpose(signal, order))
    size = spacing_mm[order]
    weights = [_tap(sequence.blur_mm, step) for step in size[:2]]
    blur_plane(image, *weights)
    pitch = max(sequence.slice_mm / size[2], 1.0)
    slices = int(np.ceil(image.shape[2] / pitch)) + 4
    noise = rng.standard_normal((image.shape[0], image.shape[1], slices, 2), dtype=np.float32)
    blur_plane(noise.reshape(*noise.shape[:2], -1), sequence.smooth, sequence.smooth)
    sigma = sequence.noise * float(np.clip(size[0] * size[1] * pitch * size[2], 0.6, 8.0)) ** -0.3
    tilt = sequence.tilt * size[:2] / size[2] if pitch > 1.0 else np.zeros(2)
    acquire_slices(image, noise, sigma, pitch, float(tilt[0]), float(tilt[1]))
    return np.ascontiguousarray(np.transpose(image, np.argsort(order)))


def _units(sequence: Sequence) -> np.ndarray:
    """Stored units at 2049 signals from 0 to ``SIGNAL_REACH``."""
    power, scale, offset = sequence.remap
    return scale * np.linspace(0.0, SIGNAL_REACH, 2049) ** power + offset


def _tap(blur_mm: float, step_mm: float) -> float:
    """Weight of each neighbour in a three-tap kernel whose variance is that of the point spread."""
    return float(min(0.5 * (blur_mm / step_mm) ** 2, 0.3))
