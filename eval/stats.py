"""From cases to one figure with an honest interval: patients are the unit, the bootstrap is seeded.

Cases of one patient are not independent, so they are averaged first and patients are what is resampled.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterator, Sequence
from statistics import NormalDist
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from ..zoo.errors import InputError

Array: TypeAlias = NDArray[np.float64]
Statistic: TypeAlias = Callable[[Array], float]
Interval: TypeAlias = tuple[float, float]
RESAMPLES = 2000
MOST_UNDEFINED = 0.05
"""Of the resamples; a figure that is undefined in more of them has no interval."""
MOST_LEFT_OUT = 400
"""Rows of the jackknife of many figures together."""
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
    left_out = np.array([_observe(np.delete(sample, i, axis=0), statistic) for i in range(n)])
    return _interval(observed, drawn, left_out, confidence)


def bootstrap_together(
    patients: Sequence[Hashable],
    figures: Callable[[Array], Array],
    *,
    confidence: float = 0.95,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> list[Interval | None]:
    """Intervals of many figures at once: ``bootstrap_ci`` for what is no mean over patients.

    All cases of a drawn patient come along, and every figure (AUC, F1) is computed anew from how often each
    case was drawn. The jackknife behind the acceleration leaves out single patients, or of more than
    400 patients 400 groups of them.

    Args:
        patients: N ids, one per case.
        figures: weights (R, N) -> (R, M) figures, NaN where one is undefined.
        confidence: between 0 and 1.
        resamples: how many.
        seed: draws the same patients as ``bootstrap_ci`` does of as many.

    Returns:
        M intervals. None where there is none: fewer than 2 patients, a figure that is not finite, or one that
        is undefined in more than one resample of twenty.

    Example:
        >>> values = np.array([0.7, 0.8, 0.9, 0.8])
        >>> mean = lambda weights: (weights @ values / weights.sum(axis=1))[:, None]
        >>> np.allclose(bootstrap_together("abcd", mean)[0], bootstrap_ci(values))
        True
    """
    places: dict[Hashable, int] = {}
    group = np.array([places.setdefault(patient, len(places)) for patient in patients], dtype=np.int64)
    observed = figures(np.ones((1, len(group))))[0]
    if len(places) < 2:
        return [None] * len(observed)
    drawn = np.concatenate([figures(w) for w in _drawn_weights(group, len(places), resamples, seed)])
    left_out = np.concatenate([figures(w) for w in _left_out_weights(group, len(places))])
    return [
        _defined_interval(float(observed[m]), drawn[:, m], left_out[:, m], confidence)
        for m in range(len(observed))
    ]


def _defined_interval(observed: float, drawn: Array, left_out: Array, confidence: float) -> Interval | None:
    defined = drawn[np.isfinite(drawn)]
    if not math.isfinite(observed) or len(defined) < (1 - MOST_UNDEFINED) * len(drawn):
        return None
    if defined.min() == defined.max():
        return observed, observed
    return _interval(observed, defined, left_out[np.isfinite(left_out)], confidence)


def _drawn_weights(group: NDArray[np.int64], groups: int, resamples: int, seed: int) -> Iterator[Array]:
    """How often each case was drawn, in blocks of resamples (R, N) that bound the memory."""
    generator = np.random.Generator(np.random.PCG64(seed))
    for count in _blocks(resamples, len(group)):
        picks = generator.integers(0, groups, (count, groups)) + groups * np.arange(count)[:, None]
        times = np.bincount(picks.ravel(), minlength=count * groups).reshape(count, groups)
        yield times[:, group].astype(np.float64)


def _left_out_weights(group: NDArray[np.int64], groups: int) -> Iterator[Array]:
    """Every case once, but for those of one patient (or one group of patients) per row."""
    folds = min(groups, MOST_LEFT_OUT)
    fold, start = group % folds, 0
    for count in _blocks(folds, len(group)):
        yield (fold != np.arange(start, start + count)[:, None]).astype(np.float64)
        start += count


def _blocks(rows: int, columns: int) -> Iterator[int]:
    """Sizes that add up to ``rows``, none with more than a million cells."""
    step = max(1, 1_000_000 // columns)
    for start in range(0, rows, step):
        yield min(step, rows - start)


def _interval(observed: float, drawn: Array, left_out: Array, confidence: float) -> Interval:
    # A resample of everybody once is a tie with what was observed, whatever the order of its sums.
    drawn = np.where(np.isclose(drawn, observed, rtol=1e-12, atol=1e-15), observed, drawn)
    levels = _corrected_levels(observed, drawn, left_out, (1 - confidence) / 2)
    low, high = np.quantile(drawn, levels)
    return float(low), float(high)


def _observe(sample: NDArray[np.generic], statistic: Statistic | None) -> float:
    values = np.asarray(sample, dtype=np.float64)
    return float(values.mean()) if statistic is None else float(statistic(values))


def _draw(sample: NDArray[np.generic], statistic: Statistic | None, resamples: int, seed: int) -> Array:
    """The statistic of ``resamples`` samples drawn with replacement."""
    values = np.asarray(sample, dtype=np.float64)
    generator = np.random.Generator(np.random.PCG64(seed))
    drawn: list[Array] = []
    for count in _blocks(resamples, len(values)):
        picks = values[generator.integers(0, len(values), (count, len(values)))]
        found = picks.mean(axis=1) if statistic is None else [statistic(pick) for pick in picks]
        drawn.append(np.asarray(found, dtype=np.float64))
    return np.concatenate(drawn)


def _corrected_levels(observed: float, drawn: Array, left_out: Array, alpha: float) -> Interval:
    """The two quantile levels that bias correction and acceleration call for."""
    below = (np.count_nonzero(drawn < observed) + np.count_nonzero(drawn <= observed)) / (2 * len(drawn))
    if not 0 < below < 1:
        return alpha, 1 - alpha
    bias = _NORMAL.inv_cdf(below)
    speed = _acceleration(left_out)
    levels = []
    for z in (_NORMAL.inv_cdf(alpha), _NORMAL.inv_cdf(1 - alpha)):
        shift = 1 - speed * (bias + z)
        if shift <= 0:
            return alpha, 1 - alpha
        levels.append(_NORMAL.cdf(bias + (bias + z) / shift))
    return levels[0], levels[1]


def _acceleration(left_out: Array) -> float:
    """Skewness of the jackknife, over six (Efron & Tibshirani 1993, eq. 14.15)."""
    if not len(left_out):
        return 0.0
    spread = left_out.mean() - left_out
    squares = float((spread**2).sum())
    # Rounding leaves a spread of ~1e-17 where all values are alike: that is no skewness.
    if not math.isfinite(squares) or squares <= (1e-12 * (1 + abs(left_out.mean()))) ** 2:
        return 0.0
    return float((spread**3).sum() / (6 * squares**1.5))
