"""What a run says about its energy. "Not measured" is None, which is never 0."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..eval.energy.carbon import Grid
from ..eval.energy.reading import Energy as Reading
from ..eval.results import Results
from ..zoo.errors import RunError

SLICE, ANSWER = "axial slice", "answer"


@dataclass(frozen=True)
class Energy:
    """Energy of a run's inference.

    Attributes:
        joules: best estimate, over all that was metered.
        low, high: between which it lies.
        method: by which meter or formula.
        measured: whether a sensor was read; False for an estimate.
        covers: what was metered.
        per_slice, low_per_slice, high_per_slice: joules per ``unit``; None where not known.
        grams_per_slice: of CO2 equivalents per ``unit``; None where not known.
        grid: the electricity that the CO2 was computed with, in words; "" where it was not.
        unit: "axial slice"; "answer" where nothing is shown.
    """

    joules: float
    low: float
    high: float
    method: str
    measured: bool
    covers: str = ""
    per_slice: float | None = None
    low_per_slice: float | None = None
    high_per_slice: float | None = None
    grams_per_slice: float | None = None
    grid: str = ""
    unit: str = SLICE

    @property
    def kind(self) -> str:
        """Either "measured" or "estimated"."""
        return "measured" if self.measured else "estimated"


def energy_of(results: Results, source: str) -> Energy | None:
    """The energy of a run, None if it was not measured.

    Raises:
        RunError: the file has an energy record that says half of what it has to.
    """
    plain = results.scores.details.get("energy")
    try:
        return None if not plain or plain["joules"] is None else _energy(plain)
    except (KeyError, TypeError, ValueError, AttributeError, RunError) as error:
        raise RunError(f"{source}: damaged: energy: {type(error).__name__} {error}") from error


def _energy(plain: Mapping[str, Any]) -> Energy:
    by_answer = plain.get("unit") == ANSWER  # each answer stands as a patient of its own then
    whole = Reading.from_dict(plain)
    each = Reading.from_dict(plain["per_patient" if by_answer else "per_axial_slice"])
    for one in (whole, each):
        if one.joules is not None:
            _check(one)
    grams = plain["gco2e_per_patient" if by_answer else "gco2e_per_1000_slices"]["grams"]
    return Energy(
        whole.joules or 0.0,
        whole.low or 0.0,
        whole.high or 0.0,
        str(whole.method),
        bool(whole.measured),
        str(whole.covers),
        each.joules,
        each.low,
        each.high,
        None if grams is None else float(grams) / (1 if by_answer else 1000),
        str(Grid(**plain["grid"])) if grams is not None else "",
        ANSWER if by_answer else SLICE,
    )


def _check(one: Reading) -> None:
    joules, low, high = (float(value) for value in (one.joules, one.low, one.high))  # type: ignore[arg-type]
    if not (math.isfinite(low + high) and 0 <= low <= joules <= high):
        raise ValueError(f"{joules} J is not between {low} and {high}")
