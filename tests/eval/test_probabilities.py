"""AUC, calibration, likelihood and Brier score against scikit-learn, hand values and loops over pairs."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voxzoo.eval import probabilities
from voxzoo.eval.probabilities import auc, bin_of, briers, ece, macro_auc, nlls, reliability
from voxzoo.zoo.errors import InputError

# Few distinct scores, so that ties are the rule.
CASES = st.lists(
    st.tuples(st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0]), st.booleans()), min_size=2, max_size=30
)
SURE = st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=60)
QUICK = settings(deadline=None, max_examples=60)


@pytest.fixture(scope="module")
def metrics():
    """scikit-learn's."""
    return pytest.importorskip("sklearn.metrics", reason="pip install scikit-learn")


def pairs_won(scores, positive):
    """The AUC by its meaning: all pairs, ties half."""
    won = [(p > n) + (p == n) / 2
           for p, is_p in zip(scores, positive, strict=True) if is_p
           for n, is_n in zip(scores, positive, strict=True) if not is_n]  # fmt: skip
    return sum(won) / len(won) if won else math.nan


@QUICK
@given(CASES)
def test_auc_counts_pairs_and_ties_half(cases):
    scores, positive = zip(*cases, strict=True)
    np.testing.assert_allclose(auc(scores, positive), pairs_won(scores, positive), rtol=1e-15)


@QUICK
@given(CASES)
def test_auc_like_scikit_learn(metrics, cases):
    scores, positive = zip(*cases, strict=True)
    if len(set(positive)) == 2:
        assert float(auc(scores, positive)) == pytest.approx(metrics.roc_auc_score(positive, scores))


@QUICK
@given(CASES, st.integers(0, 2**32 - 1))
def test_auc_of_weights_is_that_of_repeated_cases(cases, seed):
    scores, positive = (np.array(side) for side in zip(*cases, strict=True))
    times = np.random.default_rng(seed).integers(0, 4, (3, len(cases)))
    expected = [pairs_won(scores.repeat(t), positive.repeat(t)) for t in times]
    np.testing.assert_allclose(auc(scores, positive, times.astype(float)), expected, rtol=1e-14)


def test_auc_by_hand():
    assert auc([1, 2, 3, 4], [False, False, True, True]) == 1
    assert auc([4, 3, 2, 1], [False, False, True, True]) == 0
    assert auc([1, 1, 1], [False, True, True]) == 0.5
    assert auc([-math.inf, 0, math.inf], [True, False, True]) == 0.5
    assert math.isnan(auc([1, 2], [True, True]))
    assert math.isnan(auc([1, 2], [False, False]))


@pytest.mark.parametrize("scores", [[1, math.nan], [1, 2, 3], [[1, 2]]])
def test_auc_refuses_what_has_no_rank(scores):
    with pytest.raises(InputError, match="without NaN"):
        auc(scores, [True, False])


def test_several_classes_each_against_the_rest(metrics):
    generator = np.random.default_rng(0)
    p, truth = generator.dirichlet([1, 1, 1], 50), generator.integers(0, 3, 50)
    found = macro_auc(probabilities.class_aucs(p, truth))
    assert float(found) == pytest.approx(metrics.roc_auc_score(truth, p, multi_class="ovr", average="macro"))


def test_two_classes_have_the_curve_of_the_second():
    # The first column is rounded to 1 twice: a tie there that the second column does not have.
    p = np.array([[1.0, 1e-9], [1.0, 2e-9], [0.5, 0.5]])
    assert macro_auc(probabilities.class_aucs(p, np.array([0, 1, 1]))) == 1


@QUICK
@given(SURE)
def test_ece_bin_by_bin(cases):
    confidence, right = (np.array(side, float) for side in zip(*cases, strict=True))
    expected = 0.0
    for low in range(15):
        inside = (confidence > low / 15) & (confidence <= (low + 1) / 15)
        inside |= (confidence == 0) & (low == 0)
        if inside.any():
            expected += inside.mean() * abs(right[inside].mean() - confidence[inside].mean())
    assert float(ece(confidence, right)) == pytest.approx(expected, abs=1e-12)


def test_ece_by_hand():
    """Bins of a fifth: three at 0.9 with two right, one at 0.3 wrong."""
    assert float(ece([0.9, 0.9, 0.9, 0.3], [1, 1, 0, 0], bins=5)) == pytest.approx(
        3 / 4 * (0.9 - 2 / 3) + 1 / 4 * 0.3
    )
    assert ece([1.0, 1.0], [1, 1]) == 0
    assert math.isnan(ece([], []))


def test_edges_belong_to_the_bin_below():
    edges = np.linspace(0, 1, 16)
    assert bin_of(edges).tolist() == [0, *range(15)]
    assert bin_of(np.nextafter(edges[:-1], 1)).tolist() == list(range(15))


@QUICK
@given(SURE)
def test_the_curve_adds_up_to_the_error(cases):
    confidence, right = zip(*cases, strict=True)
    curve = reliability(confidence, right)
    total = sum(b["n"] for b in curve)
    assert total == len(cases)
    assert sum(b["n"] / total * abs(b["confidence"] - b["accuracy"]) for b in curve) == pytest.approx(
        float(ece(confidence, right)), abs=1e-12
    )


def test_likelihood_and_brier_like_scikit_learn(metrics):
    generator = np.random.default_rng(1)
    p, truth = generator.dirichlet([1, 2, 3], 40), generator.integers(0, 3, 40)
    assert nlls(p[np.arange(40), truth]).mean() == pytest.approx(metrics.log_loss(truth, p))
    assert briers(p, truth).mean() == pytest.approx(
        np.mean([((r - np.eye(3)[t]) ** 2).sum() for r, t in zip(p, truth, strict=True)])
    )
    one = metrics.brier_score_loss(truth == 1, p[:, 1])
    two = briers(np.column_stack([1 - p[:, 1], p[:, 1]]), (truth == 1).astype(int)).mean()
    assert two == pytest.approx(2 * one)


def test_impossible_truths_cost_what_is_stated():
    assert nlls([0.0, 1e-30, 1.0]).tolist() == pytest.approx([23 * math.log(2), 23 * math.log(2), 0])
    assert math.isclose(probabilities.WORST_NLL, 23 * math.log(2))
    assert briers([[0.0, 1.0]], [0]).tolist() == [probabilities.WORST_BRIER]
