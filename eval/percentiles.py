"""How a list of surface distances becomes one percentile: the rules of the presets.

The interpolating rules need one or two order statistics only, so they take a function that gives the
squared distance of a rank.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from .packed import Floats


def linear_percentile(value: Callable[[int], float], count: int, percentile: float) -> float:
    """The percentile that ``np.percentile`` gives (method "linear"), bit for bit.

    Args:
        value: squared distance of a rank, 0 to ``count - 1``, ascending.
        count: number of distances.
        percentile: 0 to 100.

    Returns:
        mm.

    Example:
        >>> linear_percentile([0.0, 1.0, 9.0].__getitem__, 3, 75.0)
        2.0
    """
    position = (count - 1) * (percentile / 100)
    rank = math.floor(position)
    low, t = math.sqrt(value(rank)), position - rank
    high = math.sqrt(value(min(rank + 1, count - 1)))
    return low + (high - low) * t if t < 0.5 else high - (high - low) * (1 - t)


def float32_percentile(value: Callable[[int], float], count: int, percentile: float) -> float:
    """The percentile that MONAI gives: ``torch.quantile`` on float32.

    Not only the distances but the rank is rounded to float32, which shifts it for surfaces of many points
    (pytorch issue 64947). ``percentile=0`` gives the largest distance, as there.

    Args:
        value: squared distance of a rank, 0 to ``count - 1``, ascending.
        count: number of distances.
        percentile: 0 to 100.

    Returns:
        mm, a float32 value.
    """
    if not percentile:
        return float(np.float32(math.sqrt(value(count - 1))))
    position = np.float32(percentile / 100) * np.float32(count - 1)
    rank, above = int(position), min(math.ceil(position), count - 1)
    t = position - np.float32(rank)
    low, high = np.float32(math.sqrt(value(rank))), np.float32(math.sqrt(value(above)))
    if t < np.float32(0.5):
        return float(low + t * (high - low))
    return float(high - (high - low) * (np.float32(1) - t))


def area_percentile(distance_mm: Floats, weight: Floats | None, percentile: float) -> float:
    """The percentile that DeepMind's surface-distance gives: where the cumulated area reaches the share.

    Args:
        distance_mm: unsorted distances in mm.
        weight: the area (2-D: length) of each.
        percentile: 0 to 100.

    Returns:
        mm, one of the distances: nothing is interpolated.
    """
    weight = np.ones_like(distance_mm) if weight is None else weight
    order = np.lexsort((weight, distance_mm))
    distance, area = distance_mm[order], weight[order]
    reached = np.searchsorted(np.cumsum(area) / np.sum(area), percentile / 100.0)
    return float(distance[min(int(reached), distance.size - 1)])
