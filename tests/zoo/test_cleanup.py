"""Small components and small regions: scipy's components, hand-made nests, and the contract's word."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from voxzoo.zoo.cleanup import clean, drop_small, fill_small
from voxzoo.zoo.contract import OutputSpec
from voxzoo.zoo.tasks import segment

ALL = ("wt", "tc", "et")


def kept_by_scipy(labels, spacing_mm, min_mm3, min_share):
    parts, count = ndimage.label(labels, np.ones((3, 3, 3)))
    sizes = ndimage.sum_labels(np.ones(labels.shape), parts, np.arange(1, count + 1))
    keep = (sizes * np.prod(spacing_mm) >= min_mm3 - 1e-6) & (
        sizes >= min_share * max(sizes, default=0) - 1e-6
    )
    return np.where(np.isin(parts, 1 + np.flatnonzero(keep)), labels, 0)


@settings(max_examples=150, deadline=None)
@given(
    shape=st.tuples(*[st.integers(1, 14)] * 3),
    fill=st.sampled_from([0.02, 0.1, 0.2, 0.5, 0.95]),
    seed=st.integers(0, 9999),
    order=st.sampled_from("CF"),
    voxels=st.integers(0, 30),
    share=st.sampled_from([0.0, 0.1, 0.5, 1.0]),
)
def test_components_are_scipys(shape, fill, seed, order, voxels, share):
    rng = np.random.default_rng(seed)
    labels = np.where(rng.random(shape) < fill, rng.integers(1, 4, shape), 0).astype(np.uint8)
    spacing = (1.0, 0.5, 3.0)
    expected = kept_by_scipy(labels, spacing, voxels * 1.5, share)
    found = np.array(labels, order=order)
    drop_small(found, spacing, voxels * 1.5, share)
    np.testing.assert_array_equal(found, expected)


def test_long_ways_round_are_one_component():
    """A comb and a spiral: runs that meet only rows later."""
    comb = np.zeros((3, 20, 21), np.uint8)
    comb[1, :, ::2] = 1
    comb[1, -1] = 2
    spiral = np.zeros((25, 25, 3), np.uint8)
    y, x, dy, dx = 0, 0, 0, 1
    for length in (24, 24, 24, 22, 22, 20, 20, 18, 18, 16, 16):
        for _ in range(length):
            spiral[y, x, 1] = 1
            y, x = y + dy, x + dx
        dy, dx = dx, -dy
    for volume in (comb, spiral, np.asfortranarray(comb), comb.transpose(2, 0, 1).copy(order="F")):
        before = volume.copy()
        size = np.count_nonzero(volume)
        drop_small(volume, (1, 1, 1), size)
        np.testing.assert_array_equal(volume, before)
        drop_small(volume, (1, 1, 1), size + 1)
        assert not volume.any()


def test_nothing_is_left_as_it_is():
    empty = np.zeros((4, 5, 6), np.uint8)
    drop_small(empty, (1, 1, 1), 10.0, 0.5)
    fill_small(empty, (1, 1, 1), ALL, {"wt": 9.0, "et": 3.0})
    assert not empty.any()


# labels: 1 necrosis, 2 edema, 3 enhancing
NEST = np.array([2, 2, 2, 1, 1, 3, 3, 0, 0, 0], np.uint8).reshape(10, 1, 1)


@pytest.mark.parametrize(
    ("floors", "expected"),
    [
        ({}, [2, 2, 2, 1, 1, 3, 3]),
        ({"et": 2.0}, [2, 2, 2, 1, 1, 3, 3]),  # exactly as large
        ({"et": 2.1}, [2, 2, 2, 1, 1, 1, 1]),
        ({"tc": 4.0}, [2, 2, 2, 1, 1, 3, 3]),
        ({"tc": 4.5}, [2, 2, 2, 2, 2, 2, 2]),
        ({"et": 2.1, "tc": 4.0}, [2, 2, 2, 1, 1, 1, 1]),
        ({"et": 2.1, "tc": 5.0}, [2, 2, 2, 2, 2, 2, 2]),
        ({"wt": 7.0}, [2, 2, 2, 1, 1, 3, 3]),
        ({"wt": 7.5}, [0, 0, 0, 0, 0, 0, 0]),
        ({"et": 0.5, "tc": 0.5, "wt": 100.0}, [0, 0, 0, 0, 0, 0, 0]),
    ],
)
@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (0.1, 2.0, 5.0)])
@pytest.mark.parametrize("channels", [ALL, ("et", "wt", "tc")])
def test_a_small_region_becomes_the_one_around_it(floors, expected, spacing, channels):
    labels = NEST.copy()
    fill_small(labels, spacing, channels, floors)
    assert labels.ravel().tolist() == [*expected, 0, 0, 0]


def test_fewer_regions():
    labels = np.array([1, 1, 2, 0], np.uint8).reshape(4, 1, 1)  # of ("wt", "et"): 2 is enhancing
    fill_small(labels, (1, 1, 1), ("wt", "et"), {"et": 2.0})
    assert labels.ravel().tolist() == [1, 1, 1, 0]
    fill_small(labels, (1, 1, 1), ("wt", "et"), {"wt": 4.0})
    assert not labels.any()


def test_the_contract_says_it():
    labels = np.zeros((12, 1, 1), np.uint8)
    labels[:7], labels[8:10] = NEST[:7], 3  # a component of its own, which goes first
    output = OutputSpec("y", "regions", ALL, min_component_mm3=3.0, min_region_mm3={"et": 3.0})
    found = clean(labels, (1, 1, 1), output)
    assert found is labels
    assert labels.ravel().tolist() == [2, 2, 2, 1, 1, 1, 1, 0, 0, 0, 0, 0]
    untouched = NEST.copy()
    clean(untouched, (1, 1, 1), OutputSpec("y", "regions", ALL))
    np.testing.assert_array_equal(untouched, NEST)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 999),
    floors=st.dictionaries(st.sampled_from(ALL), st.floats(0, 60)),
    order=st.sampled_from("CF"),
)
def test_no_region_is_left_below_its_floor(seed, floors, order):
    rng = np.random.default_rng(seed)
    labels = np.array(rng.choice(4, (4, 5, 6), p=[0.6, 0.1, 0.2, 0.1]), np.uint8, order=order)
    before = labels.copy()
    fill_small(labels, (1, 1, 1), ALL, floors)
    sizes = {name: int(segment.region_mask(labels, name).sum()) for name in ALL}
    assert all(sizes[name] == 0 or sizes[name] >= floors.get(name, 0) - 1e-6 for name in ALL)
    for name in ALL:
        inside = segment.region_mask(labels, name)
        assert not (inside & ~segment.region_mask(before, name)).any()
