"""Logistic regression of a few numbers: Newton's method, with a ridge on all but the intercept."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ....zoo.errors import InputError

RIDGE = 1.0
STEPS = 100
CLOSE = 1e-10


def fit_logistic(features: ArrayLike, positive: ArrayLike, ridge: float = RIDGE) -> NDArray[np.float64]:
    """Coefficients that make what was seen likeliest.

    Args:
        features: (N, K).
        positive: (N,) bool, with cases of both kinds.
        ridge: lambda of the penalty lambda/2 |b|**2, which the intercept is free of; above 0, so that
            there is an answer where the classes can be parted without an error.

    Returns:
        (K + 1,), intercept first.

    Raises:
        InputError: shapes that do not fit, numbers that are not finite, or cases of one kind only.

    Example:
        >>> a, b = fit_logistic([[0.0], [1.0], [0.0], [1.0]], [False, True, True, True])
        >>> bool(b > 0)
        True
    """
    x, y = np.asarray(features, np.float64), np.asarray(positive, bool)
    if x.ndim != 2 or y.shape != x.shape[:1] or not np.isfinite(x).all() or ridge <= 0:
        raise InputError(f"features of shape {x.shape}, positives {y.shape}: expected (N, K) finite and (N,)")
    if y.all() or not y.any():
        raise InputError(f"{len(y)} cases of one kind: expected right and wrong ones to fit on")
    x = np.column_stack([np.ones(len(x)), x])
    penalty = np.diag([0.0] + [ridge] * (x.shape[1] - 1))
    found = np.zeros(x.shape[1])
    for _ in range(STEPS):
        p = _sigmoid(x @ found)
        slope = x.T @ (p - y) + penalty @ found
        bend = (x * (p * (1 - p))[:, None]).T @ x + penalty
        step = np.linalg.lstsq(bend, slope, rcond=None)[0]
        found -= step * min(1.0, 5.0 / max(np.abs(step).max(), CLOSE))
        if np.abs(step).max() < CLOSE:
            break
    return found


def probability(features: ArrayLike, coefficients: ArrayLike) -> NDArray[np.float64]:
    """P(positive) of each case, (N,).

    Example:
        >>> probability([[0.0], [2.0]], [0.0, 1.0]).round(3).tolist()
        [0.5, 0.881]
    """
    x, b = np.asarray(features, np.float64), np.asarray(coefficients, np.float64)
    return _sigmoid(b[0] + x @ b[1:])


def _sigmoid(x: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(0.5 * (1 + np.tanh(x / 2)))
