"""Temperatures and calibration errors, against closed forms, counting by hand and simulation."""

import numpy as np
import pytest

pytest.importorskip("torch")

from voxzoo.export.calibrate import BOUNDS, calibrate, expected_error, likelihood_loss, temperature
from voxzoo.zoo.errors import InputError
from voxzoo.zoo.tasks.classify import softmax


def test_the_temperature_of_two_equal_logits_has_a_closed_form():
    """Sure by z = 3 and right in 80 %: sigmoid(3 / T) = 0.8, so T = 3 / log 4."""
    z = np.tile([0.0, 3.0], (10, 1))
    t = np.array([1] * 8 + [0] * 2)
    assert temperature(z, t) == pytest.approx(3 / np.log(4), rel=1e-4)


def test_a_known_temperature_is_found_again():
    rng = np.random.default_rng(0)
    true = rng.normal(0, 1.5, (4000, 3))
    p = np.exp(true) / np.exp(true).sum(1, keepdims=True)
    targets = np.array([rng.choice(3, p=row) for row in p])
    assert temperature(true * 4, targets) == pytest.approx(4, rel=0.08)


def test_the_temperature_is_a_minimum_and_stays_within_bounds():
    rng = np.random.default_rng(1)
    z, t = rng.normal(0, 2, (50, 4)), rng.integers(0, 4, 50)
    best = temperature(z, t)
    here = likelihood_loss(softmax(z, best), t)
    for other in (best * 0.9, best * 1.1):
        assert likelihood_loss(softmax(z, min(max(other, BOUNDS[0]), BOUNDS[1])), t) >= here - 1e-6
    assert temperature(np.array([[0.0, 5.0]] * 3), np.array([1, 1, 1])) == pytest.approx(BOUNDS[0], rel=1e-3)
    assert temperature(np.array([[0.0, 5.0]] * 3), np.array([0, 0, 0])) > 19


def test_calibration_error_counted_bin_by_bin():
    rng = np.random.default_rng(2)
    p = softmax(rng.normal(0, 1, (300, 3)))
    t = rng.integers(0, 3, 300)
    total = 0.0
    for low in np.arange(15) / 15:
        inside = [i for i in range(300) if low <= max(p[i]) < low + 1 / 15 or (low > 0.93 and max(p[i]) == 1)]
        if inside:
            sure = np.mean([max(p[i]) for i in inside])
            right = np.mean([float(np.argmax(p[i]) == t[i]) for i in inside])
            total += len(inside) / 300 * abs(sure - right)
    assert expected_error(p, t) == pytest.approx(total, abs=1e-6)


def test_what_is_reported_after_is_of_cases_the_temperature_never_saw():
    rng = np.random.default_rng(3)
    z, t = rng.normal(0, 6, (100, 2)), rng.integers(0, 2, 100)
    cases = [f"case{i}" for i in range(100)]
    found = calibrate(z, t, cases, "held-out images")
    assert found.temperature > 3
    assert found.ece_after < found.ece_before
    fitted_here = likelihood_loss(softmax(z, found.temperature), t)
    assert found.nll_after >= fitted_here - 1e-4  # fitting and judging on the same cases would flatter
    assert calibrate(z, t, cases, "held-out images") == found
    assert "held-out images" in str(found)


def test_one_case_gives_a_temperature_but_no_claim():
    found = calibrate([[0.0, 1.0]], [1], ["a"], "held-out images")
    assert found.ece_after is None
    assert "after" not in str(found)
    with pytest.raises(InputError, match="n > 0"):
        calibrate(np.zeros((0, 2)), [], [], "nothing")
    with pytest.raises(InputError, match="3 cases"):
        calibrate(np.zeros((2, 2)), [0, 1], ["a", "b", "c"], "x")
