"""Overlap scores against plain numpy, MONAI, medpy, and values by hand."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from voxzoo.eval.overlap import (
    SCORES,
    Counts,
    count,
    count_slices,
    dice,
    dice_slices,
    iou,
    precision,
    recall,
    score,
    specificity,
    volume_error_ml,
    volume_error_rel,
    volume_ml,
)
from voxzoo.rasterize.errors import InputError


def brute(p, r):
    p, r = np.asarray(p, bool), np.asarray(r, bool)
    return Counts(int((p & r).sum()), int((p & ~r).sum()), int((~p & r).sum()), int((~p & ~r).sum()))


def pair(shape, seed=0, share=0.3):
    rng = np.random.default_rng(seed)
    return rng.random(shape) < share, rng.random(shape) < share


@pytest.mark.parametrize(
    "n", [1, 7, 8, 9, 63, 64, 65, 1983, 1984, 1985, 2047, 238_080, 238_081, 476_167, 10**6]
)
@pytest.mark.parametrize("share", [0.0, 0.4, 1.0])
def test_counts_at_every_block_boundary(n, share):
    p, r = pair(n, share=share)
    assert count(p, r) == brute(p, r)


@given(arrays(bool, st.integers(1, 300)), st.integers(0, 2**31))
@settings(max_examples=100, deadline=None)
def test_counts_and_their_laws(p, seed):
    r = np.random.default_rng(seed).random(p.shape) < 0.5
    c = count(p, r)
    assert c == brute(p, r)
    assert c.tp + c.fp + c.fn + c.tn == p.size
    assert dice(p, r) == dice(r, p)
    assert dice(p, p) == 1.0
    if c.tp + c.fp + c.fn:
        assert dice(p, r) == pytest.approx(2 * iou(p, r) / (1 + iou(p, r)))


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.int8, np.int16, np.uint16, np.int32, np.int64])
def test_dtypes(dtype):
    p, r = pair((5, 11, 13))
    assert count(p.astype(dtype), r) == brute(p, r)


def layouts(x):
    yield x
    yield np.asfortranarray(x)
    yield np.ascontiguousarray(x.transpose(1, 2, 0)).transpose(2, 0, 1)
    yield np.repeat(x, 2, axis=1)[:, ::2]
    yield np.ascontiguousarray(x[::-1])[::-1]
    yield np.pad(x, 1)[1:-1, 1:-1, 1:-1]
    yield np.frombuffer(b"?" + x.tobytes(), bool, offset=1).reshape(x.shape)


def test_memory_layouts():
    p, r = pair((6, 10, 9))
    expected = brute(p, r)
    for a in layouts(p):
        for b in layouts(r):
            assert count(a, b) == expected


def test_against_monai_and_medpy():
    from medpy.metric import binary
    from monai.metrics import DiceMetric
    from torch import from_numpy

    p, r = pair((12, 20, 21), seed=3)
    as_batch = [from_numpy(x[None, None].astype(np.float32)) for x in (p, r)]
    assert dice(p, r) == pytest.approx(float(DiceMetric()(*as_batch)), abs=1e-6)
    assert dice(p, r) == binary.dc(p, r)
    assert iou(p, r) == binary.jc(p, r)
    assert precision(p, r) == binary.precision(p, r)
    assert recall(p, r) == binary.recall(p, r)
    assert specificity(p, r) == binary.specificity(p, r)


def test_scores_by_hand():
    c = Counts(tp=6, fp=2, fn=4, tn=8)
    assert {name: score(c, name) for name in SCORES} == {
        "dice": 12 / 18,
        "iou": 0.5,
        "precision": 0.75,
        "recall": 0.6,
        "specificity": 0.8,
    }


NONE, SOME, ALL = [0, 0, 0], [0, 1, 0], [1, 1, 1]


@pytest.mark.parametrize("metric", [dice, iou, precision, recall])
def test_both_empty(metric):
    assert metric(NONE, NONE) == 1.0
    assert math.isnan(metric(NONE, NONE, empty="nan"))
    assert metric(NONE, NONE, empty="inf") == math.inf
    assert metric(NONE, NONE, empty=0.25) == 1.0
    with pytest.raises(InputError, match="both masks are empty"):
        metric(NONE, NONE, empty="raise")


def test_one_empty():
    for metric in (dice, iou):
        for policy in ("penalty", "nan", "inf", "raise", 0.5):
            assert metric(NONE, SOME, empty=policy) == metric(SOME, NONE, empty=policy) == 0.0
    assert precision(NONE, SOME) == recall(SOME, NONE) == 0.0
    assert precision(SOME, NONE) == recall(NONE, SOME) == 0.0
    assert math.isnan(precision(NONE, SOME, empty="nan"))
    assert recall(SOME, NONE, empty=0.5) == 0.5
    assert specificity(SOME, ALL) == 1.0
    assert math.isnan(specificity(SOME, ALL, empty="nan"))


def test_slices():
    p, r = pair((9, 16, 17))
    p[4] = r[4] = False
    expected = [dice(a, b) for a, b in zip(p, r, strict=True)]
    np.testing.assert_array_equal(dice_slices(p, r), expected)
    np.testing.assert_array_equal(dice_slices(np.asfortranarray(p), r), expected)
    assert count_slices(p, r) == [brute(a, b) for a, b in zip(p, r, strict=True)]
    assert math.isnan(dice_slices(p, r, empty="nan")[4])
    with pytest.raises(InputError, match="both masks are empty"):
        dice_slices(p, r, empty="raise")
    with pytest.raises(InputError, match="3-D"):
        dice_slices(p[0], r[0])


def test_volumes_by_hand():
    ref = np.zeros((10, 10, 10), bool)
    ref[:5] = True
    pred = np.zeros_like(ref)
    pred[:6] = True
    assert volume_ml(ref, spacing_mm=(2, 1, 0.5)) == 0.5
    assert volume_ml(ref, spacing_mm=2) == 4.0
    assert volume_error_ml(pred, ref) == pytest.approx(0.1)
    assert volume_error_rel(pred, ref) == pytest.approx(0.2)
    assert volume_error_rel(~pred & False, ref) == -1.0
    assert math.isnan(volume_error_rel(pred, ref & False))
    assert volume_error_rel(ref & False, ref & False) == 0.0
    with pytest.raises(InputError, match="positive finite"):
        volume_ml(ref, spacing_mm=(1, 0, 1))


@pytest.mark.parametrize("value", [2, 255, 128])
@pytest.mark.parametrize("side", ["pred", "ref"])
def test_masks_that_are_not_binary_are_named(value, side):
    masks = {"pred": np.zeros((4, 9), np.uint8), "ref": np.zeros((4, 9), np.uint8)}
    masks[side][3, 8] = value
    with pytest.raises(InputError, match=rf"{side} holds the values 0, {value}"):
        count(**masks)


def test_masks_that_cannot_be_compared():
    with pytest.raises(InputError, match=r"\(2, 3\).*\(3, 2\)"):
        dice(np.zeros((2, 3), bool), np.zeros((3, 2), bool))
    with pytest.raises(InputError, match="float64"):
        dice(np.zeros((2, 3)), np.zeros((2, 3), bool))
    with pytest.raises(InputError, match="expected one of dice"):
        score(Counts(1, 1, 1, 1), "f2")
