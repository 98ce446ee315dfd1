"""Energy in words and numbers of three digits, as reports print it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .carbon import Grid
from .reading import Energy


def quantity(value: float | None, unit: str) -> str:
    """A number with the unit's milli, micro or kilo, so that it is read at a glance.

    Example:
        >>> quantity(0.00123, "J"), quantity(45300.0, "J"), quantity(None, "J"), quantity(5.25, "g")
        ('1.23 mJ', '45.3 kJ', '-', '5.25 g')
    """
    if value is None:
        return "-"
    for factor, prefix in ((1e3, "k"), (1.0, ""), (1e-3, "m"), (1e-6, "u")):
        if abs(value) >= factor:
            return f"{value / factor:.3g} {prefix}{unit}"
    return f"{value / 1e-9:.3g} n{unit}" if value else f"0 {unit}"


def banded(energy: Energy) -> str:
    """Joules with their band, or why there are none.

    Example:
        >>> banded(Energy(3.0, 1.0, 6.0, "estimate", False, 2.0, None))
        '3 J [1 J, 6 J]'
    """
    if energy.joules is None:
        return f"not known ({energy.reason})"
    low, likely, high = (quantity(j, "J") for j in (energy.low, energy.joules, energy.high))
    return f"{likely} [{low}, {high}]"


def lines(energy: Mapping[str, Any], notes: list[str] | tuple[str, ...] = ()) -> list[str]:
    """What a run's energy is, for below its table.

    Args:
        energy: as ``items.summary`` made it.
        notes: of the session.
    """
    if not energy:
        return [f"Energy: not known ({'; '.join(notes) or 'nothing was metered'})."]
    patient, each = Energy.from_dict(energy["per_patient"]), Energy.from_dict(energy["per_axial_slice"])
    kind = "measured" if patient.measured else "ESTIMATED"
    slices = f", {banded(each)} per slice ({energy['axial_slices']})" if energy["axial_slices"] else ""
    out = [
        f"Energy ({kind}, {patient.method}): {banded(patient)} per {energy.get('unit', 'patient')}{slices}."
    ]
    grams = energy["gco2e_per_1000_slices"]["grams"]
    if grams is not None:
        grid = Grid(**energy["grid"])
        out.append(f"CO2: {quantity(grams, 'gCO2e')} per 1000 slices. {grid}")
    return [*out, *(f"  {note}" for note in notes)]
