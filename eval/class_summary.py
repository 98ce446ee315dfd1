"""Records of classified cases in, figures out: every case counts, one without an answer as surely wrong.

The policy for a case without an answer (it could not be read, the model failed on it or gave no
probabilities, its class is none that the model knows): certainty of a wrong class. It is not correct, its NLL
and Brier score are the worst there are, calibration sees confidence 1 and a wrong answer, and in ranks it
stands at the wrong end. Figures are over cases; intervals resample patients.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import classes as by_class
from . import probabilities, stats
from .aggregate import Aggregate, Summary
from .classes import NOWHERE, ClassCounts
from .records import FAILED, NO_REFERENCE, CaseRecord

OVERALL = ("accuracy", "balanced_accuracy", "macro_f1", "mcc", "auc", "ece", "nll", "brier")
OF_CLASSES = ("recall", "precision", "f1", "auc")
MISSED = {
    "correct": 0.0,
    "p_true": 0.0,
    "nll": probabilities.WORST_NLL,
    "brier": probabilities.WORST_BRIER,
}
"""What a case without an answer is worth."""


def summarise_classes(records: Sequence[CaseRecord], classes: Sequence[str], seed: int = 0) -> Summary:
    """Reduce the records of one model to a figure per metric.

    Args:
        records: one per case, in the dataset's order; those without a reference take no part.
        classes: in the order of the model's channels.
        seed: of the bootstrap.

    Returns:
        The summary; its details are the classes, their sizes, the confusion matrix and the calibration curve.
        The same records, classes and seed give the same bytes.
    """
    counted = [replace(r, metrics=dict(MISSED)) if r.status == FAILED else r for r in records]
    sample = Sample.of([r for r in counted if r.status != NO_REFERENCE], tuple(classes))
    found = sample.figures(np.ones((1, len(sample.records))))[0].tolist()
    intervals = stats.bootstrap_together([r.patient for r in sample.records], sample.figures, seed=seed)
    aggregate = {
        name: Aggregate(value, interval, *sample.sizes(name), empty=0)
        for name, value, interval in zip(sample.names, found, intervals, strict=True)
    }
    return Summary(aggregate, {}, {}, tuple(counted), details=sample.details())


@dataclass(frozen=True)
class Sample:
    """Cases with a reference, as arrays.

    Attributes:
        records: N of them.
        classes: K names.
        truth: (N,) index of the true class, -1 for one that the model does not know.
        answer: (N,) index of the answered class, -1 for none.
        scores: (N, K) by which cases are ranked: probabilities, or an infinity at the wrong end.
        confidence: (N,) probability of the answer.
        losses: (N, 2) NLL and Brier score.
    """

    records: tuple[CaseRecord, ...]
    classes: tuple[str, ...]
    truth: NDArray[np.int64]
    answer: NDArray[np.int64]
    scores: NDArray[np.float64]
    confidence: NDArray[np.float64]
    losses: NDArray[np.float64]

    @classmethod
    def of(cls, records: Sequence[CaseRecord], classes: tuple[str, ...]) -> Sample:
        """From records that have a reference."""
        place = {name: index for index, name in enumerate(classes)}
        truth = np.array([place.get(r.reference, NOWHERE) for r in records], dtype=np.int64)
        answer = np.array([place.get(r.answer.get("label", ""), NOWHERE) for r in records], dtype=np.int64)
        wrong_end = np.where(np.arange(len(classes)) == truth[:, None], -math.inf, math.inf)
        scores = [_probabilities(r, classes, end) for r, end in zip(records, wrong_end, strict=True)]
        ranked = np.array(scores, dtype=np.float64).reshape(len(records), len(classes))
        return cls(
            records=tuple(records),
            classes=classes,
            truth=truth,
            answer=answer,
            scores=ranked,
            confidence=np.where(answer == NOWHERE, 1.0, ranked.max(axis=1, initial=0.0)),
            losses=np.array([[r.metrics["nll"], r.metrics["brier"]] for r in records]).reshape(-1, 2),
        )

    @cached_property
    def correct(self) -> NDArray[np.bool_]:
        """(N,) whether the answer is right."""
        return (self.answer == self.truth) & (self.answer != NOWHERE)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Of the figures, in the order of ``figures``. Two classes share one AUC."""
        own = [metric for metric in OF_CLASSES if metric != "auc" or len(self.classes) > 2]
        return (*OVERALL, *(f"{metric}_{name}" for metric in own for name in self.classes))

    def figures(self, weights: NDArray[np.float64]) -> NDArray[np.float64]:
        """All figures of resamples.

        Args:
            weights: (R, N) how often each case counts.

        Returns:
            (R, M), NaN where one is undefined.
        """
        counts = ClassCounts.of(self.truth, self.answer, len(self.classes), weights)
        aucs = probabilities.class_aucs(self.scores, self.truth, weights)
        means = probabilities.weighted_sums(weights, self.losses) / counts.total[:, None]
        overall = [
            by_class.accuracy(counts),
            by_class.balanced_accuracy(counts),
            by_class.macro_f1(counts),
            by_class.mcc(counts),
            probabilities.macro_auc(aucs),
            probabilities.ece(self.confidence, self.correct, weights),
            means[:, 0],
            means[:, 1],
        ]
        own = [by_class.recalls(counts), by_class.precisions(counts), by_class.f1s(counts)]
        return np.hstack([np.column_stack(overall), *own, *([aucs] if len(self.classes) > 2 else [])])

    def sizes(self, name: str) -> tuple[int, int]:
        """How many cases a figure is about, and how many of them have no answer; of a class its own cases."""
        metric, _, word = name.partition("_")
        chosen = self.records
        if metric in OF_CLASSES and word in self.classes:
            chosen = tuple(r for r in self.records if r.reference == word)
        return len(chosen), sum(r.status == FAILED for r in chosen)

    def details(self) -> dict[str, Any]:
        """What the results file holds beside figures."""
        return {
            "classes": list(self.classes),
            "support": {name: int((self.truth == k).sum()) for k, name in enumerate(self.classes)},
            "confusion": self._confusion(),
            "calibration": {
                "bins": probabilities.BINS,
                "confidence": float(self.confidence.mean()),
                "accuracy": float(self.correct.mean()),
                "curve": probabilities.reliability(self.confidence, self.correct),
            },
        }

    def _confusion(self) -> dict[str, Any]:
        """Rows by true class, those that the model does not know behind its own."""
        unknown = sorted({r.reference for r in self.records} - set(self.classes))
        rows = [*self.classes, *unknown]
        truth = np.array([rows.index(r.reference) for r in self.records], dtype=np.int64)
        counts = by_class.confusion_matrix(truth, self.answer, len(rows), len(self.classes))
        return {"reference": rows, "answer": [*self.classes, None], "counts": counts.tolist()}


def _probabilities(
    record: CaseRecord, classes: Sequence[str], wrong_end: NDArray[np.float64]
) -> Sequence[float] | NDArray[np.float64]:
    if record.status == FAILED:
        return wrong_end
    given = record.answer["probabilities"]
    return [given[name] for name in classes]
