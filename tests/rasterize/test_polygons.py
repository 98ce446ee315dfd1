"""Polygon fills against scikit-image, OpenCV, Shapely, matplotlib, exact fractions and values by hand."""

from fractions import Fraction

import cv2
import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.path import Path as MplPath
from skimage.draw import polygon as skimage_polygon

from voxzoo.rasterize import (
    RULES,
    clockwise_from_north,
    fill_polygon,
    fill_polygons,
    is_valid_polygon,
    repair_polygon,
)
from voxzoo.rasterize.errors import GeometryError, InputError

SHAPE = (24, 31)
SQUARE = [(2, 2), (2, 5), (5, 5), (5, 2)]
PENTAGRAM = [
    (12 - 10 * np.cos(2 * np.pi * k * 2 / 5), 15 + 10 * np.sin(2 * np.pi * k * 2 / 5)) for k in range(5)
]


def make_polygons(kind, n, seed=0):
    rng = np.random.default_rng(seed)
    for _ in range(n):
        k = int(rng.integers(3, 14))
        if kind == "star":
            angle = np.sort(rng.uniform(0, 2 * np.pi, k))
            radius = rng.uniform(3, 11, k)
            yield np.c_[12 + radius * np.sin(angle), 15 + radius * np.cos(angle)]
        elif kind == "crossing":
            yield rng.uniform(-9, 38, (k, 2))
        elif kind == "integer":
            yield rng.integers(-4, 30, (k, 2)).astype(float)
        elif kind == "half":
            yield rng.integers(-8, 60, (k, 2)) / 2
        else:
            yield rng.uniform(10, 12, (k, 2))


KINDS = ("star", "crossing", "integer", "half", "tiny")


def by_fractions(points, shape):
    """The pixel-centre rule in exact rational arithmetic, a pixel at a time."""
    out = np.zeros(shape, np.uint8)
    exact = [(Fraction(float(r)), Fraction(float(c))) for r, c in points]
    for r in range(shape[0]):
        for (r0, c0), (r1, c1) in zip(exact, exact[1:] + exact[:1], strict=True):
            if (r0 <= r) != (r1 <= r):
                crossing = c0 + (r - r0) * (c1 - c0) / (r1 - r0)
                out[r] ^= np.array([c >= crossing for c in range(shape[1])], np.uint8)
    return out


def pixel_squares(shape):
    rows, cols = np.indices(shape)
    return shapely.box(rows - 0.5, cols - 0.5, rows + 0.5, cols + 0.5)


@pytest.mark.parametrize("kind", KINDS)
def test_center_equals_exact_arithmetic(kind):
    for points in make_polygons(kind, 25):
        np.testing.assert_array_equal(fill_polygon(points, SHAPE), by_fractions(points, SHAPE))


@given(st.lists(st.tuples(st.floats(-8, 20, width=32), st.floats(-8, 20, width=32)), min_size=3, max_size=9))
@settings(max_examples=150, deadline=None)
def test_center_equals_exact_arithmetic_on_anything(points):
    np.testing.assert_array_equal(fill_polygon(points, (12, 11)), by_fractions(points, (12, 11)))


def test_center_decides_ties_that_rounding_cannot():
    # The edge runs through the centre (1, 1) up to one unit in the last place to either side.
    for nudge, inside in ((np.nextafter(3, 4), 0), (3.0, 1), (np.nextafter(3, 2), 1)):
        points = [(0, nudge - 3), (3, nudge), (3, 9), (0, 9)]
        points[0] = (0, 0.0)
        assert fill_polygon(points, (4, 8))[1, 1] == by_fractions(points, (4, 8))[1, 1] == inside


@pytest.mark.parametrize("kind", KINDS)
def test_outline_equals_skimage(kind):
    for points in make_polygons(kind, 60, seed=1):
        theirs = np.zeros(SHAPE, np.uint8)
        theirs[skimage_polygon(points[:, 0], points[:, 1], SHAPE)] = 1
        np.testing.assert_array_equal(fill_polygon(points, SHAPE, "outline"), theirs)


@pytest.mark.parametrize("kind", KINDS)
def test_opencv_equals_opencv(kind):
    for points in make_polygons(kind, 30, seed=2):
        theirs = np.zeros(SHAPE, np.uint8)
        cv2.fillPoly(theirs, [np.round(points[:, ::-1]).astype(np.int32)], 1)
        np.testing.assert_array_equal(fill_polygon(points, SHAPE, "opencv"), theirs)


@pytest.mark.parametrize("kind", KINDS)
def test_all_touched_equals_shapely(kind):
    squares = pixel_squares(SHAPE)
    for points in make_polygons(kind, 30, seed=3):
        polygon = shapely.Polygon(points)
        filled = shapely.make_valid(polygon)  # even-odd interior
        theirs = shapely.intersects(filled, squares) | shapely.intersects(polygon.exterior, squares)
        np.testing.assert_array_equal(fill_polygon(points, SHAPE, "all_touched"), theirs)


def test_center_equals_matplotlib_off_the_edges():
    centers = np.indices(SHAPE).reshape(2, -1).T
    for points in make_polygons("star", 30, seed=4):
        theirs = MplPath(points).contains_points(centers).reshape(SHAPE)
        np.testing.assert_array_equal(fill_polygon(points, SHAPE), theirs)


def test_polygons_that_share_edges_share_no_pixel_and_leave_none_out():
    rng = np.random.default_rng(5)
    for _ in range(20):
        middle = rng.integers(2, 20, 2)
        corners = [(-0.5, -0.5), (-0.5, 30.5), (23.5, 30.5), (23.5, -0.5)]
        parts = [[a, b, middle] for a, b in zip(corners, corners[1:] + corners[:1], strict=True)]
        assert (fill_polygons(parts, SHAPE).sum(axis=0) == 1).all()


@pytest.mark.parametrize(
    ("rule", "pixels"), [("center", 9), ("outline", 16), ("opencv", 16), ("all_touched", 16)]
)
def test_integer_square_by_hand(rule, pixels):
    filled = fill_polygon(SQUARE, SHAPE, rule)
    assert filled.sum() == pixels
    assert fill_polygon(SQUARE[::-1], SHAPE, rule).sum() == pixels
    assert filled.dtype == np.uint8
    assert filled[2, 2] == 1


@pytest.mark.parametrize(("rule", "pixels"), [("center", 9), ("outline", 9), ("all_touched", 25)])
def test_square_along_pixel_edges_by_hand(rule, pixels):
    square = np.array(SQUARE) - 0.5
    assert fill_polygon(square, SHAPE, rule).sum() == pixels


@pytest.mark.parametrize("rule", RULES)
def test_pentagram_is_even_odd(rule):
    assert fill_polygon(PENTAGRAM, SHAPE, rule)[12, 15] == 0
    assert fill_polygon(PENTAGRAM, SHAPE, rule)[4, 15] == 1


@pytest.mark.parametrize("rule", RULES)
def test_bow_tie_leaves_the_sides_empty(rule):
    filled = fill_polygon([(0, 0), (20, 20), (20, 0), (0, 20)], SHAPE, rule)
    assert filled[2, 10] == filled[18, 10] == 1
    assert filled[10, 2] == filled[10, 18] == 0


@pytest.mark.parametrize("rule", RULES)
def test_out_of_frame_is_cut_off(rule):
    whole = [(-50, -50), (-50, 90), (90, 90), (90, -50)]
    assert fill_polygon(whole, SHAPE, rule).all()
    assert not fill_polygon(np.array(SQUARE) + 100, SHAPE, rule).any()
    assert not fill_polygon(np.array(SQUARE) - 100, SHAPE, rule).any()
    large = np.array([(-1e6, -1e6), (-1e6, 1e6), (1e6, 1e6), (1e6, -1e6)])
    assert fill_polygon(large, SHAPE, rule).all()


def test_sub_pixel_triangles():
    triangle = np.array([(3.2, 3.2), (3.6, 3.2), (3.4, 3.6)])
    assert fill_polygon(triangle, SHAPE).sum() == 0
    assert np.argwhere(fill_polygon(triangle, SHAPE, "all_touched")).tolist() == [[3, 3], [3, 4], [4, 3]]
    assert fill_polygon([(2.9, 2.9), (3.3, 2.9), (3.1, 3.3)], SHAPE).sum() == 1


@pytest.mark.parametrize("rule", RULES)
def test_batch_equals_one_by_one(rule):
    polygons = [p for kind in KINDS for p in make_polygons(kind, 6, seed=6)]
    batch = fill_polygons(polygons, SHAPE, rule)
    assert batch.shape == (len(polygons), *SHAPE)
    for points, mask in zip(polygons, batch, strict=True):
        np.testing.assert_array_equal(fill_polygon(points, SHAPE, rule), mask)


def test_batch_takes_arrays_lists_none_and_a_canvas():
    assert fill_polygons([], (3, 4)).shape == (0, 3, 4)
    canvas = np.full((2, *SHAPE), 7, np.uint8)
    out = fill_polygons(np.array([SQUARE, SQUARE]), SHAPE, out=canvas)
    assert out is canvas
    assert out.sum() == 18
    with pytest.raises(InputError, match=r"expected C-contiguous \(1, 24, 31\)"):
        fill_polygons([SQUARE], SHAPE, out=canvas)


def test_many_crossings_in_a_row():
    comb = np.array([(0 if k % 2 else 20, k * 0.01) for k in range(2000)] + [(23, 20.0), (23, 0.0)])
    np.testing.assert_array_equal(fill_polygon(comb, SHAPE), by_fractions(comb, SHAPE))


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize(
    ("points", "message"),
    [
        ([(0, 0), (1, 1)], "at least 3"),
        ([], "expected|at least"),
        ([(0, 0), (np.nan, 1), (2, 0)], "1 NaN or infinite"),
        ([(0, 0), (np.inf, 1), (2, 0)], "1 NaN or infinite"),
        ([(0, 0), (1e9, 1), (2, 0)], r"1e\+09"),
        ([(0, 0, 0), (1, 1, 1), (2, 0, 1)], r"\(3, 3\)"),
        ([("a", 0), (1, 1), (2, 0)], "not numbers"),
    ],
)
def test_points_that_cannot_be_drawn(points, message, rule):
    with pytest.raises(GeometryError, match=message):
        fill_polygon(points, SHAPE, rule)


def test_the_batch_names_the_bad_polygon():
    with pytest.raises(GeometryError, match="polygon 1"):
        fill_polygons([SQUARE, [(0, 0), (np.nan, 1), (2, 0)]], SHAPE)
    with pytest.raises(GeometryError, match="polygon 2"):
        fill_polygons([SQUARE, SQUARE, [(0, 0), (3, 1)]], SHAPE)


@pytest.mark.parametrize("shape", [(0, 4), (4,), (4, 4, 4), (4.5, 4), "44", 7, (-1, 3)])
def test_shapes_that_cannot_be(shape):
    with pytest.raises(InputError, match="two positive integers"):
        fill_polygon(SQUARE, shape)


def test_unknown_rule():
    with pytest.raises(InputError, match="center, outline, opencv, all_touched"):
        fill_polygon(SQUARE, SHAPE, "centre")


def test_repair_and_validity():
    bow_tie = [(0, 0), (4, 4), (0, 4), (4, 0)]
    assert not is_valid_polygon(bow_tie)
    assert is_valid_polygon(repair_polygon(bow_tie))
    assert shapely.Polygon(repair_polygon(bow_tie)).area == 4
    assert repair_polygon(SQUARE[::-1]).tolist() == [[2, 2], [2, 5], [5, 5], [5, 2]]
    assert not is_valid_polygon([(0, 0), (1, 1)])
    assert not is_valid_polygon([(0, 0), (np.nan, 1), (1, 0)])
    with pytest.raises(GeometryError, match="no area"):
        repair_polygon([(0, 0), (1, 1), (2, 2)])


def test_clockwise_from_north():
    turned = clockwise_from_north([(5, 2), (5, 5), (2, 5), (2, 2)])
    assert turned.tolist() == [[2, 2], [2, 5], [5, 5], [5, 2]]
