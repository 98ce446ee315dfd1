"""Overlap scores of many comparisons at once, from their counts."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Table = dict[str, NDArray[np.float64]]
METRICS = ("dice", "iou", "hd", "hd95", "precision", "recall", "specificity")


def overlaps(tp: ArrayLike, fp: ArrayLike, fn: ArrayLike, tn: ArrayLike) -> Table:
    """Dice, IoU, precision, recall and specificity; 0/0 is 0, so an empty prediction has precision 0.

    Args:
        tp, fp, fn, tn: pixels, arrays of one shape.

    Returns:
        Metric name -> float64 array of that shape.

    Example:
        >>> overlaps([0], [0], [4], [6])["specificity"].tolist()
        [1.0]
    """
    a, b, c, d = (np.asarray(counts, dtype=np.float64) for counts in (tp, fp, fn, tn))
    fractions = {
        "dice": (2 * a, 2 * a + b + c),
        "iou": (a, a + b + c),
        "precision": (a, a + b),
        "recall": (a, a + c),
        "specificity": (d, d + b),
    }
    return {name: part / np.where(whole > 0, whole, 1) for name, (part, whole) in fractions.items()}
