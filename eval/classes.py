"""Right and wrong over classes: accuracy, recall, precision, F1, and means that no large class hides.

Everything follows from four counts (``ClassCounts``): of every class how often it was answered rightly, was
true, was answered, and of how many cases in all. They may carry leading axes, one entry per resample, so
that a bootstrap is one matrix product.

A case may have no answer (a failure, a refusal): it was never answered rightly, and counts in recall,
accuracy and F1, not in precision. Its class may be one that the model does not know: it then counts in
accuracy and MCC alone. Where a figure is undefined it is NaN, with one exception: the precision of a class
that occurs and is never answered is 0, because it was missed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from ..zoo.errors import InputError

Floats: TypeAlias = NDArray[np.float64]
Label: TypeAlias = str | int | None
NOWHERE = -1
"""Index of a class outside the list, and of an answer that was not given."""


@dataclass(frozen=True)
class ClassCounts:
    """What all figures over classes are made of; weights may make them fractions.

    Attributes:
        hits: (..., K) cases of each class that were answered rightly.
        truths: (..., K) cases of each class.
        answers: (..., K) cases for which each class was answered.
        total: (...) all cases, those without an answer or of an unknown class included.
    """

    hits: Floats
    truths: Floats
    answers: Floats
    total: Floats

    @classmethod
    def of(
        cls,
        truth: NDArray[np.integer],
        answer: NDArray[np.integer],
        classes: int,
        weights: Floats | None = None,
    ) -> ClassCounts:
        """Counts from indices.

        Args:
            truth: (N,) index of the true class, -1 for one outside the list.
            answer: (N,) index of the answered class, -1 for no answer.
            classes: K.
            weights: (..., N) how often each case counts; once if None.

        Example:
            >>> c = ClassCounts.of(np.array([0, 1, 1]), np.array([0, 1, -1]), 2)
            >>> c.hits.tolist(), c.truths.tolist(), c.answers.tolist(), float(c.total)
            ([1.0, 1.0], [1.0, 2.0], [1.0, 1.0], 3.0)
        """
        rows = np.eye(classes + 1)[:, :classes]  # NOWHERE picks the last row, which is empty
        is_class, is_answer = rows[truth], rows[answer]
        counted = np.ones(len(truth)) if weights is None else weights
        return cls(
            hits=counted @ (is_class * is_answer),
            truths=counted @ is_class,
            answers=counted @ is_answer,
            total=np.asarray(counted.sum(axis=-1)),
        )


def count_classes(
    reference: Sequence[Label], answer: Sequence[Label], classes: Sequence[Label]
) -> ClassCounts:
    """Count answers against references by name.

    Args:
        reference: N true classes; None for a class outside ``classes``.
        answer: N answered classes; None for no answer.
        classes: the K names.

    Raises:
        InputError: different lengths, or a name that is not among the classes.

    Example:
        >>> c = count_classes(["a", "b", "b", "b"], ["a", "b", "a", None], classes=("a", "b"))
        >>> float(accuracy(c)), float(balanced_accuracy(c)), recalls(c).round(3).tolist()
        (0.5, 0.6666666666666666, [1.0, 0.333])
    """
    if len(reference) != len(answer):
        raise InputError(
            f"got {len(reference)} references and {len(answer)} answers, expected as many of each"
        )
    truth, answered = (_indices(names, classes) for names in (reference, answer))
    return ClassCounts.of(truth, answered, len(classes))


def _indices(names: Sequence[Label], classes: Sequence[Label]) -> NDArray[np.int64]:
    place = {**{name: i for i, name in enumerate(classes)}, None: NOWHERE}
    unknown = next((name for name in names if name not in place), None)
    if unknown is not None:
        raise InputError(f"class {unknown!r}: expected one of {', '.join(map(str, classes))}, or None")
    return np.array([place[name] for name in names], dtype=np.int64)


def accuracy(counts: ClassCounts) -> Floats:
    """Share of all cases that were answered rightly, (...).

    Example:
        >>> float(accuracy(count_classes([0, 1, 1, 1], [0, 1, 1, 0], (0, 1))))
        0.75
    """
    return _ratio(counts.hits.sum(axis=-1), counts.total)


def recalls(counts: ClassCounts) -> Floats:
    """Share of each class's cases that were answered rightly, (..., K); NaN for a class without a case.

    Example:
        >>> recalls(count_classes([0, 1, 1, 1], [0, 1, 1, 0], (0, 1, 2))).round(3).tolist()
        [1.0, 0.667, nan]
    """
    return _ratio(counts.hits, counts.truths)


def precisions(counts: ClassCounts) -> Floats:
    """Share of each class's answers that were right, (..., K).

    0 for a class that occurs and is never answered; NaN for one that neither occurs nor is answered.

    Example:
        >>> precisions(count_classes([0, 1, 1, 2], [0, 1, 0, 1], (0, 1, 2, 3))).tolist()
        [0.5, 0.5, 0.0, nan]
    """
    missed = (counts.answers == 0) & (counts.truths > 0)
    return np.where(missed, 0.0, _ratio(counts.hits, counts.answers))


def f1s(counts: ClassCounts) -> Floats:
    """Harmonic mean of precision and recall of each class, (..., K): 2 hits / (truths + answers).

    NaN for a class that neither occurs nor is answered.

    Example:
        >>> f1s(count_classes([0, 1, 1, 2], [0, 1, 0, 1], (0, 1, 2, 3))).round(3).tolist()
        [0.667, 0.5, 0.0, nan]
    """
    return _ratio(2 * counts.hits, counts.truths + counts.answers)


def balanced_accuracy(counts: ClassCounts) -> Floats:
    """Mean recall over the classes that occur, (...): chance is 1/K however uneven they are.

    Brodersen et al., "The balanced accuracy and its posterior distribution", ICPR 2010.

    Example:
        >>> float(balanced_accuracy(count_classes([0, 1, 1, 1], [1, 1, 1, 1], (0, 1))))
        0.5
    """
    return _mean_of_defined(recalls(counts))


def macro_f1(counts: ClassCounts) -> Floats:
    """Mean F1 over the classes that occur or are answered, (...), as scikit-learn takes it by default.

    Example:
        >>> float(macro_f1(count_classes([0, 1, 1, 2], [0, 1, 0, 1], (0, 1, 2)))) == (2 / 3 + 1 / 2 + 0) / 3
        True
    """
    return _mean_of_defined(f1s(counts))


def mcc(counts: ClassCounts) -> Floats:
    """Correlation of answers and references, -1 to 1, (...): Matthews' coefficient for any number of classes.

    R_K of Gorodkin, "Comparing two K-category assignments by a K-category correlation coefficient",
    Computational Biology and Chemistry 28 (2004). Having no answer counts as one more answer, classes outside
    the list as one more class. 0 where all answers are the same; NaN where all references are.

    Example:
        >>> float(mcc(count_classes([0, 0, 1, 1], [0, 0, 1, 0], (0, 1))).round(4))
        0.5774
        >>> float(mcc(count_classes([0, 0], [0, 0], (0, 1))))
        nan
    """
    total = counts.total
    chance = (counts.truths * counts.answers).sum(axis=-1)
    covariance = counts.hits.sum(axis=-1) * total - chance
    of_truth, of_answer = (_spread(sizes, total) for sizes in (counts.truths, counts.answers))
    with np.errstate(invalid="ignore", divide="ignore"):
        correlation = covariance / np.sqrt(of_truth * of_answer)
    return np.where(of_truth == 0, np.nan, np.where(of_answer == 0, 0.0, correlation))


def _spread(sizes: Floats, total: Floats) -> Floats:
    """Variance of an assignment times the squared total; what is in no class makes a class of its own."""
    rest = total - sizes.sum(axis=-1)
    return total**2 - (sizes**2).sum(axis=-1) - rest**2


def _ratio(part: Floats, whole: Floats) -> Floats:
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.where(whole == 0, np.nan, part / whole))


def _mean_of_defined(values: Floats) -> Floats:
    """Mean over the last axis of what is not NaN; NaN of nothing."""
    defined = ~np.isnan(values)
    return _ratio(np.where(defined, values, 0.0).sum(axis=-1), defined.sum(axis=-1).astype(np.float64))


def confusion_matrix(
    truth: NDArray[np.integer], answer: NDArray[np.integer], rows: int, columns: int
) -> NDArray[np.int64]:
    """How often each answer was given to each class.

    Args:
        truth: (N,) indices below ``rows``.
        answer: (N,) indices below ``columns``, -1 for no answer.
        rows: classes that occur.
        columns: classes that can be answered.

    Returns:
        (rows, columns + 1) int64, row by true class (scikit-learn's orientation); the last column counts the
        cases without an answer.

    Example:
        >>> confusion_matrix(np.array([0, 1, 1]), np.array([0, 0, -1]), 2, 2).tolist()
        [[1, 0, 0], [1, 0, 1]]
    """
    cells = truth * (columns + 1) + np.where(answer == NOWHERE, columns, answer)
    return np.bincount(cells, minlength=rows * (columns + 1)).reshape(rows, columns + 1)
