"""Answer only when sure: what accuracy gains, and what coverage it costs.

An answer is kept if it parses, is among the valid labels, agrees over repeats or wordings, and is confident
enough. Accuracy is never told without coverage: :func:`risk_coverage` gives the whole curve, and its area.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...zoo.errors import InputError
from .consistency import UNREAD, answer_text, questions
from .items import Item, Sheet

VALID = ("0", "1")
"""Answers to ``grade`` that are a grade."""
CLASSES = {"0": "low", "1": "high"}


@dataclass(frozen=True)
class Judged:
    """All answers to one question, as one.

    Attributes:
        parses: at least one answer could be read.
        valid: the majority is among the valid labels.
        agreement: share of the answers, unread ones included, that the majority has.
        confidence: mean probability of the majority where the model gives any, else ``agreement``.
        correct: the majority is right.
    """

    parses: bool
    valid: bool
    agreement: float
    confidence: float
    correct: bool


@dataclass(frozen=True)
class Stage:
    """What a filter leaves.

    Attributes:
        name: of the filter, applied after those before it.
        coverage: share of all questions that are kept.
        accuracy: of the kept ones; NaN where none is.
        kept: how many.
    """

    name: str
    coverage: float
    accuracy: float
    kept: int


def judge(sheet: Sheet, unit: str = "slice") -> list[Judged]:
    """The grades of a sheet, question by question.

    Args:
        sheet: of the task ``grade``; cases without a known label are left out.
        unit: "slice": repeats and wordings of a slice are one question; "patient": all slices of a patient
        are.

    Raises:
        InputError: another task or unit.
    """
    if sheet.task != "grade" or unit not in ("slice", "patient"):
        raise InputError(f"got the task {sheet.task!r} by {unit!r}, expected grade by slice or patient")
    groups = questions(sheet, "prompts").values() if unit == "slice" else sheet.patients.values()
    return [_judged(items) for items in groups if items[0].case.label is not None]


def _judged(items: Sequence[Item]) -> Judged:
    texts = [answer_text(item) for item in items]
    read = Counter(text for text in texts if text != UNREAD)
    if not read:
        return Judged(False, False, 0.0, 0.0, False)
    majority, most = read.most_common(1)[0]
    share = most / len(items)
    given = [item.answer.probabilities for item in items]
    name = CLASSES.get(majority, "")
    told = [float(p[name]) for p in given if p and name in p]
    return Judged(
        True,
        majority in VALID,
        share,
        float(np.mean(told)) if len(told) == len(items) else share,
        majority == str(items[0].case.label),
    )


def filters(judged: Sequence[Judged], agreement: float = 0.0, confidence: float = 0.0) -> list[Stage]:
    """One filter after the other, accuracy and coverage after each.

    Args:
        judged: from :func:`judge`.
        agreement: least share of the majority.
        confidence: least confidence.

    Raises:
        InputError: nothing to filter.

    Example:
        >>> told = [Judged(True, True, 1.0, 0.9, True), Judged(True, True, 0.6, 0.6, False)]
        >>> [(s.name, s.coverage, s.accuracy) for s in filters(told, agreement=0.8)][-2:]
        [('agrees', 0.5, 1.0), ('confident', 0.5, 1.0)]
    """
    if not judged:
        raise InputError("got no answers to filter")
    rules = (
        ("all", lambda j: True),
        ("parses", lambda j: j.parses),
        ("valid", lambda j: j.valid),
        ("agrees", lambda j: j.agreement >= agreement),
        ("confident", lambda j: j.confidence >= confidence),
    )
    kept, stages = list(judged), []
    for name, rule in rules:
        kept = [j for j in kept if rule(j)]
        accuracy = sum(j.correct for j in kept) / len(kept) if kept else math.nan
        stages.append(Stage(name, len(kept) / len(judged), accuracy, len(kept)))
    return stages


@dataclass(frozen=True)
class RiskCoverage:
    """The trade between answering less and being wrong less.

    Attributes:
        coverage: (n,) 1/n, 2/n, ..., 1: share of the questions answered, surest first.
        risk: (n,) mean loss of the answered ones.
        aurc: mean of ``risk``: the area under the curve (Geifman & El-Yaniv 2017); lower is better.
        best: the same if losses themselves were the order: what no confidence can beat.
    """

    coverage: NDArray[np.float64]
    risk: NDArray[np.float64]
    aurc: float
    best: float

    def at(self, coverage: float) -> float:
        """Risk at the largest coverage of at most ``coverage``; NaN below the first."""
        kept = int(np.searchsorted(self.coverage, coverage + 1e-12, side="right"))
        return float(self.risk[kept - 1]) if kept else math.nan


def risk_coverage(loss: ArrayLike, confidence: ArrayLike) -> RiskCoverage:
    """The curve, from surest to least sure. Answers of equal confidence count as in random order.

    Args:
        loss: (n,) 0 for right, 1 for wrong, or anything between (1 - Dice).
        confidence: (n,) the higher the surer.

    Raises:
        InputError: two lengths, none, or values that are not finite.

    Example:
        >>> curve = risk_coverage([0, 1, 0, 1], [0.9, 0.2, 0.8, 0.1])
        >>> curve.risk.round(3).tolist(), round(curve.aurc, 4), curve.at(0.5)
        ([0.0, 0.0, 0.333, 0.5], 0.2083, 0.0)
    """
    losses, sure = np.asarray(loss, dtype=np.float64), np.asarray(confidence, dtype=np.float64)
    if losses.shape != sure.shape or losses.ndim != 1 or not losses.size:
        raise InputError(
            f"losses of shape {losses.shape}, confidences of shape {sure.shape}: expected (n,) both"
        )
    if not np.isfinite(losses).all() or not np.isfinite(sure).all():
        raise InputError("losses and confidences have to be finite")
    n = len(losses)
    coverage = np.arange(1, n + 1) / n
    risk = _expected(losses, sure) / np.arange(1, n + 1)
    best = np.cumsum(np.sort(losses)) / np.arange(1, n + 1)
    return RiskCoverage(coverage, risk, float(risk.mean()), float(best.mean()))


def _expected(losses: NDArray[np.float64], sure: NDArray[np.float64]) -> NDArray[np.float64]:
    """Expected cumulated loss of the k surest, ties in random order."""
    _, group, sizes = np.unique(-sure, return_inverse=True, return_counts=True)
    mean = np.bincount(group, weights=losses) / sizes
    return np.cumsum(np.repeat(mean, sizes))
