"""What a run says about its energy. "Not measured" is None, which is never 0."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..eval.results import Results
from ..zoo.errors import RunError


@dataclass(frozen=True)
class Energy:
    """Energy of a run.

    Attributes:
        joules: best estimate, over all that was timed.
        low, high: between which it lies.
        method: by which meter or formula.
        measured: whether a meter was read; False for an estimate.
        per_slice: joules per axial slice (the denominator of the run's times); None where not known.
        grams_per_slice: of CO2 equivalents per axial slice; None where no grid factor was given.
    """

    joules: float
    low: float
    high: float
    method: str
    measured: bool
    per_slice: float | None = None
    grams_per_slice: float | None = None

    @property
    def kind(self) -> str:
        """ "measured" or "estimated"."""
        return "measured" if self.measured else "estimated"


def energy_of(results: Results, source: str) -> Energy | None:
    """The energy of a run, None if it was not measured.

    Raises:
        RunError: the file has an energy record that says half of what it has to.
    """
    plain = results.scores.details.get("energy")
    if plain is None:
        return None
    try:
        return _energy(plain, results.scores.counts)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise RunError(f"{source}: damaged: energy: {type(error).__name__} {error}") from error


def _energy(plain: Mapping[str, Any], counts: Mapping[str, int]) -> Energy:
    joules, low, high = (float(plain[key]) for key in ("joules", "low", "high"))
    if not (math.isfinite(low + high) and 0 <= low <= joules <= high):
        raise ValueError(f"{joules} J is not between {low} and {high}")
    slices = plain.get("axial_slices", counts.get("axial_slices", 0))
    grams = plain.get("co2_grams")
    return Energy(
        joules,
        low,
        high,
        str(plain["method"]),
        bool(plain["measured"]),
        joules / slices if slices else None,
        float(grams) / slices if slices and grams is not None else None,
    )
