"""The figures of one model under one protocol, before anything is drawn or written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from .. import stats
from .protocols import Protocol


@dataclass(frozen=True)
class Scored:
    """One task under one protocol.

    Attributes:
        task: its name.
        protocol: the rules.
        values: metric name -> figure over patients.
        patients: patient -> metric name -> value, of those that count.
        counts: what was asked, answered, scored.
        left_out: why -> patients that do not count.
        facts: other things worth saying, JSON values.
        ranked: patient -> (label, score) of those that the AUC of grades is about.
    """

    task: str
    protocol: Protocol
    values: dict[str, float]
    patients: dict[str, dict[str, float]]
    counts: dict[str, int]
    left_out: dict[str, tuple[str, ...]] = field(default_factory=dict)
    facts: dict[str, object] = field(default_factory=dict)
    ranked: dict[str, tuple[int, float]] = field(default_factory=dict)

    def column(self, metric: str) -> NDArray[np.float64]:
        """One metric of all patients that count, in order."""
        return np.array([values[metric] for values in self.patients.values()], np.float64)


def mean_over(patients: Mapping[str, Mapping[str, float]], metrics: Sequence[str]) -> dict[str, float]:
    """Mean of each metric over patients; NaN without any.

    Example:
        >>> mean_over({"a": {"dice": 0.25}, "b": {"dice": 0.75}}, ["dice"])
        {'dice': 0.5}
    """
    return {m: stats.mean(np.array([v[m] for v in patients.values()], np.float64)) for m in metrics}


def average(values: Sequence[float] | NDArray[np.float64]) -> float:
    """Mean of an array that is not empty, as a plain float."""
    return float(np.mean(values))
