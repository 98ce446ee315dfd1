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
        measured: whether a sensor was read; False for an estimate.
        slices: axial slices it was spent on; 0 where not known.
        grams: of CO2 equivalents; None where no grid was given.
    """

    joules: float
    low: float
    high: float
    method: str
    measured: bool
    slices: int
    grams: float | None = None

    @property
    def kind(self) -> str:
        """Either "measured" or "estimated"."""
        return "measured" if self.measured else "estimated"

    @property
    def per_slice(self) -> float | None:
        """Joules per axial slice, of the same slices as the run's seconds; None where not known."""
        return self.joules / self.slices if self.slices else None

    @property
    def low_per_slice(self) -> float | None:
        """The lower bound of ``per_slice``."""
        return self.low / self.slices if self.slices else None

    @property
    def high_per_slice(self) -> float | None:
        """The upper bound of ``per_slice``."""
        return self.high / self.slices if self.slices else None

    @property
    def grams_per_slice(self) -> float | None:
        """CO2 equivalents per axial slice; None where not known."""
        return None if self.grams is None or not self.slices else self.grams / self.slices


def energy_of(results: Results, source: str) -> Energy | None:
    """The energy of a run, None if it was not measured.

    Raises:
        RunError: the file has an energy record that says half of what it has to.
    """
    plain = results.scores.details.get("energy")
    if plain is None or plain.get("joules") is None:
        return None
    try:
        return _energy(plain, results.scores.counts)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise RunError(f"{source}: damaged: energy: {type(error).__name__} {error}") from error


def _energy(plain: Mapping[str, Any], counts: Mapping[str, int]) -> Energy:
    joules, low, high = (float(plain[key]) for key in ("joules", "low", "high"))
    if not (math.isfinite(low + high) and 0 <= low <= joules <= high):
        raise ValueError(f"{joules} J is not between {low} and {high}")
    grams = plain.get("co2_grams")
    return Energy(
        joules,
        low,
        high,
        str(plain["method"]),
        bool(plain["measured"]),
        int(plain.get("axial_slices", counts.get("axial_slices", 0))),
        None if grams is None else float(grams),
    )
