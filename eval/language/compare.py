"""Is one model better than another on the same patients? Paired tests, the difference, many tests at once.

A model here is patient -> value of one metric; what only one of the two has is left out, and named.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...zoo.errors import InputError
from .. import stats

EXACT = 16
"""Pairs up to which every sign pattern is tried."""
RESAMPLES = 20_000


@dataclass(frozen=True)
class Comparison:
    """Two models on the patients that both were scored on.

    Attributes:
        n: such patients.
        first, second: their means.
        difference: first minus second.
        ci95: bootstrap interval of the difference over patients; None with fewer than 2.
        permutation: p of the paired permutation test.
        wilcoxon: p of the signed-rank test; NaN where no pair differs.
        mcnemar: p of the exact McNemar test; None unless all values are 0 or 1.
        only_first, only_second: patients that one of them lacks.
    """

    n: int
    first: float
    second: float
    difference: float
    ci95: tuple[float, float] | None
    permutation: float
    wilcoxon: float
    mcnemar: float | None
    only_first: tuple[str, ...]
    only_second: tuple[str, ...]


def compare(first: Mapping[str, float], second: Mapping[str, float], *, seed: int = 0) -> Comparison:
    """Compare two models by one metric.

    Args:
        first: patient -> value; NaN counts as not scored.
        second: the same of the other model.
        seed: of the permutations and the bootstrap.

    Raises:
        InputError: they share no patient.

    Example:
        >>> a = {f"p{i}": 0.8 for i in range(8)}
        >>> b = {f"p{i}": 0.6 + i / 100 for i in range(9)}
        >>> found = compare(a, b)
        >>> found.n, round(found.difference, 3), found.permutation, found.only_second
        (8, 0.165, 0.0078125, ('p8',))
    """
    a, b = ({p: v for p, v in values.items() if not math.isnan(v)} for values in (first, second))
    shared = [patient for patient in a if patient in b]
    if not shared:
        raise InputError("the two models share no patient that both were scored on")
    x, y = (np.array([values[patient] for patient in shared], np.float64) for values in (a, b))
    binary = bool(np.isin(x, (0, 1)).all() and np.isin(y, (0, 1)).all())
    return Comparison(
        n=len(shared),
        first=stats.mean(x),
        second=stats.mean(y),
        difference=stats.mean(x - y),
        ci95=stats.bootstrap_ci(x - y, seed=seed),
        permutation=permutation_test(x, y, seed=seed),
        wilcoxon=wilcoxon(x, y),
        mcnemar=mcnemar(x, y) if binary else None,
        only_first=tuple(patient for patient in a if patient not in b),
        only_second=tuple(patient for patient in b if patient not in a),
    )


def permutation_test(
    first: ArrayLike, second: ArrayLike, *, resamples: int = RESAMPLES, seed: int = 0
) -> float:
    """Two-sided paired permutation test of the mean difference.

    Under the null hypothesis the two values of a pair may be swapped. Up to ``EXACT`` pairs all sign patterns
    are tried; beyond, random ones, the observed one among them (Phipson & Smyth 2010, so p is never 0).

    Args:
        first: (n,).
        second: (n,).
        resamples: random sign patterns.
        seed: of them.

    Returns:
        p.

    Example:
        >>> permutation_test([1.0, 2.0, 3.0], [0.0, 0.0, 0.0])
        0.25
    """
    difference = _differences(first, second)
    n = len(difference)
    observed = abs(difference.sum()) * (1 - 1e-12)  # sums in another order are the same sum
    if n <= EXACT:
        signs = np.array(list(itertools.product((1.0, -1.0), repeat=n)))
        return float((np.abs(signs @ difference) >= observed).mean())
    generator = np.random.Generator(np.random.PCG64(seed))
    signs = generator.integers(0, 2, (resamples, n)) * 2.0 - 1.0
    return float((1 + np.count_nonzero(np.abs(signs @ difference) >= observed)) / (1 + resamples))


def wilcoxon(first: ArrayLike, second: ArrayLike) -> float:
    """Two-sided signed-rank test (Wilcoxon 1945), pairs without a difference left out; NaN if none differs.

    Example:
        >>> wilcoxon([1.0, 2.0, 3.0, 4.0], [0.0, 0.0, 0.0, 0.0])
        0.125
    """
    difference = _differences(first, second)
    if not difference.any():
        return math.nan
    from scipy.stats import wilcoxon as signed_rank

    return float(signed_rank(difference[difference != 0]).pvalue)


def mcnemar(first: ArrayLike, second: ArrayLike) -> float:
    """Exact two-sided McNemar test of two models that are right (1) or wrong (0); 1 where they never differ.

    Example:
        >>> mcnemar([1, 1, 1, 1, 1, 0], [0, 0, 0, 0, 0, 0])
        0.0625
    """
    difference = _differences(first, second)
    better, worse = int((difference > 0).sum()), int((difference < 0).sum())
    n = better + worse
    tail = sum(math.comb(n, k) for k in range(min(better, worse) + 1)) / 2**n
    return min(1.0, 2 * tail)


def _differences(first: ArrayLike, second: ArrayLike) -> NDArray[np.float64]:
    x, y = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    finite = np.isfinite(x).all() and np.isfinite(y).all()
    if x.shape != y.shape or x.ndim != 1 or not x.size or not finite:
        raise InputError(
            f"got values of shapes {x.shape} and {y.shape}, expected finite numbers, two lists of one length"
        )
    return x - y


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """Adjust p-values of several tests so that the chance of any false alarm stays bounded (Holm 1979).

    Args:
        p_values: test -> p; NaN stays NaN and counts as no test.

    Returns:
        test -> adjusted p.

    Example:
        >>> holm({"a": 0.01, "b": 0.04, "c": 0.03})
        {'a': 0.03, 'b': 0.06, 'c': 0.06}
    """
    tests = sorted((p, name) for name, p in p_values.items() if not math.isnan(p))
    adjusted = dict.fromkeys(p_values, math.nan)
    highest = 0.0
    for rank, (p, name) in enumerate(tests):
        highest = max(highest, min(1.0, p * (len(tests) - rank)))
        adjusted[name] = highest
    return adjusted


def compare_all(
    models: Mapping[str, Mapping[str, float]], *, seed: int = 0
) -> dict[tuple[str, str], Comparison]:
    """Every pair of models, by name.

    Example:
        >>> list(compare_all({"a": {"p": 1.0}, "b": {"p": 0.0}, "c": {"p": 0.5}}))
        [('a', 'b'), ('a', 'c'), ('b', 'c')]
    """
    names: Sequence[str] = list(models)
    return {(a, b): compare(models[a], models[b], seed=seed) for a, b in itertools.combinations(names, 2)}
