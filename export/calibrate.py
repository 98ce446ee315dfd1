"""Calibration of a classifier: one temperature, fitted on cases that the network never learned from.

Guo et al., "On calibration of modern neural networks", ICML 2017: probabilities are softmax(logits / T), with
the T that gives the held-out cases the highest likelihood. T is one number, yet an error measured on the very
cases that it was fitted on flatters it; so the error "after" is cross-fitted: every case is judged by a T
that was fitted without it.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..zoo.errors import InputError
from ..zoo.tasks.classify import softmax

#: A few held-out cases, all of them right, must not make an oracle of the network.
BOUNDS = (0.25, 20.0)
BINS = 15
GROUPS = 5


@dataclass(frozen=True)
class Calibration:
    """What was fitted, and what it did.

    Attributes:
        temperature: fitted on all held-out cases.
        cases: how many.
        on: which, in words.
        ece_before, nll_before: of the held-out cases with T = 1.
        ece_after, nll_after: with T cross-fitted over ``groups`` parts; None where that is impossible.
        groups: parts of the cross-fit.
        bins: of the expected calibration error.
    """

    temperature: float
    cases: int
    on: str
    ece_before: float
    nll_before: float
    ece_after: float | None
    nll_after: float | None
    groups: int = GROUPS
    bins: int = BINS

    def to_dict(self) -> dict[str, Any]:
        """For a contract's ``training`` facts."""
        return asdict(self)

    def __str__(self) -> str:
        after = "" if self.ece_after is None else f", {self.ece_after:.3f} after (cross-fitted)"
        return (
            f"temperature {self.temperature:.3f}, fitted on {self.cases} {self.on}: "
            f"calibration error {self.ece_before:.3f} before{after}"
        )


def calibrate(logits: ArrayLike, targets: ArrayLike, cases: Sequence[str], on: str) -> Calibration:
    """Fit a temperature on held-out cases and say what it does.

    Args:
        logits: (n, K) of cases that were never learned from.
        targets: (n,) class numbers.
        cases: their ids, which decide the parts of the cross-fit.
        on: what the cases are, for people.

    Raises:
        InputError: no case, or sizes that differ.
    """
    z, t = np.asarray(logits, np.float64), np.asarray(targets, np.int64)
    if z.ndim != 2 or not len(z) or z.shape[0] != len(t) or len(t) != len(cases):
        raise InputError(
            f"logits {z.shape}, targets {t.shape}, {len(cases)} cases: expected n of each, n > 0"
        )
    parts = _parts(cases)
    crossed = np.empty_like(z, dtype=np.float32)
    groups = len(np.unique(parts))
    if groups > 1:
        for part in np.unique(parts):
            apart = parts == part
            crossed[apart] = softmax(z[apart], temperature(z[~apart], t[~apart]))
    plain = softmax(z)
    return Calibration(
        temperature=round(temperature(z, t), 4),
        cases=len(t),
        on=on,
        ece_before=round(expected_error(plain, t), 5),
        nll_before=round(likelihood_loss(plain, t), 5),
        ece_after=round(expected_error(crossed, t), 5) if groups > 1 else None,
        nll_after=round(likelihood_loss(crossed, t), 5) if groups > 1 else None,
        groups=groups,
    )


def temperature(logits: NDArray[np.float64], targets: NDArray[np.int64]) -> float:
    """The T within ``BOUNDS`` of the highest likelihood, found on log T.

    Example:
        >>> z = np.array([[0.0, 4.0]] * 4)  # 98 % sure of class 1, right in 3 of 4
        >>> round(temperature(z, np.array([1, 1, 1, 0])), 2)  # sigmoid(4 / T) = 0.75
        3.64
    """
    from scipy.optimize import minimize_scalar
    from scipy.special import log_softmax

    rows = np.arange(len(targets))

    def loss(log_t: float) -> float:
        return -float(log_softmax(logits / math.exp(log_t), axis=1)[rows, targets].mean())

    bounds = tuple(math.log(b) for b in BOUNDS)
    return math.exp(minimize_scalar(loss, bounds=bounds, method="bounded", options={"xatol": 1e-6}).x)


def likelihood_loss(probabilities: NDArray[np.float32], targets: NDArray[np.int64]) -> float:
    """Mean of -log p(true class); p is taken to be at least 1e-12."""
    p = probabilities[np.arange(len(targets)), targets]
    return float(-np.log(np.maximum(p.astype(np.float64), 1e-12)).mean())


def expected_error(probabilities: NDArray[np.float32], targets: NDArray[np.int64]) -> float:
    """Expected calibration error of the first class over ``BINS`` equal bins (Guo et al. 2017, eq. 3).

    Example:
        >>> expected_error(np.array([[0.25, 0.75]] * 4, np.float32), np.array([1, 1, 1, 0]))
        0.0
    """
    sure, right = probabilities.max(1).astype(np.float64), probabilities.argmax(1) == targets
    place = np.minimum((sure * BINS).astype(int), BINS - 1)
    gaps = np.abs(np.bincount(place, right - sure, BINS))
    return float(gaps.sum() / len(targets))


def _parts(cases: Sequence[str]) -> NDArray[np.int64]:
    """A part from 0 to GROUPS - 1 for each case: even in size, by the hash of the id."""
    ranked = sorted(range(len(cases)), key=lambda i: hashlib.sha256(cases[i].encode()).hexdigest())
    parts = np.empty(len(cases), np.int64)
    parts[ranked] = np.arange(len(cases)) % GROUPS
    return parts
