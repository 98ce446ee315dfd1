"""Outlines of masks in whole pixels: what the task ``polygon`` calls the right answer."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from shapely import Polygon
from skimage.draw import polygon as skimage_polygon

from voxzoo.zoo.cases import case_from_folder
from voxzoo.zoo.slices2d import open_slices
from voxzoo.zoo.tasks.outline import outline


def dice(points, mask):
    """Of the polygon, drawn as scikit-image does, with the largest component of the mask."""
    labels, _ = ndimage.label(mask, np.ones((3, 3)))
    part = labels == 1 + np.argmax(np.bincount(labels.ravel())[1:])
    drawn = np.zeros(mask.shape, bool)
    drawn[skimage_polygon(*np.array(points).T, mask.shape)] = True
    return 2 * (drawn & part).sum() / (drawn.sum() + part.sum())


def is_clockwise_from_north(points):
    """Rows run down: the shoelace sum over (col, row) is positive for clockwise on screen."""
    row, col = np.array(points).T
    area = np.sum(col * np.roll(row, -1) - np.roll(col, -1) * row)
    return area > 0 and tuple(points[0]) == min(map(tuple, points))


def check(points, mask, most=15):
    assert 3 <= len(points) <= most
    assert all(type(v) is int for point in points for v in point)
    assert Polygon(points).is_valid
    assert is_clockwise_from_north(points)
    assert np.all((np.array(points) >= 0) & (np.array(points) < mask.shape))


def blob(seed, size=40):
    rng = np.random.default_rng(seed)
    field = ndimage.gaussian_filter(rng.standard_normal((size, size)), rng.uniform(0.5, 5))
    return field > np.quantile(field, rng.uniform(0.4, 0.995))


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(4, 15))
def test_any_mask_has_a_valid_outline(seed, most):
    mask = blob(seed)
    check(outline(mask, most), mask, most)


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (7, 1), (2, 2), (2, 3)])
@pytest.mark.parametrize("at", [(0, 0), (20, 20), (39, 39)])
def test_the_smallest_tumours(size, at):
    mask = np.zeros((40, 40), bool)
    corner = [min(a, 40 - s) for a, s in zip(at, size, strict=True)]
    mask[corner[0] : corner[0] + size[0], corner[1] : corner[1] + size[1]] = True
    points = outline(mask)
    check(points, mask)
    rows, cols = np.array(points).T
    assert rows.max() - rows.min() <= max(size[0] - 1, 1)
    assert cols.max() - cols.min() <= max(size[1] - 1, 1)


def test_a_rectangle_is_drawn_exactly_and_with_ten_points():
    mask = np.zeros((64, 64), bool)
    mask[10:41, 20:51] = True
    points = outline(mask)
    check(points, mask)
    assert len(points) >= 10
    assert points[0] == (10, 20)
    assert dice(points, mask) == 1.0


@pytest.mark.parametrize("radius", [8, 15, 30])
def test_discs_are_drawn_closely(radius):
    mask = np.hypot(*np.mgrid[-40:40, -40:40]) < radius
    points = outline(mask)
    check(points, mask)
    assert 10 <= len(points) <= 15
    assert dice(points, mask) > 0.96


def test_the_largest_part_is_outlined():
    mask = np.zeros((64, 64), bool)
    mask[2:8, 2:8] = True
    mask[20:50, 20:50] = True
    assert outline(mask)[0] == (20, 20)


@pytest.mark.data
@pytest.mark.parametrize("name", ["BraTS19_2013_2_1", "BraTS2021_00003"])
def test_real_tumours(data_root, name):
    case = case_from_folder(data_root / "glioma3d" / name)
    labels, slices = case.read_reference() > 0, open_slices(case)
    found = []
    for index in slices.indices[::4]:
        mask = slices.mask(labels, index)
        if mask.sum() > 150:
            points = outline(mask)
            check(points, mask)
            found.append((len(points), dice(points, mask)))
    counts, overlaps = np.array(found).T
    assert counts.min() >= 10
    assert overlaps.min() > 0.92
    assert overlaps.mean() > 0.96
