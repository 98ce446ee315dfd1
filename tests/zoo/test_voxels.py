"""Scans of a volume against numpy, on every type and memory order."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from voxzoo.zoo.voxels import flat_view, occupied_box, translate, value_counts


def numpy_box(array):
    where = np.nonzero(array)
    if not len(where[0]):
        return None
    return tuple((int(w.min()), int(w.max())) for w in where)


@settings(max_examples=60, deadline=None)
@given(
    shape=array_shapes(min_dims=3, max_dims=3, max_side=9),
    dtype=st.sampled_from([np.uint8, np.int16, np.float32]),
    axes=st.permutations([0, 1, 2]),
    seed=st.integers(0, 999),
    share=st.sampled_from([0.0, 0.02, 0.3]),
)
@example(shape=(2, 1, 3), dtype=np.uint8, axes=[1, 2, 0], seed=0, share=0.02)  # an axis of length 1
def test_box_of_any_memory_order(shape, dtype, axes, seed, share):
    rng = np.random.default_rng(seed)
    array = np.where(rng.random(shape) < share, rng.integers(1, 99, shape), 0).astype(dtype).transpose(axes)
    for view in (array, np.asfortranarray(array), np.ascontiguousarray(array), array[::-1]):
        assert occupied_box(view) == numpy_box(view)


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.int16, np.uint16])
def test_counts_of_every_value(dtype):
    info = np.iinfo(dtype)
    array = np.random.default_rng(0).integers(info.min, info.max, (9, 31, 33), dtype=dtype, endpoint=True)
    array[3:6] = 0
    counts, lowest = value_counts(array)
    values, numbers = np.unique(array[array != 0], return_counts=True)
    np.testing.assert_array_equal(np.flatnonzero(counts) + lowest, values)
    np.testing.assert_array_equal(counts[counts > 0], numbers)


@given(array=arrays(np.int16, array_shapes(min_dims=3, max_dims=3, max_side=5)))
@settings(max_examples=30, deadline=None)
def test_counts_of_small_volumes(array):
    counts, lowest = value_counts(array)
    for value in np.unique(array):
        assert counts[int(value) - lowest] == (0 if value == 0 else np.count_nonzero(array == value))


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.int64, np.float32])
@pytest.mark.parametrize("order", ["C", "F"])
def test_translation_keeps_shape_and_order(dtype, order):
    array = np.asarray(np.random.default_rng(0).integers(0, 5, (5, 6, 7)), dtype=dtype, order=order)
    table = np.array([0, 10, 20, 30, 40] + [0] * 251, np.uint8)
    found = translate(array, table, 0.0)
    np.testing.assert_array_equal(found.labels, array * 10)
    assert found.labels.flags[f"{order}_CONTIGUOUS"]
    np.testing.assert_array_equal(found.counts[:5], [np.count_nonzero(array == v) for v in range(5)])
    assert (found.fractions, found.outside) == (0, 0)


def test_translation_of_what_is_no_label():
    array = np.array([[[0, 1.5, np.nan, -3, 256, np.inf, 2]]], np.float32)
    found = translate(array, np.arange(256, dtype=np.uint8), 1e-3)
    assert found.labels.tolist() == [[[0, 0, 0, 0, 0, 0, 2]]]
    assert (found.fractions + found.outside, found.first) == (5, 1.5)


def test_flat_view_copies_only_what_it_must():
    array = np.zeros((4, 5, 6))
    for view in (array, array.T):
        flat, strides = flat_view(view)
        assert np.shares_memory(flat, array)
        assert strides.tolist() == [s // 8 for s in view.strides]
    assert not np.shares_memory(flat_view(array[:, ::2])[0], array)
    assert array.flags.writeable
