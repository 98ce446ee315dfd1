"""Augmentation of images: what it must keep, and that each change is the one it says."""

from dataclasses import fields, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxzoo.export import augment2d
from voxzoo.export.augment2d import Augment2DSpec
from voxzoo.zoo.errors import UsageError

STILL = Augment2DSpec(**{field.name: 0.0 for field in fields(Augment2DSpec)})


def _rng(seed=0):
    return np.random.default_rng(seed)


def _image(shape=(24, 32), channels=3, seed=0):
    return _rng(seed).integers(0, 256, (*shape, channels)).astype(np.uint8)


@given(st.integers(0, 10_000), st.sampled_from([1, 3]), st.tuples(st.integers(2, 40), st.integers(2, 40)))
def test_shape_type_and_input_are_kept_and_a_seed_decides(seed, channels, shape):
    image = _image(shape, channels)
    before = image.copy()
    spec = Augment2DSpec(upend=0.5, cutout=1, blur=1)
    one, same = (augment2d.augment(image, None, spec, _rng(seed))[0] for _ in range(2))
    assert one.shape == image.shape
    assert one.dtype == np.uint8
    assert np.array_equal(one, same)
    assert np.array_equal(image, before)


@pytest.mark.parametrize("channels", [1, 3])
def test_nothing_asked_nothing_changed(channels):
    image = _image(channels=channels)
    assert np.array_equal(augment2d.augment(image, None, STILL, _rng())[0], image)


@given(st.integers(0, 10_000))
def test_a_mask_moves_as_the_image_does(seed):
    """An image that is its own mask stays so under everything that only moves it."""
    mask = np.zeros((24, 32, 1), np.uint8)
    mask[4:15, 6:20] = 255
    spec = replace(STILL, mirror=0.5, upend=0.5, rotate=30, zoom=0.2, stretch=0.1, shift=0.1)
    image, moved = augment2d.augment(mask, mask, spec, _rng(seed))
    assert np.array_equal(image, moved)


def test_a_mask_changes_nothing_of_the_image_and_no_exposure_touches_it():
    image, mask = _image(), np.full((24, 32, 1), 255, np.uint8)
    spec = replace(Augment2DSpec(), rotate=0, zoom=0, stretch=0, shift=0)
    varied, moved = augment2d.augment(image, mask, spec, _rng(3))
    assert np.array_equal(varied, augment2d.augment(image, None, spec, _rng(3))[0])
    assert np.array_equal(moved, mask)


@pytest.mark.parametrize("shape", [(24, 32), (9, 7), (8, 8)])
def test_flips_are_numpys(shape):
    image = _image(shape)
    for name, axis in (("mirror", 1), ("upend", 0)):
        flipped = augment2d.augment(image, None, replace(STILL, **{name: 1.0}), _rng())[0]
        assert np.array_equal(flipped, np.flip(image, axis))


@given(st.integers(0, 10_000))
def test_the_map_is_a_turn_a_zoom_and_a_stretch_about_the_middle(seed):
    spec = replace(STILL, rotate=40, zoom=0.3, stretch=0.2)
    affine = augment2d.matrix((20, 31), spec, _rng(seed))
    middle = np.array([15, 9.5])
    np.testing.assert_allclose(affine[:, :2] @ middle + affine[:, 2], middle)
    columns = affine[:, :2]
    assert abs(columns[:, 0] @ columns[:, 1]) < 1e-9 * np.linalg.det(columns)
    assert np.linalg.det(columns) > 0


def test_a_point_lands_where_the_map_sends_it():
    image = np.zeros((41, 51, 1), np.uint8)
    image[10:13, 30:33] = 255
    affine = augment2d.matrix((41, 51), replace(STILL, rotate=20, zoom=0.1, shift=0.1), _rng(3))
    moved = augment2d.move(image, affine)[..., 0].astype(float)
    y, x = (np.indices(moved.shape) * moved).sum((1, 2)) / moved.sum()
    np.testing.assert_allclose([x, y], affine[:, :2] @ (31, 11) + affine[:, 2], atol=0.15)


@given(st.integers(0, 10_000))
def test_shifts_stay_within_their_bound(seed):
    affine = augment2d.matrix((50, 80), replace(STILL, shift=0.1), _rng(seed))
    assert np.array_equal(affine[:, :2], np.eye(2))
    assert (np.abs(affine[:, 2]) <= (8, 5)).all()


def test_exposure_keeps_the_order_of_grey_values_and_gamma_their_ends():
    ramp = np.arange(256, dtype=np.uint8).reshape(16, 16, 1)
    spec = replace(STILL, brightness=0.1, contrast=0.3, gamma=0.3)
    for seed in range(20):
        out = augment2d.expose(ramp, spec, _rng(seed)).ravel().astype(int)
        assert (np.diff(out) >= 0).all()
        bent = augment2d.expose(ramp, replace(STILL, gamma=0.5), _rng(seed)).ravel()
        assert (bent[0], bent[-1]) == (0, 255)
        exponent = np.exp(_gamma_drawn(seed))
        np.testing.assert_allclose(bent, 255 * (np.arange(256) / 255) ** exponent, atol=0.51)


def _gamma_drawn(seed):
    """The generator's fifth normal number: four go to colour before."""
    return 0.5 * _rng(seed).standard_normal(5)[4]


def test_grey_pictures_stay_grey_unless_colours_are_varied():
    grey = np.repeat(_image(channels=1), 3, axis=2)
    toned, _ = augment2d.augment(grey, None, Augment2DSpec(colour=0, noise=0), _rng(1))
    assert np.ptp(toned.astype(int), axis=2).max() == 0
    tinted = augment2d.expose(grey, replace(STILL, colour=0.3), _rng(1))
    assert np.ptp(tinted.astype(int), axis=2).max() > 0


def test_shade_varies_slowly_and_as_strongly_as_asked():
    flat = np.full((60, 60, 1), 100, np.uint8)
    made = np.stack([augment2d.shade(flat, 0.2, _rng(seed)) for seed in range(40)]).astype(float)
    assert np.abs(np.diff(made, axis=1)).max() <= 6
    assert 0.08 < np.log(made / 100).std() < 0.3


def test_noise_and_blur_are_of_the_strength_that_was_drawn():
    flat = np.full((100, 100, 1), 128, np.uint8)
    spreads = [augment2d.degrade(flat, replace(STILL, noise=0.04), _rng(s)).std() for s in range(30)]
    assert max(spreads) < 0.04 * 255 * 1.05
    assert np.mean(spreads) == pytest.approx(0.02 * 255, rel=0.3)
    image = _image((60, 60), 1)
    assert augment2d.degrade(image, replace(STILL, blur=1.0), _rng()).std() < image.std()


@given(st.integers(0, 10_000))
def test_cutout_hides_one_rectangle_of_a_tenth_to_a_third(seed):
    image = np.zeros((50, 80, 1), np.uint8)
    image[:, ::2] = 200  # the mean, 100, does not occur
    hidden = augment2d.cut_out(image, 1.0, _rng(seed))[..., 0] == 100
    rows, columns = hidden.any(1), hidden.any(0)
    assert hidden.sum() == rows.sum() * columns.sum()
    assert 5 <= rows.sum() <= 17
    assert 8 <= columns.sum() <= 28


@pytest.mark.parametrize("wrong", [{"mirror": 1.5}, {"zoom": -0.1}, {"cutout": -1}, {"noise": float("nan")}])
def test_impossible_strengths_are_refused_by_name(wrong):
    with pytest.raises(UsageError, match=next(iter(wrong))):
        Augment2DSpec(**wrong)
