"""Preprocessing against scipy, numpy and nibabel; and its way back, which has to be the same mapping."""

import itertools

import nibabel
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nibabel.orientations import apply_orientation, axcodes2ornt, inv_ornt_aff, io_orientation, ornt_transform
from scipy import ndimage

from voxzoo.zoo.cases import ArraySource, Case, case_from_arrays
from voxzoo.zoo.contract import InputSpec
from voxzoo.zoo.datasets import open_dataset
from voxzoo.zoo.errors import CaseError, GridError, InputError, MissingModalityError
from voxzoo.zoo.intensity import brain_values, percentile
from voxzoo.zoo.preprocess import make_plan, prepare, prepare_mask, restore, restore_mask

LPS = np.diag([-1.0, -1.0, 1.0, 1.0])


def spec(shape=(12, 14, 16), spacing=(1.0, 1.0, 1.0), channels=("flair",), **options):
    return InputSpec("image", tuple(channels), shape, spacing, **options)


def case_of(*arrays, affine=LPS, names=("flair", "t1", "t1ce", "t2")):
    images = {n: ArraySource(a, affine, f"{n}.nii") for n, a in zip(names, arrays, strict=False)}
    return Case("k", "k", images)


def blob(shape=(22, 20, 18), seed=0, dtype=np.int16):
    """A smooth, lopsided brain with background around it."""
    rng = np.random.default_rng(seed)
    field = ndimage.gaussian_filter(rng.random(shape), 2.0)
    inside = np.zeros(shape, bool)
    inside[3:-5, 4:-2, 2:-4] = True
    return np.where(inside, 100 + 5000 * (field - field.min()), 0).astype(dtype)


def to_model_axes(array, affine):
    """By nibabel: the array with axes (S, A, R)."""
    return apply_orientation(array, io_orientation(affine)).transpose(2, 1, 0)


# -- the tensor


def test_raw_values_at_equal_spacing_are_a_crop_and_nothing_else():
    array = blob()
    found = prepare(case_of(array), spec((12, 14, 16), normalise="none", crop="center")).tensor[0]
    ras = to_model_axes(array, LPS)
    start = [(n - m) // 2 for n, m in zip(ras.shape, found.shape, strict=True)]
    window = tuple(slice(s, s + m) for s, m in zip(start, found.shape, strict=True))
    np.testing.assert_array_equal(found, ras[window].astype(np.float32))


def test_a_grid_larger_than_the_volume_is_padded_with_zeros():
    array = blob()
    found = prepare(case_of(array), spec((30, 32, 34), normalise="none", crop="center")).tensor[0]
    assert found.sum(dtype=np.float64) == array.sum(dtype=np.float64)
    inner = to_model_axes(array, LPS)
    start = [(m - n + 1) // 2 for n, m in zip(inner.shape, found.shape, strict=True)]
    window = tuple(slice(s, s + n) for s, n in zip(start, inner.shape, strict=True))
    np.testing.assert_array_equal(found[window], inner)


def test_the_brain_is_in_the_middle_of_the_grid():
    array = np.zeros((40, 40, 40), np.int16)
    array[5:16, 20:31, 25:36] = 100  # 11 voxels wide: its middle is a voxel
    found = prepare(case_of(array), spec((21, 21, 21), normalise="none")).tensor[0]
    assert [(int(w.min()), int(w.max())) for w in np.nonzero(found)] == [(5, 15)] * 3


def test_the_brain_box_is_over_all_channels_of_the_model_and_no_other():
    one, other = np.zeros((30, 30, 30), np.int16), np.zeros((30, 30, 30), np.int16)
    one[2:5, 10:20, 10:20], other[20:29, 10:20, 10:20] = 7, 7
    both = prepare(case_of(one, other), spec((11, 11, 31), channels=("flair", "t1"), normalise="none"))
    alone = prepare(case_of(one, other), spec((11, 11, 31), normalise="none"))
    # Axis x runs to the left: the tensor's last axis is mirrored. Box 2..28 of 30, middle 15.
    assert np.flatnonzero(both.tensor[0].any(axis=(0, 1))).tolist() == [26, 27, 28]
    assert np.flatnonzero(alone.tensor[0].any(axis=(0, 1))).tolist() == [14, 15, 16]


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint16, np.int32, np.float32, np.float64])
@pytest.mark.parametrize("clip", [None, (0.5, 99.5), (2.0, 98.0), (0.0, 100.0)])
def test_intensities_are_numpys_over_the_brain(dtype, clip):
    rng = np.random.default_rng(1)
    array = np.where(rng.random((20, 20, 20)) < 0.6, rng.gamma(2.0, 20.0, (20, 20, 20)) + 1, 0)
    array = np.minimum(array, 250).astype(dtype)
    found = prepare(case_of(array), spec((20, 20, 20), crop="center", clip_percentiles=clip)).tensor[0]
    brain = array[array != 0].astype(np.float64)
    low, high = np.percentile(brain, clip) if clip else (-np.inf, np.inf)
    clipped = np.clip(brain, low, high)
    expected = np.where(array != 0, (np.clip(array, low, high) - clipped.mean()) / clipped.std(), 0)
    np.testing.assert_allclose(found, to_model_axes(expected, LPS), atol=2e-6)
    assert (found == 0)[to_model_axes(array == 0, LPS)].all()


def test_negative_intensities_are_brain():
    rng = np.random.default_rng(2)
    array = rng.integers(-300, 300, (12, 12, 12)).astype(np.int16)
    array[:2] = 0
    found = prepare(case_of(array), spec((12, 12, 12), crop="center")).tensor[0]
    brain = array[array != 0].astype(np.float64)
    expected = np.where(array != 0, (array - brain.mean()) / brain.std(), 0)
    np.testing.assert_allclose(found, to_model_axes(expected, LPS), atol=2e-6)


@settings(max_examples=80, deadline=None)
@given(
    values=st.lists(st.integers(-32768, 32767).filter(bool), min_size=1, max_size=40),
    q=st.floats(0, 100, allow_nan=False),
)
def test_percentiles_are_numpys_linear_ones(values, q):
    array = np.zeros((4, 5, 6), np.int16)
    array.ravel()[: len(values)] = values
    assert percentile(*brain_values(array), q) == pytest.approx(np.percentile(values, q), rel=1e-12, abs=1e-9)


def test_a_constant_brain_is_zero_not_nan():
    array = np.zeros((12, 12, 12), np.int16)
    array[2:9, 2:9, 2:9] = 7
    assert not prepare(case_of(array), spec((12, 12, 12))).tensor.any()


def test_channels_come_in_the_models_order_by_name():
    arrays = [np.full((6, 6, 6), v, np.int16) for v in (1, 2, 3, 4)]
    wanted = ("t2", "flair", "t1ce")
    found = prepare(case_of(*arrays), spec((6, 6, 6), channels=wanted, normalise="none")).tensor
    assert found[:, 3, 3, 3].tolist() == [4, 1, 3]
    assert found.dtype == np.float32
    assert found.flags.c_contiguous


# -- resampling, against scipy


def points(plan):
    """Native index (in RAS order) of each model voxel, by the affines alone."""
    index = np.indices(plan.shape).reshape(3, -1)
    world = plan.affine[:3, :3] @ index + plan.affine[:3, 3:]
    inverse = np.linalg.inv(plan.grid.affine)
    return inverse[:3, :3] @ world + inverse[:3, 3:]


@pytest.mark.parametrize("spacing", [(0.7, 0.5, 0.9), (1.0, 0.6, 1.0), (0.3, 0.3, 0.3)])
@pytest.mark.parametrize("crop", ["brain-center", "center"])
def test_a_finer_grid_is_linear_interpolation(spacing, crop):
    array = blob(dtype=np.float32)
    prepared = prepare(case_of(array), spec((30, 31, 32), spacing, normalise="none", crop=crop))
    at = points(prepared.plan)
    expected = ndimage.map_coordinates(array, at, order=1, mode="nearest")
    shape = np.array(array.shape)[:, None]
    inside = ((at >= -0.5) & (at <= shape - 0.5)).all(axis=0)
    expected = np.where(inside, expected, 0).reshape(prepared.plan.shape)
    np.testing.assert_allclose(prepared.tensor[0], expected, rtol=1e-5, atol=2e-3)


def test_a_grid_coarser_by_a_half_is_the_mean_over_each_voxel():
    """1 mm to 1.5 mm: split every voxel into 2, average blocks of 3."""
    array = np.random.default_rng(0).random((24, 18, 12)).astype(np.float32) + 1
    found = prepare(
        case_of(array), spec((8, 12, 16), (1.5, 1.5, 1.5), normalise="none", crop="center")
    ).tensor[0]
    fine = to_model_axes(array, LPS).repeat(2, 0).repeat(2, 1).repeat(2, 2).astype(np.float64)
    expected = fine.reshape(8, 3, 12, 3, 16, 3).mean(axis=(1, 3, 5))
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_a_grid_coarser_by_a_whole_number_is_the_block_mean():
    array = np.random.default_rng(0).random((24, 18, 12)).astype(np.float32) + 1
    found = prepare(
        case_of(array), spec((4, 9, 24), (3.0, 2.0, 1.0), normalise="none", crop="center")
    ).tensor[0]
    expected = to_model_axes(array, LPS).reshape(4, 3, 9, 2, 24, 1).mean(axis=(1, 3, 5))
    np.testing.assert_allclose(found, expected, rtol=1e-6)


@pytest.mark.parametrize("model_mm", [1.5, 1.7, 2.0])
def test_there_is_no_shift_down_and_up(model_mm):
    index = np.indices((48, 44, 40)).astype(np.float64)
    middle = np.array([25.3, 20.6, 19.2])[:, None, None, None]
    ball = np.exp(-((index - middle) ** 2).sum(axis=0) / (2 * 6.0**2)).astype(np.float32) + 1e-6
    shape = tuple(int(np.ceil(n / model_mm)) + 4 for n in (40, 44, 48))
    prepared = prepare(case_of(ball), spec(shape, (model_mm,) * 3, normalise="none"))
    back = restore(prepared.tensor, prepared.plan)[0]
    shift = np.array(ndimage.center_of_mass(back - back.min())) - ndimage.center_of_mass(ball - ball.min())
    assert np.abs(shift).max() < 0.02
    assert np.abs(back - ball).max() < 0.05


# -- the way back


def test_equal_spacing_comes_back_exactly():
    array = blob(dtype=np.float32)
    prepared = prepare(case_of(array), spec((30, 30, 30), normalise="none"))
    np.testing.assert_array_equal(restore(prepared.tensor, prepared.plan)[0], array)


@pytest.mark.parametrize("crop", ["brain-center", "center"])
@pytest.mark.parametrize("spacing", [(1.5, 1.5, 1.5), (2.0, 1.3, 1.5)])
def test_restoring_is_linear_interpolation_between_model_voxels(crop, spacing):
    array = blob(dtype=np.float32)
    plan = prepare(case_of(array), spec((10, 9, 11), spacing, crop=crop)).plan
    prob = np.random.default_rng(0).random((2, 10, 9, 11)).astype(np.float32)
    index = np.indices(array.shape).reshape(3, -1)
    world = plan.grid.affine[:3, :3] @ index + plan.grid.affine[:3, 3:]
    inverse = np.linalg.inv(plan.affine)
    at = inverse[:3, :3] @ world + inverse[:3, 3:]
    inside = ((at >= -0.5 - 1e-9) & (at <= np.array(plan.shape)[:, None] - 0.5 + 1e-9)).all(axis=0)
    for channel, found in zip(prob, restore(prob, plan), strict=True):
        expected = np.where(inside, ndimage.map_coordinates(channel, at, order=1, mode="nearest"), 0)
        np.testing.assert_allclose(found, expected.reshape(array.shape), atol=1e-5)


def test_what_lies_outside_the_window_is_zero():
    array = np.ones((40, 40, 40), np.int16)
    plan = prepare(case_of(array), spec((10, 10, 10), normalise="none")).plan
    found = restore(np.ones((1, 10, 10, 10), np.float32), plan)[0]
    assert found.sum() == 1000
    assert restore_mask(np.ones((1, 10, 10, 10), np.float32), plan).sum() == 1000


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 9999),
    threshold=st.sampled_from([0.0, 0.25, 0.5, 0.7311]),
    spacing=st.tuples(*[st.sampled_from([0.8, 1.0, 1.5, 2.0])] * 3),
    smooth=st.booleans(),
)
def test_the_mask_is_the_thresholded_restoration_bit_for_bit(seed, threshold, spacing, smooth):
    rng = np.random.default_rng(seed)
    plan = prepare(case_of(blob(seed=seed % 7)), spec((9, 11, 13), spacing)).plan
    prob = rng.random((2, 9, 11, 13)).astype(np.float32)
    prob[rng.random(prob.shape) < 0.3] = threshold
    prob = ndimage.gaussian_filter(prob, (0, 2, 2, 2)) if smooth else prob
    np.testing.assert_array_equal(
        restore_mask(prob, plan, threshold), restore(prob, plan) > np.float32(threshold)
    )


def test_one_threshold_per_channel_and_nan():
    plan = prepare(case_of(blob()), spec((9, 11, 13), (1.5, 1.5, 1.5))).plan
    prob = np.random.default_rng(0).random((2, 9, 11, 13)).astype(np.float32)
    prob[0, 4, 4, 4] = np.nan
    with np.errstate(invalid="ignore"):
        expected = restore(prob, plan) > np.array([0.3, 0.6], np.float32)[:, None, None, None]
    np.testing.assert_array_equal(restore_mask(prob, plan, (0.3, 0.6)), expected)


def test_bad_answers():
    plan = prepare(case_of(blob()), spec((9, 11, 13))).plan
    for use in (restore, restore_mask):
        with pytest.raises(InputError, match=r"shape \(1, 9, 11, 12\); \(K, 9, 11, 13\) expected"):
            use(np.zeros((1, 9, 11, 12), np.float32), plan)
    with pytest.raises(InputError, match="below 0"):
        restore_mask(np.zeros((1, 9, 11, 13), np.float32), plan, -0.1)
    with pytest.raises(InputError, match="the patient's grid"):
        prepare_mask(np.zeros((3, 3, 3), bool), plan)


def test_a_mask_goes_where_the_image_goes():
    array = blob()
    mask = ndimage.gaussian_filter(np.random.default_rng(3).random(array.shape), 2) > 0.5
    sp = spec((10, 12, 14), (1.5, 1.5, 1.5), normalise="none")
    plan = prepare(case_of(array), sp).plan
    as_image = Case("m", "m", {"flair": ArraySource(np.where(mask, 1, 0).astype(np.float32), LPS)})
    box = [(int(w.min()), int(w.max())) for w in np.nonzero(array)]
    assert make_plan(plan.grid, sp, box) == plan
    centre = prepare(as_image, spec((10, 12, 14), (1.5, 1.5, 1.5), normalise="none", crop="center"))
    np.testing.assert_allclose(prepare_mask(mask, centre.plan), centre.tensor[0], atol=1e-6)
    assert prepare_mask(mask, plan).max() <= 1 + 1e-6


# -- orientation

CODES = [
    tuple(pair[flip] for pair, flip in zip(axes, flips, strict=True))
    for axes in itertools.permutations(("LR", "PA", "IS"))
    for flips in itertools.product((0, 1), repeat=3)
]


def reoriented(array, affine, codes):
    """The same patient, stored with other axes (by nibabel)."""
    change = ornt_transform(io_orientation(affine), axcodes2ornt(codes))
    return (
        np.asfortranarray(apply_orientation(array, change)),
        affine @ inv_ornt_aff(change, array.shape),
        change,
    )


@pytest.mark.parametrize("codes", CODES, ids="".join)
def test_all_48_axis_orders_are_the_same_patient(codes):
    array, other = blob(), blob(seed=5)
    affine = LPS.copy()
    affine[:3, 3] = (30.0, -12.5, 7.0)
    sp = spec((9, 10, 12), (1.5, 1.7, 1.0), channels=("flair", "t1"), clip_percentiles=(1, 99))
    first = prepare(case_of(array, other, affine=affine), sp)
    turned, turned_affine, change = reoriented(array, affine, codes)
    other_turned, _, _ = reoriented(other, affine, codes)
    second = prepare(case_of(turned, other_turned, affine=turned_affine), sp)
    np.testing.assert_array_equal(first.tensor, second.tensor)
    np.testing.assert_allclose(first.plan.affine, second.plan.affine, atol=1e-9)
    prob = np.random.default_rng(0).random((1, 9, 10, 12)).astype(np.float32)
    for use in (restore, restore_mask):
        here, there = use(prob, first.plan)[0], use(prob, second.plan)[0]
        assert there.shape == turned.shape
        np.testing.assert_array_equal(apply_orientation(here, change), there)


def test_a_slightly_turned_head_stays_on_its_own_lattice():
    angle = np.deg2rad(12)
    turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    affine = np.eye(4)
    affine[:3, :3] = turn @ LPS[:3, :3]
    array = blob()
    straight, turned = prepare(case_of(array), spec()), prepare(case_of(array, affine=affine), spec())
    np.testing.assert_array_equal(straight.tensor, turned.tensor)


def test_the_plans_affine_places_the_tensor():
    array = blob(dtype=np.float32)
    affine = LPS.copy()
    affine[:3, 3] = (30.0, -12.5, 7.0)
    prepared = prepare(case_of(array, affine=affine), spec((12, 14, 16), normalise="none"))
    at = points(prepared.plan)
    np.testing.assert_allclose(at, np.rint(at), atol=1e-9)
    inside = ((at >= 0) & (at < np.array(array.shape)[:, None])).all(axis=0)
    values = np.zeros(at.shape[1], np.float32)
    values[inside] = array[tuple(np.rint(at[:, inside]).astype(int))]
    np.testing.assert_array_equal(prepared.tensor[0].ravel(), values)


def test_an_array_with_spacing_alone():
    """(D, H, W) to superior, posterior, left: the tensor mirrors the last two."""
    array = np.random.default_rng(0).integers(1, 99, (1, 5, 6, 7)).astype(np.int16)
    case = case_from_arrays(array, ("flair",), spacing_mm=(3.0, 1.0, 1.0))
    found = prepare(case, spec((5, 6, 7), (3.0, 1.0, 1.0), normalise="none"))
    np.testing.assert_array_equal(found.tensor[0], array[0][:, ::-1, ::-1])
    np.testing.assert_array_equal(restore(found.tensor, found.plan)[0], array[0])


# -- bad input


def test_bad_cases_are_told_apart():
    good = blob()
    with pytest.raises(MissingModalityError, match="there is no t2"):
        prepare(case_of(good, good), spec(channels=("flair", "t2")))
    with pytest.raises(CaseError, match=r"t1.nii: the t1 image holds nothing but zeros"):
        prepare(case_of(good, good * 0), spec(channels=("flair", "t1")))
    with pytest.raises(CaseError, match="NaN"):
        prepare(case_of(np.where(good > 9, np.nan, 0)), spec())
    images = {"flair": ArraySource(good, LPS), "t1": ArraySource(good[:-1], LPS)}
    with pytest.raises(GridError):
        prepare(Case("k", "k", images), spec(channels=("flair", "t1")))


def test_the_answer_is_decided_by_the_image_alone():
    """Promise 8: with another reference, and with none, the tensor is the same."""
    array = blob()
    references = [
        None,
        ArraySource(np.zeros(array.shape, np.uint8), LPS),
        ArraySource((array > 300) * 1, LPS),
    ]
    tensors = [
        prepare(Case("k", "k", {"flair": ArraySource(array, LPS)}, reference), spec()).tensor
        for reference in references
    ]
    np.testing.assert_array_equal(tensors[0], tensors[1])
    np.testing.assert_array_equal(tensors[0], tensors[2])


# -- real patients


@pytest.mark.data
@pytest.mark.parametrize("name", ["glioma3d", "glioma3d_8bit", "glioma3d_lgg"])
def test_real_brains_fit_and_tumours_come_back(data_root, name):
    sp = spec((95, 128, 128), (1.5, 1.5, 1.5), ("flair", "t1", "t1ce", "t2"), clip_percentiles=(0.5, 99.5))
    for case in open_dataset(data_root / name).cases[:3]:
        prepared = prepare(case, sp)
        assert np.isfinite(prepared.tensor).all()
        tumour = case.read_reference() > 0
        cover = prepare_mask(tumour, prepared.plan)
        # Model voxels tile the window and hold means: no volume is lost unless tumour lies outside.
        assert cover.sum(dtype=np.float64) * 1.5**3 == pytest.approx(tumour.sum(), rel=1e-5)
        back = restore_mask(cover[None], prepared.plan)[0]
        assert 2 * (back & tumour).sum() / (back.sum() + tumour.sum()) > 0.97


@pytest.mark.data
def test_real_orientation_is_nibabels(data_root):
    case = open_dataset(data_root / "glioma3d").cases[2]
    found = prepare(case, spec((155, 240, 240), normalise="none", crop="center")).tensor[0]
    file = next(iter(case.images.values())).path
    expected = nibabel.as_closest_canonical(nibabel.load(file)).get_fdata(dtype=np.float32)
    np.testing.assert_array_equal(found, expected.transpose(2, 1, 0))
