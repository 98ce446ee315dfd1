"""Flips, likeness, ranks: values by hand, an independent tau, and what must hold of any answers."""

import itertools
import json
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voxzoo.eval.language.compare import holm, permutation_test
from voxzoo.eval.reasoning.ranks import paired_tests, rank_stability
from voxzoo.eval.reasoning.scoring import lexical
from voxzoo.eval.reasoning.stability import FIGURES, Answered, likeness, stability, stability_record
from voxzoo.zoo.errors import InputError

YES, NO = True, False


def exact(first, second):
    return float(first == second)


def rows(told, model="m", arm="true", item="i"):
    """prompt -> [(hits, text) of each repeat]."""
    return [
        Answered(model, item, arm, prompt, repeat, hits, sum(hits) / max(len(hits), 1), text)
        for prompt, answers in told.items()
        for repeat, (hits, text) in enumerate(answers)
    ]


TWO = rows(
    {
        "plain": [((YES, YES), "a"), ((YES, NO), "a"), ((YES, NO), "b")],
        "formal": [((YES, YES), "a"), ((YES, YES), "a"), ((NO, YES), "a")],
    }
)


def test_flips_by_hand():
    """Two key points, two prompts, three repeats.

    Within: in each prompt one of two key points flips. Pairs that differ: plain: none of 3, and 2 of 3;
    formal: 2 of 3, and none; over the 6 pairs of a key point 2/6 and 2/6.
    Majorities: (yes, no) and (yes, yes). Between, of 9 pairs: first key point 3, second 6.
    """
    found = stability(TWO, alike=exact)
    assert {name: found[name].value for name in FIGURES} == pytest.approx(
        {
            "flips_within": 2 / 4,
            "flips_between": 1 / 2,
            "flip_rate_within": 1 / 3,
            "flip_rate_between": (3 / 9 + 6 / 9) / 2,
            "likeness_within": (1 + 3) / 6,
            "likeness_between": 6 / 9,
        }
    )
    assert [found[name].n for name in FIGURES] == [4, 2, 2, 2, 1, 1]
    assert all(found[name].ci95 is None for name in FIGURES), "one item has no interval"


def test_arms_and_items_are_never_mixed():
    mixed = [
        *rows({"plain": [((YES,), "a")]}, arm="true"),
        *rows({"plain": [((NO,), "b")]}, arm="without"),
        *rows({"formal": [((NO,), "b")]}, item="j"),
    ]
    found = stability(mixed, alike=exact)
    assert {figure.reason for figure in found.values()} == {"one repeat", "one prompt"}
    assert all(figure.value is None and figure.n == 0 for figure in found.values())


@pytest.mark.parametrize(
    ("told", "reasons"),
    [
        ({}, {"no answers to compare"}),
        ({"plain": [((YES,), "a")]}, {"one repeat", "one prompt"}),
        ({"plain": [((YES,), "a"), ((YES,), "a")]}, {"", "one prompt"}),
        ({"plain": [((YES,), "a")], "formal": [((YES,), "a")]}, {"one repeat", ""}),
    ],
)
def test_what_cannot_be_known_says_why(told, reasons):
    found = stability(rows(told), alike=exact).values()
    assert {figure.reason for figure in found} == reasons
    assert all((figure.value is None) == bool(figure.reason) for figure in found)


def test_silence_is_no_agreement():
    silent = rows({"plain": [((NO,), ""), ((NO,), " ")], "formal": [((NO,), "")]})
    found = stability(silent, alike=exact)
    assert found["likeness_within"].value is None
    assert found["likeness_within"].reason == "no answers to compare"
    assert found["flips_within"].value == 0
    half = rows({"plain": [((YES,), "a"), ((NO,), "")]})
    assert stability(half, alike=exact)["likeness_within"].value == 0


def test_intervals_draw_units():
    told = [
        row
        for n in range(8)
        for row in rows({"plain": [((n % 2 == 0,), "a")], "formal": [((YES,), "a")]}, item=f"i{n}")
    ]
    by_item = stability(told, alike=exact)["flips_between"]
    assert by_item.value == 0.5
    assert 0 <= by_item.ci95[0] < 0.5 < by_item.ci95[1] <= 1
    again = stability(told, alike=exact)["flips_between"]
    assert again == by_item
    together = stability(told, alike=exact, units={f"i{n}": str(n // 2) for n in range(8)})["flips_between"]
    assert together.ci95 == (0.5, 0.5), "every unit has one of each"
    of_one = dict.fromkeys((row.item for row in told), "u")
    assert stability(told, alike=exact, units=of_one)["flips_between"].ci95 is None


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (rows({"p": [((YES,), "")]}) + rows({"p": [((YES,), "")]}, model="n"), "expected those of one model"),
        (rows({"p": [((YES,), "")]}) * 2, "repeat 0 is there twice"),
        (rows({"p": [((YES,), ""), ((YES, NO), "")]}), "got 1 and 2 key points"),
    ],
)
def test_bad_rows(bad, message):
    with pytest.raises(InputError, match=message):
        stability(bad, alike=exact)


def test_likeness_is_chrf_both_ways():
    pytest.importorskip("sacrebleu", reason="chrF is the library's")
    from voxzoo.eval.reasoning.scoring.lexical import chrf

    a, b = "stop smoking", "stop smoking and drinking"
    assert likeness(a, b) == likeness(b, a) == pytest.approx((chrf(a, b) + chrf(b, a)) / 2)
    assert likeness("x", " x ") == 1
    assert likeness("abc", "xyz") == likeness("abc", "") == 0


def test_without_the_library_likeness_says_so(monkeypatch):
    monkeypatch.setattr(lexical, "package_found", lambda package: False)
    for found in (stability(TWO), stability([])):
        assert found["likeness_within"].value is None
        assert found["likeness_within"].reason == 'sacrebleu is not installed: pip install "voxzoo[reason]"'
    assert stability(TWO)["flips_within"].value == 0.5
    record = stability_record(TWO, {"i": "causes"})
    assert record["all"]["likeness_between"]["reason"].startswith("sacrebleu")


def test_the_record_by_section():
    told = TWO + rows({"plain": [((YES,), "a")], "formal": [((NO,), "b")]}, item="j")
    record = stability_record(told, {"i": "causes", "j": "treatment"}, alike=exact)
    assert (record["prompts"], record["arms"], record["repeats"]) == (["plain", "formal"], ["true"], 3)
    assert list(record["sections"]) == ["causes", "treatment"]
    assert record["sections"]["treatment"]["flips_between"]["value"] == 1
    assert record["sections"]["treatment"]["flips_within"] == {
        "value": None,
        "n": 0,
        "ci95": None,
        "reason": "one repeat",
    }
    assert record["all"]["flips_between"]["value"] == pytest.approx(2 / 3)
    assert json.loads(json.dumps(record)) == record
    with pytest.raises(InputError, match="'j': got no section"):
        stability_record(told, {"i": "causes"})


HITS = st.tuples(st.booleans(), st.booleans())
ANSWERS = st.dictionaries(
    st.sampled_from(["p", "q", "r"]),
    st.lists(st.tuples(HITS, st.sampled_from(["", "a", "b"])), min_size=1, max_size=4),
    max_size=3,
)


@given(ANSWERS)
@settings(max_examples=60, deadline=None)
def test_of_any_answers(told):
    found = stability(rows(told), alike=exact)
    for figure in found.values():
        assert figure.value is None or 0 <= figure.value <= 1
    reversed_rows = stability(rows({prompt: told[prompt] for prompt in reversed(told)})[::-1], alike=exact)
    for name in FIGURES:
        a, b = found[name].value, reversed_rows[name].value
        assert a == b if a is None else a == pytest.approx(b)
    if found["flips_within"].value == 0:
        assert found["flip_rate_within"].value == 0
    if found["flip_rate_between"].value == 0:
        assert found["flips_between"].value == 0


@given(HITS, st.integers(2, 3), st.integers(2, 3))
@settings(max_examples=10, deadline=None)
def test_the_same_answer_always_never_flips(hits, prompts, repeats):
    told = rows({f"p{n}": [(hits, "a")] * repeats for n in range(prompts)})
    found = stability(told, alike=likeness)
    assert [found[name].value for name in FIGURES] == [0, 0, 0, 0, 1, 1]


def scored(values):
    """model -> prompt -> scores of items."""
    return [
        Answered(model, f"i{n}", "true", prompt, 0, (), score)
        for model, told in values.items()
        for prompt, scores in told.items()
        for n, score in enumerate(scores)
    ]


def tau_b(x, y):
    """Kendall 1945, by counting pairs."""
    pairs = list(itertools.combinations(range(len(x)), 2))
    signs = [((x[i] > x[j]) - (x[i] < x[j]), (y[i] > y[j]) - (y[i] < y[j])) for i, j in pairs]
    up, across = (sum(s[n] != 0 for s in signs) for n in (0, 1))
    return sum(a * b for a, b in signs) / math.sqrt(up * across) if up and across else None


def test_ranks_by_hand():
    """Orders a > b > c and a > c > b: two pairs of models agree, one does not: tau 1/3."""
    found = rank_stability(
        scored(
            {
                "a": {"p": [0.9, 0.9], "q": [0.8, 0.8]},
                "b": {"p": [0.5, 0.5], "q": [0.1, 0.1]},
                "c": {"p": [0.2, 0.2], "q": [0.6, 0.6]},
            }
        )
    )
    assert found.tau.value == pytest.approx(1 / 3)
    assert found.tau.ci95 == pytest.approx((1 / 3, 1 / 3)), "all items say the same"
    assert found.taus == {("p", "q"): pytest.approx(1 / 3)}
    assert found.means["b"] == {"p": 0.5, "q": pytest.approx(0.1)}
    assert (found.items, found.left_out, found.tau.n) == (2, (), 1)
    assert json.loads(json.dumps(found.record()))["tau"]["n"] == 1


PROMPTS = st.lists(st.lists(st.integers(0, 3), min_size=3, max_size=3), min_size=3, max_size=3)


@given(st.lists(PROMPTS, min_size=2, max_size=4))
@settings(max_examples=25, deadline=None)
def test_tau_by_an_independent_count(told):
    names = [f"p{n}" for n in range(len(told[0]))]
    values = {f"m{n}": dict(zip(names, prompts, strict=True)) for n, prompts in enumerate(told)}
    found = rank_stability(scored(values), resamples=50)
    sums = {p: [sum(values[m][p]) for m in values] for p in names}
    expected = {(a, b): tau_b(sums[a], sums[b]) for a, b in itertools.combinations(names, 2)}
    for pair, tau in expected.items():
        assert found.taus.get(pair) == (tau if tau is None else pytest.approx(tau))
    defined = [tau for tau in expected.values() if tau is not None]
    assert found.tau.value == (pytest.approx(sum(defined) / len(defined)) if defined else None)
    assert found.tau.reason == ("" if defined else "all models are tied")
    if found.tau.ci95:
        low, high = found.tau.ci95
        assert -1 - 1e-9 <= low <= high <= 1 + 1e-9


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({}, "no answers to compare"),
        ({"a": {"p": [1.0], "q": [0.5]}}, "one model"),
        ({"a": {"p": [1.0]}, "b": {"p": [0.5]}}, "one prompt"),
        (
            {"a": {"p": [1.0], "q": []}, "b": {"p": [0.5], "q": [1.0]}},
            "no item that all answered in all prompts",
        ),
        ({"a": {"p": [1.0], "q": [1.0]}, "b": {"p": [1.0], "q": [0.5]}}, "all models are tied"),
    ],
)
def test_no_rank_without_an_order(values, reason):
    found = rank_stability(scored(values))
    assert (found.tau.value, found.tau.ci95, found.tau.reason) == (None, None, reason)


def test_repeats_are_averaged_and_incomplete_items_named():
    told = scored({"a": {"p": [1.0, 1.0], "q": [1.0]}, "b": {"p": [0.0, 1.0], "q": [0.0]}})
    told += [Answered("b", "i0", "true", "p", 1, (), 1.0)]
    found = rank_stability(told)
    assert (found.items, found.left_out) == (1, ("i1",))
    assert found.means["b"]["p"] == 0.5
    with pytest.raises(InputError, match="arms true, without"):
        rank_stability([*told, Answered("a", "i0", "without", "p", 0, (), 1.0)])


def test_intervals_of_tau_are_seeded():
    values = {
        name: {p: [((n * k + s) % 7) / 7 for n in range(12)] for s, p in enumerate("pq")}
        for name, k in (("a", 1), ("b", 3), ("c", 5))
    }
    first, again = rank_stability(scored(values)), rank_stability(scored(values))
    assert first.tau == again.tau
    assert first.tau.ci95[0] <= first.tau.value <= first.tau.ci95[1]


def test_paired_tests_by_hand():
    values = {
        "a": {"p": [1.0] * 6, "q": [0.8] * 6},
        "b": {"p": [0.5] * 6, "q": [0.5] * 6},
        "c": {"p": [0.5, 0.6, 0.4, 0.5, 0.5, 0.5], "q": [0.5] * 6},
    }
    tests, reason = paired_tests(scored(values))
    assert reason == ""
    found = {(test.first, test.second): test for test in tests}
    assert found["a", "b"].found.difference == pytest.approx(0.4)
    assert found["a", "b"].found.permutation == 2 / 2**6
    raw = {
        "ab": 2 / 64,
        "ac": permutation_test([0.9] * 6, [0.5, 0.55, 0.45, 0.5, 0.5, 0.5]),
        "bc": permutation_test([0.5] * 6, [0.5, 0.55, 0.45, 0.5, 0.5, 0.5]),
    }
    adjusted = holm(raw)
    assert {a + b: test.p_holm for (a, b), test in found.items()} == pytest.approx(adjusted)
    assert json.loads(json.dumps([test.record() for test in tests]))[0]["n"] == 6


def test_units_of_paired_tests():
    tests, _ = paired_tests(
        scored({"a": {"p": [1.0] * 4}, "b": {"p": [0.0] * 4}}),
        units={f"i{n}": f"u{n // 2}" for n in range(4)},
    )
    assert (tests[0].found.n, tests[0].found.permutation) == (2, 0.5)


def test_no_paired_test_of_one():
    assert paired_tests(scored({"a": {"p": [1.0]}})) == ([], "one model")
    assert paired_tests([]) == ([], "no answers to compare")
