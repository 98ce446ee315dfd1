"""Masks to polygons, boxes, centres: against SciPy and Shapely, by properties, and on real tumour slices."""

import nibabel as nib
import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage

from voxzoo.rasterize import (
    fill_polygon,
    largest_component,
    mask_to_box,
    mask_to_center,
    mask_to_polygon,
    mask_to_polygons,
)
from voxzoo.rasterize.errors import GeometryError, InputError


def biggest(mask):
    labels, _ = ndimage.label(mask, np.ones((3, 3)))
    return labels == 1 + np.argmax(np.bincount(labels.ravel())[1:])


def dice(a, b):
    return 2 * np.sum((a > 0) & (b > 0)) / (np.sum(a > 0) + np.sum(b > 0))


def check_polygon(points, most):
    """Valid, clockwise on screen, begun north-most then west-most, few."""
    assert 3 <= len(points) <= most
    assert shapely.Polygon(points).is_valid
    assert shapely.Polygon(points[:, ::-1]).exterior.is_ccw  # (x, y) with y down: ccw there is clockwise seen
    assert points[0].tolist() == min(points.tolist())


MASKS = arrays(bool, st.tuples(st.integers(1, 13), st.integers(1, 13)))


@given(MASKS)
@settings(max_examples=300, deadline=None)
def test_whole_boundary_refills_to_the_component(mask):
    if not mask.any():
        return
    points = mask_to_polygon(mask, max_points=None)
    check_polygon(points, most=10**6)
    expected = ndimage.binary_fill_holes(biggest(mask))
    np.testing.assert_array_equal(fill_polygon(points, mask.shape), expected)


@given(MASKS, st.integers(3, 14))
@settings(max_examples=300, deadline=None)
def test_few_points_are_always_a_valid_polygon(mask, most):
    if mask.any():
        check_polygon(mask_to_polygon(mask, most), most)


@pytest.mark.parametrize("smoothing", [0.4, 0.8, 1.5, 3.0])
def test_rough_masks_stay_valid_and_overlap(smoothing):
    rng = np.random.default_rng(int(smoothing * 10))
    scores = []
    for _ in range(40):
        mask = ndimage.gaussian_filter(rng.random((48, 40)), smoothing) > 0.5
        points = mask_to_polygon(mask)
        check_polygon(points, 12)
        scores.append(dice(fill_polygon(points, mask.shape), biggest(mask)))
    assert min(scores) > 0.3


@pytest.mark.parametrize("most", [3, 4, 12])
@pytest.mark.parametrize("at", [(0, 0), (4, 6), (2, 3)])
def test_one_pixel_refills_to_itself(most, at):
    mask = np.zeros((5, 7), bool)
    mask[at] = True
    points = mask_to_polygon(mask, most)
    check_polygon(points, min(most, 4))
    np.testing.assert_array_equal(fill_polygon(points, mask.shape), mask)


@pytest.mark.parametrize(
    "rows",
    ["11", "1,1", "11,10", "10,01", "111,010", "111,111", "0110,1111,0110", "100,010,001", "11,11,11,10"],
)
def test_tiny_masks_refill_to_themselves(rows):
    mask = np.pad(np.array([[c == "1" for c in row] for row in rows.split(",")]), 2)
    np.testing.assert_array_equal(fill_polygon(mask_to_polygon(mask), mask.shape), mask)


def test_corners_by_hand():
    mask = np.zeros((6, 6), np.uint8)
    mask[1:4, 2:4] = 1
    mask[3, 4] = 1
    expected = [[0.5, 1.5], [0.5, 3.5], [2.5, 3.5], [2.5, 4.5], [3.5, 4.5], [3.5, 1.5]]
    assert mask_to_polygon(mask).tolist() == expected


def test_large_simple_shapes_are_kept_with_few_points():
    rows, cols = np.indices((128, 128))
    disc = (rows - 60) ** 2 + (cols - 66) ** 2 < 40**2
    assert dice(fill_polygon(mask_to_polygon(disc), disc.shape), disc) > 0.97
    square = np.zeros((128, 128), bool)
    square[10:100, 20:90] = True
    square[10, 20] = square[50, 90] = False
    square[50, 90] = True
    assert dice(fill_polygon(mask_to_polygon(square), square.shape), square) > 0.99


def test_largest_component_and_ties():
    mask = np.array(
        [[1, 1, 0, 0, 1], [0, 0, 0, 1, 1], [1, 0, 0, 0, 0], [1, 0, 0, 0, 0], [1, 0, 1, 1, 0]], bool
    )
    expected = np.zeros_like(mask)
    expected[0, 4] = expected[1, 3:] = True  # three pixels, as the column at the left: first in raster order
    np.testing.assert_array_equal(largest_component(mask), expected)
    np.testing.assert_array_equal(fill_polygon(mask_to_polygon(mask), mask.shape), expected)
    diagonal = np.eye(4, dtype=np.uint8)
    assert largest_component(diagonal).sum() == 4
    assert largest_component(diagonal, connectivity=4).tolist()[0] == [True, False, False, False]
    assert not largest_component(np.zeros((3, 3))[:, :].astype(bool)).any()
    with pytest.raises(InputError, match="4 or 8"):
        largest_component(mask, connectivity=6)


@given(MASKS)
@settings(max_examples=100, deadline=None)
def test_largest_component_equals_scipy(mask):
    if mask.any():
        np.testing.assert_array_equal(largest_component(mask), biggest(mask))


def test_batch_equals_one_by_one():
    rng = np.random.default_rng(1)
    masks = ndimage.gaussian_filter(rng.random((12, 30, 37)), (0, 2, 2)) > 0.5
    for mask, points in zip(masks, mask_to_polygons(masks), strict=True):
        np.testing.assert_array_equal(points, mask_to_polygon(mask))


def test_any_integer_dtype_and_memory_order():
    mask = np.zeros((9, 11), bool)
    mask[2:6, 3:9] = mask[6:8, 4] = True
    expected = mask_to_polygon(mask)
    for other in (mask * np.uint8(255), mask * -3, np.asfortranarray(mask), mask.astype(np.uint16) * 256):
        np.testing.assert_array_equal(mask_to_polygon(other), expected)
    np.testing.assert_array_equal(mask_to_polygon(np.repeat(mask, 2, axis=1)[:, ::2]), expected)


def test_empty_masks_and_bad_arguments():
    empty = np.zeros((4, 4), bool)
    for call in (mask_to_polygon, mask_to_box, mask_to_center):
        with pytest.raises(GeometryError, match="empty"):
            call(empty)
    with pytest.raises(GeometryError, match="mask 1 of 2 is empty"):
        mask_to_polygons([~empty, empty])
    with pytest.raises(GeometryError, match="empty"):
        mask_to_polygon(empty, max_points=None)
    for bad in (2, 0, -1, 3.5, True):
        with pytest.raises(InputError, match="at least 3"):
            mask_to_polygon(~empty, bad)
    for bad in (np.zeros((2, 2, 2), bool), np.zeros((0, 3), bool), np.zeros((2, 2))):
        with pytest.raises(InputError, match=r"expected \(H, W\)|threshold it"):
            mask_to_polygon(bad)


def test_box_and_center_by_hand():
    mask = np.zeros((7, 8), np.uint8)
    mask[1, 2] = mask[4, 3] = mask[4, 4] = 9
    assert mask_to_box(mask).tolist() == [1, 2, 4, 4]
    assert mask_to_center(mask, of="box").tolist() == [2.5, 3.0]
    assert mask_to_center(mask, of="box", integer=True).tolist() == [2, 3]
    assert mask_to_center(mask).tolist() == [3.0, 3.0]
    np.testing.assert_allclose(mask_to_center(mask), ndimage.center_of_mass(mask > 0))
    with pytest.raises(InputError, match="'mass' or 'box'"):
        mask_to_center(mask, of="median")


@pytest.mark.data
def test_real_tumour_slices_keep_a_dice_of_98(data_root):
    scores = {240: [], 128: []}
    near = np.floor((np.arange(128) + 0.5) * 240 / 128).astype(int)
    for path in sorted((data_root / "glioma3d").glob("*/*seg.nii.gz")):
        tumour = np.asarray(nib.load(path).dataobj) > 0
        for k in np.flatnonzero(tumour.sum(axis=(0, 1)) >= 30)[::5]:
            full = tumour[:, :, k]
            for mask in (full, full[np.ix_(near, near)]):
                points = mask_to_polygon(mask)
                check_polygon(points, 12)
                scores[mask.shape[0]].append(dice(fill_polygon(points, mask.shape), biggest(mask)))
    assert np.mean(scores[240]) >= 0.98
    assert np.mean(scores[128]) >= 0.98
