"""K-label confusion against numpy's bincount and binary counts."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from voxzoo.eval.label_counts import confusion
from voxzoo.eval.overlap import count, dice, score
from voxzoo.rasterize.errors import InputError


def by_bincount(pred, ref, labels):
    place = {value: i for i, value in enumerate(labels)}
    index = [place[int(r)] * len(labels) + place[int(p)] for p, r in zip(pred.flat, ref.flat, strict=True)]
    return np.bincount(index, minlength=len(labels) ** 2).reshape(len(labels), -1)


def blocks(shape, k, seed):
    """Label maps with long runs, and noise on some rows."""
    rng = np.random.default_rng(seed)
    small = rng.integers(0, k, (2, 3, 2))
    out = np.kron(small, np.ones([-(-n // s) for n, s in zip(shape, small.shape, strict=True)], np.int64))
    out = out[: shape[0], : shape[1], : shape[2]].copy()
    out[::3] = np.where(rng.random(out[::3].shape) < 0.2, rng.integers(0, k, out[::3].shape), out[::3])
    return out


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.int16, np.uint16, np.int32, np.int64])
@pytest.mark.parametrize("shape", [(4, 5, 6), (7, 30, 41), (6, 16, 64)])
def test_equals_bincount(dtype, shape):
    pred, ref = blocks(shape, 5, 0).astype(dtype), blocks(shape, 5, 1).astype(dtype)
    expected = by_bincount(pred, ref, range(5))
    np.testing.assert_array_equal(confusion(pred, ref, range(5)).counts, expected)
    np.testing.assert_array_equal(
        confusion(np.asfortranarray(pred), ref[:, ::-1][:, ::-1], range(5)).counts, expected
    )


@given(arrays(np.uint8, 200, elements=st.integers(0, 3)), arrays(np.uint8, 200, elements=st.integers(0, 3)))
@settings(max_examples=60, deadline=None)
def test_equals_bincount_on_anything(pred, ref):
    np.testing.assert_array_equal(confusion(pred, ref, range(4)).counts, by_bincount(pred, ref, range(4)))


def test_labels_of_any_value_and_order():
    rng = np.random.default_rng(2)
    labels = (1001, 0, -7, 40000)
    pred, ref = (rng.choice(labels, (9, 40)).astype(np.int32) for _ in range(2))
    found = confusion(pred, ref, labels)
    assert found.labels == labels
    np.testing.assert_array_equal(found.counts, by_bincount(pred, ref, labels))


def test_the_widest_set_of_labels():
    labels = list(range(255))
    pred, ref = np.arange(255, dtype=np.uint8), np.zeros(255, np.uint8)
    assert (confusion(pred, ref, labels).counts[0] == 1).all()
    with pytest.raises(InputError, match="255"):
        confusion(pred, ref, range(256))


def test_background_is_put_in_front():
    found = confusion([0, 2, 1], [0, 2, 2], labels=(1, 2))
    assert found.labels == (0, 1, 2)
    assert found.counts.tolist() == [[1, 0, 0], [0, 0, 0], [0, 1, 1]]


def test_labels_and_regions_equal_binary_counts():
    pred, ref = blocks((8, 20, 33), 4, 3).astype(np.uint8), blocks((8, 20, 33), 4, 4).astype(np.uint8)
    found = confusion(pred, ref, (0, 1, 2, 3))
    for values in ((1,), (2,), (1, 3), (1, 2, 3)):
        assert found.of(values) == count(np.isin(pred, values), np.isin(ref, values))
    assert found.of(2) == found.of((2,)) == found.of((2, 2))
    assert score(found.of(3), "dice") == dice(pred == 3, ref == 3)
    for values in ((5,), (), (1, 5)):
        with pytest.raises(InputError, match="this confusion holds"):
            found.of(values)


@pytest.mark.parametrize("dtype", [np.uint8, np.int16])
def test_unknown_labels_are_named(dtype):
    pred, ref = np.zeros((3, 50), dtype), np.zeros((3, 50), dtype)
    pred[2, 49], ref[0, 0] = 9, 4
    with pytest.raises(InputError, match=r"pred holds 9 and ref holds 4"):
        confusion(pred, ref, (0, 1, 2, 3))
    wide = pred.astype(np.int32)
    wide[2, 49] = 256  # would wrap to background in a byte
    with pytest.raises(InputError, match="pred holds 256"):
        confusion(wide, ref * 0, (0, 1))


@pytest.mark.parametrize("labels", [(), (1, 1), (0.5, 1), ("a",), (True, 0)])
def test_labels_that_cannot_be(labels):
    with pytest.raises(InputError, match="labels="):
        confusion([0], [0], labels)


def test_arrays_that_cannot_be_compared():
    with pytest.raises(InputError, match=r"\(2,\).*\(3,\)"):
        confusion([0, 1], [0, 1, 1], (0, 1))
    with pytest.raises(InputError, match="float64"):
        confusion([0.0, 1.0], [0, 1], (0, 1))
