"""Polygon fill and mask -> polygon beside OpenCV, scikit-image and compiled Visvalingam, one thread.

pytest benchmarks/test_bench_raster.py -s
"""

import os
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
from numba import njit
from scipy import ndimage
from skimage.draw import polygon as skimage_polygon
from skimage.measure import find_contours

from voxzoo.rasterize import fill_polygon, fill_polygons, largest_component, mask_to_polygon, mask_to_polygons

sys.path.insert(0, str(Path(__file__).parent))
from _ratio import fastest, ratio_report

SHAPE = (128, 128)
POLYGONS = 2000


def fastest_each(calls, items, rounds):
    """Mean over items of the least seconds of each call on each item."""
    best = {name: np.full(len(items), np.inf) for name in calls}
    for _ in range(rounds):
        for i, item in enumerate(items):
            for name, call in calls.items():
                for _ in range(2):
                    start = time.perf_counter()
                    call(item)
                    best[name][i] = min(best[name][i], time.perf_counter() - start)
    return {name: seconds.mean() for name, seconds in best.items()}


def stars():
    rng = np.random.default_rng(0)
    for _ in range(POLYGONS):
        angle = np.sort(rng.uniform(0, 2 * np.pi, 12))
        radius = 25 * rng.uniform(0.7, 1.2, 12)
        yield np.c_[64 + radius * np.sin(angle), 64 + radius * np.cos(angle)]


@pytest.mark.parametrize("rule", ["center", "outline", "all_touched"])
def test_fill_in_a_batch(benchmark, rule):
    polygons = list(stars())
    ready = [np.rint(p[:, ::-1]).astype(np.int32) for p in polygons]
    out = np.zeros((POLYGONS, *SHAPE), np.uint8)

    def opencv(points=None):
        out[...] = 0
        for mask, p in zip(out, points or polygons, strict=True):
            cv2.fillPoly(mask, [p if points else np.rint(p[:, ::-1]).astype(np.int32)], 1)

    def opencv_alone():
        for p in polygons:
            cv2.fillPoly(np.zeros(SHAPE, np.uint8), [np.rint(p[:, ::-1]).astype(np.int32)], 1)

    def skimage():
        for mask, p in zip(out[:50], polygons, strict=False):
            mask[skimage_polygon(p[:, 0], p[:, 1], SHAPE)] = 1

    seconds = fastest(
        {
            "ours": lambda: fill_polygons(polygons, SHAPE, rule, out=out),
            "cv2.fillPoly, rounding included": opencv,
            "cv2.fillPoly, integers given": lambda: opencv(ready),
            "cv2.fillPoly, a new mask each": opencv_alone,
        },
        rounds=7,
    )
    seconds["skimage.draw.polygon"] = fastest({"it": skimage}, 2)["it"] * POLYGONS / 50
    benchmark(fill_polygons, polygons, SHAPE, rule, out=out)
    ours = seconds.pop("ours")
    each = {name: s / POLYGONS for name, s in seconds.items()}
    floors = {"cv2.fillPoly, rounding included": 1} if rule == "center" else {}
    ratio_report(f"fill 128x128, 12 vertices, {rule}", ours / POLYGONS, each, floors)


@njit(nogil=True)
def visvalingam(points, target):
    """The peer's second half, compiled too: drop the smallest triangle until ``target`` points are left."""
    n = points.shape[0]
    before, after, area = np.arange(n) - 1, np.arange(n) + 1, np.empty(n)
    before[0], after[n - 1] = n - 1, 0
    for i in range(n):
        area[i] = triangle(points[before[i]], points[i], points[after[i]])
    alive = np.ones(n, np.bool_)
    for _ in range(n - target):
        worst = -1
        for i in range(n):
            if alive[i] and (worst < 0 or area[i] < area[worst]):
                worst = i
        alive[worst] = False
        p, q = before[worst], after[worst]
        after[p], before[q] = q, p
        for i in (p, q):
            area[i] = max(area[worst], triangle(points[before[i]], points[i], points[after[i]]))
    return points[alive]


@njit(nogil=True)
def triangle(a, b, c):
    return abs((b[0] - a[0]) * (c[1] - a[1]) - (c[0] - a[0]) * (b[1] - a[1]))


def marching_squares(mask):
    contour = max(find_contours(np.pad(mask, 1).astype(float), 0.5), key=len)[:-1] - 1
    return visvalingam(contour, 12)


def smooth_slices(n=60):
    rng = np.random.default_rng(0)
    noise = ndimage.gaussian_filter(rng.random((n, *SHAPE)), (0, 9, 9))
    rows, cols = np.indices(SHAPE)
    near = np.exp(-((rows - 64) ** 2 + (cols - 64) ** 2) / 2000) * 0.06
    return [(m > 0.54).astype(np.uint8) for m in noise + near if (m > 0.54).sum() > 30]


def tumour_slices(size):
    import nibabel

    named = os.environ.get("VOXZOO_DATA")
    root = Path(named) if named else Path(__file__).resolve().parents[2] / "shared" / "data"
    if not (root / "glioma3d").is_dir():
        pytest.skip("no patient data: set VOXZOO_DATA or put it at ../shared/data")
    slices = []
    for path in sorted((root / "glioma3d").glob("*/*seg.nii.gz")):
        tumour = np.asarray(nibabel.load(path).dataobj) > 0
        near = np.floor((np.arange(size) + 0.5) * len(tumour) / size).astype(int)
        found = np.flatnonzero(tumour.sum(axis=(0, 1)) >= 30)[::8]
        slices += [np.ascontiguousarray(tumour[np.ix_(near, near, [k])][..., 0], np.uint8) for k in found]
    return slices


def refill_dice(mask, points):
    refilled, mask = fill_polygon(points, mask.shape) > 0, largest_component(mask)
    return 2 * np.sum(refilled & mask) / (refilled.sum() + mask.sum())


@pytest.mark.parametrize("source", ["smooth 128", "tumour 128", "tumour 240"])
def test_mask_to_twelve_points(benchmark, source):
    masks = smooth_slices() if source == "smooth 128" else tumour_slices(int(source.split()[1]))
    stack = np.stack(masks)
    seconds = fastest_each(
        {"ours": mask_to_polygon, "marching squares + Visvalingam": marching_squares}, masks, rounds=8
    )
    batch = benchmark(mask_to_polygons, stack)
    ours = np.mean([refill_dice(m, p) for m, p in zip(masks, batch, strict=True)])
    theirs = np.mean([refill_dice(m, marching_squares(m)) for m in masks])
    ours_s = seconds.pop("ours")
    floors = dict.fromkeys(seconds, 5) if source.startswith("tumour") else {}
    ratio_report(f"mask to 12 points, {source}", ours_s, seconds, floors)
    print(f"mean Dice of the refill, {source}: {ours:.4f}, the peer's {theirs:.4f}, {len(masks)} slices")
    assert ours > theirs
