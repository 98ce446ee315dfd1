"""A glioma in one brain: a core that grows from a seed and pushes, an edema that follows white matter.

Both grow as fronts through a map of speeds (see ``kernels.grow``) on the 2 mm work lattice and stop at the
volume that was drawn for them, so that sizes are known beforehand and shapes follow anatomy: fluid, the falx
and the tentorium hold them up, the corpus callosum lets them cross.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .anatomy import WARP_SHAPE, WORK, WORK_SPACING_MM, Anatomy, Tissue, noise_field, sample
from .kernels import grow

FAR = np.float32(1e4)
VOXEL_ML = WORK_SPACING_MM**3 / 1000.0


@dataclass(frozen=True, eq=False)
class Plan:
    """What was drawn for a tumour before it grew.

    Args:
        grade: "high" or "low".
        kind: "ring", "nodular", "mixed" (high); "diffuse", "bulky", "cystic" (low).
        whole_ml: volume of core and edema together.
        core_share: part of it that is core.
        push_mm: largest displacement of the brain around it.
        habit: look of edges, rim and inside (see ``kernels.paint``).
    """

    grade: str
    kind: str
    whole_ml: float
    core_share: float
    push_mm: float
    habit: np.ndarray


@dataclass(frozen=True, eq=False)
class Tumour:
    """A grown tumour: the brain it pushed aside; on the work lattice its levels (X, Y, Z, 4) and depth."""

    anatomy: Anatomy
    levels: np.ndarray
    depth: np.ndarray


def draw_plan(rng: np.random.Generator, grade: str) -> Plan:
    """Draw size and look; volumes have the spread of real patients (median 90 mL, 14 to 270)."""
    whole = float(np.clip(np.exp(rng.normal(np.log(90.0), 0.75)), 14.0, 270.0))
    kinds, odds = KINDS[grade]
    kind = str(rng.choice(kinds, p=odds))
    low, high = CORE_SHARE[kind]
    share = float(rng.uniform(low, high))
    radius_mm = (3000.0 * whole * share / (4.0 * np.pi)) ** (1 / 3)
    push = min(rng.uniform(0.02, 0.4) * radius_mm, 9.0)
    return Plan(grade, kind, whole, share, float(push), _habit(rng, kind))


KINDS: dict[str, tuple[tuple[str, ...], tuple[float, ...]]] = {
    "high": (("ring", "nodular", "mixed"), (0.66, 0.2, 0.14)),
    "low": (("diffuse", "bulky", "cystic"), (0.45, 0.35, 0.2)),
}
CORE_SHARE = {
    "ring": (0.15, 0.7),
    "nodular": (0.08, 0.5),
    "mixed": (0.3, 0.85),
    "diffuse": (0.005, 0.25),
    "bulky": (0.35, 0.85),
    "cystic": (0.4, 0.85),
}
NEVER = 9.0
"""A threshold no noise field reaches."""


def _habit(rng: np.random.Generator, kind: str) -> np.ndarray:
    """Edge width, raggedness, rim mm, patchiness, islands, cysts, then the edema's, then mottling."""
    draw = rng.uniform
    rim, patchy, island, cyst = {
        "ring": (draw(2.5, 6.0), draw(-1.6, -0.6), draw(0.9, 2.5), draw(0.8, 2.5)),
        "nodular": (draw(4.0, 12.0), draw(-2.0, -0.8), draw(0.0, 1.0), draw(1.5, 3.0)),
        "mixed": (draw(1.5, 3.5), draw(-0.4, 0.8), draw(1.0, 2.0), draw(0.7, 2.0)),
        "diffuse": (0.0, NEVER, draw(1.8, 9.0), draw(1.2, 4.0)),
        "bulky": (0.0, NEVER, draw(1.8, 9.0), draw(0.8, 3.0)),
        "cystic": (draw(0.0, 1.5), draw(0.8, 9.0), draw(1.8, 9.0), draw(-0.9, 0.4)),
    }[kind]
    return np.array(
        [
            draw(0.8, 2.5),
            draw(0.3, 1.0),
            rim,
            patchy,
            island,
            cyst,
            draw(1.5, 6.0),
            draw(0.4, 1.5),
            draw(0.7, 1.0) if kind in KINDS["low"][0] else draw(0.35, 0.95),
            draw(0.0, 0.45),
            draw(0.02, 0.12),
        ]
    )


def grow_tumour(rng: np.random.Generator, plan: Plan, anatomy: Anatomy) -> Tumour:
    """Grow ``plan`` in ``anatomy``."""
    brain = sample(anatomy, WORK)
    rough = noise_field(rng, rng.uniform(14.0, 24.0), WORK.shape, WORK_SPACING_MM)
    core_speed = _speed(brain, (0.06, 0.75, 1.0)) * np.exp(0.35 * rough[..., 0])
    core_time = _core_time(rng, plan, brain, core_speed)
    core_ml = plan.whole_ml * plan.core_share
    core_level = _level(core_time, core_ml)
    pushed = anatomy.bent(_push(core_level, brain, plan.push_mm))
    brain = sample(pushed, WORK)
    edema_speed = _speed(brain, (0.03, _grey_pace(rng, plan), 1.0)) * np.exp(0.4 * rough[..., 1])
    time = np.where(core_level > 0, np.float32(0), FAR)
    grow(time, edema_speed, WORK_SPACING_MM, 2)
    edema_level = _level(time, plan.whole_ml)
    levels = np.stack([core_level, edema_level, _near_ventricle(brain), np.zeros_like(core_level)], axis=-1)
    return Tumour(pushed, levels, brain.depth)


def _grey_pace(rng: np.random.Generator, plan: Plan) -> float:
    """How fast a front crosses grey matter: water keeps to white matter, low-grade tumour cells do not."""
    low, high = (0.1, 0.5) if plan.grade == "high" else (0.35, 1.0)
    return float(rng.uniform(low, high))


def _core_time(rng: np.random.Generator, plan: Plan, brain: Tissue, speed: np.ndarray) -> np.ndarray:
    """Arrival times from one seed, or from a few close together (a lobed or multifocal core)."""
    time = np.full(WORK.shape, FAR, np.float32)
    seed = _seed(rng, brain)
    radius = (3.0 * 1000.0 * plan.whole_ml * plan.core_share / (4.0 * np.pi)) ** (1 / 3)
    count = int(rng.choice((1, 2, 3), p=(0.6, 0.27, 0.13)))
    time[tuple(seed)] = 0.0
    for _ in range(count - 1):
        far = np.rint(rng.normal(0, 0.8 * radius / WORK_SPACING_MM, 3)).astype(int)
        at = tuple(np.clip(seed + far, 2, np.array(WORK.shape) - 3))
        if brain.tissue[at] > 0.7 and brain.depth[at] > 3.0:
            time[at] = np.float32(0.0)
    grow(time, speed, WORK_SPACING_MM, 1)
    return time


def _seed(rng: np.random.Generator, brain: Tissue) -> np.ndarray:
    """A voxel of the cerebrum, white matter and its edge preferred, off the midline."""
    allowed = (
        (brain.tissue > 0.9) & (brain.depth > 7.0) & (np.abs(brain.midline) > 8.0) & ~_below_tentorium(brain)
    )
    places = np.flatnonzero(allowed)
    weight = np.where(brain.depth.ravel()[places] < 28.0, 1.0, 0.35)
    place = rng.choice(places, p=weight / weight.sum())
    return np.array(np.unravel_index(place, WORK.shape))


def _below_tentorium(brain: Tissue) -> np.ndarray:
    """Cerebellum and brainstem, by position."""
    axes = [o + WORK_SPACING_MM * np.arange(n) for o, n in zip(WORK.origin_mm, WORK.shape, strict=True)]
    y, z = axes[1][None, :, None], axes[2][None, None, :]
    across = np.abs(brain.midline)
    cerebellum = (y < -32) & (z < -4 - 0.25 * across)
    stem = (across < 16) & (y < -6) & (z < -6)
    return cerebellum | stem


def _speed(brain: Tissue, pace: tuple[float, float, float]) -> np.ndarray:
    """Front speed in fluid, grey, white; falx and tentorium are nearly closed; none outside the brain."""
    speed = np.interp(brain.tissue, (0.3, 1.0, 2.0), pace)
    falx = (np.abs(brain.midline) < 2.0) & (brain.tissue < 1.5)
    speed = np.where(falx, 0.05, speed)
    speed = np.where(brain.ventricle > 0.3, pace[0], speed)
    speed = np.where(_below_tentorium(brain), 0.25 * speed, speed)
    return np.where(brain.depth > 0.5, speed, 0.0).astype(np.float32)


def _level(time: np.ndarray, volume_ml: float) -> np.ndarray:
    """mm inside the front at the moment when it holds ``volume_ml`` (its whole reach when that is less)."""
    reached = time[time < FAR]
    count = min(round(volume_ml / VOXEL_ML), reached.size - 1)
    stop = np.partition(reached, count)[count]
    return np.clip(stop - time, -8.0, 40.0).astype(np.float32)


def _push(core_level: np.ndarray, brain: Tissue, push_mm: float) -> np.ndarray:
    """Displacement on the warp lattice: looked up nearer to the core, so that tissue moves away from it.

    The direction is the gradient of a blurred core; the skull does not give way, so it fades at the surface.
    """
    from scipy.ndimage import gaussian_filter

    core = (core_level[::2, ::2, ::2] > 0).astype(np.float32)
    radius = max((0.75 * core.sum() / np.pi) ** (1 / 3), 1.0)
    bump = gaussian_filter(core, 1.0 + 0.8 * radius, mode="constant")
    slope = np.stack([*np.gradient(bump), np.zeros_like(bump)], axis=-1)
    slope *= np.clip(brain.depth[::2, ::2, ::2, None] / 15.0, 0.0, 1.0)
    largest = float(np.sqrt((slope**2).sum(-1)).max())
    return slope[: WARP_SHAPE[0], : WARP_SHAPE[1], : WARP_SHAPE[2]] * (push_mm / max(largest, 1e-9))


def _near_ventricle(brain: Tissue) -> np.ndarray:
    """0..1: how close the ventricles are, for the bright lining that ageing gives them on FLAIR."""
    from scipy.ndimage import gaussian_filter

    return np.clip(3.0 * gaussian_filter(brain.ventricle, 2.0), 0.0, 1.0).astype(np.float32)
