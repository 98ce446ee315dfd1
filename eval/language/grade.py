"""The task ``grade``: votes of slices, a label per patient, and how good the labels are.

Votes are 0 low, 1 high, 2 none; an answer that cannot be read is a vote 3. High grade is the positive class.
GLDR is the share of high among the votes low and high.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...zoo.errors import UsageError
from .. import probabilities
from .items import Item, Sheet
from .protocols import Protocol
from .scored import Scored

LOW, HIGH, NONE, UNPARSED = range(4)
METRICS = ("accuracy", "f1", "precision", "recall", "specificity", "balanced_accuracy", "mcc", "auc")
VOTE_SHARE, PROBABILITIES = "vote share", "class probabilities"


def tally(items: Sequence[Item]) -> NDArray[np.int64]:
    """Votes low, high, none, unparsed; (4,)."""
    codes = [UNPARSED if item.parsed.value is None else int(item.parsed.value) for item in items]
    return np.bincount(codes, minlength=4)


def winner(votes: ArrayLike, rule: str) -> int:
    """What a patient's votes come to: 0 or 1, or 2 or 3 for an abstention.

    Args:
        votes: (4,) counts of low, high, none, unparsed.
        rule: "author", "two-class" or "abstain-wrong".

    Example:
        >>> winner([3, 3, 4, 0], "author"), winner([3, 3, 4, 0], "two-class")
        (2, 0)
    """
    counts = np.asarray(votes)
    return int(np.argmax(counts[:2] if rule == "two-class" else counts))


def gldr(votes: ArrayLike) -> float:
    """High over low and high; NaN where neither was voted.

    Example:
        >>> gldr([1, 3, 9, 9])
        0.75
    """
    low, high = np.asarray(votes)[:2]
    return float(high / (low + high)) if low + high else math.nan


def score_grade(sheet: Sheet, protocol: Protocol) -> Scored:
    """Labels of all patients by the protocol's rules, and their figures.

    Args:
        sheet: the answers.
        protocol: parser and slices must be the sheet's.

    Raises:
        UsageError: ``protocol.assumed`` names a patient who is recorded, or not of the cohort.

    Returns:
        The figures; ``patients`` has ``label``, ``predicted``, ``correct``, ``gldr`` and the four votes.
    """
    votes = {patient: tally(items) for patient, items in sheet.patients.items()}
    predicted: dict[str, int | None] = {p: winner(v, protocol.vote) for p, v in votes.items()}
    abstained = tuple(p for p, code in predicted.items() if code in (NONE, UNPARSED))
    for patient in abstained:
        predicted[patient] = _opposite(sheet.labels[patient]) if protocol.vote == "abstain-wrong" else None
    for patient in sheet.no_slices:
        predicted[patient] = {"drop": None, "low": LOW, "wrong": _opposite(sheet.labels[patient])}[
            protocol.no_slices
        ]
    known = _assume(sheet, protocol.assumed)
    predicted.update(known)
    counted = [p for p in sheet.labels if sheet.labels[p] is not None and predicted.get(p) is not None]
    shares, source = _scores_of(sheet, votes)
    patients = {
        p: _row(sheet.labels[p], predicted[p], votes.get(p, np.zeros(4, int)), shares.get(p)) for p in counted
    }
    ranked = [p for p in shares if sheet.labels[p] is not None and not math.isnan(shares[p])]
    area = probabilities.auc([shares[p] for p in ranked], [sheet.labels[p] == HIGH for p in ranked])
    counts = confusion([(row["label"], row["predicted"]) for row in patients.values()])
    slice_votes = sum(votes.values(), np.zeros(4, np.int64))
    return Scored(
        "grade",
        protocol,
        {**rates(**counts), "auc": float(area)},
        patients,
        {
            **counts,
            "patients": len(patients),
            "patients_answered": len(votes),
            "slices": int(slice_votes.sum()),
            **dict(zip(("low", "high", "none", "unparsed"), slice_votes.tolist(), strict=True)),
        },
        _left_out(sheet, abstained, protocol, known),
        {"auc_from": source, **({"assumed": dict(protocol.assumed)} if known else {})},
        {p: (int(sheet.labels[p] == HIGH), shares[p]) for p in ranked},
    )


def _opposite(label: int | None) -> int | None:
    return None if label is None else 1 - label


def _assume(sheet: Sheet, assumed: Mapping[str, str]) -> dict[str, int]:
    for patient in assumed:
        if patient not in sheet.not_recorded:
            raise UsageError(
                f"assumed: patient {patient} is not one of whom nothing is recorded "
                f"({', '.join(sheet.not_recorded) or 'there is none'})"
            )
    return {patient: (LOW, HIGH)[grade == "high"] for patient, grade in assumed.items()}


def _left_out(
    sheet: Sheet, abstained: tuple[str, ...], protocol: Protocol, known: Mapping[str, int]
) -> dict[str, tuple[str, ...]]:
    found = {
        "abstained": abstained if protocol.vote == "author" else (),
        "no_slices": sheet.no_slices if protocol.no_slices == "drop" else (),
        "not_recorded": tuple(p for p in sheet.not_recorded if p not in known),
        "no_label": tuple(p for p, label in sheet.labels.items() if label is None),
    }
    return {why: patients for why, patients in found.items() if patients}


def _row(
    label: int | None, predicted: int | None, votes: NDArray[np.int64], share: float | None
) -> dict[str, float]:
    names = ("votes_low", "votes_high", "votes_none", "votes_unparsed")
    return {
        "label": float(label or 0),
        "predicted": float(predicted or 0),
        "correct": float(label == predicted),
        "gldr": gldr(votes),
        "score": math.nan if share is None else share,
        **dict(zip(names, votes.astype(float).tolist(), strict=True)),
    }


def _scores_of(sheet: Sheet, votes: Mapping[str, NDArray[np.int64]]) -> tuple[dict[str, float], str]:
    """What patients are ranked by for the AUC: mean probability where every answer has one, else GLDR."""
    if sheet.items and all(_has_probabilities(item) for item in sheet.items):
        mean = {p: float(np.mean([_probability(i) for i in items])) for p, items in sheet.patients.items()}
        return mean, PROBABILITIES
    return {p: gldr(v) for p, v in votes.items()}, VOTE_SHARE


def _has_probabilities(item: Item) -> bool:
    found = item.answer.probabilities or {}
    return {"low", "high"} <= set(found) and found["low"] + found["high"] > 0


def _probability(item: Item) -> float:
    found = item.answer.probabilities or {}
    return found["high"] / (found["low"] + found["high"])


def confusion(pairs: Sequence[tuple[float, float]]) -> dict[str, int]:
    """tp, tn, fp, fn of (label, predicted) pairs, 1 being positive.

    Example:
        >>> confusion([(1, 1), (1, 0), (0, 0)])
        {'tp': 1, 'tn': 1, 'fp': 0, 'fn': 1}
    """
    cells = {"tp": (1, 1), "tn": (0, 0), "fp": (0, 1), "fn": (1, 0)}
    return {name: sum(tuple(pair) == cell for pair in pairs) for name, cell in cells.items()}


def rates(tp: int, tn: int, fp: int, fn: int) -> dict[str, float]:
    """The figures of a confusion matrix; 0/0 is 0.

    MCC is the correlation of label and prediction (Matthews 1975), 0 where one of them is constant.

    Example:
        >>> {name: round(value, 4) for name, value in rates(43, 0, 11, 1).items()}["f1"]
        0.8776
    """
    recall, specificity = _ratio(tp, tp + fn), _ratio(tn, tn + fp)
    spread = math.sqrt((tp + fp) * (tp + fn) * (tn + fp) * (tn + fn))
    return {
        "accuracy": _ratio(tp + tn, tp + tn + fp + fn),
        "f1": _ratio(2 * tp, 2 * tp + fp + fn),
        "precision": _ratio(tp, tp + fp),
        "recall": recall,
        "specificity": specificity,
        "balanced_accuracy": (recall + specificity) / 2,
        "mcc": (tp * tn - fp * fn) / spread if spread else 0.0,
    }


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else 0.0
