"""CO2 from a table in the package."""

import math

import pytest

from voxzoo.eval.energy.carbon import countries, grid_of
from voxzoo.zoo.errors import UsageError


def test_a_kilowatt_hour_by_hand():
    grid = grid_of("FRA", pue=1.5)
    assert grid.grams(3.6e6) == pytest.approx(56.039 * 1.5)
    assert grid.grams(None) is None
    assert (grid.year, grid.assumed) == (2023, False)
    assert "codecarbon" in str(grid)


def test_every_row_says_its_year_and_source():
    table = countries()
    assert len(table) > 200
    for code, grid in table.items():
        assert len(code) == 3
        assert code.isupper()
        assert 10 < grid.g_per_kwh < 1500
        assert 2000 < grid.year < 2030
        assert grid.source
        assert grid.name
        assert grid.pue == 1.0


def test_names_and_codes():
    assert grid_of("germany") == grid_of("DEU") == grid_of(" deu ")
    assert grid_of("FRA", g_per_kwh=20).source == "given by the user"
    assert grid_of(g_per_kwh=0).grams(1e6) == 0.0


def test_nobody_said_where():
    grid = grid_of()
    assert (grid.country, grid.assumed) == ("WLD", True)
    assert "no country given" in str(grid)


@pytest.mark.parametrize(
    ("country", "said"),
    [("Frnace", "FRA"), ("FR", "FRA"), ("Atlantis", "--grid"), ("", "--grid"), ("XYZ", "--grid")],
)
def test_countries_that_are_not_in_the_table(country, said):
    with pytest.raises(UsageError, match=said):
        grid_of(country)


@pytest.mark.parametrize("grid", [-1, math.inf, math.nan, "20", True])
def test_intensities_that_cannot_be(grid):
    with pytest.raises(UsageError, match="grid"):
        grid_of("FRA", grid)


@pytest.mark.parametrize("pue", [0.9, 0, -1, math.inf, math.nan, "1"])
def test_pues_that_cannot_be(pue):
    with pytest.raises(UsageError, match="pue"):
        grid_of("FRA", pue=pue)
