"""Each preset against its peer, run here where it can be installed, to 1 ulp of the peer's own dtype."""

import numpy as np
import pytest
from scipy import ndimage
from surface_distance import lookup_tables

from voxzoo.eval.areas import contour_lengths, surface_areas
from voxzoo.eval.presets import PRESETS, get_preset
from voxzoo.eval.surface import SurfaceDistances, assd, hd, hd95, hd_percentile, nsd
from voxzoo.zoo.errors import InputError

SPACINGS = ((1.0, 1.0, 1.0), (0.5, 0.5, 0.5), (0.7, 0.7, 0.7), (1.5, 0.8, 0.8), (3.0, 0.7, 0.93))


def masks():
    """Named pairs: small errors, large errors, speckle, border-touching, a plate, far apart."""
    rng = np.random.default_rng(11)
    smooth = ndimage.gaussian_filter(rng.standard_normal((24, 30, 28)), 3)
    other = ndimage.gaussian_filter(rng.standard_normal((24, 30, 28)), 3)
    blob = smooth > 0.05
    yield "small", ndimage.gaussian_filter(blob.astype(float), 1) > 0.45, blob
    yield "large", other > 0.03, blob
    yield "speckle", rng.random(blob.shape) < 0.08, blob & (other > 0)
    full = np.ones((9, 10, 11), bool)
    corner = np.zeros_like(full)
    corner[:3, :4, :5] = True
    yield "border", full, corner
    plate = np.zeros_like(full)
    plate[4] = True
    yield "plate", plate, corner
    lone = np.zeros_like(full)
    lone[8, 9, 10] = True
    yield "lone", lone, corner


CASES = [pytest.param(p, r, s, id=f"{n}-{s[0]}x{s[1]}x{s[2]}") for n, p, r in masks() for s in SPACINGS]
FLAT = [
    pytest.param(p[4], r[4], s[1:], id=f"{n}-{s[1]}x{s[2]}")
    for n, p, r in masks()
    if p[4].any() and r[4].any()
    for s in SPACINGS
]


def within_ulp(ours, theirs, dtype):
    return abs(ours - float(theirs)) <= np.spacing(dtype(theirs))


def reloaded(pred, ref, spacing, percentile):
    """Metrics Reloaded is not on PyPI; its formula: borders by erosion, distance maps, larger percentile."""
    border = [m ^ ndimage.binary_erosion(m) for m in (pred, ref)]
    maps = [ndimage.distance_transform_edt(~b, sampling=spacing) for b in border]
    return max(np.percentile(maps[1][border[0]], percentile), np.percentile(maps[0][border[1]], percentile))


@pytest.mark.parametrize(("pred", "ref", "spacing"), CASES + FLAT)
def test_metrics_reloaded(pred, ref, spacing):
    assert within_ulp(hd95(pred, ref, spacing), reloaded(pred, ref, spacing, 95), np.float64)
    assert within_ulp(hd(pred, ref, spacing), reloaded(pred, ref, spacing, 100), np.float64)


@pytest.mark.parametrize(("pred", "ref", "spacing"), CASES + FLAT)
def test_medpy(pred, ref, spacing):
    peer = pytest.importorskip("medpy.metric.binary")
    assert within_ulp(hd95(pred, ref, spacing, "medpy"), peer.hd95(pred, ref, spacing), np.float64)
    assert within_ulp(hd(pred, ref, spacing, "medpy"), peer.hd(pred, ref, spacing), np.float64)
    assert assd(pred, ref, spacing, "medpy") == pytest.approx(peer.assd(pred, ref, spacing), rel=1e-13)


def monai(pred, ref, spacing, **options):
    metrics, torch = pytest.importorskip("monai.metrics"), pytest.importorskip("torch")
    a, b = (torch.from_numpy(np.ascontiguousarray(m))[None, None] for m in (pred, ref))
    return float(
        metrics.compute_hausdorff_distance(a, b, include_background=True, spacing=spacing, **options)
    )


@pytest.mark.parametrize(("pred", "ref", "spacing"), CASES + FLAT)
def test_monai(pred, ref, spacing):
    for percentile in (95, 90, 37.5):
        ours = hd_percentile(pred, ref, spacing, "monai", percentile=percentile)
        assert within_ulp(ours, monai(pred, ref, spacing, percentile=percentile), np.float32)
    assert within_ulp(hd(pred, ref, spacing, "monai"), monai(pred, ref, spacing), np.float32)


@pytest.mark.parametrize(("pred", "ref", "spacing"), CASES)
def test_monai_average_and_overlap(pred, ref, spacing):
    metrics, torch = pytest.importorskip("monai.metrics"), pytest.importorskip("torch")
    a, b = (torch.from_numpy(m)[None, None] for m in (pred, ref))
    options = {"include_background": True, "spacing": spacing}
    average = metrics.compute_average_surface_distance(a, b, symmetric=True, **options)
    assert assd(pred, ref, spacing, "monai") == pytest.approx(float(average), rel=1e-5)
    overlap = metrics.compute_surface_dice(a, b, [1.25], **options)
    assert nsd(pred, ref, 1.25, spacing, "monai") == pytest.approx(float(overlap), rel=1e-6)


def test_monai_float32_rank_of_many_points():
    """The rank itself is float32 there: with 78,000 points HD95 is 3e-4 mm off, and the preset follows."""
    rng = np.random.default_rng(2)
    ref = np.zeros((64, 96, 96), bool)
    ref[30:34, 40:50, 40:50] = True
    pred = rng.random(ref.shape) < 0.13
    assert within_ulp(hd95(pred, ref, preset="monai"), monai(pred, ref, (1, 1, 1), percentile=95), np.float32)


def deepmind(pred, ref, spacing):
    peer = pytest.importorskip("surface_distance")
    return peer, peer.compute_surface_distances(ref, pred, spacing)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize(("pred", "ref", "spacing"), CASES + FLAT)
@pytest.mark.parametrize("preset", ["deepmind", "brats2023"])
def test_deepmind(pred, ref, spacing, preset):
    peer, table = deepmind(pred, ref, spacing)
    s = SurfaceDistances(pred, ref, spacing, preset)
    for percentile in (95, 50, 100):
        theirs = peer.compute_robust_hausdorff(table, percentile)
        assert within_ulp(s.hd_percentile(percentile), theirs, np.float64)
    assert s.assd() == pytest.approx(np.mean(peer.compute_average_surface_distance(table)), rel=1e-12)
    for tolerance in (0.0, 1.0, 2.05):
        theirs = peer.compute_surface_dice_at_tolerance(table, tolerance)
        assert s.nsd(tolerance) == pytest.approx(theirs, rel=1e-12)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_deepmind_in_fortran_order():
    pred, ref = next((p, r) for n, p, r in masks() if n == "large")
    for preset in PRESETS:
        c = SurfaceDistances(pred, ref, (3.0, 0.7, 0.93), preset)
        f = SurfaceDistances(np.asfortranarray(pred), np.asfortranarray(ref), (3.0, 0.7, 0.93), preset)
        assert c.hd95() == f.hd95()
        assert c.assd() == pytest.approx(f.assd(), rel=1e-13)


@pytest.mark.parametrize("spacing", [*SPACINGS, (0.1, 7.0, 3.0)])
def test_areas_equal_the_peers_table(spacing):
    """Its codes number the voxels in another order: corner (z, y, x) has bit 128 >> (4z + 2y + x)."""
    theirs = np.array(lookup_tables.create_table_neighbour_code_to_surface_area(spacing))
    mirrored = [int(f"{code:08b}"[::-1], 2) for code in range(256)]
    np.testing.assert_allclose(surface_areas(spacing), theirs[mirrored], rtol=1e-14, atol=0)
    theirs = np.array(lookup_tables.create_table_neighbour_code_to_contour_length(spacing[1:]))
    mirrored = [int(f"{code:04b}"[::-1], 2) for code in range(16)]
    np.testing.assert_allclose(contour_lengths(spacing[1:])[::16], theirs[mirrored], rtol=1e-14, atol=0)


def test_area_of_a_box():
    """Six faces, of which rounded edges and corners keep all but half a voxel each."""
    mask = np.zeros((20, 20, 20), bool)
    mask[5:15, 5:15, 5:15] = True
    area = SurfaceDistances(mask, mask, preset="deepmind").pred_to_ref.weight.sum()
    assert area == pytest.approx(6 * 81 + 12 * 9 * np.sqrt(0.5) + 8 * np.sqrt(3) / 8)


def test_unknown_preset_lists_all():
    with pytest.raises(InputError, match="metrics-reloaded, medpy, monai, deepmind, brats2023"):
        get_preset("nnunet")


def test_presets_disagree_where_tools_do():
    pred, ref = next((p, r) for n, p, r in masks() if n == "large")
    assert len({round(hd95(pred, ref, preset=p), 6) for p in ("metrics-reloaded", "medpy", "deepmind")}) == 3
