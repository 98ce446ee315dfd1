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

_RANGES: dict[str, dict[str, tuple[float, float]]] = {
    "flair": {
        "fluid": (0.1, 0.45),
        "grey": (1.12, 1.5),
        "edema": (1.5, 2.5),
        "solid": (0.75, 1.2),
        "cyst": (0.35, 1.6),
        "enhancing": (0.8, 1.15),
        "vessel": (0.3, 1.2),
        "age": (1.3, 1.9),
    },
    "t1": {
        "fluid": (0.22, 0.48),
        "grey": (0.72, 0.9),
        "edema": (0.94, 0.7),
        "solid": (0.6, 0.96),
        "cyst": (0.35, 0.6),
        "enhancing": (0.75, 1.1),
        "vessel": (0.6, 1.3),
        "age": (0.75, 0.95),
    },
    "t1ce": {
        "fluid": (0.15, 0.45),
        "grey": (0.7, 0.95),
        "edema": (0.95, 0.62),
        "solid": (0.52, 0.92),
        "cyst": (0.3, 0.55),
        "enhancing": (1.2, 1.95),
        "vessel": (1.8, 3.6),
        "age": (0.75, 0.95),
    },
    "t2": {
        "fluid": (2.6, 4.4),
        "grey": (1.15, 1.5),
        "edema": (1.65, 2.8),
        "solid": (0.9, 1.5),
        "cyst": (2.4, 3.8),
        "enhancing": (0.75, 1.2),
        "vessel": (0.1, 0.9),
        "age": (1.3, 2.0),
    },
}
"""Ranges of signal; white matter is 1. Edema from dry to soaked; in FLAIR and T2 solid core and enhancing
tissue are relative to the edema of the case, because one process makes all three bright."""


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
        bias: (8,) strength of the slow field per modality, then of a surface made brighter by its coils.
        grain: (4,) strength of tissue texture.
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
            draw(0.4, 1.0),
            draw(0.1, 1.0),
            draw(0.0, 1.0) * (rng.uniform() < 0.8),
            draw(0.2, 1.0),
            draw(0.0, 0.9) ** 1.5,
        ]
    )
    bias = np.concatenate([draw(0.04, 0.18, 4), draw(0.0, 0.25, 4) * (draw(size=4) < 0.35)])
    grain = draw(0.01, 0.05, 4)
    strip = np.array([draw(0.8, 2.8), draw(0.2, 0.8)])
    style = rng.choice(("3d", "2d", "mixed"), p=(0.35, 0.25, 0.4))
    sequences = tuple(_draw_sequence(rng, name, str(style)) for name in MODALITIES)
    return Scan(_draw_means(rng, grade), extra, bias, grain, views, strip, sequences)


def _draw_means(rng: np.random.Generator, grade: str) -> np.ndarray:
    """Signal table (9, 4); how wet the edema is shows in all modalities; one case in four is faint."""
    columns = []
    wet = rng.uniform()
    faint = rng.uniform(0.3, 0.6) if rng.uniform() < 0.25 else 1.0
    for name in MODALITIES:
        signal = {tissue: float(rng.uniform(min(ends), max(ends))) for tissue, ends in _RANGES[name].items()}
        signal["white"] = 1.0
        dry, soaked = _RANGES[name]["edema"]
        level = dry + (soaked - dry) * float(np.clip(wet + rng.normal(0, 0.2), 0, 1))
        signal["edema"] = 1.0 + (level - 1.0) * faint
        if name in ("flair", "t2"):
            # Even the faintest edema that experts outline stands out from grey matter.
            signal["edema"] = max(signal["edema"], signal["grey"] + rng.uniform(0.1, 0.3))
            signal["solid"] *= max(signal["edema"], 1.6)
            signal["enhancing"] *= max(signal["edema"], 1.6)
        columns.append([signal[row] for row in ROWS])
    table = np.array(columns).T
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
    offset = scale * float(rng.uniform(0.0, 0.5)) if rng.uniform() < 0.2 else 0.0
    return Sequence(
        blur_mm=float(rng.uniform(0.2, 0.9)),
        slice_mm=thick,
        tilt=rng.normal(0, 0.06, 2),
        noise=float(np.exp(rng.uniform(np.log(0.008), np.log(0.06)))),
        smooth=float(rng.uniform(0.05, 0.25)),
        remap=np.array([power, scale, offset]),
        thick_axis=axis,
    )
