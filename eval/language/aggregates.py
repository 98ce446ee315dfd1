"""Figures with intervals: patients are what is resampled, all figures of a protocol on the same draws."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .. import probabilities, stats
from ..aggregate import Aggregate
from .grade import METRICS as GRADE_METRICS
from .scored import Scored

Floats = NDArray[np.float64]


def aggregates(scored: Scored, seed: int = 0) -> dict[str, Aggregate]:
    """Metric name -> figure, its interval, and how many patients it is about.

    ``missing`` are patients that were left out, for whatever reason; :attr:`Scored.left_out` names them.

    Args:
        scored: under one protocol.
        seed: of the bootstrap.
    """
    if not scored.patients:
        intervals: list[stats.Interval | None] = [None] * len(scored.values)
    elif scored.task == "grade":
        intervals = _of_grades(scored, seed)
    else:
        intervals = _of_means(scored, seed)
    missing = len({patient for patients in scored.left_out.values() for patient in patients})
    return {
        metric: Aggregate(value, interval, len(scored.patients), missing, 0)
        for (metric, value), interval in zip(scored.values.items(), intervals, strict=True)
    }


def _of_means(scored: Scored, seed: int) -> list[stats.Interval | None]:
    table = np.stack([scored.column(metric) for metric in scored.values], axis=1)
    # 0 times an undefined value is undefined: such a column has no interval, as its mean has no n of its own.
    means = lambda weights: weights @ table / weights.sum(axis=1, keepdims=True)  # noqa: E731
    return stats.bootstrap_together(list(scored.patients), means, seed=seed)


def _of_grades(scored: Scored, seed: int) -> list[stats.Interval | None]:
    patients = list({**scored.patients, **scored.ranked})
    cells = np.array([_cell(scored, patient) for patient in patients], np.float64)
    place = [i for i, patient in enumerate(patients) if patient in scored.ranked]
    truth = np.array([scored.ranked[patients[i]][0] == 1 for i in place], bool)
    values = np.array([scored.ranked[patients[i]][1] for i in place], np.float64)

    def figures(weights: Floats) -> Floats:
        counts = weights @ cells
        area = probabilities.auc(values, truth, weights[:, place])
        return np.column_stack([*_rates(*counts.T), area])

    return stats.bootstrap_together(patients, figures, seed=seed)


def _cell(scored: Scored, patient: str) -> tuple[bool, bool, bool, bool]:
    """Whether a patient is tp, tn, fp, fn; none of them if left out."""
    row = scored.patients.get(patient)
    if row is None:
        return False, False, False, False
    label, predicted = row["label"] == 1, row["predicted"] == 1
    return label and predicted, not (label or predicted), predicted and not label, label and not predicted


def _rates(tp: Floats, tn: Floats, fp: Floats, fn: Floats) -> list[Floats]:
    """``grade.rates`` of many confusion matrices, in the order of ``grade.METRICS`` but for the last."""
    recall, specificity = _ratio(tp, tp + fn), _ratio(tn, tn + fp)
    spread = np.sqrt((tp + fp) * (tp + fn) * (tn + fp) * (tn + fn))
    found = {
        "accuracy": _ratio(tp + tn, tp + tn + fp + fn),
        "f1": _ratio(2 * tp, 2 * tp + fp + fn),
        "precision": _ratio(tp, tp + fp),
        "recall": recall,
        "specificity": specificity,
        "balanced_accuracy": (recall + specificity) / 2,
        "mcc": _ratio(tp * tn - fp * fn, spread),
    }
    return [found[name] for name in GRADE_METRICS if name != "auc"]


def _ratio(part: Floats, whole: Floats) -> Floats:
    return np.where(whole > 0, part / np.where(whole > 0, whole, 1), 0.0)
