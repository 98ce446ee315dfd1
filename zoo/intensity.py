"""What a contract's clipping and normalising mean for one image: statistics of its brain voxels, in one pass.

8- and 16-bit images are counted into a histogram, from which percentiles, mean and deviation follow exactly.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .resample import IntensityMap
from .voxels import value_counts

if TYPE_CHECKING:
    from .contract import InputSpec

__all__ = ["brain_values", "intensity_map", "percentile"]


def intensity_map(image: np.ndarray, spec: InputSpec) -> IntensityMap:
    """The map that clips and normalises one image, from its brain voxels."""
    if spec.normalise == "none" and spec.clip_percentiles is None:
        return IntensityMap()
    values, counts = brain_values(image)
    low, high = -np.inf, np.inf
    if spec.clip_percentiles is not None:
        low, high = (percentile(values, counts, q) for q in spec.clip_percentiles)
    if spec.normalise == "none":
        return IntensityMap(low, high)
    clipped = np.clip(values, low, high)
    total = counts.sum()
    mean = float((clipped * counts).sum() / total)
    deviation = float(np.sqrt(((clipped - mean) ** 2 * counts).sum() / total))
    return IntensityMap(low, high, mean, 1.0 / deviation if deviation > 0 else 1.0)


def brain_values(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sorted distinct brain values (float64) and how often each occurs."""
    if image.dtype.kind == "f":
        brain = image[image != 0]
        values, counts = np.unique(brain, return_counts=True)
        return values.astype(np.float64), counts
    histogram, lowest = value_counts(image)
    present = np.flatnonzero(histogram)
    return (present + lowest).astype(np.float64), histogram[present]


def percentile(values: np.ndarray, counts: np.ndarray, q: float) -> float:
    """numpy's ``percentile(..., method="linear")`` of a sample given as sorted values and their counts."""
    ends = np.cumsum(counts)
    position = (ends[-1] - 1) * (q / 100)
    below = np.floor(position)
    at = np.searchsorted(ends, [below, min(below + 1, ends[-1] - 1)], side="right")
    a, b = values[at]
    t = position - below
    return float(b - (b - a) * (1 - t) if t >= 0.5 else a + (b - a) * t)
