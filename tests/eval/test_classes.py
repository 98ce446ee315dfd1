"""Figures over classes against scikit-learn, hand counts, and brute force from the definitions."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voxzoo.eval import classes as by_class
from voxzoo.eval.classes import ClassCounts, count_classes
from voxzoo.zoo.errors import InputError

K = 4
PAIRS = st.lists(st.tuples(st.integers(0, K - 1), st.integers(-1, K - 1)), min_size=1, max_size=40)
NO_ANSWER = 99
QUICK = settings(deadline=None, max_examples=60)


@pytest.fixture(scope="module")
def metrics():
    """scikit-learn's."""
    return pytest.importorskip("sklearn.metrics", reason="pip install scikit-learn")


def counts_of(pairs, classes=K):
    truth, answer = np.array(pairs).T
    return ClassCounts.of(truth, answer, classes)


def test_a_table_by_hand():
    """Truth a a a a b b b c, answers a a a b b b - b."""
    c = count_classes("aaaabbbc", [*"aaabbb", None, "b"], "abc")
    assert by_class.accuracy(c) == 5 / 8
    assert by_class.recalls(c).tolist() == pytest.approx([3 / 4, 2 / 3, 0])
    assert by_class.precisions(c).tolist() == pytest.approx([1, 2 / 4, 0])
    assert by_class.f1s(c).tolist() == pytest.approx([6 / 7, 4 / 7, 0])
    assert by_class.balanced_accuracy(c) == pytest.approx((3 / 4 + 2 / 3 + 0) / 3)
    assert by_class.macro_f1(c) == pytest.approx((6 / 7 + 4 / 7 + 0) / 3)


@QUICK
@given(PAIRS)
def test_like_scikit_learn(metrics, pairs):
    truth, answer = np.array(pairs).T
    answer = np.where(answer < 0, NO_ANSWER, answer)
    c = counts_of(pairs)
    assert float(by_class.accuracy(c)) == pytest.approx(metrics.accuracy_score(truth, answer))
    occur = np.unique(truth)
    seen = np.setdiff1d(np.union1d(truth, answer), [NO_ANSWER])
    recall = metrics.recall_score(truth, answer, labels=occur, average=None, zero_division=0)
    assert by_class.recalls(c)[occur].tolist() == pytest.approx(recall.tolist())
    assert float(by_class.balanced_accuracy(c)) == pytest.approx(recall.mean())
    precision = metrics.precision_score(truth, answer, labels=seen, average=None, zero_division=0)
    assert by_class.precisions(c)[seen].tolist() == pytest.approx(precision.tolist())
    f1 = metrics.f1_score(truth, answer, labels=seen, average="macro", zero_division=0)
    assert float(by_class.macro_f1(c)) == pytest.approx(f1)
    if len(occur) > 1:
        assert float(by_class.mcc(c)) == pytest.approx(metrics.matthews_corrcoef(truth, answer), abs=1e-12)


@QUICK
@given(PAIRS)
def test_the_correlation_is_the_one_of_the_indicators(pairs):
    """R_K from its definition: covariances of one-hot columns, summed over classes."""
    truth, answer = (np.eye(K + 1)[side] for side in np.array(pairs).T)
    spread = [((m - m.mean(axis=0)) * (n - n.mean(axis=0))).sum()
              for m, n in ((truth, answer), (truth, truth), (answer, answer))]  # fmt: skip
    found = float(by_class.mcc(counts_of(pairs)))
    if spread[1] < 1e-9:
        assert math.isnan(found)
    elif spread[2] < 1e-9:
        assert found == 0
    else:
        assert found == pytest.approx(spread[0] / math.sqrt(spread[1] * spread[2]), abs=1e-9)


@QUICK
@given(PAIRS, st.integers(0, 2**32 - 1))
def test_weights_count_cases_as_often_as_they_say(pairs, seed):
    times = np.random.default_rng(seed).integers(0, 4, (3, len(pairs)))
    times[:, 0] += 1
    truth, answer = np.array(pairs).T
    weighted = ClassCounts.of(truth, answer, K, times.astype(float))
    for metric in (by_class.accuracy, by_class.balanced_accuracy, by_class.macro_f1, by_class.mcc):
        expected = [metric(ClassCounts.of(truth.repeat(t), answer.repeat(t), K)) for t in times]
        np.testing.assert_array_equal(metric(weighted), expected)


def test_one_class_only():
    c = count_classes("aaa", "aaa", "ab")
    assert (by_class.accuracy(c), by_class.balanced_accuracy(c), by_class.macro_f1(c)) == (1, 1, 1)
    assert math.isnan(by_class.mcc(c))
    np.testing.assert_array_equal(by_class.recalls(c), [1, math.nan])
    np.testing.assert_array_equal(by_class.precisions(c), [1, math.nan])


def test_a_class_that_is_never_answered_was_missed():
    c = count_classes("aab", "aaa", "ab")
    assert by_class.precisions(c).tolist() == pytest.approx([2 / 3, 0])
    assert by_class.f1s(c).tolist() == pytest.approx([4 / 5, 0])
    assert by_class.mcc(c) == 0


def test_a_class_that_does_not_occur_but_is_answered():
    c = count_classes("aab", "aac", "abc")
    assert math.isnan(by_class.recalls(c)[2])
    assert by_class.precisions(c)[2] == by_class.f1s(c)[2] == 0
    assert by_class.balanced_accuracy(c) == 0.5
    assert by_class.macro_f1(c) == pytest.approx((1 + 0 + 0) / 3)


def test_a_class_that_the_model_does_not_know_is_wrong_and_no_more():
    c = count_classes(["a", "b", None], ["a", "b", None], "ab")
    assert by_class.accuracy(c) == pytest.approx(2 / 3)
    assert by_class.balanced_accuracy(c) == by_class.macro_f1(c) == 1
    assert 0 < by_class.mcc(c) < 1


def test_no_case_has_no_figure():
    c = count_classes([], [], "ab")
    for metric in (by_class.accuracy, by_class.balanced_accuracy, by_class.macro_f1, by_class.mcc):
        assert math.isnan(metric(c))


@QUICK
@given(PAIRS)
def test_the_matrix_counts_every_case_once(pairs):
    truth, answer = np.array(pairs).T
    matrix = by_class.confusion_matrix(truth, answer, K, K)
    assert matrix.shape == (K, K + 1)
    for t in range(K):
        for a in range(-1, K):
            assert matrix[t, a] == pairs.count((t, a))  # the last column is at -1 too


def test_names_and_lengths_are_checked():
    with pytest.raises(InputError, match="2 references and 1 answers"):
        count_classes("ab", "a", "ab")
    with pytest.raises(InputError, match="class 'c': expected one of a, b, or None"):
        count_classes("ab", "ac", "ab")
