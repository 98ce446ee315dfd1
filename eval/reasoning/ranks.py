"""Models beside each other: does their order survive another wording of the prompt, and who is better?"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...zoo.errors import InputError
from .. import jsonnum, stats
from ..language.compare import Comparison, compare_all, holm
from ..stats import RESAMPLES
from .stability import NO_ANSWER, ONE_PROMPT, Answered, Figure

__all__ = ["PairedTest", "RankStability", "paired_tests", "rank_stability"]

ONE_MODEL, ALL_TIED, NO_SHARED = (
    "one model",
    "all models are tied",
    "no item that all answered in all prompts",
)
_Floats = NDArray[np.float64]


@dataclass(frozen=True)
class RankStability:
    """How far the order of models survives a change of prompt.

    Attributes:
        models, prompts: compared.
        items: that every model answered in every prompt.
        left_out: the other items.
        means: model -> prompt -> mean score over items.
        taus: per pair of prompts, Kendall's tau-b of the two orders; None where all models are tied.
        tau: the mean over the pairs that are defined, with its interval.
    """

    models: tuple[str, ...]
    prompts: tuple[str, ...]
    items: int
    left_out: tuple[str, ...]
    means: Mapping[str, Mapping[str, float]]
    taus: Mapping[tuple[str, str], float | None]
    tau: Figure

    def record(self) -> dict[str, Any]:
        """As JSON holds it."""
        return {
            "models": list(self.models),
            "prompts": list(self.prompts),
            "items": self.items,
            "left_out": list(self.left_out),
            "means": {model: dict(row) for model, row in self.means.items()},
            "taus": [{"prompts": list(pair), "tau": tau} for pair, tau in self.taus.items()],
            "tau": self.tau.record(),
        }


@dataclass(frozen=True)
class PairedTest:
    """Two models on the same units.

    Attributes:
        first, second: their names.
        found: difference, interval, p-values.
        p_holm: the permutation test's p, adjusted for all pairs (Holm 1979).
    """

    first: str
    second: str
    found: Comparison
    p_holm: float

    def record(self) -> dict[str, Any]:
        """As JSON holds it."""
        found = self.found
        return {
            "first": self.first,
            "second": self.second,
            "n": found.n,
            "means": [found.first, found.second],
            "difference": found.difference,
            "ci95": None if found.ci95 is None else list(found.ci95),
            "p_permutation": found.permutation,
            "p_wilcoxon": jsonnum.encode(found.wilcoxon),
            "p_holm": jsonnum.encode(self.p_holm),
            "only_first": list(found.only_first),
            "only_second": list(found.only_second),
        }


def rank_stability(
    rows: Iterable[Answered],
    *,
    units: Mapping[str, str] | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> RankStability:
    """Kendall's tau-b between the orders of models under different prompts (Kendall 1945), by scipy.

    Under each prompt models are ordered by their mean score over items, repeats averaged first. 1: the same
    order under every prompt; 0: no relation; -1: reversed. The interval draws units again.

    Args:
        rows: of several models, of one arm.
        units: item -> what it belongs to; default: the item.
        resamples: of the bootstrap.
        seed: of it.

    Raises:
        InputError: answers of several arms.

    Example:
        >>> scores = {("a", "plain"): 1.0, ("b", "plain"): 0.5, ("a", "formal"): 0.2, ("b", "formal"): 0.4}
        >>> rows = [Answered(m, "i", "without", p, 0, (), s) for (m, p), s in scores.items()]
        >>> rank_stability(rows).tau
        Figure(value=-1.0, n=1, ci95=None, reason='')
    """
    scores = _scores(rows)
    models, prompts = (tuple(dict.fromkeys(key[n] for key in scores)) for n in (0, 2))
    every = tuple(dict.fromkeys(item for _, item, _ in scores))
    items = [i for i in every if all((m, i, p) in scores for m in models for p in prompts)]
    left_out = tuple(item for item in every if item not in set(items))
    values = np.array([[[scores[m, i, p] for p in prompts] for m in models] for i in items], np.float64)
    reason = _why_not(models, prompts, items)
    if not items:
        return RankStability(models, prompts, 0, left_out, {}, {}, Figure(None, 0, reason=reason))
    means = values.mean(axis=0)
    named = {m: {p: float(means[a, b]) for b, p in enumerate(prompts)} for a, m in enumerate(models)}
    if reason:
        return RankStability(models, prompts, len(items), left_out, named, {}, Figure(None, 0, reason=reason))
    order = _Order(len(prompts))
    taus = order.taus(means)
    pairs = itertools.combinations(prompts, 2)
    known = {pair: None if math.isnan(tau) else float(tau) for pair, tau in zip(pairs, taus, strict=True)}
    belongs = [(units or {}).get(item, item) for item in items]

    def drawn(weights: _Floats) -> _Floats:
        averaged = np.einsum("rn,nmp->rmp", weights, values) / weights.sum(axis=1)[:, None, None]
        return np.array([[_mean(order.taus(row))] for row in averaged])

    mean, n = _mean(taus), int((~np.isnan(taus)).sum())
    tau = Figure(None, 0, reason=ALL_TIED)
    if n:
        tau = Figure(mean, n, stats.bootstrap_together(belongs, drawn, resamples=resamples, seed=seed)[0])
    return RankStability(models, prompts, len(items), left_out, named, known, tau)


def paired_tests(
    rows: Iterable[Answered], *, units: Mapping[str, str] | None = None, seed: int = 0
) -> tuple[list[PairedTest], str]:
    """Every pair of models on the units that both answered: means over prompts and repeats, paired tests.

    Args:
        rows: of several models, of one arm.
        units: item -> what it belongs to; default: the item.
        seed: of permutations and bootstrap.

    Returns:
        (the tests, ""), or ([], why there are none).

    Raises:
        InputError: answers of several arms, or two models that share no unit.

    Example:
        >>> rows = [Answered(m, f"i{n}", "true", "plain", 0, (), s) for m, s in (("a", 0.9), ("b", 0.1))
        ...         for n in range(6)]
        >>> [(t.first, t.second, round(t.found.difference, 3), t.p_holm) for t in paired_tests(rows)[0]]
        [('a', 'b', 0.8, 0.03125)]
    """
    by_model: dict[str, dict[str, list[float]]] = {}
    for (model, item, _), score in _scores(rows).items():
        by_model.setdefault(model, {}).setdefault((units or {}).get(item, item), []).append(score)
    if len(by_model) < 2:
        return [], ONE_MODEL if by_model else NO_ANSWER
    found = compare_all(
        {model: {u: math.fsum(v) / len(v) for u, v in told.items()} for model, told in by_model.items()},
        seed=seed,
    )
    named = {str(number): comparison.permutation for number, comparison in enumerate(found.values())}
    adjusted = holm(named)
    return [
        PairedTest(first, second, comparison, adjusted[str(number)])
        for number, ((first, second), comparison) in enumerate(found.items())
    ], ""


def _scores(rows: Iterable[Answered]) -> dict[tuple[str, str, str], float]:
    """(model, item, prompt) -> mean score over the repeats."""
    rows = list(rows)
    arms = list(dict.fromkeys(row.arm for row in rows))
    if len(arms) > 1:
        raise InputError(f"got answers of the arms {', '.join(arms)}, expected those of one")
    told: dict[tuple[str, str, str], list[float]] = {}
    for row in rows:
        told.setdefault((row.model, row.item, row.prompt), []).append(row.score)
    return {key: math.fsum(values) / len(values) for key, values in told.items()}


def _why_not(models: Sequence[str], prompts: Sequence[str], items: Sequence[str]) -> str:
    if not models:
        return NO_ANSWER
    if len(models) < 2:
        return ONE_MODEL
    if len(prompts) < 2:
        return ONE_PROMPT
    return "" if items else NO_SHARED


def _mean(taus: _Floats) -> float:
    defined = taus[~np.isnan(taus)]
    return float(defined.mean()) if len(defined) else math.nan


class _Order:
    """Taus between columns of means; resamples repeat few orders, so each pair of orders is computed once."""

    def __init__(self, prompts: int) -> None:
        self._pairs = list(itertools.combinations(range(prompts), 2))
        self._known: dict[tuple[bytes, bytes], float] = {}

    def taus(self, means: _Floats) -> _Floats:
        """Of (models, prompts) -> one per pair of prompts; NaN where one of them ties all models."""
        # Sums in another order differ in the last bits; that is no difference between models.
        ranks = [np.unique(column, return_inverse=True)[1] for column in means.round(12).T]
        return np.array([self._tau(ranks[a], ranks[b]) for a, b in self._pairs])

    def _tau(self, first: NDArray[np.int64], second: NDArray[np.int64]) -> float:
        key = (first.tobytes(), second.tobytes())
        if key not in self._known:
            from scipy.stats import kendalltau

            self._known[key] = float(kendalltau(first, second).statistic)
        return self._known[key]
