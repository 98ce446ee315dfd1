"""Boxes and polygons against masks, brute force and other libraries."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cdist
from skimage.draw import polygon as skimage_polygon

from voxzoo.eval.language.boxes import extents, row_edge_distance, score_boxes
from voxzoo.eval.language.shapes import draw_boxes, draw_polygons, score_slices, score_volume
from voxzoo.eval.language.voxel_distance import hausdorff_of_voxels

SHAPE = (24, 31)
COORDINATE = st.integers(-40, 60)
CORNERS = st.lists(st.tuples(COORDINATE, COORDINATE), min_size=1, max_size=4)


def python_box(corners, shape):
    """Drawn as ``mask[min:max + 1]`` is."""
    mask = np.zeros(shape, np.uint8)
    rows, cols = zip(*corners, strict=True)
    mask[min(rows) : max(rows) + 1, min(cols) : max(cols) + 1] = 1
    return mask


@given(CORNERS)
@settings(max_examples=200, deadline=None)
def test_a_box_with_wrapping_is_what_python_slices(corners):
    assert np.array_equal(draw_boxes([corners], SHAPE, wrap=True)[0], python_box(corners, SHAPE))


@given(CORNERS)
@settings(max_examples=200, deadline=None)
def test_a_box_is_every_pixel_between_its_corners(corners):
    rows, cols = zip(*corners, strict=True)
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    inside = (y >= min(rows)) & (y <= max(rows)) & (x >= min(cols)) & (x <= max(cols))
    assert np.array_equal(draw_boxes([corners], SHAPE)[0], inside)


@given(st.lists(st.tuples(CORNERS, CORNERS), min_size=1, max_size=8), st.sampled_from(["penalty", 7.0]))
@settings(max_examples=150, deadline=None)
def test_boxes_in_closed_form_score_as_their_masks_do(pairs, empty):
    pred, ref = zip(*pairs, strict=True)
    closed = score_boxes(extents(pred, SHAPE), extents(ref, SHAPE), SHAPE, empty)
    drawn = score_slices(draw_boxes(pred, SHAPE), draw_boxes(ref, SHAPE), empty)
    for name in drawn:
        np.testing.assert_array_equal(closed[name], drawn[name], err_msg=name)


def gradient_distance(pred, ref):
    """As the study computed it, on the masks."""
    points = [np.argwhere(np.gradient(mask.astype(float), axis=0) != 0) for mask in (pred, ref)]
    if not len(points[0]) or not len(points[1]):
        return None
    table = cdist(*points)
    directed = [table.min(axis=1).max(), table.min(axis=0).max()]
    return np.percentile(directed, 95)


@given(CORNERS, CORNERS)
@settings(max_examples=200, deadline=None)
def test_the_distance_of_row_edges_is_that_of_the_gradients(a, b):
    pred, ref = extents([a, b], SHAPE, wrap=True)
    expected = gradient_distance(python_box(a, SHAPE), python_box(b, SHAPE))
    found = row_edge_distance(pred, ref, SHAPE[0])
    assert (found is None) == (expected is None)
    if found is not None:
        assert found == pytest.approx(expected, abs=1e-12)


@given(st.lists(st.tuples(st.integers(-9, 40), st.integers(-9, 40)), min_size=1, max_size=9))
@settings(max_examples=200, deadline=None)
def test_polygons_of_any_number_of_points_are_those_of_scikit_image(points):
    expected = np.zeros(SHAPE, np.uint8)
    expected[skimage_polygon(*zip(*points, strict=True), SHAPE)] = 1
    assert np.array_equal(draw_polygons([tuple(points)], SHAPE)[0], expected)


def test_absurd_coordinates_are_drawn_as_far_away():
    mask = draw_polygons([((0, 0), (0, 10**9), (10**9, 0))], SHAPE)[0]
    assert mask.all()
    assert draw_boxes([((5, 5), (10**12, 10**12))], SHAPE)[0].sum() == (24 - 5) * (31 - 5)


@given(st.integers(0, 10**6))
@settings(max_examples=60, deadline=None)
def test_the_distance_of_voxels_is_that_of_brute_force(seed):
    generator = np.random.default_rng(seed)
    shape = tuple(generator.integers(1, 9, 3))
    density = generator.uniform(0.02, 0.7, 2)
    pred, ref = (generator.random(shape) < d for d in density)
    pred.flat[generator.integers(pred.size)] = ref.flat[generator.integers(ref.size)] = True
    table = cdist(np.argwhere(pred), np.argwhere(ref))
    expected = max(table.min(axis=1).max(), table.min(axis=0).max())
    found = hausdorff_of_voxels(pred.astype(np.uint8), ref.astype(np.uint8))
    assert found == pytest.approx(expected, abs=1e-12)


def border_points(mask):
    """Voxels with a neighbour, along an axis, that is outside the mask or the image."""
    padded = np.pad(mask.astype(bool), 1)
    inner = np.ones_like(padded)
    for axis in range(mask.ndim):
        inner &= np.roll(padded, 1, axis) & np.roll(padded, -1, axis)
    return np.argwhere((padded & ~inner)[(slice(1, -1),) * mask.ndim])


def brute(pred, ref):
    table = cdist(border_points(pred), border_points(ref))
    directed = table.min(axis=1), table.min(axis=0)
    return max(d.max() for d in directed), max(np.percentile(d, 95) for d in directed)


@given(st.integers(0, 10**6))
@settings(max_examples=40, deadline=None)
def test_a_volume_is_scored_as_brute_force_does(seed):
    generator = np.random.default_rng(seed)
    pred, ref = (generator.random((4, 9, 11)) < d for d in generator.uniform(0.05, 0.6, 2))
    pred[0, 0, 0] = ref[3, 8, 10] = True
    found = score_volume(pred.astype(np.uint8), ref.astype(np.uint8), 50.0)
    tp, fp, fn = (pred & ref).sum(), (pred & ~ref).sum(), (~pred & ref).sum()
    hd, hd95 = brute(pred, ref)
    assert found["dice"] == pytest.approx(2 * tp / (2 * tp + fp + fn))
    assert found["specificity"] == pytest.approx((~pred & ~ref).sum() / (~ref).sum())
    assert (found["hd"], found["hd95"]) == pytest.approx((hd, hd95))


def test_an_empty_prediction_costs_what_the_policy_says():
    nothing, box = draw_boxes([None], SHAPE), draw_boxes([((2, 2), (5, 5))], SHAPE)
    for policy, far in ((128.0, 128.0), ("penalty", np.hypot(*SHAPE))):
        for table in (score_slices(nothing, box, policy), score_volume(nothing, box, policy)):
            values = {name: float(np.ravel(value)[0]) for name, value in table.items()}
            assert values == pytest.approx(
                {"dice": 0, "iou": 0, "precision": 0, "recall": 0, "specificity": 1, "hd": far, "hd95": far}
            )
