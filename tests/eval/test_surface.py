"""Surface distances against a brute-force float64 oracle: bit for bit, at every spacing and memory order."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import ndimage

from voxzoo.eval import selection
from voxzoo.eval.slices import hd95_slices
from voxzoo.eval.surface import SurfaceDistances, assd, hd, hd95, hd_percentile, nsd, surface_metrics
from voxzoo.zoo.errors import InputError

SPACINGS = (
    (1.0, 1.0, 1.0),
    (0.5, 0.5, 0.5),
    (0.7, 0.7, 0.7),
    (1.5, 0.8, 0.8),
    (3.0, 0.7, 0.93),
    (0.1, 5.0, 1.0),
)
KIND = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))


def outline(mask):
    return np.argwhere(mask & ~ndimage.binary_erosion(mask))


def directed(points, sites, spacing):
    """Nearest distances by definition: the squares are summed in axis order, as ``sum`` does."""
    found = []
    for point in points:
        square = ((point - sites) * np.array(spacing)) ** 2
        found.append(np.sqrt(sum(square[:, k] for k in range(square.shape[1])).min()))
    return np.array(found)


def oracle(pred, ref, spacing):
    a, b = outline(pred), outline(ref)
    return directed(a, b, spacing), directed(b, a, spacing)


def check(pred, ref, spacing, percentile=95.0):
    """Everything that can be asked of a pair, compared with the oracle."""
    a, b = oracle(pred, ref, spacing)
    both = np.concatenate([a, b])
    s = SurfaceDistances(pred, ref, spacing)
    assert s.hd95() == max(np.percentile(a, 95), np.percentile(b, 95))
    assert s.hd_percentile(percentile) == max(np.percentile(x, percentile) for x in (a, b))
    assert s.hd() == both.max()
    pooled = SurfaceDistances(pred, ref, spacing, preset="medpy")
    assert pooled.hd95() == np.percentile(both, 95)
    assert pooled.hd_percentile(percentile) == np.percentile(both, percentile)
    for tolerance in (0.0, float(np.median(both)), float(both.max()), 2.0):
        assert s.nsd(tolerance) == np.count_nonzero(both <= tolerance) / both.size
    assert s.assd() == pytest.approx(both.mean(), rel=1e-13)
    assert pooled.assd() == pytest.approx(both.mean(), rel=1e-13)
    np.testing.assert_allclose(np.sort(s.pred_to_ref.distance_mm), np.sort(a), rtol=1e-15)
    np.testing.assert_allclose(np.sort(s.ref_to_pred.distance_mm), np.sort(b), rtol=1e-15)


@st.composite
def pairs(draw):
    """Smooth blobs with errors, speckle, lone voxels, plates; 2-D and 3-D, in any memory order."""
    ndim = draw(st.sampled_from([2, 3, 3]))
    longest = (14, 20, 100)[-ndim:]
    shape = tuple(draw(st.integers(1, n)) for n in longest)
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    kind = draw(st.sampled_from(["blob", "speckle", "lone", "plate"]))
    pred, ref = (_mask(rng, shape, kind) for _ in range(2))
    if kind == "blob":
        noise = rng.random(shape) < 0.02
        ref = pred ^ noise
    for mask in (pred, ref):
        mask[tuple(int(rng.integers(n)) for n in shape)] = True
    order = rng.permutation(ndim)
    back = np.argsort(order)
    return tuple(np.ascontiguousarray(m.transpose(order)).transpose(back) for m in (pred, ref))


def _mask(rng, shape, kind):
    if kind == "blob":
        field = ndimage.gaussian_filter(rng.standard_normal(shape), rng.choice([1, 2]))
        return field > np.quantile(field, rng.uniform(0.3, 0.95))
    if kind == "speckle":
        return rng.random(shape) < rng.choice([0.02, 0.3, 0.9])
    mask = np.zeros(shape, bool)
    if kind == "plate":
        axis = rng.integers(len(shape))
        mask[(slice(None),) * axis + (rng.integers(shape[axis]),)] = True
    return mask


@KIND
@given(
    pairs(),
    st.sampled_from(SPACINGS),
    st.sampled_from([0.0, 5.0, 50.0, 90.0, 99.5, 100.0]),
    st.sampled_from([8, 256]),
)
def test_equals_brute_force(pair, spacing, percentile, sample):
    before, selection.SAMPLE = selection.SAMPLE, sample
    try:
        check(*pair, spacing[-pair[0].ndim :], percentile)
    finally:
        selection.SAMPLE = before


@pytest.mark.parametrize("spacing", SPACINGS)
def test_speckle_far_from_an_organ_uses_the_transform(spacing):
    rng = np.random.default_rng(5)
    pred, ref = np.zeros((30, 40, 70), bool), np.zeros((30, 40, 70), bool)
    ref[2:8, 3:9, 2:8] = True
    pred[:, :, 30:] = rng.random((30, 40, 40)) < 0.1
    check(pred, ref, spacing)


def test_a_lone_voxel_far_from_everything():
    pred, ref = np.zeros((40, 60, 150), bool), np.zeros((40, 60, 150), bool)
    pred[0, 0, 0] = ref[39, 59, 149] = True
    assert hd95(pred, ref) == np.sqrt(39.0**2 + 59.0**2 + 149.0**2)
    check(pred, ref, (0.7, 0.9, 1.1))


def test_by_hand():
    """A 2x2 square and the same moved by (3, 4): each pixel is border, the nearest are (2,3) apart."""
    pred, ref = np.zeros((12, 12), bool), np.zeros((12, 12), bool)
    pred[2:4, 2:4] = ref[5:7, 6:8] = True
    # per row the distances are: (2,2)->(3,4)=5; (2,3)->(3,3)=sqrt18; (3,2)->(2,4)=sqrt20; (3,3)->(2,3)=sqrt13
    assert hd(pred, ref) == 5.0
    assert hd_percentile(pred, ref, percentile=0) == np.sqrt(13)
    assert assd(pred, ref) == pytest.approx((5 + np.sqrt(18) + np.sqrt(20) + np.sqrt(13)) / 4)
    assert nsd(pred, ref, tolerance_mm=4.3) == 0.5


def test_identical_masks():
    mask = np.random.default_rng(1).random((12, 13, 14)) < 0.4
    assert surface_metrics(mask, mask) == {
        "hd": 0.0,
        "hd95": 0.0,
        "assd": 0.0,
        "nsd_1mm": 1.0,
        "nsd_2mm": 1.0,
    }


def test_a_full_image_has_its_border_as_surface():
    full, inner = np.ones((10, 10, 10), bool), np.ones((10, 10, 10), bool)
    inner[0] = False
    check(full, inner, (2.0, 1.0, 1.0))


def test_one_plane_in_3d_is_not_2d():
    """In 3-D every voxel of a one-plane image is surface; in 2-D only the contour is."""
    pred, ref = np.zeros((1, 20, 20), bool), np.zeros((1, 20, 20), bool)
    pred[0, 2:14, 2:14] = ref[0, 2:14, 2:18] = True
    check(pred, ref, (1.0, 1.0, 1.0))
    check(pred[0], ref[0], (1.0, 1.0))
    assert assd(pred, ref) != assd(pred[0], ref[0])


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.int8, np.int16, np.int64, np.uint32])
def test_every_integer_dtype(dtype):
    rng = np.random.default_rng(3)
    pred, ref = rng.random((2, 9, 10, 11)) < 0.3
    assert hd95(pred.astype(dtype), ref.astype(dtype)) == hd95(pred, ref)


def test_strided_and_reversed_views():
    rng = np.random.default_rng(4)
    pred, ref = rng.random((2, 20, 22, 24)) < 0.2
    expected = hd95(pred[::2, ::-1, 1:].copy(), ref[::2, ::-1, 1:].copy(), (1.0, 2.0, 0.7))
    assert hd95(pred[::2, ::-1, 1:], ref[::2, ::-1, 1:], (1.0, 2.0, 0.7)) == expected
    assert hd95(np.asfortranarray(pred[::2, ::-1, 1:]), ref[::2, ::-1, 1:], (1.0, 2.0, 0.7)) == expected


def test_masks_are_not_changed():
    pred, ref = np.random.default_rng(6).random((2, 9, 9, 9)) < 0.3
    copies = pred.copy(), ref.copy()
    surface_metrics(pred, ref)
    assert np.array_equal(pred, copies[0])
    assert np.array_equal(ref, copies[1])


@pytest.mark.parametrize("preset", ["metrics-reloaded", "medpy", "monai", "deepmind"])
@pytest.mark.parametrize("spacing", [(1.0, 1.0), (0.7, 1.3)])
@pytest.mark.parametrize("layout", ["C", "F", "swapped"])
def test_slices_equal_one_by_one(preset, spacing, layout):
    rng = np.random.default_rng(7)
    pred, ref = (
        ndimage.gaussian_filter(rng.standard_normal((24, 33, 70)), (0, 2, 2)) > 0.1 for _ in range(2)
    )
    pred[3] = ref[4] = pred[5] = ref[5] = False
    expected = [hd95(p, r, spacing, preset) for p, r in zip(pred, ref, strict=True)]
    if layout == "F":
        pred, ref = np.asfortranarray(pred), np.asfortranarray(ref)
    if layout == "swapped":
        pred, ref = (np.ascontiguousarray(m.swapaxes(1, 2)).swapaxes(1, 2) for m in (pred, ref))
    assert hd95_slices(pred, ref, spacing, preset).tolist() == expected


@KIND
@given(
    hnp.arrays(
        bool, st.tuples(st.integers(1, 4), st.integers(1, 9), st.integers(1, 140)), elements=st.booleans()
    ),
    st.sampled_from([0.0, 37.0, 95.0, 100.0]),
    st.integers(0, 2**32 - 1),
)
def test_slices_of_any_shape(pred, percentile, seed):
    ref = np.random.default_rng(seed).random(pred.shape) < 0.05
    for preset in ("metrics-reloaded", "medpy", "monai"):
        every = hd95_slices(pred, ref, (1.0, 0.7), preset, percentile=percentile)
        pairs_ = zip(pred, ref, strict=True)
        one_by_one = [hd_percentile(p, r, (1.0, 0.7), preset, percentile=percentile) for p, r in pairs_]
        assert every.tolist() == one_by_one


def test_slices_refuse_what_hd95_refuses():
    pred = np.zeros((2, 5, 5), np.uint8)
    with pytest.raises(InputError, match="expected 3-D"):
        hd95_slices(pred[0], pred[0])
    with pytest.raises(InputError, match="values 0, 3"):
        hd95_slices(pred, np.where(np.eye(5, dtype=bool), 3, pred))
    with pytest.raises(InputError, match="percentile=101"):
        hd95_slices(pred, pred, percentile=101)
