"""What a contract's clipping and normalising mean for one image: statistics of its brain voxels, in one pass.

8- and 16-bit images are counted into a histogram, from which percentiles, mean and deviation follow exactly;
of other images one copy of the brain is made and summed up in blocks.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from .resample import IntensityMap
from .voxels import value_counts

if TYPE_CHECKING:
    from .contract import InputSpec

__all__ = ["brain_values", "intensity_map", "percentile"]

BLOCK = 1 << 16
"""Values that are turned to float64 at a time."""


def intensity_map(image: np.ndarray, spec: InputSpec) -> IntensityMap:
    """The map that clips and normalises one image, from its brain voxels."""
    if spec.normalise == "none" and spec.clip_percentiles is None:
        return IntensityMap()
    if image.dtype.kind == "f":
        return _of_floats(image[image != 0], spec)
    return _of_counts(*brain_values(image), spec)


def _of_counts(values: np.ndarray, counts: np.ndarray, spec: InputSpec) -> IntensityMap:
    low, high = -np.inf, np.inf
    if spec.clip_percentiles is not None:
        low, high = (percentile(values, counts, q) for q in spec.clip_percentiles)
    if spec.normalise == "none":
        return IntensityMap(low, high)
    clipped = np.clip(values, low, high)
    total = counts.sum()
    mean = float((clipped * counts).sum() / total)
    return _zscore(low, high, mean, float(((clipped - mean) ** 2 * counts).sum() / total))


def _of_floats(brain: np.ndarray, spec: InputSpec) -> IntensityMap:
    """As ``_of_counts`` for values that hardly repeat: neither sorted nor held twice, summed up in blocks."""
    low, high = -np.inf, np.inf
    if spec.clip_percentiles is not None:
        low, high = (_percentile_of_floats(brain, q) for q in spec.clip_percentiles)
    if spec.normalise == "none":
        return IntensityMap(low, high)
    mean = sum(float(block.sum()) for block in _blocks(brain, low, high)) / brain.size
    squares = sum(float(((block - mean) ** 2).sum()) for block in _blocks(brain, low, high))
    return _zscore(low, high, mean, squares / brain.size)


def _zscore(low: float, high: float, mean: float, variance: float) -> IntensityMap:
    return IntensityMap(low, high, mean, 1.0 / float(np.sqrt(variance)) if variance > 0 else 1.0)


def _blocks(brain: np.ndarray, low: float, high: float) -> Iterator[np.ndarray]:
    for start in range(0, brain.size, BLOCK):
        yield np.clip(brain[start : start + BLOCK].astype(np.float64), low, high)


def _percentile_of_floats(brain: np.ndarray, q: float) -> float:
    """``percentile`` of a sample that may be reordered."""
    below, t = _position(brain.size, q)
    above = min(below + 1, brain.size - 1)
    brain.partition((below, above))
    return _between(float(brain[below]), float(brain[above]), t)


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
    below, t = _position(int(ends[-1]), q)
    at = np.searchsorted(ends, [below, min(below + 1, ends[-1] - 1)], side="right")
    return _between(float(values[at[0]]), float(values[at[1]]), t)


def _position(n: int, q: float) -> tuple[int, float]:
    """Rank, and how far on to the next, of a percentile in a sorted sample of n."""
    position = (n - 1) * (q / 100)
    return int(position), position - int(position)


def _between(a: float, b: float, t: float) -> float:
    return b - (b - a) * (1 - t) if t >= 0.5 else a + (b - a) * t
