"""From joules to grams of CO2: the grid's intensity by country from a table in the package, no network."""

from __future__ import annotations

import csv
import difflib
import math
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

from ...zoo.errors import UsageError

TABLE = Path(__file__).parent / "grid_intensity.csv"
WORLD = "WLD"
JOULES_PER_KWH = 3.6e6


@dataclass(frozen=True)
class Grid:
    """What a kWh costs, and what a computing centre adds to each.

    Attributes:
        g_per_kwh: grams of CO2 equivalent per kWh of electricity.
        country: ISO 3166-1 alpha-3 code, "WLD" for the world's average, "" for a figure of the user's own.
        name: of the country.
        year: that the figure is about; None for a user's own.
        source: of the figure.
        pue: power usage effectiveness: energy of the whole site per energy of the machine; 1 leaves cooling
            and the like out.
        assumed: whether nobody said where this is.
    """

    g_per_kwh: float
    country: str
    name: str
    year: int | None
    source: str
    pue: float = 1.0
    assumed: bool = False

    def grams(self, joules: float | None) -> float | None:
        """CO2 equivalent of so much energy; None for none known.

        Example:
            >>> Grid(360.0, "", "here", None, "a bill", pue=1.5).grams(10_000.0)
            1.5
        """
        return None if joules is None else joules / JOULES_PER_KWH * self.g_per_kwh * self.pue

    def __str__(self) -> str:
        about = f" ({self.year}, {self.source})" if self.year else f" ({self.source})"
        given = ", no country given" if self.assumed else ""
        return f"{self.name}: {self.g_per_kwh:g} gCO2e/kWh{about}{given}, PUE {self.pue:g}"

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return asdict(self)


@cache
def countries() -> dict[str, Grid]:
    """Code -> grid, with a PUE of 1, the world first.

    Example:
        >>> countries()["FRA"].name, countries()["FRA"].year
        ('France', 2023)
    """
    with TABLE.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return {
        row["code"]: Grid(
            float(row["g_per_kwh"]), row["code"], row["country"], int(row["year"]), row["source"]
        )
        for row in rows
    }


def grid_of(country: str | None = None, g_per_kwh: float | None = None, pue: float = 1.0) -> Grid:
    """The grid that a machine hangs on.

    Args:
        country: ISO 3166-1 alpha-3 code or English name; None takes the world's average and says so.
        g_per_kwh: a figure of the user's own, instead of the table's.
        pue: at least 1.

    Raises:
        UsageError: a country that is not in the table (the message suggests some), a negative intensity, a
            PUE below 1.

    Example:
        >>> grid_of("france").country, grid_of("FRA", g_per_kwh=20).g_per_kwh, grid_of().assumed
        ('FRA', 20.0, True)
    """
    if not _is_number(pue) or pue < 1:
        raise UsageError(f"pue: got {pue!r}, expected 1 or more (1 leaves cooling and the like out)")
    found = _find(country) if country is not None else None
    if g_per_kwh is not None:
        if not _is_number(g_per_kwh) or g_per_kwh < 0:
            raise UsageError(f"grid: got {g_per_kwh!r}, expected 0 or more g of CO2 equivalent per kWh")
        name = found.name if found else "your grid"
        return Grid(float(g_per_kwh), found.country if found else "", name, None, "given by the user", pue)
    base = found or countries()[WORLD]
    return Grid(**{**asdict(base), "pue": float(pue), "assumed": found is None})


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _find(country: str) -> Grid:
    table = countries()
    names = {grid.name.casefold(): code for code, grid in table.items()}
    word = country.strip()
    code = word.upper() if word.upper() in table else names.get(word.casefold())
    if code is None:
        raise UsageError(
            f"country {country!r} is not in the table of {len(table) - 1} countries: {_suggest(word)}"
            "give its ISO code of three letters (FRA), or the grid's intensity with --grid"
        )
    return table[code]


def _suggest(word: str) -> str:
    table = countries()
    names = {grid.name.casefold(): code for code, grid in table.items()}
    close = difflib.get_close_matches(word.casefold(), names, n=3, cutoff=0.6)
    codes = [names[name] for name in close] or difflib.get_close_matches(word.upper(), table, n=3, cutoff=0.6)
    if not codes:
        codes = [c for c, g in table.items() if word and g.name.casefold().startswith(word.casefold())][:3]
    said = " or ".join(f"{code} ({table[code].name})" for code in codes)
    return f"did you mean {said}? Else " if said else ""
