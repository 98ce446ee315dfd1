"""Boxes, points, rounding: values by hand."""

import numpy as np
import pytest

from voxzoo.rasterize import fill_box, fill_boxes, fill_point, fill_points, mask_to_box, round_half_down
from voxzoo.rasterize.errors import GeometryError, InputError


@pytest.mark.parametrize(
    ("box", "pixels"),
    [
        ([1, 2, 3, 4], 9),
        ([1, 2, 1, 2], 1),
        ([-3, -3, 0, 0], 1),
        ([-9, -9, 99, 99], 80),
        ([20, 20, 30, 30], 0),
        ([-5, -5, -1, -1], 0),
        ([0.5, 0.5, 2.5, 2.5], 4),
        ([0.6, 0.6, 0.9, 0.9], 0),
    ],
)
def test_box_by_hand(box, pixels):
    assert fill_box(box, (8, 10)).sum() == pixels


def test_box_round_trip():
    rng = np.random.default_rng(0)
    for _ in range(50):
        r, c = np.sort(rng.integers(0, 12, 2)), np.sort(rng.integers(0, 15, 2))
        box = [r[0], c[0], r[1], c[1]]
        assert mask_to_box(fill_box(box, (12, 15))).tolist() == box


def test_boxes_in_a_batch():
    boxes = [[0, 0, 1, 1], [2, 2, 2, 5]]
    assert fill_boxes(boxes, (6, 6)).sum(axis=(1, 2)).tolist() == [4, 4]
    assert fill_boxes(np.empty((0, 4)), (6, 6)).shape == (0, 6, 6)


@pytest.mark.parametrize(
    ("box", "message"),
    [
        ([3, 0, 1, 1], "min above its max"),
        ([0, 0, np.nan, 1], "NaN"),
        ([0, 0, 1e9, 1], r"1e\+09"),
        ([0, 0, 1], r"\(1, 3\)"),
        ([[0, 0, 1, 1]], r"\(1, 4\)"),
    ],
)
def test_boxes_that_cannot_be_drawn(box, message):
    with pytest.raises(GeometryError, match=message):
        fill_box(box, (6, 6))


@pytest.mark.parametrize(
    ("point", "pixel"), [((2, 3), (2, 3)), ((2.5, 3.5), (2, 3)), ((2.51, 3.49), (3, 3)), ((-0.5, 0.5), None)]
)
def test_point_rounds_half_down(point, pixel):
    filled = fill_point(point, (5, 6))
    assert [tuple(p) for p in np.argwhere(filled).tolist()] == ([pixel] if pixel else [])


def test_points_in_a_batch():
    assert fill_points([(0, 0), (4, 5), (5, 5), (-1, 0)], (5, 6)).sum(axis=(1, 2)).tolist() == [1, 1, 0, 0]


def test_points_that_cannot_be_drawn():
    for point in ((np.nan, 0), (1e9, 0), (0, 0, 0)):
        with pytest.raises(GeometryError):
            fill_point(point, (5, 6))
    with pytest.raises(InputError, match="two positive integers"):
        fill_point((0, 0), (5,))


def test_round_half_down_by_hand():
    values = [-1.5, -0.5, -0.4, 0.5, 0.5000001, 1.5, 2.5, 7]
    assert round_half_down(values).tolist() == [-2, -1, 0, 0, 1, 1, 2, 7]
