"""Holes of masks, against scipy and by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from voxzoo.zoo.cleanup import clean
from voxzoo.zoo.contract import OutputSpec
from voxzoo.zoo.holes import fill_holes


def by_scipy(foreground):
    """Each plane of each direction by itself; all that any of them fills."""
    filled = foreground.copy()
    for axis in range(3):
        for k in range(foreground.shape[axis]):
            at = (slice(None),) * axis + (k,)
            filled[at] |= ndimage.binary_fill_holes(foreground[at])
    return filled


@settings(max_examples=60, deadline=None)
@given(
    st.tuples(*[st.integers(1, 12)] * 3),
    st.floats(0, 1),
    st.integers(0, 2**32 - 1),
    st.sampled_from("CF"),
)
def test_the_same_as_scipy_plane_by_plane(shape, share, seed, order):
    rng = np.random.default_rng(seed)
    labels = np.asarray((rng.random(shape) < share) * rng.integers(1, 4, shape), np.uint8, order=order)
    before = labels.copy()
    fill_holes(labels, 7)
    assert np.array_equal(labels != 0, by_scipy(before != 0))
    assert np.array_equal(labels[before != 0], before[before != 0])
    assert set(np.unique(labels[before == 0])) <= {0, 7}


def test_blobs_as_heads_have_them():
    rng = np.random.default_rng(3)
    field = ndimage.gaussian_filter(rng.normal(size=(60, 70, 50)), 3)
    labels = np.asfortranarray((np.abs(field) > 0.8 * field.std()).astype(np.uint8))
    before = labels != 0
    fill_holes(labels, 2)
    assert (labels == 2).sum() > 100
    assert np.array_equal(labels != 0, by_scipy(before))


def test_a_tube_is_filled_where_it_is_cut_across_and_a_cup_is_not():
    tube = np.zeros((5, 5, 4), np.uint8)
    tube[1:4, 1:4] = 1
    tube[2, 2] = 0
    fill_holes(tube, 2)
    assert (tube[2, 2] == 2).all()
    cup = np.ones((5, 5, 1), np.uint8)
    cup[2, 2:] = 0
    before = cup.copy()
    fill_holes(cup, 2)
    assert np.array_equal(cup, before)


@pytest.mark.parametrize("value", [0, 1])
def test_nothing_and_everything_stay(value):
    labels = np.full((3, 4, 5), value, np.uint8)
    fill_holes(labels, 2)
    assert (labels == value).all()


def ring_with_a_core():
    """A ring of edema (2) around a speck of core (1) that touches nothing."""
    labels = np.zeros((9, 9, 1), np.uint8)
    labels[1:8, 1:8] = 2
    labels[2:7, 2:7] = 0
    labels[4, 4] = 1
    return labels


def test_what_lies_in_a_hole_is_no_component_by_itself():
    regions = ("wt", "tc", "et")
    filled = clean(
        ring_with_a_core(),
        (1, 1, 1),
        OutputSpec("y", "regions", regions, fill_holes=True, min_component_share=0.5),
    )
    assert filled[4, 4, 0] == 1
    assert (filled[1:8, 1:8] != 0).all()
    assert (filled == 2).sum() == 48
    alone = clean(ring_with_a_core(), (1, 1, 1), OutputSpec("y", "regions", regions, min_component_share=0.5))
    assert alone[4, 4, 0] == 0
    assert alone[3, 3, 0] == 0
