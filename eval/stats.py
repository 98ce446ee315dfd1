"""From cases to one figure with an honest interval: patients are the unit, the bootstrap is seeded.

Cases of one patient are not independent, so they are averaged first and patients are what is resampled.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Sequence
from statistics import NormalDist
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from ..zoo.errors import InputError

Array: TypeAlias = NDArray[np.float64]
Statistic: TypeAlias = Callable[[Array], float]
Interval: TypeAlias = tuple[float, float]
RESAMPLES = 2000
_NORMAL = NormalDist()


def by_patient(patients: Sequence[Hashable], values: Sequence[float]) -> Array:
    """Mean per patient, in order of first appearance; NaN values are left out of a patient's mean.

    Args:
        patients: N ids.
        values: N numbers.

    Returns:
        One float64 per patient; NaN for a patient all of whose values are NaN.

    Raises:
        InputError: the two differ in length.

    Example:
        >>> by_patient(["a", "b", "a"], [0.0, 1.0, 0.5])
        array([0.25, 1.  ])
    """
    if len(patients) != len(values):
        raise InputError(f"got {len(patients)} patients and {len(values)} values, expected as many of each")
    grouped: dict[Hashable, list[float]] = {}
    for patient, value in zip(patients, values, strict=True):
        grouped.setdefault(patient, []).append(value)
    return np.array([_mean_of_defined(group) for group in grouped.values()], dtype=np.float64)


def _mean_of_defined(values: Sequence[float]) -> float:
    defined = [value for value in values if not math.isnan(value)]
    return math.fsum(defined) / len(defined) if _finite(defined) else _degenerate(defined)


def _finite(values: Sequence[float]) -> bool:
    return bool(values) and all(math.isfinite(value) for value in values)


def _degenerate(values: Sequence[float]) -> float:
    """Mean of nothing (NaN) or of values with infinities among them (fsum refuses inf - inf)."""
    return sum(values) / len(values) if values else math.nan


def mean(values: Array) -> float:
    """Mean of the values that are defined (not NaN), correctly rounded, so the order cannot matter.

    Example:
        >>> mean(np.array([0.1] * 10))
        0.1
        >>> mean(np.array([1.0, np.nan, 2.0])), mean(np.array([1.0, np.inf]))
        (1.5, inf)
    """
    return _mean_of_defined([float(value) for value in values])


def bootstrap_ci(
    sample: NDArray[np.generic],
    statistic: Statistic | None = None,
    *,
    confidence: float = 0.95,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Interval | None:
    """Confidence interval by the bias-corrected and accelerated bootstrap (Efron 1987), seeded.

    Where the correction is undefined (all resamples alike, or all on one side) the percentile interval
    is given.

    Args:
        sample: (n, ...), one row a patient.
        statistic: of such an array -> float; the mean of a 1-D sample if None.
        confidence: between 0 and 1.
        resamples: how many.
        seed: the same seed and n draw the same patients, whatever the statistic: intervals of two
            metrics of one run are paired.

    Returns:
        (low, high), or None where no interval exists: fewer than 2 patients, or values that are not finite.

    Raises:
        InputError: a confidence outside (0, 1) or fewer than 1 resample.

    Example:
        >>> low, high = bootstrap_ci(np.array([0.7, 0.8, 0.9, 0.8]))
        >>> 0.7 <= low < 0.8 < high <= 0.9
        True
        >>> bootstrap_ci(np.array([0.7])) is None
        True
    """
    if not 0 < confidence < 1 or resamples < 1:
        raise InputError(f"got confidence {confidence} and {resamples} resamples, expected (0, 1) and >= 1")
    n = len(sample)
    if n < 2 or not np.isfinite(np.asarray(sample, dtype=np.float64)).all():
        return None
    drawn = _draw(sample, statistic, resamples, seed)
    if not np.isfinite(drawn).all():
        return None
    observed = _observe(sample, statistic)
    if drawn.min() == drawn.max():
        exact = mean(np.asarray(sample, dtype=np.float64)) if statistic is None else observed
        return exact, exact
    low, high = _corrected_levels(sample, statistic, observed, drawn, (1 - confidence) / 2)
    bounds = np.quantile(drawn, [low, high])
    return float(bounds[0]), float(bounds[1])


def _observe(sample: NDArray[np.generic], statistic: Statistic | None) -> float:
    values = np.asarray(sample, dtype=np.float64)
    return float(values.mean()) if statistic is None else float(statistic(values))


def _draw(sample: NDArray[np.generic], statistic: Statistic | None, resamples: int, seed: int) -> Array:
    """The statistic of ``resamples`` samples drawn with replacement."""
    values = np.asarray(sample, dtype=np.float64)
    generator = np.random.Generator(np.random.PCG64(seed))
    out = np.empty(resamples)
    step = max(1, 1_000_000 // len(values))  # bounds the memory for large cohorts
    for start in range(0, resamples, step):
        stop = min(start + step, resamples)
        picks = values[generator.integers(0, len(values), (stop - start, len(values)))]
        out[start:stop] = picks.mean(axis=1) if statistic is None else [statistic(pick) for pick in picks]
    return out


def _corrected_levels(
    sample: NDArray[np.generic], statistic: Statistic | None, observed: float, drawn: Array, alpha: float
) -> Interval:
    """The two quantile levels that bias correction and acceleration call for."""
    below = (np.count_nonzero(drawn < observed) + np.count_nonzero(drawn <= observed)) / (2 * len(drawn))
    if not 0 < below < 1:
        return alpha, 1 - alpha
    bias = _NORMAL.inv_cdf(below)
    speed = _acceleration(sample, statistic)
    levels = []
    for z in (_NORMAL.inv_cdf(alpha), _NORMAL.inv_cdf(1 - alpha)):
        shift = 1 - speed * (bias + z)
        if shift <= 0:
            return alpha, 1 - alpha
        levels.append(_NORMAL.cdf(bias + (bias + z) / shift))
    return levels[0], levels[1]


def _acceleration(sample: NDArray[np.generic], statistic: Statistic | None) -> float:
    """Skewness of the jackknife, over six (Efron & Tibshirani 1993, eq. 14.15)."""
    n = len(sample)
    left_out = np.array([_observe(np.delete(sample, i, axis=0), statistic) for i in range(n)])
    spread = left_out.mean() - left_out
    squares = float((spread**2).sum())
    # Rounding leaves a spread of ~1e-17 where all values are alike: that is no skewness.
    if not math.isfinite(squares) or squares <= (1e-12 * (1 + abs(left_out.mean()))) ** 2:
        return 0.0
    return float((spread**3).sum() / (6 * squares**1.5))
