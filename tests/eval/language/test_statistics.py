"""Comparisons, consistency and selective answers, against hand counts and other libraries."""

import itertools
import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats as scipy_stats

from voxzoo.eval.language.compare import compare, compare_all, holm, mcnemar, permutation_test, wilcoxon
from voxzoo.eval.language.consistency import agreement, fleiss_kappa, spread
from voxzoo.eval.language.selective import Judged, filters, risk_coverage
from voxzoo.zoo.errors import InputError

VALUES = st.lists(st.floats(-9, 9).map(lambda v: round(v, 2)), min_size=1, max_size=10)


@given(VALUES)
@settings(max_examples=60, deadline=None)
def test_few_pairs_try_every_sign(values):
    patterns = itertools.product((1, -1), repeat=len(values))
    sums = [abs(math.fsum(s * v for s, v in zip(pattern, values, strict=True))) for pattern in patterns]
    expected = sum(total >= abs(math.fsum(values)) - 1e-9 for total in sums) / len(sums)
    assert permutation_test(values, np.zeros(len(values))) == pytest.approx(expected)


def test_many_pairs_come_near_the_exact_distribution():
    generator = np.random.default_rng(3)
    values = generator.normal(0.4, 1, 24)
    exact = scipy_stats.permutation_test(
        (values, np.zeros(24)),
        lambda x, y, axis: (x - y).mean(axis=axis),
        permutation_type="samples",
        n_resamples=20_000,
        vectorized=True,
        rng=1,
    ).pvalue
    found = permutation_test(values, np.zeros(24))
    assert found == permutation_test(values, np.zeros(24))
    assert found == pytest.approx(exact, abs=0.01)
    assert permutation_test(np.ones(40), np.zeros(40)) == pytest.approx(1 / 20_001)


def test_the_signed_rank_test_leaves_out_ties():
    first, second = [1.0, 2.0, 3.0, 4.0, 5.0, 7.0], [1.0, 1.0, 1.5, 1.0, 6.5, 2.0]
    expected = scipy_stats.wilcoxon(np.subtract(first, second)[1:]).pvalue
    assert wilcoxon(first, second) == expected
    assert math.isnan(wilcoxon([1.0, 2.0], [1.0, 2.0]))


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=40))
def test_mcnemar_is_the_binomial_test_of_the_discordant_pairs(pairs):
    first, second = np.array(pairs, float).T
    better, worse = int((first > second).sum()), int((first < second).sum())
    expected = scipy_stats.binomtest(better, better + worse).pvalue if better + worse else 1.0
    assert mcnemar(first, second) == pytest.approx(expected)


def test_holm_by_hand():
    assert holm({"a": 0.01, "b": 0.02, "c": 0.5}) == {"a": 0.03, "b": 0.04, "c": 0.5}
    adjusted = holm({"a": 0.02, "nothing": math.nan, "b": 0.02})
    assert (adjusted["a"], adjusted["b"]) == (0.04, 0.04)
    assert math.isnan(adjusted["nothing"])
    assert holm({"a": 0.9, "b": 0.8}) == {"a": 1.0, "b": 1.0}


def test_a_comparison_is_of_the_patients_both_have():
    first = {"a": 1.0, "b": 0.0, "c": 1.0, "x": 1.0, "n": math.nan}
    second = {"c": 0.0, "b": 0.0, "a": 0.0, "y": 1.0, "n": 1.0}
    found = compare(first, second)
    assert (found.n, found.second) == (3, 0.0)
    assert (found.first, found.difference) == (pytest.approx(2 / 3), pytest.approx(2 / 3))
    assert (found.only_first, found.only_second) == (("x",), ("y", "n"))
    assert found.mcnemar == 0.5
    assert found.permutation == 0.5
    assert compare({"a": 0.5}, {"a": 0.25}).mcnemar is None
    assert compare({"a": 0.5}, {"a": 0.25}).ci95 is None
    with pytest.raises(InputError, match="share no patient"):
        compare({"a": 1.0}, {"b": 1.0})
    assert len(compare_all({"m": first, "n": second, "o": second})) == 3


def test_the_published_repeats():
    """95 repeats of one image: the study's figures, as distributions."""
    certain, wavering = agreement(["1"] * 95), agreement(["1"] * 53 + ["0"] * 42)
    assert (certain.entropy_bits, certain.flip_rate, certain.agreement) == (0.0, 0.0, 1.0)
    p = 53 / 95
    assert wavering.entropy_bits == pytest.approx(-p * math.log2(p) - (1 - p) * math.log2(1 - p))
    assert wavering.flip_rate == pytest.approx(2 * 53 * 42 / (95 * 94))
    assert wavering.distribution == {"1": 53, "0": 42}
    assert math.isnan(agreement(["1"]).flip_rate)


@given(st.lists(st.sampled_from("abc"), min_size=2, max_size=12))
def test_the_flip_rate_is_the_share_of_pairs_that_differ(answers):
    pairs = list(itertools.combinations(answers, 2))
    assert agreement(answers).flip_rate == pytest.approx(sum(a != b for a, b in pairs) / len(pairs))


def test_fleiss_kappa_of_his_own_example():
    """Table 1 of Fleiss 1971 as it is reprinted widely: 10 subjects, 14 raters, 5 categories, 0.210."""
    table = [
        [0, 0, 0, 0, 14],
        [0, 2, 6, 4, 2],
        [0, 0, 3, 5, 6],
        [0, 3, 9, 2, 0],
        [2, 2, 8, 1, 1],
        [7, 7, 0, 0, 0],
        [3, 2, 6, 3, 0],
        [2, 5, 3, 2, 2],
        [6, 5, 2, 1, 0],
        [0, 2, 2, 3, 7],
    ]
    assert fleiss_kappa(table) == pytest.approx(0.210, abs=5e-4)
    assert math.isnan(fleiss_kappa([[3, 0], [2, 0]]))
    with pytest.raises(InputError, match="2 answers"):
        fleiss_kappa([[1, 0]])


def test_spread_by_hand():
    found = spread([(0, 0), (0, 4)])
    assert (found.deviation, found.rms) == ((0.0, 2.0), 2.0)
    box = spread([(0, 0, 10, 10), (0, 0, 10, 14)])
    assert box.rms == pytest.approx(math.sqrt(4 / 2))


LOSSES = st.lists(st.tuples(st.sampled_from([0.0, 0.5, 1.0]), st.integers(0, 3)), min_size=1, max_size=7)


@given(LOSSES)
@settings(max_examples=80, deadline=None)
def test_risk_is_the_mean_over_every_order_that_ties_allow(pairs):
    losses, sure = map(list, zip(*pairs, strict=True))
    n = len(losses)
    totals, count = np.zeros(n), 0
    for order in itertools.permutations(range(n)):
        if all(sure[a] >= sure[b] for a, b in itertools.pairwise(order)):
            totals += np.cumsum([losses[i] for i in order]) / np.arange(1, n + 1)
            count += 1
    curve = risk_coverage(losses, sure)
    np.testing.assert_allclose(curve.risk, totals / count, atol=1e-12)
    assert curve.aurc == pytest.approx((totals / count).mean())
    assert curve.best <= curve.aurc + 1e-12
    assert curve.risk[-1] == pytest.approx(np.mean(losses))


def test_filters_never_tell_accuracy_without_coverage():
    told = [
        Judged(False, False, 0.0, 0.0, False),
        Judged(True, False, 1.0, 1.0, False),
        Judged(True, True, 0.5, 0.9, False),
        Judged(True, True, 1.0, 0.4, True),
        Judged(True, True, 1.0, 0.9, True),
    ]
    stages = filters(told, agreement=0.8, confidence=0.8)
    assert [(s.name, s.kept, s.coverage) for s in stages] == [
        ("all", 5, 1.0),
        ("parses", 4, 0.8),
        ("valid", 3, 0.6),
        ("agrees", 2, 0.4),
        ("confident", 1, 0.2),
    ]
    assert [s.accuracy for s in stages] == pytest.approx([0.4, 0.5, 2 / 3, 1.0, 1.0])
    assert math.isnan(filters(told[:1])[-1].accuracy)


def test_the_majority_of_equals_is_the_one_given_first():
    assert agreement(["low", "high"]).majority == Counter(["low", "high"]).most_common(1)[0][0] == "low"
