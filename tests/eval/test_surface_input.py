"""What distances make of empty masks and of input that cannot be used."""

import math

import numpy as np
import pytest

from voxzoo.eval.empty import diagonal_mm, parse_empty
from voxzoo.eval.presets import PRESETS
from voxzoo.eval.surface import SurfaceDistances, assd, hd, hd95, hd_percentile, nsd
from voxzoo.zoo.errors import InputError

NONE = np.zeros((6, 8, 10), bool)
SOME = NONE.copy()
SOME[2:4, 2:4, 2:4] = True
DIAGONAL = math.sqrt(36 + 64 + 100)


@pytest.mark.parametrize("metric", [hd, hd95, assd])
@pytest.mark.parametrize("preset", [p for p in PRESETS if p != "brats2023"])
def test_default_is_the_image_diagonal_or_perfect(metric, preset):
    assert metric(NONE, SOME, preset=preset) == metric(SOME, NONE, preset=preset) == pytest.approx(DIAGONAL)
    assert metric(NONE, NONE, preset=preset) == 0.0
    assert metric(NONE, SOME, (2, 2, 2), preset) == pytest.approx(2 * DIAGONAL)


def test_brats_2023_has_its_own_penalty():
    assert hd95(NONE, SOME, preset="brats2023") == 374.0
    assert hd95(NONE, NONE, preset="brats2023") == 0.0


def test_nsd_of_empty_masks():
    assert nsd(NONE, SOME, 1.0) == 0.0
    assert nsd(NONE, NONE, 1.0) == 1.0


@pytest.mark.parametrize(
    ("policy", "one", "both"),
    [("nan", math.nan, math.nan), ("inf", math.inf, math.inf), (374, 374.0, 0.0), ("99.5", 99.5, 0.0)],
)
def test_policies(policy, one, both):
    np.testing.assert_equal(hd95(NONE, SOME, empty=policy), one)
    np.testing.assert_equal(hd95(NONE, NONE, empty=policy), both)


def test_raise():
    with pytest.raises(InputError, match="one of the two masks is empty"):
        hd95(NONE, SOME, empty="raise")
    with pytest.raises(InputError, match="both masks are empty"):
        assd(NONE, NONE, empty="raise")
    assert hd95(SOME, SOME, empty="raise") == 0.0


@pytest.mark.parametrize(
    ("preset", "one", "both"),
    [
        ("metrics-reloaded", math.nan, 0.0),
        ("monai", math.nan, math.nan),
        ("deepmind", math.inf, math.inf),
        ("brats2023", 374.0, 0.0),
    ],
)
def test_peer(preset, one, both):
    np.testing.assert_equal(hd95(NONE, SOME, preset=preset, empty="peer"), one)
    np.testing.assert_equal(hd95(NONE, NONE, preset=preset, empty="peer"), both)


def test_peer_of_medpy_raises_like_medpy():
    medpy = pytest.importorskip("medpy.metric.binary")
    for pred, ref in ((NONE, SOME), (NONE, NONE)):
        with pytest.raises(RuntimeError):
            medpy.hd95(pred, ref)
        with pytest.raises(InputError, match="raises too"):
            hd95(pred, ref, preset="medpy", empty="peer")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("pred", "ref"), [(NONE, SOME), (SOME, NONE), (NONE, NONE)])
def test_peer_of_monai_is_monai(pred, ref):
    metrics, torch = pytest.importorskip("monai.metrics"), pytest.importorskip("torch")
    a, b = (torch.from_numpy(m)[None, None] for m in (pred, ref))
    s = SurfaceDistances(pred, ref, preset="monai", empty="peer")
    theirs = metrics.compute_hausdorff_distance(a, b, include_background=True, percentile=95)
    np.testing.assert_equal(s.hd95(), float(theirs))
    theirs = metrics.compute_average_surface_distance(a, b, include_background=True, symmetric=True)
    np.testing.assert_equal(s.assd(), float(theirs))
    theirs = metrics.compute_surface_dice(a, b, [1.0], include_background=True)
    np.testing.assert_equal(s.nsd(1.0), float(theirs))


def test_peer_without_a_known_value_says_so():
    with pytest.raises(InputError, match="names no peer"):
        nsd(NONE, SOME, 1.0, preset="medpy", empty="peer")


@pytest.mark.parametrize("policy", ["skip", "", None, "1,5"])
def test_unknown_policies(policy):
    with pytest.raises(InputError, match="penalty, nan, inf, raise, peer"):
        parse_empty(policy)


def test_diagonal_bounds_every_distance():
    a, b = np.zeros((5, 6, 7), bool), np.zeros((5, 6, 7), bool)
    a[0, 0, 0] = b[-1, -1, -1] = True
    assert hd(a, b, (1, 2, 3)) < diagonal_mm(a.shape, (1, 2, 3))


def test_both_shapes_are_named():
    with pytest.raises(InputError, match=r"\(6, 8, 10\).*\(6, 8, 9\)"):
        hd95(SOME, SOME[:, :, :9])


@pytest.mark.parametrize(
    "spacing", [0, -1, math.nan, math.inf, (1, 1), (1, 1, 0), (1, 1, 1, 1), "wide", [[1, 1, 1]]]
)
def test_bad_spacings(spacing):
    with pytest.raises(InputError, match="spacing_mm="):
        hd95(SOME, SOME, spacing)


def test_bad_masks():
    with pytest.raises(InputError, match=r"values 0, 2: .*== label"):
        hd95(SOME, SOME * np.uint8(2))
    with pytest.raises(InputError, match="values 0, 4"):
        hd95(SOME.astype(np.int16) * 4, SOME)
    with pytest.raises(InputError, match="pred holds the values -1, 0"):
        hd95(-SOME.astype(np.int32), SOME)
    with pytest.raises(InputError, match="float64"):
        hd95(SOME.astype(float), SOME)
    with pytest.raises(InputError, match="1 axes"):
        hd95(SOME[0, 0], SOME[0, 0])
    with pytest.raises(InputError, match="4 axes"):
        hd95(SOME[None], SOME[None])
    with pytest.raises(InputError, match="no voxels"):
        hd95(SOME[:0], SOME[:0])


def test_bad_numbers():
    with pytest.raises(InputError, match="percentile=-1"):
        hd_percentile(SOME, SOME, percentile=-1)
    for tolerance in (-1.0, math.nan):
        with pytest.raises(InputError, match="tolerance_mm="):
            nsd(SOME, SOME, tolerance)
    with pytest.raises(InputError, match="empty: there are no distances"):
        _ = SurfaceDistances(SOME, NONE).pred_to_ref
