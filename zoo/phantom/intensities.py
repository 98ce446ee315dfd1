"""What a scanner makes of tissue: signal levels per sequence, fields, noise, slices, and its arbitrary units.

Levels are relative to white matter = 1 in each modality; the ranges cover patients of several scanners.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .template import random_view

MODALITIES = ("flair", "t1", "t1ce", "t2")

ROWS = ("fluid", "grey", "white", "edema", "solid", "cyst", "enhancing", "vessel", "age")
"""Rows of the table of means, in the order ``kernels.paint`` reads them."""

_RANGES: dict[str, tuple[tuple[float, float], ...]] = {
    #          fluid         grey          white       edema         solid         cyst          enhancing     vessel        age
    "flair": (
        (0.18, 0.55),
        (1.12, 1.5),
        (1.0, 1.0),
        (1.55, 2.5),
        (1.3, 2.6),
        (0.35, 1.6),
        (1.4, 2.3),
        (0.4, 1.3),
        (1.3, 1.9),
    ),
    "t1": (
        (0.28, 0.5),
        (0.72, 0.9),
        (1.0, 1.0),
        (0.62, 0.87),
        (0.5, 0.85),
        (0.35, 0.6),
        (0.75, 1.05),
        (0.6, 1.3),
        (0.75, 0.95),
    ),
    "t1ce": (
        (0.22, 0.5),
        (0.7, 0.95),
        (1.0, 1.0),
        (0.55, 0.88),
        (0.45, 0.8),
        (0.3, 0.55),
        (1.4, 2.5),
        (1.6, 3.0),
        (0.75, 0.95),
    ),
    "t2": (
        (2.6, 4.4),
        (1.15, 1.5),
        (1.0, 1.0),
        (1.6, 2.7),
        (1.7, 3.0),
        (2.4, 3.8),
        (1.3, 2.1),
        (0.4, 1.6),
        (1.3, 2.0),
    ),
}


@dataclass(frozen=True, eq=False)
class Sequence:
    """How one modality is acquired.

    Args:
        blur_mm: deviation of the in-plane point spread.
        slice_mm: slice thickness; 0 for a 3-D acquisition.
        tilt: slope of the slices against the grid, (2,).
        noise: deviation of each channel, white matter = 1, at 1 mm3.
        smooth: weight of a neighbour in the smoothing of the noise (interpolation by the preprocessing).
        remap: power, scale, offset from relative signal to stored units.
        thick_axis: array axis across the slices.
    """

    blur_mm: float
    slice_mm: float
    tilt: np.ndarray
    noise: float
    smooth: float
    remap: np.ndarray
    thick_axis: int


@dataclass(frozen=True, eq=False)
class Scan:
    """Everything about one visit to the scanner that does not depend on the grid.

    Args:
        means: (9, 4) signal of ``ROWS`` x ``MODALITIES``.
        extra: vessels, dura, lesions of age, sinus, lining of the ventricles.
        bias, grain: (4,) strength of the slow field and of tissue texture, per modality.
        views: windows on the noise tile: fine, coarse, vessel, bias, strip.
        strip: offset and raggedness of the brain extraction, mm.
        sequences: one per modality.
    """

    means: np.ndarray
    extra: np.ndarray
    bias: np.ndarray
    grain: np.ndarray
    views: tuple[np.ndarray, ...]
    strip: np.ndarray
    sequences: tuple[Sequence, ...]


def draw_scan(rng: np.random.Generator, grade: str) -> Scan:
    """Draw signals and acquisition of the four modalities."""
    draw = rng.uniform
    views = tuple(
        random_view(rng, wave) for wave in (draw(4, 7), draw(10, 18), draw(22, 30), draw(150, 210), 7.0)
    )
    extra = np.array(
        [
            draw(0.3, 1.0),
            draw(0.0, 1.0),
            draw(0.0, 0.9) * (rng.uniform() < 0.6),
            draw(0.2, 1.0),
            draw(0.0, 0.8) ** 2,
        ]
    )
    bias = draw(0.03, 0.16, 4)
    grain = draw(0.005, 0.03, 4)
    strip = np.array([draw(-0.2, 2.0), draw(0.2, 0.8)])
    style = rng.choice(("3d", "2d", "mixed"), p=(0.35, 0.25, 0.4))
    sequences = tuple(_draw_sequence(rng, name, str(style)) for name in MODALITIES)
    return Scan(_draw_means(rng, grade), extra, bias, grain, views, strip, sequences)


def _draw_means(rng: np.random.Generator, grade: str) -> np.ndarray:
    """Signal table; the strength of the edema is shared by FLAIR and T2, and one case in four is faint."""
    table = np.empty((len(ROWS), len(MODALITIES)))
    for column, name in enumerate(MODALITIES):
        for row, (low, high) in enumerate(_RANGES[name]):
            table[row, column] = rng.uniform(low, high)
    edema = ROWS.index("edema")
    faint = rng.uniform(0.3, 0.6) if rng.uniform() < 0.25 else 1.0
    wet = rng.uniform()
    for column, name in enumerate(MODALITIES):
        low, high = _RANGES[name][edema]
        if name in ("t1", "t1ce"):
            low, high = high, low
        level = low + (high - low) * np.clip(wet + rng.normal(0, 0.2), 0, 1)
        table[edema, column] = 1.0 + (level - 1.0) * faint
        if name in (
            "flair",
            "t2",
        ):  # even the faintest edema that experts outline stands out from grey matter
            grey = table[ROWS.index("grey"), column]
            table[edema, column] = max(table[edema, column], grey + rng.uniform(0.1, 0.3))
    if grade == "low":
        table[ROWS.index("enhancing"), MODALITIES.index("t1ce")] = rng.uniform(1.15, 1.8)
    return table


def _draw_sequence(rng: np.random.Generator, name: str, style: str) -> Sequence:
    """Resolution, noise and units of one modality; T1 after contrast is mostly a 3-D acquisition."""
    chance = {"3d": 0.05, "2d": 0.9, "mixed": 0.6 if name in ("t1", "t2") else 0.25}[style]
    if name == "t1ce":
        chance *= 0.5
    thick = float(rng.uniform(2.5, 6.5)) if rng.uniform() < chance else 0.0
    axis = 2 if rng.uniform() < 0.94 else int(rng.integers(0, 2))
    power = float(np.exp(rng.normal(0.0, 0.13)))
    scale = float(np.exp(rng.uniform(np.log(90), np.log(1500))))
    offset = scale * float(rng.uniform(0.0, 0.5)) if rng.uniform() < 0.35 else 0.0
    return Sequence(
        blur_mm=float(rng.uniform(0.2, 0.9)),
        slice_mm=thick,
        tilt=rng.normal(0, 0.06, 2),
        noise=float(np.exp(rng.uniform(np.log(0.008), np.log(0.06)))),
        smooth=float(rng.uniform(0.05, 0.25)),
        remap=np.array([power, scale, offset]),
        thick_axis=axis,
    )
