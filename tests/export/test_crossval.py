"""Figures of held-out cases: those that only some cases have are means over these."""

import pytest

pytest.importorskip("torch", reason="needs the [train] extra")

from voxzoo.export.crossval import lines, summary, table


def rows():
    """Grades are known of two of three patients, one of whom has two cases."""
    return [
        {"case": "a1", "patient": "a", "fold": 0, "box-dice": 0.5, "grade-right": 1.0},
        {"case": "a2", "patient": "a", "fold": 0, "box-dice": 0.7, "grade-right": 0.0},
        {"case": "b", "patient": "b", "fold": 0, "box-dice": 0.2},
        {"case": "c", "patient": "c", "fold": 0, "box-dice": 1.0, "grade-right": 1.0},
    ]


def test_a_figure_that_some_cases_lack():
    found = summary(rows())
    assert found["box-dice"]["mean"] == pytest.approx((0.6 + 0.2 + 1.0) / 3)
    assert (found["box-dice"]["cases"], found["box-dice"]["patients"]) == (4, 3)
    assert found["grade-right"]["mean"] == pytest.approx((0.5 + 1.0) / 2)
    assert (found["grade-right"]["cases"], found["grade-right"]["patients"]) == (3, 2)


def test_it_is_told_and_tabled():
    told = lines({"summary": summary(rows())})
    assert any(line.startswith("held-out grade-right: 0.7500") and "n = 2 patients" in line for line in told)
    assert table(rows()).splitlines()[3] == "b,b,0,0.2,"
