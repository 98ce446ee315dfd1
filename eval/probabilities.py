"""What probabilities of classes are worth: do they rank, are they calibrated, how far are they off.

Figures of many resamples are computed at once: ``weights`` (..., N) say how often each case counts.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..zoo.errors import InputError

Floats: TypeAlias = NDArray[np.float64]
BINS = 15
"""Of the expected calibration error: equally wide, as in Guo et al. 2017."""
LEAST_PROBABILITY = float(np.finfo(np.float32).eps)
"""2**-23: smaller probabilities count as this one in a logarithm; networks answer in float32."""
WORST_NLL = -float(np.log(LEAST_PROBABILITY))
WORST_BRIER = 2.0


def auc(scores: ArrayLike, positive: ArrayLike, weights: Floats | None = None) -> Floats:
    """Area under the ROC curve: how often a positive case scores higher than a negative one, ties half.

    Exact, from ranks: the Mann-Whitney statistic over the number of pairs (Hanley & McNeil 1982).

    Args:
        scores: (N,) numbers, the higher the more positive; infinities are fine.
        positive: (N,) bool.
        weights: (..., N) how often each case counts; once if None.

    Returns:
        (...) float64; NaN without a positive or without a negative case.

    Raises:
        InputError: different lengths, or a score that is NaN.

    Example:
        >>> float(auc([0.1, 0.4, 0.35, 0.8], [False, False, True, True]))
        0.75
        >>> float(auc([0.5, 0.5], [True, False]))
        0.5
    """
    values, is_positive = np.asarray(scores, np.float64), np.asarray(positive, bool)
    if values.ndim != 1 or values.shape != is_positive.shape or np.isnan(values).any():
        raise InputError(
            f"scores of shape {values.shape} and positives of shape {is_positive.shape}: expected two of one "
            "length, without NaN"
        )
    order = np.argsort(values, kind="stable")
    ranked, is_positive = values[order], is_positive[order]
    counted = (np.ones(len(order)) if weights is None else weights)[..., order]
    wins, pairs = _wins(ranked, counted * is_positive, counted * ~is_positive)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.where(pairs == 0, np.nan, wins / pairs))


def _wins(ranked: Floats, positive: Floats, negative: Floats) -> tuple[Floats, Floats]:
    """Pairs that the positive case wins, and all pairs; weights (..., N) in the order of the scores."""
    below = np.zeros((*negative.shape[:-1], len(ranked) + 1))
    np.cumsum(negative, axis=-1, out=below[..., 1:])
    first, last = (np.searchsorted(ranked, ranked, side=side) for side in ("left", "right"))
    beaten = (below[..., first] + below[..., last]) / 2
    return (positive * beaten).sum(axis=-1), positive.sum(axis=-1) * below[..., -1]


def class_aucs(scores: Floats, truth: NDArray[np.integer], weights: Floats | None = None) -> Floats:
    """Each class against the rest, (..., K).

    Args:
        scores: (N, K), of each case for each class.
        truth: (N,) index of the true class; -1 is the rest for every class.
        weights: (..., N).
    """
    columns = [auc(scores[:, k], truth == k, weights) for k in range(scores.shape[1])]
    return np.stack(columns, axis=-1)


def macro_auc(aucs: Floats) -> Floats:
    """The one AUC of a model from those of its classes, (...).

    Two classes have one curve, that of the second class. More classes: the mean of those that have one, each
    against the rest.

    Example:
        >>> float(macro_auc(np.array([0.8, 0.9, np.nan]))), float(macro_auc(np.array([0.7, 0.7])))
        (0.8500000000000001, 0.7)
    """
    if aucs.shape[-1] == 2:
        return aucs[..., 1]
    defined = ~np.isnan(aucs)
    with np.errstate(invalid="ignore"):
        return np.asarray(np.where(defined, aucs, 0.0).sum(axis=-1) / defined.sum(axis=-1))


def nlls(p_true: ArrayLike) -> Floats:
    """Negative log-likelihood of each case in nats: -ln of the probability of what is true.

    Probabilities below ``LEAST_PROBABILITY`` count as that, so no case costs more than 15.94.

    Example:
        >>> nlls([1.0, 0.5, 0.0]).round(3).tolist()
        [0.0, 0.693, 15.942]
    """
    return 0.0 - np.log(np.clip(np.asarray(p_true, np.float64), LEAST_PROBABILITY, 1.0))


def briers(probabilities: ArrayLike, truth: ArrayLike) -> Floats:
    """Squared distance of each case's probabilities to certainty of the truth, summed over classes: 0 to 2.

    Brier, "Verification of forecasts expressed in terms of probability", Monthly Weather Review 78 (1950).
    Of two classes it is twice the figure that looks at one of them.

    Args:
        probabilities: (N, K).
        truth: (N,) index of the true class.

    Example:
        >>> briers([[1.0, 0.0], [0.5, 0.5]], [0, 1]).tolist()
        [0.0, 0.5]
    """
    values = np.asarray(probabilities, np.float64)
    wanted = np.eye(values.shape[1])[np.asarray(truth)]
    return ((values - wanted) ** 2).sum(axis=1)


def ece(
    confidence: ArrayLike, correct: ArrayLike, weights: Floats | None = None, *, bins: int = BINS
) -> Floats:
    """Expected calibration error: the gap between confidence and accuracy, averaged over bins of confidence.

    Guo et al., "On calibration of modern neural networks", ICML 2017: equally wide bins (low, high], each
    counting as much as it has cases.

    Args:
        confidence: (N,) probability of the answer, 0 to 1.
        correct: (N,) whether it was right.
        weights: (..., N) how often each case counts; once if None.
        bins: how many.

    Returns:
        (...) float64, 0 to 1; NaN of no case.

    Example:
        >>> float(ece([0.9, 0.9, 0.6], [True, False, True]).round(4))
        0.4
    """
    values, right = np.asarray(confidence, np.float64), np.asarray(correct, np.float64)
    counted = np.ones(len(values)) if weights is None else weights
    gap = np.eye(bins)[bin_of(values, bins)] * (values - right)[:, None]
    total = np.asarray(counted.sum(axis=-1))
    with np.errstate(invalid="ignore"):
        return np.asarray(np.abs(weighted_sums(counted, gap)).sum(axis=-1) / total)


def weighted_sums(weights: Floats, values: Floats) -> Floats:
    """(..., N) times (N, M), in one order whatever the number of threads: reruns end with the same bytes."""
    return np.einsum("...n,nm->...m", weights, values)


def bin_of(confidence: Floats, bins: int = BINS) -> NDArray[np.int64]:
    """Which of equally wide bins (low, high] each number of [0, 1] is in; 0 is in the first.

    Example:
        >>> bin_of(np.array([0.0, 0.5, 0.51, 1.0]), bins=2).tolist()
        [0, 0, 1, 1]
    """
    edges = np.linspace(0.0, 1.0, bins + 1)
    return np.clip(np.searchsorted(edges, confidence, side="left") - 1, 0, bins - 1).astype(np.int64)


def reliability(confidence: ArrayLike, correct: ArrayLike, bins: int = BINS) -> list[dict[str, float]]:
    """The reliability diagram as data: of each bin that has cases its edges, cases, confidence and accuracy.

    Example:
        >>> reliability([0.9, 0.7], [True, False], bins=2)
        [{'low': 0.5, 'high': 1.0, 'n': 2, 'confidence': 0.8, 'accuracy': 0.5}]
    """
    values, right = np.asarray(confidence, np.float64), np.asarray(correct, np.float64)
    places = bin_of(values, bins)
    edges = np.linspace(0.0, 1.0, bins + 1)
    return [
        {
            "low": float(edges[place]),
            "high": float(edges[place + 1]),
            "n": int((places == place).sum()),
            "confidence": float(values[places == place].mean()),
            "accuracy": float(right[places == place].mean()),
        }
        for place in np.unique(places).tolist()
    ]
