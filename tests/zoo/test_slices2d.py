"""Slices as images: view, geometry, contrast and choice, against hand-made volumes and plain numpy."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voxzoo.zoo.cases import ArraySource, Case, case_from_folder
from voxzoo.zoo.errors import CaseError, InputError, MissingModalityError
from voxzoo.zoo.slices2d import open_slices
from voxzoo.zoo.tasks.slices import PLACES, PLANES, SliceRule

LPS = np.diag([-1.0, -1.0, 1.0, 1.0])


def make_case(flair, affine=LPS, labels=None):
    reference = None if labels is None else ArraySource(labels, affine, "labels")
    return Case("p", "p", {"flair": ArraySource(flair, affine, "flair")}, reference)


def reoriented(array, affine, axes, flips):
    """The same voxels in another axis order, with the affine that says so."""
    out, new = np.transpose(array, axes), affine.copy()
    new[:3, :3] = affine[:3, list(axes)]
    for axis, flip in enumerate(flips):
        if flip:
            new[:3, 3] += new[:3, axis] * (out.shape[axis] - 1)
            new[:3, axis] *= -1
            out = np.flip(out, axis)
    return np.asfortranarray(out), new


@pytest.fixture
def head():
    """A bright left eye (L), the nose (A) and the crown (S), in a box of tissue, LPS."""
    volume = np.zeros((20, 24, 16), np.int16)
    volume[2:18, 2:22, 2:14] = 10
    volume[17, 12, 8] = 100  # left
    volume[10, 2, 8] = 150  # anterior
    volume[10, 12, 13] = 200  # superior
    return volume


def spots(case, plane, index, size=(24, 24)):
    image = open_slices(case, SliceRule(plane=plane, which="all", place="crop", size=size)).image(index)
    return {tuple(p.tolist()) for p in np.argwhere(image > 100)}, image


def test_axial_view(head):
    found, image = spots(make_case(head), "axial", 8)
    assert found == {(2, 12), (12, 19)}  # the nose is up, the left eye on the right
    assert image[12, 19] == 170  # 100 of 150


def test_coronal_and_sagittal_views(head):
    found, _ = spots(make_case(head), "coronal", 12)
    assert found == {(6, 12), (11, 19)}  # the crown is up, the left eye on the right
    found, _ = spots(make_case(head), "sagittal", 10)
    assert found == {(6, 12), (11, 2)}  # the nose is on the left


@pytest.mark.parametrize("plane", PLANES)
@pytest.mark.parametrize("place", PLACES)
def test_axis_order_and_flips_of_the_file_change_nothing(head, plane, place):
    rule = SliceRule(plane=plane, which="all", place=place, size=(32, 40))
    case = open_slices(make_case(head), rule)
    array, affine = reoriented(head, LPS, (2, 0, 1), (True, False, True))
    other = open_slices(make_case(array, affine), rule)
    middle = np.array([9.0, 11.0, 7.0])  # voxel of `head`
    axis = {"axial": 2, "coronal": 1, "sagittal": 0}[plane]
    index = int(middle[axis])
    wanted = LPS @ [*middle, 1]
    moved = np.argmin([np.abs(affine @ [*p, 1] - wanted).sum() for p in np.ndindex(array.shape)])
    there = np.unravel_index(moved, array.shape)[{2: 0, 0: 1, 1: 2}[axis]]
    np.testing.assert_array_equal(case.image(index), other.image(int(there)))
    pixels = np.array([[0, 0], [3.5, 20], [31, 39]])
    np.testing.assert_allclose(case.to_mm(index, pixels), other.to_mm(int(there), pixels))


@pytest.mark.parametrize("plane", PLANES)
@pytest.mark.parametrize("place", PLACES)
def test_pixels_lead_back_to_voxels(plane, place):
    rng = np.random.default_rng(3)
    affine = np.diag([-0.7, 1.3, 2.0, 1.0])
    affine[:3, 3] = 5, -7, 11
    volume = rng.integers(1, 1000, (30, 28, 26)).astype(np.float32)
    slices = open_slices(
        make_case(volume, affine), SliceRule(plane=plane, which="all", place=place, size=(20, 18))
    )
    index = slices.indices[4]
    voxels = slices.to_voxels(index, np.argwhere(np.ones((20, 18))))
    np.testing.assert_allclose(
        slices.to_mm(index, [3, 5]), affine[:3, :3] @ voxels[3 * 18 + 5] + affine[:3, 3]
    )
    step = slices.to_mm(index, [1, 0]) - slices.to_mm(index, [0, 0])
    assert np.linalg.norm(step) == pytest.approx(slices.pixel_mm[0])
    if place == "crop":  # voxels one to one: the image is what the file holds there
        inside = ((voxels >= 0) & (voxels < volume.shape)).all(axis=1)
        expected = np.zeros(len(voxels))
        expected[inside] = volume[tuple(voxels[inside].astype(int).T)]
        low, high = expected.min(), expected.max()
        np.testing.assert_array_equal(
            slices.image(index).ravel(), np.floor((expected - low) / (high - low) * 255).astype(np.uint8)
        )
    else:
        assert slices.pixel_mm[0] == pytest.approx(slices.pixel_mm[1])


def test_the_brains_box_fills_the_image(head):
    slices = open_slices(make_case(head), SliceRule(which="all", size=(40, 40)))
    assert slices.pixel_mm == (0.5, 0.5)  # 20 mm from front to back over 40 pixels
    shown = np.argwhere(slices.image(8) > 0)
    assert shown[:, 0].min() == 0
    assert shown[:, 0].max() == 39
    assert abs(shown[:, 1].min() - (39 - shown[:, 1].max())) <= 1
    corner = slices.to_voxels(8, [-0.5, 19.5])
    assert corner[1] == pytest.approx(1.5)  # the upper edge of the image is the front edge of the box


def test_the_full_frame_does_not_look_at_the_brain(head):
    rule = SliceRule(which="all", place="full", size=(24, 24))
    other = np.roll(head, 1, axis=1)
    a, b = (open_slices(make_case(v), rule).to_mm(8, [3, 4]) for v in (head, other))
    np.testing.assert_array_equal(a, b)


def test_contrast_is_stretched_over_the_slice_and_truncated():
    volume = np.zeros((4, 4, 3), np.int16)
    volume[:, :, 1] = np.arange(16).reshape(4, 4)
    volume[:, :, 2] = 7
    slices = open_slices(make_case(volume), SliceRule(which="all", place="full", size=(4, 4)))
    assert sorted(slices.image(1).ravel().tolist()) == [i * 255 // 15 for i in range(16)]
    assert not slices.image(2).any()  # nothing to stretch
    assert slices.image(1).dtype == np.uint8


def test_contrast_over_the_brain_is_the_same_in_every_slice():
    rng = np.random.default_rng(0)
    volume = rng.integers(1, 2000, (12, 12, 4)).astype(np.int16)
    rule = SliceRule(which="all", place="full", contrast="brain", size=(12, 12))
    slices = open_slices(make_case(volume), rule)
    low, high = np.percentile(volume, [1, 99])
    expected = (np.clip((volume[:, :, 2].T - low) / (high - low), 0, 1) * 255).astype(np.uint8)
    np.testing.assert_array_equal(slices.image(2), expected)


LABELS = np.zeros((20, 24, 60), np.uint8)
LABELS[8:12, 10:14, 5:56] = 2
LABELS[9:11, 11:13, 20:31] = 1
LABELS[9, 11, 40] = 4


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        (SliceRule(), (5, 55)),
        (SliceRule(which="inner"), (25, 35)),
        (SliceRule(which="inner", margin=0), (5, 55)),
        (SliceRule(region="tc"), (20, 40)),
        (SliceRule(region="et"), (40, 40)),
        (SliceRule(which="all"), (1, 58)),
        (SliceRule(plane="coronal"), (10, 13)),
        (SliceRule(plane="sagittal"), (8, 11)),
    ],
)
def test_which_slices(rule, expected):
    flair = np.zeros(LABELS.shape, np.int16)
    flair[2:18, 2:22, 1:59] = 5
    indices = open_slices(make_case(flair, labels=LABELS), rule).indices
    assert indices == tuple(range(expected[0], expected[1] + 1))


def test_a_range_too_short_for_its_margin_and_a_patient_without_tumour_have_no_slices():
    flair = np.ones(LABELS.shape, np.int16)
    assert open_slices(make_case(flair, labels=LABELS), SliceRule("flair", "coronal", "inner")).indices == ()
    assert open_slices(make_case(flair, labels=np.zeros_like(LABELS)), SliceRule()).indices == ()


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from(list(PLANES)), st.sampled_from(PLACES))
def test_nothing_but_the_choice_of_slices_depends_on_the_reference(seed, plane, place):
    rng = np.random.default_rng(seed)
    flair = rng.integers(0, 50, (9, 10, 11)).astype(np.int16)
    flair[4, 5, 6] = 60
    labels = (rng.random(flair.shape) > 0.9).astype(np.uint8)
    rule = SliceRule(plane=plane, place=place, size=(16, 16))
    with_labels = open_slices(make_case(flair, labels=labels), rule)
    without = open_slices(make_case(flair), SliceRule(plane=plane, which="all", place=place, size=(16, 16)))
    assert rule.uses_reference
    assert not without.rule.uses_reference
    for index in with_labels.indices:
        np.testing.assert_array_equal(with_labels.image(index), without.image(index))
        np.testing.assert_array_equal(with_labels.to_mm(index, [1, 2]), without.to_mm(index, [1, 2]))


def test_masks_follow_the_image(head):
    mask = head == 100
    slices = open_slices(make_case(head), SliceRule(which="all", place="crop", size=(24, 24)))
    assert np.argwhere(slices.mask(mask, 8)).tolist() == [[12, 19]]
    assert not slices.mask(mask, 7).any()
    fine = open_slices(make_case(head), SliceRule(which="all", size=(40, 40)))
    pixels = np.argwhere(fine.mask(mask, 8))
    np.testing.assert_allclose(fine.to_voxels(8, pixels.mean(axis=0)), [17, 12, 8])


def test_a_mask_is_halved_where_pixels_are_larger():
    volume = np.ones((8, 8, 1), np.int16)
    slices = open_slices(make_case(volume), SliceRule(which="all", size=(4, 4)))
    mask = np.zeros((8, 8, 1), bool)
    mask[0, 0, 0] = True  # a quarter of a pixel
    mask[4:6, 4, 0] = True  # half of one
    assert np.argwhere(slices.mask(mask, 0)).tolist() == [[2, 2]]


def test_mistakes(head):
    case = make_case(head)
    with pytest.raises(CaseError, match='which="all"'):
        open_slices(case)
    with pytest.raises(MissingModalityError):
        open_slices(case, SliceRule("t2", which="all"))
    with pytest.raises(CaseError, match="nothing but zeros"):
        open_slices(make_case(np.zeros((4, 4, 4), np.int16)), SliceRule(which="all"))
    slices = open_slices(case, SliceRule(which="all"))
    for index in (-1, 16):
        with pytest.raises(InputError, match="0 to 15"):
            slices.image(index)
    with pytest.raises(InputError, match="shape"):
        slices.mask(np.zeros((3, 3, 3), bool), 0)


@pytest.mark.parametrize(
    "wrong",
    [
        {"plane": "oblique"},
        {"which": "some"},
        {"place": "x"},
        {"contrast": "y"},
        {"region": "z"},
        {"margin": -1},
        {"size": (0, 5)},
        {"size": (5,)},
    ],
)
def test_rules_that_mean_nothing(wrong):
    with pytest.raises(InputError):
        SliceRule(**wrong)


def test_a_rule_is_recorded_whole():
    rule = SliceRule(plane="coronal")
    record = rule.record()
    assert record.pop("uses_reference") is True
    assert SliceRule(**{**record, "size": tuple(record["size"])}) == rule


@pytest.mark.data
@pytest.mark.parametrize("plane", PLANES)
def test_real_slices(data_root, plane):
    case = case_from_folder(data_root / "glioma3d" / "BraTS2021_00003")
    labels = case.read_reference()
    slices = open_slices(case, SliceRule(plane=plane))
    axis = {"axial": 2, "coronal": 1, "sagittal": 0}[plane]
    with_tumour = np.flatnonzero((labels > 0).any(axis=tuple({0, 1, 2} - {axis})))
    assert slices.indices == tuple(range(with_tumour[0], with_tumour[-1] + 1))
    index = slices.indices[len(slices.indices) // 2]
    image, mask = slices.image(index), slices.mask(labels > 0, index)
    assert image.shape == (128, 128)
    assert image.max() == 255
    area_mm2 = mask.sum() * np.prod(slices.pixel_mm)
    assert area_mm2 == pytest.approx(np.count_nonzero(np.take(labels, index, axis)), rel=0.05)
    assert image[mask].mean() > image[(image > 0) & ~mask].mean()  # FLAIR: a tumour is bright
