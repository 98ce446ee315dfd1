"""Splits: by patient, balanced, reproducible, round trip, refusals."""

import hashlib
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voxzoo.zoo.cases import Case
from voxzoo.zoo.errors import RunError, UsageError
from voxzoo.zoo.splits import Splits, make_splits


def case(id, patient=None, grade=None):
    return Case(id=id, patient=patient or id, images={}, grade=grade)


cohorts = st.lists(
    st.tuples(st.integers(0, 30), st.sampled_from(["high", "low", None])), min_size=1, max_size=60
).map(lambda rows: [case(f"c{i}", f"p{p}", g) for i, (p, g) in enumerate(rows)])


@settings(max_examples=150, deadline=None)
@given(cases=cohorts, folds=st.integers(2, 6), seed=st.integers(0, 5))
def test_every_case_once_and_no_patient_on_both_sides(cases, folds, seed):
    patients = {c.patient for c in cases}
    if len(patients) < folds:
        with pytest.raises(UsageError, match="ask for fewer folds"):
            make_splits(cases, folds, seed)
        return
    splits = make_splits(cases, folds, seed)
    owner = {c.id: c.patient for c in cases}
    assert sorted(id for ids in splits.folds for id in ids) == sorted(owner)
    for fold in range(folds):
        test, train = splits.test(fold), splits.train(fold)
        assert sorted((*test, *train)) == sorted(owner)
        assert not {owner[id] for id in test} & {owner[id] for id in train}
    sizes = [len({owner[id] for id in ids}) for ids in splits.folds]
    assert max(sizes) - min(sizes) <= 1


@settings(max_examples=60, deadline=None)
@given(
    grades=st.lists(st.sampled_from(["high", "low", None]), min_size=5, max_size=60), seed=st.integers(0, 9)
)
def test_grades_are_even(grades, seed):
    cases = [case(f"c{i}", grade=g) for i, g in enumerate(grades)]
    grade = {c.id: c.grade for c in cases}
    for wanted in ("high", "low", None):
        counts = [sum(grade[id] == wanted for id in ids) for ids in make_splits(cases, 5, seed).folds]
        assert max(counts) - min(counts) <= 1


def test_the_order_of_cases_does_not_matter_the_seed_does():
    cases = [case(f"c{i}") for i in range(30)]
    assert make_splits(cases) == make_splits(reversed(cases))
    assert make_splits(cases, seed=1).folds != make_splits(cases, seed=2).folds


def test_the_rule_is_the_one_written_down():
    """Dealt in the order of sha256(seed:patient), on every machine."""
    ranked = sorted("abcd", key=lambda p: hashlib.sha256(f"3:{p}".encode()).hexdigest())
    expected = (tuple(sorted(ranked[0::2])), tuple(sorted(ranked[1::2])))
    assert make_splits([case(n) for n in "abcd"], folds=2, seed=3).folds == expected


def test_strata_by_a_function():
    cases = [case(f"c{i}") for i in range(10)]
    splits = make_splits(cases, 5, stratify=lambda c: "even" if int(c.id[1:]) % 2 == 0 else "odd")
    assert all(sorted(int(id[1:]) % 2 for id in ids) == [0, 1] for ids in splits.folds)
    assert make_splits(cases, 5, stratify=None).stratify == "none"
    with pytest.raises(UsageError, match="'age': no case has a fact"):
        make_splits(cases, 5, stratify="age")
    with pytest.raises(UsageError, match="name of a fact, None or a function"):
        make_splits(cases, 5, stratify=3)


def test_round_trip(tmp_path):
    cases = [case(f"c{i}", f"p{i // 2}") for i in range(20)]
    splits = make_splits(cases, seed=7)
    splits.save(tmp_path / "splits.json")
    again = Splits.load(tmp_path / "splits.json")
    assert again == splits
    again.check(cases)
    with pytest.raises(UsageError, match="made for other cases"):
        again.check(cases[:-1])
    with pytest.raises(UsageError, match="made for other cases"):
        again.check([*cases[:-1], case("c19", "p0")])
    assert [p.name for p in tmp_path.iterdir()] == ["splits.json"]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"schema": "voxzoo.splits/9"}, "voxzoo.splits/9"),
        ({"seed": "x"}, "'seed' has to be int"),
        ({"folds": [["a"], ["a"]]}, "in two folds"),
        ({"folds": [["a"], "b"]}, "lists of case ids"),
        ({"folds": [[1]]}, "lists of case ids"),
    ],
)
def test_files_that_are_no_splits(tmp_path, change, expected):
    path = tmp_path / "splits.json"
    make_splits([case("a"), case("b")], folds=2).save(path)
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(UsageError, match=expected):
        Splits.load(path)


def test_wrong_use(tmp_path):
    with pytest.raises(UsageError, match="at least 2"):
        make_splits([case("a"), case("b")], folds=1)
    with pytest.raises(UsageError, match="two cases are called a"):
        make_splits([case("a"), case("a", "p")], folds=2)
    splits = make_splits([case("a"), case("b")], folds=2)
    with pytest.raises(UsageError, match="there is no fold 2"):
        splits.train(2)
    with pytest.raises(RunError, match="cannot be written"):
        splits.save(tmp_path / "absent" / "s.json")
    with pytest.raises(UsageError, match="cannot be read"):
        Splits.load(tmp_path / "absent.json")
    (tmp_path / "x.json").write_text("{")
    with pytest.raises(UsageError, match="not JSON"):
        Splits.load(tmp_path / "x.json")
