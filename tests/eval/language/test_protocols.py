"""The rules, one by one, on answers small enough to count by hand."""

import math

import pytest

from voxzoo.eval.language.baselines import answer_as
from voxzoo.eval.language.center import score_center
from voxzoo.eval.language.grade import gldr, rates, score_grade, winner
from voxzoo.eval.language.items import lay_out, parse_all
from voxzoo.eval.language.protocols import Protocol, named, side_by_side
from voxzoo.eval.language.references import CaseReference, References
from voxzoo.eval.language.regions import score_box, score_polygon
from voxzoo.eval.language.transcripts import Answer
from voxzoo.zoo.errors import InputError, UsageError
from voxzoo.zoo.tasks.prompt import prompt_task


def sheet(task, answers, cases, parser="lenient", slices="all", **more):
    """``answers``: (case, slice, raw)."""
    given = [
        Answer(task, "m", case, index, raw, **more, line=line)
        for line, (case, index, raw) in enumerate(answers, 1)
    ]
    known = References("toy", {case.case: case for case in cases})
    return lay_out(given, parse_all(given, prompt_task(task), parser, known.shape), known, slices)


def patient(name, label=1, span=(0, 94), **more):
    return CaseReference(name, name, label, tumour={"axial": span}, **more)


@pytest.mark.parametrize(
    ("votes", "author", "two_class"),
    [
        ([2, 1, 0, 0], 0, 0),
        ([1, 2, 0, 0], 1, 1),
        ([2, 2, 0, 0], 0, 0),  # a tie goes to the lower code
        ([1, 2, 2, 0], 1, 1),
        ([1, 2, 3, 0], 2, 1),
        ([0, 2, 2, 3], 3, 1),
        ([0, 0, 5, 1], 2, 0),  # nobody voted low or high: a tie
    ],
)
def test_the_winner_by_each_rule(votes, author, two_class):
    assert winner(votes, "author") == winner(votes, "abstain-wrong") == author
    assert winner(votes, "two-class") == two_class


def test_gldr_by_hand():
    assert gldr([1, 3, 7, 7]) == 0.75
    assert math.isnan(gldr([0, 0, 3, 1]))


def grades():
    """a: high, right; b: low, called high; c: says none; d: no slice; e: nothing recorded."""
    cases = [patient("a"), patient("b", 0), patient("c"), patient("d", span=None), patient("e", 0)]
    answers = [("a", 1, "Choice: 1"), ("b", 1, "Choice: 1"), ("c", 1, "Choice: 2"), ("c", 2, "no idea")]
    return answers, cases


@pytest.mark.parametrize(
    ("vote", "no_slices", "cells", "left_out"),
    [
        ("author", "drop", (1, 0, 1, 0), {"abstained": ("c",), "no_slices": ("d",), "not_recorded": ("e",)}),
        ("author", "low", (1, 0, 1, 1), {"abstained": ("c",), "not_recorded": ("e",)}),
        ("author", "wrong", (1, 0, 1, 1), {"abstained": ("c",), "not_recorded": ("e",)}),
        ("two-class", "drop", (1, 0, 1, 1), {"no_slices": ("d",), "not_recorded": ("e",)}),
        ("abstain-wrong", "wrong", (1, 0, 1, 2), {"not_recorded": ("e",)}),
    ],
)
def test_who_counts_as_what(vote, no_slices, cells, left_out):
    rules = Protocol(vote=vote, no_slices=no_slices)
    found = score_grade(sheet("grade", *grades()), rules)
    assert tuple(found.counts[name] for name in ("tp", "tn", "fp", "fn")) == cells
    assert found.left_out == left_out
    assert found.values["auc"] == 0.5
    assert found.facts["auc_from"] == "vote share"


def test_a_patient_who_is_not_recorded_may_be_assumed_and_is_named():
    found = score_grade(sheet("grade", *grades()), named("paper", "grade", assumed={"e": "low"}))
    assert (found.counts["tn"], found.facts["assumed"]) == (1, {"e": "low"})
    with pytest.raises(UsageError, match="nothing is recorded"):
        score_grade(sheet("grade", *grades()), named("paper", "grade", assumed={"a": "low"}))


def test_real_probabilities_rank_where_there_are_any():
    cases = [patient("a"), patient("b", 0)]
    given = sheet(
        "grade",
        [("a", 1, "Choice: 1"), ("b", 1, "Choice: 1")],
        cases,
        probabilities={"low": 0.2, "high": 0.6},
    )
    found = score_grade(given, named("all", "grade"))
    assert found.facts["auc_from"] == "class probabilities"
    assert found.patients["a"]["score"] == pytest.approx(0.75)


def test_rates_of_the_confusion_of_a_cnn():
    """Table 2 of the study, from its confusion matrix."""
    found = rates(tp=37, tn=7, fp=4, fn=7)
    expected = {"accuracy": 0.8, "f1": 0.8706, "precision": 0.9024, "recall": 0.8409, "specificity": 0.6364}
    assert {name: round(found[name], 4) for name in expected} == expected
    assert found["balanced_accuracy"] == pytest.approx((37 / 44 + 7 / 11) / 2)
    spread = math.sqrt((37 + 4) * (37 + 7) * (7 + 4) * (7 + 7))
    assert found["mcc"] == pytest.approx((37 * 7 - 4 * 7) / spread)
    assert set(rates(0, 0, 0, 0).values()) == {0.0}


@pytest.mark.parametrize(
    ("slices", "kept", "no_slices", "not_recorded"),
    [
        ("all", ["a", "b"], (), ()),
        ("core20", ["a"], ("b",), ()),  # b's tumour is too short to have inner slices
        ("tumour", ["a", "b"], (), ()),
    ],
)
def test_which_slices_count(slices, kept, no_slices, not_recorded):
    cases = [patient("a", span=(0, 50)), patient("b", span=(10, 20))]
    answers = [("a", 25, "Choice: 1"), ("a", 5, "Choice: 1"), ("a", 60, "Choice: 1"), ("b", 15, "Choice: 1")]
    found = sheet("grade", answers, cases, slices=slices)
    assert list(found.patients) == kept
    assert [item.answer.slice for item in found.patients["a"]] == {
        "all": [25, 5, 60],
        "core20": [25],
        "tumour": [25, 5],
    }[slices]
    assert (found.no_slices, found.not_recorded) == (no_slices, not_recorded)


def test_a_recording_of_inner_slices_says_which_patients_had_none():
    cases = [patient("a", span=(0, 50)), patient("b", span=(10, 20)), patient("c", span=(0, 60))]
    found = sheet("grade", [("a", 25, "Choice: 1")], cases)
    assert (found.no_slices, found.not_recorded) == (("b",), ("c",))


BOX = "[(10, 10), (10, 19), (19, 19), (19, 10)]"


def test_an_unanswered_slice_is_skipped_or_a_miss():
    cases = [
        patient("a", boxes={1: (10, 10, 19, 19), 2: (10, 10, 19, 19)}),
        patient("b", boxes={1: (0, 0, 5, 5)}),
    ]
    given = sheet("box", [("a", 1, BOX), ("a", 2, "sorry"), ("a", 3, BOX), ("b", 1, "sorry")], cases)
    answered = score_box(given, named("answered", "box"))
    assert (answered.values["dice"], answered.counts["patients"]) == (1.0, 1)
    assert answered.left_out == {"unscored": ("b",)}
    everything = score_box(given, named("all", "box", empty=50))
    assert everything.patients["a"]["dice"] == 0.5
    assert everything.patients["a"]["hd95"] == 25.0
    assert everything.patients["b"]["hd95"] == 50.0
    assert (everything.values["dice"], everything.counts["patients"]) == (0.25, 2)
    assert (everything.counts["unanswered"], everything.counts["no_reference"]) == (2, 1)


def test_a_stale_reference_is_the_last_one_that_was_scored():
    quoted = [[10, 10, 19, 19], None, None]
    answers = [Answer("box", "m", "a", k, BOX, quoted={"box": box}) for k, box in enumerate(quoted)]
    answers.append(Answer("box", "m", "b", 0, BOX, quoted={"box": None}))
    known = References("toy", {name: patient(name) for name in "ab"})
    given = lay_out(answers, parse_all(answers, prompt_task("box"), "strict", known.shape), known)
    stale = score_box(given, named("paper", "box"))
    assert (stale.counts["stale_reference"], stale.counts["slices_scored"]) == (3, 4)
    fresh = score_box(given, named("paper", "box", quirks=("quoted-reference", "half-open-box", "row-edges")))
    assert (fresh.counts["slices_scored"], fresh.left_out["unscored"]) == (1, ("b",))


def test_boxes_stacked_in_a_volume():
    cases = [patient("a", boxes={1: (10, 10, 19, 19), 2: (10, 10, 19, 19)})]
    given = sheet("box", [("a", 1, BOX), ("a", 2, "sorry")], cases)
    found = score_box(given, named("answered", "box", pooling="volume"))
    assert found.values["dice"] == pytest.approx(2 * 100 / (100 + 200))
    assert found.values["hd"] == 1.0


def test_points_in_and_beside_a_box():
    cases = [patient("a", boxes=dict.fromkeys(range(3), (10, 10, 20, 30)), spacing_mm=(2.0, 0.5))]
    given = sheet("center", [("a", 0, "(15, 25)"), ("a", 1, "(7, 34)"), ("a", 2, "(-1, -1)")], cases)
    found = score_center(given, named("all", "center"))
    assert found.values["in_box"] == pytest.approx(1 / 3)
    assert found.values["shortest_p95"] == pytest.approx(0.95 * 5)
    assert found.values["euclid_p95"] == pytest.approx(5 + 0.95 * (math.hypot(8, 14) - 5))
    assert found.values["shortest_p95_mm"] == pytest.approx(0.95 * math.hypot(6, 2))
    assert score_center(given, named("answered", "center")).values["in_box"] == 0.5
    study = score_center(given, named("paper", "center"))  # 5 and 3 pixels to the nearest edge line
    assert study.values["shortest_p95"] == 4.9


def test_a_patient_without_any_point_is_a_miss_at_the_penalty():
    given = sheet("center", [("a", 0, "no")], [patient("a", boxes={0: (1, 1, 2, 2)})])
    assert score_center(given, named("all", "center", empty=99)).values == {
        "in_box": 0.0,
        "shortest_p95": 99.0,
        "euclid_p95": 99.0,
    }
    assert math.isnan(score_center(given, named("answered", "center")).values["in_box"])


TRIANGLE = ((10, 10), (10, 30), (30, 10))


def test_polygons_need_three_points_but_in_the_study():
    cases = [patient("a", polygons=dict.fromkeys((1, 2), TRIANGLE))]
    answers = [("a", 1, str(TRIANGLE)), ("a", 2, "(20, 15), (12, 12)")]
    assert score_polygon(sheet("polygon", answers, cases), named("all", "polygon")).values["dice"] == 0.5
    study = score_polygon(sheet("polygon", answers, cases, parser="strict"), named("paper", "polygon"))
    assert study.counts["unanswered"] == 0
    assert study.values["precision"] == 1.0


def test_a_patient_without_slices_is_zero_in_the_study_only():
    cases = [
        patient("a", polygons={1: TRIANGLE}, asked={"polygon": (1, 1)}),
        patient("b", asked={"polygon": None}),
    ]
    given = sheet("polygon", [("a", 1, str(TRIANGLE))], cases, parser="strict")
    study = score_polygon(given, named("paper", "polygon"))
    assert (study.values["dice"], study.values["hd"], study.counts["patients"]) == (0.5, 64.0, 2)
    assert score_polygon(given, named("answered", "polygon")).left_out == {"no_slices": ("b",)}


def test_repeats_are_items_of_their_slice_and_volumes_of_their_own():
    cases = [patient("a", boxes={1: (10, 10, 19, 19)})]
    answers = [Answer("box", "m", "a", 1, raw, repeat=k) for k, raw in enumerate((BOX, "sorry"))]
    known = References("toy", {"a": cases[0]})
    given = lay_out(answers, parse_all(answers, prompt_task("box"), "lenient", known.shape), known)
    assert score_box(given, named("all", "box")).values["dice"] == 0.5
    assert score_box(given, named("all", "box", pooling="volume")).values["dice"] == 0.5


def test_trivial_answers_leave_out_what_the_model_left_out():
    cases = [patient("a", boxes={1: (10, 10, 19, 19), 2: (0, 0, 127, 127)})]
    given = sheet("box", [("a", 1, BOX), ("a", 2, "sorry")], cases)
    rules = named("answered", "box")
    full = score_box(answer_as("full-frame", given, rules), rules)
    assert full.values["dice"] == pytest.approx(2 * 100 / (128 * 128 + 100))
    rules = named("all", "box")
    assert score_box(answer_as("full-frame", given, rules), rules).counts["slices_scored"] == 2
    again = [score_box(answer_as("random-box", given, rules, seed), rules).values for seed in (0, 0, 1)]
    assert again[0] == again[1] != again[2]


def test_the_three_protocols_are_presets():
    assert named("paper", "box").to_dict() == {
        "name": "paper",
        "parser": "strict",
        "vote": "author",
        "no_slices": "drop",
        "slices": "all",
        "empty": 128.0,
        "unanswered": "skip",
        "pooling": "slice",
        "quirks": ["quoted-reference", "stale-reference", "half-open-box", "row-edges"],
    }
    assert named("answered", "grade") == Protocol(
        "answered", "lenient", "two-class", "drop", unanswered="skip"
    )
    assert named("all", "grade") == Protocol("all", "lenient", "abstain-wrong", "wrong")


def test_options_change_the_protocol_asked_for_and_not_what_the_others_are():
    found = side_by_side("paper", "grade", {"slices": "core20", "no_slices": "low", "vote": None})
    assert found["paper"].name == "paper+no_slices=low+slices=core20"
    assert {name: rules.no_slices for name, rules in found.items()} == {
        "paper": "low",
        "answered": "drop",
        "all": "wrong",
    }
    assert {rules.slices for rules in found.values()} == {"core20"}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"vote": "loudest"}, "vote: got 'loudest'"),
        ({"empty": "much"}, "empty='much'"),
        ({"quirks": ("typos",)}, "'typos' is none of"),
        ({"quirks": "first-15"}, "expected a list"),
        ({"colour": "red"}, "unknown rule 'colour'"),
    ],
)
def test_a_rule_that_cannot_be_is_refused(options, words):
    with pytest.raises((UsageError, InputError), match=words):
        named("all", "box", **options)


def test_a_protocol_that_is_none_is_refused():
    with pytest.raises(UsageError, match="paper, answered, all"):
        side_by_side("best", "box", {})
