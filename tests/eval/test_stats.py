"""The bootstrap and its unit, the patient."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats as scipy_stats

from voxzoo.eval import stats
from voxzoo.zoo.errors import InputError

UNIT = st.floats(0, 1, allow_nan=False)


def test_cases_of_one_patient_are_averaged_first():
    values = stats.by_patient(["a", "b", "a", "a"], [0.0, 1.0, 0.3, 0.6])
    assert values.tolist() == pytest.approx([0.3, 1.0])


def test_undefined_values_leave_a_patient_who_has_others():
    values = stats.by_patient(["a", "a", "b"], [math.nan, 0.5, math.nan])
    assert values[0] == 0.5
    assert math.isnan(values[1])


def test_lengths_have_to_agree():
    with pytest.raises(InputError, match="2 patients and 1 values"):
        stats.by_patient(["a", "b"], [1.0])


@given(st.lists(UNIT, min_size=1, max_size=20), st.randoms())
def test_the_mean_does_not_depend_on_the_order(values, random):
    shuffled = values.copy()
    random.shuffle(shuffled)
    assert stats.mean(np.array(values)) == stats.mean(np.array(shuffled))


@pytest.mark.parametrize("n", [5, 20])
@pytest.mark.parametrize("statistic", [None, np.median])
def test_interval_agrees_with_scipys_bca(n, statistic):
    sample = np.random.default_rng(n).beta(5, 1.5, n)
    ours = stats.bootstrap_ci(sample, statistic, resamples=8_000, seed=1)
    theirs = scipy_stats.bootstrap(
        (sample,), statistic or np.mean, n_resamples=8_000, method="BCa", vectorized=False, rng=2
    ).confidence_interval
    width = theirs.high - theirs.low
    # Two draws of 8,000: their quantiles differ by a few percent of the width.
    assert ours == pytest.approx((theirs.low, theirs.high), abs=0.08 * width)


def test_interval_covers_the_truth_about_as_often_as_it_says():
    generator = np.random.default_rng(0)
    hits = 0
    for trial in range(300):
        low, high = stats.bootstrap_ci(generator.normal(0.8, 0.1, 30), resamples=400, seed=trial)
        hits += low <= 0.8 <= high
    assert 0.88 <= hits / 300 <= 0.98


@given(st.lists(UNIT, min_size=2, max_size=12), st.integers(0, 5))
def test_interval_lies_within_the_sample_and_repeats(values, seed):
    sample = np.array(values)
    first = stats.bootstrap_ci(sample, resamples=200, seed=seed)
    assert first == stats.bootstrap_ci(sample, resamples=200, seed=seed)
    slack = 1e-12
    assert min(values) - slack <= first[0] <= first[1] <= max(values) + slack


def test_a_statistic_of_rows():
    """Accuracy of (truth, answer) pairs: not a mean of one column, but a statistic of patients."""
    pairs = np.array([[1, 1], [1, 0], [0, 0], [1, 1], [0, 1], [0, 0]])
    low, high = stats.bootstrap_ci(pairs, lambda rows: float((rows[:, 0] == rows[:, 1]).mean()))
    assert 0 <= low < 4 / 6 < high <= 1


@pytest.mark.parametrize("sample", [[], [0.5], [0.5, math.inf], [0.5, math.nan]])
def test_no_interval_where_there_is_none(sample):
    assert stats.bootstrap_ci(np.array(sample)) is None


def test_alike_values_have_an_interval_of_no_width():
    assert stats.bootstrap_ci(np.full(7, 0.1)) == (0.1, 0.1)


def test_large_samples_are_drawn_in_pieces():
    sample = np.random.default_rng(0).random(3_000)
    low, high = stats.bootstrap_ci(sample, resamples=1_000)
    half_width = 1.96 * sample.std() / math.sqrt(len(sample))
    assert (high - low) / 2 == pytest.approx(half_width, rel=0.1)


@pytest.mark.parametrize("bad", [{"confidence": 0.0}, {"confidence": 95}, {"resamples": 0}])
def test_bad_arguments(bad):
    with pytest.raises(InputError):
        stats.bootstrap_ci(np.arange(3.0), **bad)


def mean_of(values):
    """A figure as ``bootstrap_together`` wants it."""
    return lambda weights: (weights @ values / weights.sum(axis=1))[:, None]


@pytest.mark.parametrize("n", [5, 40])
def test_together_is_the_same_as_alone(n):
    sample = np.random.default_rng(n).beta(5, 1.5, n)
    (together,) = stats.bootstrap_together(range(n), mean_of(sample), seed=4)
    assert together == pytest.approx(stats.bootstrap_ci(sample, seed=4), rel=1e-9)


def test_together_of_a_statistic_that_is_no_mean_agrees_with_scipys_bca():
    a, b = np.random.default_rng(3).beta([[4], [2]], 2, (2, 30))

    def ratio(weights):
        return (weights @ a / (weights @ b))[:, None]

    (ours,) = stats.bootstrap_together(range(30), ratio, resamples=8_000, seed=1)
    theirs = scipy_stats.bootstrap(
        (a, b),
        lambda x, y: x.sum() / y.sum(),
        paired=True,
        n_resamples=8_000,
        method="BCa",
        vectorized=False,
        rng=2,
    ).confidence_interval
    assert ours == pytest.approx((theirs.low, theirs.high), abs=0.08 * (theirs.high - theirs.low))


def test_all_cases_of_a_drawn_patient_come_along():
    """Patients with two and one case: the mean of a draw is of cases, the draw is of patients."""
    drawn = []

    def watched(weights):
        drawn.extend(map(tuple, weights.astype(int).tolist()))
        return weights[:, :1]

    stats.bootstrap_together(["a", "a", "b"], watched, resamples=100)
    observed, left_out = drawn[0], drawn[-2:]
    assert observed == (1, 1, 1)
    assert sorted(left_out) == [(0, 0, 1), (1, 1, 0)]
    assert set(drawn[1:-2]) == {(2, 2, 0), (1, 1, 1), (0, 0, 2)}


def test_many_patients_are_left_out_in_groups():
    rows = []
    stats.bootstrap_together(range(1001), lambda w: rows.append(len(w)) or w[:, :1], resamples=1)
    assert sum(rows) == 1 + 1 + stats.MOST_LEFT_OUT


def test_undefined_resamples_are_left_out_while_they_are_few():
    def sometimes(share):
        def figures(weights):
            values = weights @ np.arange(20.0)
            values[len(values) - int(share * len(values)) :] = np.nan
            return values[:, None]

        return figures

    assert stats.bootstrap_together(range(20), sometimes(0.04))[0] is not None
    assert stats.bootstrap_together(range(20), sometimes(0.06))[0] is None
    nothing = stats.bootstrap_together(range(20), lambda w: np.full((len(w), 2), np.nan))
    assert nothing == [None, None]


def test_one_patient_has_no_interval_and_equal_values_have_a_point():
    assert stats.bootstrap_together("aaa", mean_of(np.arange(3.0))) == [None]
    assert stats.bootstrap_together("abc", mean_of(np.full(3, 0.5))) == [(0.5, 0.5)]
