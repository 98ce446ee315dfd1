"""Lesion-wise scores: by hand, and against a plain rewriting of the challenge's rules on whole volumes."""

import numpy as np
import pytest
from scipy import ndimage

from voxzoo.eval.lesion import lesion_counts, lesion_f1, lesion_wise
from voxzoo.eval.overlap import Counts, dice
from voxzoo.rasterize.errors import InputError


def plain_lesion_wise(pred, ref, dilation, threshold):
    """(dice, false positives, found, missed), each lesion on the whole grid; nothing shared with ours."""
    cube, cross = np.ones((3, 3, 3)), ndimage.generate_binary_structure(3, 2)

    def grow(x):
        return ndimage.binary_dilation(x, cross, iterations=dilation) if dilation else x

    parts, n_parts = ndimage.label(pred, cube)
    joined, n = ndimage.label(grow(ref), cube)
    scores, met_ever, found = [], set(), 0
    for i in range(1, n + 1):
        lesion = ref & (joined == i)
        met = set(parts[grow(lesion)].tolist()) - {0}
        met_ever |= met
        if lesion.sum() > threshold:
            mine = np.isin(parts, list(met))
            scores.append(2 * (mine & lesion).sum() / (mine.sum() + lesion.sum()))
            found += bool(met)
    false = n_parts - len(met_ever)
    whole = len(scores) + false
    return (sum(scores) / whole if whole else 1.0), false, found, len(scores) - found


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("dilation", [0, 1, 3])
def test_equals_the_plain_rules(seed, dilation):
    rng = np.random.default_rng(seed)
    ref = ndimage.gaussian_filter(rng.random((24, 30, 26)), 1.3 + 0.1 * seed) > 0.56
    pred = ref ^ (ndimage.gaussian_filter(rng.random(ref.shape), 1.5) > 0.55)
    ours = lesion_wise(pred, ref, dilation=dilation, min_mm3=20)
    theirs = plain_lesion_wise(pred, ref, dilation, 20)
    assert (ours.dice, ours.false_positives, ours.found, ours.missed) == (
        pytest.approx(theirs[0], abs=1e-12),
        *theirs[1:],
    )


def scene():
    ref = np.zeros((12, 40, 40), bool)
    ref[4:8, 4:8, 4:8] = True  # 64 voxels, found exactly
    ref[4:8, 30:34, 30:34] = True  # 64 voxels, missed
    ref[0, 0, 39] = True  # one voxel, missed: too small to count
    pred = np.zeros_like(ref)
    pred[4:8, 4:8, 4:8] = True
    pred[2:4, 20:22, 0:2] = True  # belongs to nothing
    return pred, ref


def test_a_scene_by_hand():
    score = lesion_wise(*scene())
    assert (score.dice, score.found, score.missed) == (1 / 3, 1, 1)
    assert (score.false_positives, score.ignored) == (1, 1)
    assert [lesion.dice for lesion in score.lesions] == [1.0, 0.0]
    assert score.distance_mm is None


def test_spacing_decides_what_is_small():
    pred, ref = scene()
    assert lesion_wise(pred, ref, spacing_mm=0.9).ignored == 3  # 64 voxels are 46.7 mm3
    assert lesion_wise(pred, ref, spacing_mm=(5, 5, 3)).ignored == 0


def test_distances_and_their_penalty():
    score = lesion_wise(*scene(), distance=lambda a, b: float((a ^ b).sum()), penalty_mm=100)
    assert score.distance_mm == pytest.approx((0 + 100 + 100) / 3)
    assert [lesion.distance_mm for lesion in score.lesions] == [0.0, 100.0]


def test_near_components_are_one_lesion_only_when_they_touch_after_dilation():
    ref = np.zeros((9, 9, 30), bool)
    ref[4:8, 2:8, 2:6] = ref[4:8, 2:8, 10:14] = True
    found = [len(lesion_wise(ref, ref, dilation=d).lesions) for d in (0, 1, 2, 3)]
    assert found == [2, 2, 1, 1]
    assert lesion_wise(ref, ref).dice == 1.0


def test_what_was_predicted_for_a_small_lesion_is_not_false():
    ref = np.zeros((20, 20, 20), bool)
    ref[10, 10, 10] = True
    score = lesion_wise(ref, ref)
    assert (score.dice, score.false_positives, score.ignored, score.lesions) == (1.0, 0, 1, ())


def test_empty_masks():
    none, some = np.zeros((6, 6, 6), bool), np.ones((6, 6, 6), bool)
    assert lesion_wise(none, none).dice == 1.0
    assert lesion_wise(none, none, distance=dice).distance_mm == 0.0
    assert lesion_wise(some, none).dice == lesion_wise(none, some).dice == 0.0
    assert lesion_f1(none, none) == 1.0
    assert np.isnan(lesion_f1(none, none, empty="nan"))
    assert lesion_f1(some, none) == lesion_f1(none, some) == 0.0


def test_lesions_found_false_and_missed_by_hand():
    pred, ref = scene()
    assert lesion_counts(pred, ref) == Counts(tp=1, fp=1, fn=2, tn=0)
    assert lesion_f1(pred, ref) == 2 / 5
    bridge = [[1, 1, 1, 1, 1]]
    assert lesion_counts(bridge, [[1, 0, 0, 0, 1]]) == Counts(tp=2, fp=0, fn=0, tn=0)
    diagonal = np.eye(4, dtype=bool)
    assert lesion_counts(diagonal, diagonal).tp == 1


def test_bad_arguments():
    mask = np.zeros((3, 3, 3), bool)
    with pytest.raises(InputError, match="dilation=-1"):
        lesion_wise(mask, mask, dilation=-1)
    with pytest.raises(InputError, match="2-D and 3-D"):
        lesion_f1(mask[0, 0], mask[0, 0])
    with pytest.raises(InputError, match="spacing_mm"):
        lesion_wise(mask, mask, spacing_mm=(1, 1))
    with pytest.raises(InputError, match="shape"):
        lesion_f1(mask, mask[:2])
