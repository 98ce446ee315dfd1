"""Subgroups against values worked out by hand."""

import pytest

from voxzoo.cards.runs import read_run
from voxzoo.cards.subgroups import subgroups


def test_sizes_by_hand(made):
    """150 ml: 0.9; 20 ml: 0.5; 60 ml: 0.8; 10 ml: 0.1."""
    groups = subgroups(read_run(made.write(made.segment())))
    assert [(g.by, g.name, g.n, g.missing) for g in groups] == [
        ("tumour size", "below 30 ml", 2, 0),
        ("tumour size", "30 to 100 ml", 1, 0),
        ("tumour size", "100 ml or more", 1, 0),
    ]
    assert [g.cells["dice"].mean for g in groups] == [pytest.approx(0.3), 0.8, 0.9]
    assert groups[0].cells["dice"].ci95[0] <= 0.3 <= groups[0].cells["dice"].ci95[1]
    assert groups[1].cells["dice"].ci95 is None


def test_facts_and_their_absence_add_up(made):
    plain = made.segment()
    for record, grade, site in zip(plain["cases"], ("high", "low", "high", None), "aabb", strict=True):
        record["facts"] = {"site": site, **({"grade": grade} if grade else {})}
    plain["cases"][1]["status"] = "failed"
    groups = [g for g in subgroups(read_run(made.write(plain))) if g.by != "tumour size"]
    assert [(g.by, g.name, g.n, g.missing) for g in groups] == [
        ("grade", "high", 2, 0),
        ("grade", "low", 1, 1),
        ("grade", "", 1, 0),
        ("site", "a", 2, 1),
        ("site", "b", 2, 0),
    ]
    assert groups[0].cells["dice"].mean == pytest.approx(0.85)


def test_one_group_is_no_subgroup(made):
    plain = made.segment()
    for record in plain["cases"]:
        record["facts"] = {"grade": "high"}
        record["metrics"]["volume_ref_ml"] = 50.0
    assert subgroups(read_run(made.write(plain))) == []


def test_cases_of_one_patient_count_once(made):
    plain = made.segment()
    plain["cases"][3]["patient"] = "p1"  # 20 ml and 10 ml, 0.5 and 0.1, now one patient
    small = subgroups(read_run(made.write(plain)))[0]
    assert (small.n, small.cells["dice"].mean) == (1, pytest.approx(0.3))


def test_classes_by_truth(made):
    groups = subgroups(read_run(made.write(made.classify())))
    assert [(g.by, g.name, g.n, g.cells["correct"].mean) for g in groups] == [
        ("class", "a", 2, 0.5),
        ("class", "b", 2, 1.0),
    ]
