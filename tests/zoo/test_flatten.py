"""Evening out of brightness: undone bias by construction, tumours that stay, odd images."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.polynomial.polynomial import polygrid3d

from voxzoo.zoo import ImageSpec, InputSpec, case_from_arrays, errors
from voxzoo.zoo import flatten as evening
from voxzoo.zoo.flatten import flatten
from voxzoo.zoo.preprocess import prepare

SHAPE = (24, 28, 26)


def _head(seed=0):
    """Tissue of two kinds with noise inside a ball, 0 outside, and its coordinates from -1 to 1."""
    rng = np.random.default_rng(seed)
    at = np.stack(np.meshgrid(*(np.linspace(-1, 1, n) for n in SHAPE), indexing="ij"))
    brain = (at**2).sum(0) < 0.95
    tissue = np.where(rng.random(SHAPE) < 0.5, 90.0, 110.0) * np.exp(rng.normal(0, 0.03, SHAPE))
    return np.where(brain, tissue, 0).astype(np.float32), at


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000))
def test_a_bias_of_the_fitted_order_is_undone(seed):
    head, (z, y, x) = _head(seed)
    a, b, c, d = np.random.default_rng(seed).uniform(-0.4, 0.4, 4)
    biased = (head * np.exp(a * z + b * y + c * x + d * z * z)).astype(np.float32)
    straight, evened = flatten(head, 2), flatten(biased, 2)
    inside = head != 0
    ratio = evened[inside] / straight[inside]
    assert ratio.std() / ratio.mean() < 0.02


@pytest.mark.parametrize("order", [1, 2, 3])
@pytest.mark.parametrize("lowest", [0, -150])
def test_the_field_is_numpys_polynomial(order, lowest):
    """What was divided out, against ``polygrid3d`` of the same coefficients."""
    head, _ = _head()
    image = np.where(head != 0, head + lowest, 0).astype(np.float32)
    brain = image != 0
    low, floor = np.percentile(image[brain].astype(np.float64), (0.5, 1))
    shift = min(low, 0.0)
    places = np.argwhere(brain)[:: max(1, brain.sum() // evening.SAMPLES)]
    seen = np.maximum(image[tuple(places.T)], floor) - shift + 1e-3 * (floor - shift + 1)
    field = evening._fit(places / (np.array(SHAPE) - 1) * 2 - 1, np.log(seen), order)
    axes = (np.linspace(-1, 1, n) for n in SHAPE)
    expected = np.where(brain, (image - shift) * np.exp(-polygrid3d(*axes, field)), 0)
    np.testing.assert_allclose(flatten(image, order), expected, rtol=1e-6, atol=1e-5)


def test_a_tumour_keeps_its_contrast():
    head, (z, y, x) = _head()
    tumour = (z - 0.3) ** 2 + (y + 0.2) ** 2 + (x - 0.4) ** 2 < 0.08
    head[tumour & (head != 0)] *= 2
    even = flatten(head, 2)
    rest = (head != 0) & ~tumour
    assert even[tumour & (head != 0)].mean() / even[rest].mean() > 1.9


def test_background_stays_and_the_middle_stays_where_it_was():
    head, _ = _head()
    even = flatten(head, 3)
    assert even.dtype == np.float32
    assert ((even == 0) == (head == 0)).all()
    assert np.median(even[head != 0]) == pytest.approx(np.median(head[head != 0]), rel=0.02)


def test_negative_intensities_are_moved_up_not_lost():
    head, _ = _head()
    low = np.where(head != 0, head - 100, 0).astype(np.float32)
    even = flatten(low, 2)
    inside = low != 0
    assert np.isfinite(even).all()
    assert np.corrcoef(even[inside], low[inside])[0, 1] > 0.95


def test_too_few_voxels_for_a_fit_are_left_alone():
    image = np.zeros((9, 9, 9), np.float32)
    image[4, 4, 4] = 5
    np.testing.assert_array_equal(flatten(image, 2), image)


def test_a_contract_with_flatten_normalises_what_it_leaves():
    head, (z, _, _) = _head()
    tilted = (head * np.exp(0.5 * z)).astype(np.float32)
    case = case_from_arrays(tilted[None], ("flair",), (2.0, 2.0, 2.0))
    spec = InputSpec("x", ("flair",), SHAPE, (2.0, 2.0, 2.0), flatten=1)
    tensor = prepare(case, spec).tensor[0]
    inside = tensor != 0
    assert tensor[inside].mean() == pytest.approx(0, abs=1e-4)
    assert tensor[inside].std() == pytest.approx(1, abs=1e-4)
    thirds = [tensor[:9][inside[:9]].mean(), tensor[-9:][inside[-9:]].mean()]
    assert abs(thirds[0] - thirds[1]) < 0.1


def test_orders_out_of_range_are_refused():
    for wrong in (-1, 5, 1.5):
        with pytest.raises(errors.ContractError, match=r"input\.flatten"):
            InputSpec("x", ("flair",), SHAPE, (2.0, 2.0, 2.0), flatten=wrong)
    assert not hasattr(ImageSpec, "flatten")
