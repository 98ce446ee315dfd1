"""What a judge is worth: what it ranks, what its probabilities mean, where it fails.

The choosing half gives the threshold and the curve from scores to probabilities; every figure is of the
other half. The curve is the isotonic regression of the marks (Zadrozny & Elkan, "Transforming classifier
scores into accurate multiclass probability estimates", KDD 2002): it never falls, no other shape is assumed.
Images are what is resampled, since sentences of one image share their gold.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import isotonic_regression

from ....zoo.errors import InputError
from ... import stats
from ...jsonnum import encode
from ...probabilities import auc, ece, reliability
from .kinds import KINDS

Floats: TypeAlias = NDArray[np.float64]
Bools: TypeAlias = NDArray[np.bool_]
RESAMPLES = 1000
AT_THRESHOLD = ("accuracy", "precision", "recall", "f1", "balanced_accuracy")


@dataclass(frozen=True)
class Judged:
    """Sentences as a judge met them, N of each.

    Attributes:
        images: each is about.
        wrong: the experts' marks.
        classes: of the images.
        kinds: of the errors, none for right sentences.
        choosing: whether it is of the half that choices are made on.
    """

    images: Sequence[str]
    wrong: Bools
    classes: Sequence[str]
    kinds: Sequence[tuple[str, ...]]
    choosing: Bools

    def check(self) -> None:
        """See that both halves hold right and wrong sentences.

        Raises:
            InputError: one does not.
        """
        for name, half in (("choosing", self.choosing), ("reporting", ~self.choosing)):
            marks = self.wrong[half]
            if marks.all() or not marks.any():
                raise InputError(
                    f"the {name} half has {len(marks)} sentences, {int(marks.sum())} of them wrong; expected "
                    "right and wrong ones: more images, or another --seed"
                )


def best_threshold(scores: Floats, wrong: Bools) -> float:
    """The threshold from which scores mean "wrong" at the highest F1, halfway to the next lower score.

    Example:
        >>> best_threshold(np.array([0.1, 0.4, 0.5, 0.9]), np.array([False, False, True, True]))
        0.45
    """
    levels = np.unique(scores)
    order = np.argsort(-scores, kind="stable")
    hits, taken = np.cumsum(wrong[order]), np.arange(1, len(scores) + 1)
    last = np.searchsorted(-scores[order], -levels, side="right") - 1
    f1 = 2 * hits[last] / (taken[last] + wrong.sum())
    at = int(np.argmax(f1))
    return float(levels[at] if at == 0 else (levels[at - 1] + levels[at]) / 2)


def at_threshold(scores: Floats, wrong: Bools, threshold: float, weights: Floats | None = None) -> Floats:
    """``AT_THRESHOLD`` of calling every sentence from the threshold on wrong; a rate of nothing is 0.

    Args:
        scores, wrong: (N,).
        threshold: from which on.
        weights: (..., N) how often each sentence counts; once if None.

    Returns:
        (..., 5).

    Example:
        >>> at_threshold(np.array([0.9, 0.8, 0.1]), np.array([True, False, True]), 0.5).round(3).tolist()
        [0.333, 0.5, 0.5, 0.5, 0.25]
    """
    counted = np.ones(len(scores)) if weights is None else weights
    called = scores >= threshold
    hit, false, missed, right = (
        (counted * which).sum(axis=-1)
        for which in (called & wrong, called & ~wrong, ~called & wrong, ~called & ~wrong)
    )
    precision, recall = _rate(hit, hit + false), _rate(hit, hit + missed)
    return np.stack(
        [
            _rate(hit + right, hit + right + false + missed),
            precision,
            recall,
            _rate(2 * hit, 2 * hit + false + missed),
            (recall + _rate(right, right + false)) / 2,
        ],
        axis=-1,
    )


def _rate(part: Floats, whole: Floats) -> Floats:
    return np.divide(
        part, whole, out=np.zeros_like(np.asarray(part, np.float64)), where=np.asarray(whole) > 0
    )


def fit_curve(scores: Floats, wrong: Bools) -> Floats:
    """The curve from scores to P(wrong): (2, M), scores in ascending order and the probability at each.

    Example:
        >>> fit_curve(np.array([0.1, 0.2, 0.3, 0.4]), np.array([False, True, False, True])).tolist()
        [[0.1, 0.2, 0.3, 0.4], [0.0, 0.5, 0.5, 1.0]]
    """
    levels, place, counts = np.unique(scores, return_inverse=True, return_counts=True)
    shares = np.bincount(place, weights=wrong) / counts
    fitted = isotonic_regression(shares, weights=counts).x
    kept = np.ones(len(levels), dtype=bool)  # within a step only its two ends say anything
    kept[1:-1] = (fitted[1:-1] != fitted[:-2]) | (fitted[1:-1] != fitted[2:])
    return np.stack([levels[kept], fitted[kept]])


def measure(
    scores: Floats, judged: Judged, *, seed: int = 0, resamples: int = RESAMPLES, deep: bool = True
) -> dict[str, Any]:
    """Everything that is reported of one judge.

    Args:
        scores: (N,), the higher the likelier wrong.
        judged: the sentences.
        seed: of the bootstrap.
        resamples: of it.
        deep: whether classes and kinds get intervals, too: most of the time goes there.

    Returns:
        JSON-ready: ``n`` (sentences, wrong, images; of the reporting half and of the choosing one), ``auc``,
        ``threshold`` (value and the figures at it), ``calibration`` (``curve``, ``ece``, ``bins``),
        ``classes`` and ``kinds`` (sentences, AUC: each kind's wrong sentences against all right ones). A
        figure is {"value", "ci95"}, null where it does not exist.

    Raises:
        InputError: scores that are not finite, or a half without right or without wrong sentences.
    """
    if scores.shape != judged.wrong.shape or not np.isfinite(scores).all():
        raise InputError(
            f"{scores.shape} scores of {judged.wrong.shape} sentences: expected one finite number each"
        )
    judged.check()
    half = judged.choosing
    curve = fit_curve(scores[half], judged.wrong[half])
    threshold = best_threshold(scores[half], judged.wrong[half])
    reported = _Reported(scores[~half], judged, seed, resamples)
    wrong, p = reported.wrong, np.interp(scores[~half], *curve)

    def figures(weights: Floats) -> Floats:
        rates = at_threshold(reported.scores, wrong, threshold, weights)
        first = np.stack([auc(reported.scores, wrong, weights), ece(p, wrong, weights)], axis=-1)
        return np.concatenate([first, rates], axis=-1)

    found = reported.figures(np.ones(len(wrong), bool), figures)
    return {
        "n": {
            "sentences": len(wrong),
            "wrong": int(wrong.sum()),
            "images": len(set(reported.images)),
            "choosing_sentences": int(half.sum()),
            "choosing_images": len({image for image, one in zip(judged.images, half, strict=True) if one}),
        },
        "auc": found[0],
        "calibration": {"curve": curve.tolist(), "ece": found[1], "bins": reliability(p, wrong)},
        "threshold": {"value": threshold, **dict(zip(AT_THRESHOLD, found[2:], strict=True))},
        "classes": reported.classes(deep),
        "kinds": reported.kinds(deep),
    }


class _Reported:
    """The reporting half of what one judge said."""

    def __init__(self, scores: Floats, judged: Judged, seed: int, resamples: int) -> None:
        places = np.flatnonzero(~judged.choosing).tolist()
        self.scores, self.wrong = scores, judged.wrong[places]
        self.images = [judged.images[at] for at in places]
        self._classes = np.array([judged.classes[at] for at in places])
        self._kinds = [judged.kinds[at] for at in places]
        self._seed, self._resamples = seed, resamples

    def figures(self, chosen: Bools, figures: Callable[[Floats], Floats]) -> list[dict[str, Any]]:
        """Values and intervals of figures of some sentences."""
        images = [image for image, one in zip(self.images, chosen, strict=True) if one]
        values = figures(np.ones((1, len(images))))[0]
        intervals = stats.bootstrap_together(images, figures, resamples=self._resamples, seed=self._seed)
        return [
            {"value": encode(value), "ci95": None if interval is None else list(interval)}
            for value, interval in zip(values, intervals, strict=True)
        ]

    def classes(self, deep: bool) -> dict[str, Any]:
        names = [str(name) for name in np.unique(self._classes)]
        return {name: self._auc_of(self._classes == name, deep) for name in names}

    def kinds(self, deep: bool) -> dict[str, Any]:
        """Wrong sentences of a kind against all right ones; a sentence counts for each of its kinds."""
        of = {kind: np.array([kind in found for found in self._kinds], dtype=bool) for kind in KINDS}
        return {kind: self._auc_of(mine | ~self.wrong, deep) for kind, mine in of.items() if mine.any()}

    def _auc_of(self, chosen: Bools, deep: bool) -> dict[str, Any]:
        scores, wrong = self.scores[chosen], self.wrong[chosen]
        if deep:
            found = self.figures(chosen, lambda weights: auc(scores, wrong, weights)[..., None])[0]
        else:
            found = {"value": encode(float(auc(scores, wrong))), "ci95": None}
        return {"sentences": int(chosen.sum()), "wrong": int(wrong.sum()), "auc": found}
