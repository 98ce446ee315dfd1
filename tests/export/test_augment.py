"""Augmentations: what they must keep (background, order, labels) and that they do what they say."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("torch")
from voxzoo.export import augment
from voxzoo.export.augment import AugmentSpec


def _crop(seed=0, shape=(12, 16, 16)):
    rng = np.random.default_rng(seed)
    image = rng.normal(0, 1, (4, *shape)).astype(np.float32)
    image[:, :, :4] = 0  # background
    label = np.zeros((1, *shape), np.float32)
    label[0, 4:8, 6:12, 6:12] = 1
    return image, label


@given(st.integers(0, 10_000), st.floats(0, 1))
def test_curves_keep_the_order_and_zero(seed, strength):
    values = np.linspace(-5, 6, 200).astype(np.float32)
    mapped = augment.monotone_curve(values, strength, np.random.default_rng(seed))
    assert (np.diff(mapped) >= 0).all()
    zero = augment.monotone_curve(np.zeros(1, np.float32), strength, np.random.default_rng(seed))
    assert abs(zero[0]) < 1e-6


def test_intensities_leave_background_at_zero_and_anatomy_in_place():
    image, _ = _crop()
    varied = augment.vary_intensities(image, AugmentSpec(drop_channel=0), np.random.default_rng(3))
    assert (varied[:, :, :4] == 0).all()
    for before, after in zip(image, varied, strict=True):
        inside = before != 0
        assert np.corrcoef(before[inside], after[inside])[0, 1] > 0.6
    untouched = augment.vary_intensities(image, AugmentSpec(intensity=0), np.random.default_rng(3))
    assert np.array_equal(untouched, image)


def test_fading_brings_the_tumour_nearer_to_healthy_tissue():
    image, label = _crop()
    image[0] += 3 * label[0]
    faded = augment.fade_tumour(image, label, np.random.default_rng(0))
    inside, healthy = label[0] > 0, (label[0] == 0) & (image[0] != 0)
    before = image[0][inside].mean() - image[0][healthy].mean()
    after = faded[0][inside].mean() - faded[0][healthy].mean()
    assert 0 < after < before


def test_transplanted_tumour_is_labelled_and_stays_inside_the_brain():
    image, label = _crop(1)
    donor, donor_label = _crop(2)
    donor_label = np.roll(donor_label, -6, axis=2)  # half of it where the receiver has no brain
    out, merged = augment.transplant(image, label, donor, donor_label)
    brain = (image != 0).all(0)
    assert (merged[0] >= label[0]).all()
    assert (merged[0][~brain] == label[0][~brain]).all()
    deep = (donor_label[0] == 1) & brain & (augment.ndimage.uniform_filter(donor_label[0], 3) == 1)
    np.testing.assert_allclose(out[:, deep], donor[:, deep], atol=1e-6)
    assert (out[:, ~brain] == image[:, ~brain]).all()


@given(st.integers(0, 1000))
def test_flips_move_image_and_label_together(seed):
    image, label = _crop()
    image[0] = np.where(label[0] > 0, 9.0, image[0])
    flipped, moved = augment.flip(image, label, AugmentSpec(), np.random.default_rng(seed))
    assert ((flipped[0] == 9) == (moved[0] == 1)).all()


def test_a_smooth_field_is_smooth_and_as_strong_as_asked():
    rng = np.random.default_rng(0)
    fields = np.stack([augment.smooth_field((20, 24, 28), 3, 0.5, rng) for _ in range(30)])
    assert fields.shape[1:] == (20, 24, 28)
    assert 0.2 < fields.std() < 0.6
    assert np.abs(np.diff(fields, axis=1)).max() < 0.5


@given(st.integers(0, 1000))
def test_affine_is_a_rotation_times_a_zoom(seed):
    matrix = augment.random_affine(AugmentSpec(), np.random.default_rng(seed))
    linear = matrix[:, :3].astype(float)
    zoom = np.cbrt(np.linalg.det(linear))
    np.testing.assert_allclose(linear @ linear.T, zoom**2 * np.eye(3), atol=1e-5)
    assert (matrix[:, 3] == 0).all()


def test_restyling_all_the_way_gives_the_other_histogram():
    rng = np.random.default_rng(2)
    image = rng.normal(size=(1, 20, 20, 20)).astype(np.float32)
    other = rng.gamma(2, size=(1, 20, 20, 20)).astype(np.float32)
    own, wanted = augment.histogram(image), augment.histogram(other)
    moved = augment.restyle(image, own, wanted, [1.0])
    np.testing.assert_allclose(augment.histogram(moved), wanted, atol=0.02)
    np.testing.assert_array_equal(augment.restyle(image, own, wanted, [0.0]), image)


def test_thick_slices_are_means_of_their_slices_and_keep_the_background():
    image = np.arange(1, 5 * 2 * 2 + 1, dtype=np.float32).reshape(1, 5, 2, 2)
    image[0, 0, 0, 0] = 0
    thick = augment.thick_slices(image, 1, 2)
    np.testing.assert_allclose(thick[0, 0, 0, 1], (2 + 6) / 2)
    np.testing.assert_allclose(thick[0, 1, 0, 1], (2 + 6) / 2)
    assert thick[0, 0, 0, 0] == 0
    np.testing.assert_array_equal(thick[0, 4], image[0, 4])


def test_warping_without_amplitude_changes_nothing():
    image, label = _crop()
    still = AugmentSpec(rotate=0.0, zoom=0.0, bend=0.0)
    moved, outline = augment.warp(image, label, still, np.random.default_rng(0))
    np.testing.assert_allclose(moved, image, atol=1e-4)
    np.testing.assert_allclose(outline, label, atol=1e-4)


def test_a_study_without_contrast_agent_shows_t1_twice():
    image = np.arange(4, dtype=np.float32).reshape(4, 1, 1, 1)
    seen = {
        tuple(augment.mix_up_channels(image, 0.5, np.random.default_rng(s))[:, 0, 0, 0]) for s in range(40)
    }
    assert seen == {(0, 1, 2, 3), (0, 1, 1, 3), (3, 1, 2, 0), (3, 1, 1, 0)}


def test_coil_bias_leaves_the_background_and_stays_smooth():
    image, _ = _crop()
    biased = augment.coil_bias(image, 0.4, np.random.default_rng(1))
    assert (biased[image == 0] == 0).all()
    assert not np.array_equal(biased, image)
    share = (biased - image) / (image + 3)
    assert np.abs(np.diff(share[0], axis=0)[(image[0, 1:] != 0) & (image[0, :-1] != 0)]).max() < 0.5


def test_a_cyst_lies_in_the_core_does_not_enhance_and_keeps_the_outline():
    rng = np.random.default_rng(3)
    image = rng.normal(size=(4, 20, 22, 24)).astype(np.float32) + 5
    label = np.zeros((3, 20, 22, 24), np.float32)
    label[0, 4:16, 4:16, 4:16] = label[1, 6:14, 6:14, 6:14] = label[2, 6:14, 6:14, 6:14] = 1
    cystic, marks = augment.make_cyst(image, label, np.random.default_rng(4))
    far = augment.ndimage.uniform_filter(label[1], 3) == 0
    np.testing.assert_array_equal(cystic[:, far], image[:, far])
    np.testing.assert_array_equal(marks[:2], label[:2])
    fluid = (label[2] == 1) & (marks[2] < 0.01)
    assert fluid.sum() > 50
    assert cystic[3][fluid].mean() > image[3].mean() + 1
    assert cystic[1][fluid].mean() < image[1].mean() - 1
