"""The study's preprocessing against nibabel, numpy and scikit-image, by hand, and its exact way back."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nibabel.orientations import apply_orientation, io_orientation

from voxzoo.zoo import paper
from voxzoo.zoo.cases import ArraySource, Case, FailingSource
from voxzoo.zoo.contract import InputSpec
from voxzoo.zoo.datasets import open_dataset
from voxzoo.zoo.errors import CaseError
from voxzoo.zoo.preprocess import prepare, prepare_mask, restore, restore_mask

CHANNELS = ("flair", "t1", "t1ce", "t2")
LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
AFFINES = [
    LPS,
    np.eye(4),
    np.array([[0, 0, 1.0, 5], [-1, 0, 0, 6], [0, -1, 0, 7], [0, 0, 0, 1]]),
    np.array([[0, 1.0, 0, 0], [0, 0, -1, 0], [-1, 0, 0, 9], [0, 0, 0, 1]]),
]


def spec(shape=(95, 128, 128), channels=CHANNELS):
    return InputSpec("x", tuple(channels), shape, (1.0, 1.0, 1.0), normalise="none", preprocessing="paper")


def case_of(arrays, affine=LPS):
    names = zip(CHANNELS, arrays, strict=False)
    return Case("k", "k", {name: ArraySource(array, affine, f"{name}.nii") for name, array in names})


def heads(shape=(40, 36, 34), count=2, dtype=np.int16, seed=0):
    """Lopsided boxes of noise, different ones per modality, with holes of background."""
    rng = np.random.default_rng(seed)
    out = np.zeros((count, *shape), dtype)
    for k in range(count):
        box = tuple(slice(rng.integers(1, 6), n - rng.integers(1, 9)) for n in shape)
        values = rng.gamma(2.0, 30.0 * (k + 1), out[k][box].shape) + 1
        out[k][box] = np.where(rng.random(values.shape) < 0.9, np.minimum(values, 250), 0)
    return out


def by_hand(arrays, affine, slices, size):
    """The rules with nibabel, numpy and scikit-image: (C, D, H, W)."""
    exposure = pytest.importorskip("skimage.exposure", reason='pip install "voxzoo[dev]"')
    turned = [apply_orientation(a, io_orientation(affine)).transpose(2, 1, 0) for a in arrays]
    images = np.stack(turned).astype(np.float64)
    first = (images.shape[1] - slices) // 2
    images = images[:, first : first + slices]
    rows, columns = (np.flatnonzero((images != 0).any(axis=(0, 1, other))) for other in (3, 2))
    box = images[:, :, rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    brain = box != 0
    clipped = np.clip(box, *np.percentile(box[brain], (1, 99)))
    equal = np.where(brain, exposure.equalize_hist(clipped, nbins=256, mask=brain), 0)
    # Half of what is missing or too much goes to either side, the odd voxel to the far side of a crop.
    y, x = (np.arange(m) + (n - m) // 2 for n, m in zip(equal.shape[2:], size, strict=True))
    padded = np.pad(equal, ((0, 0), (0, 0), (64, 64), (64, 64)))
    return padded[:, :, y[:, None] + 64, x[None] + 64]


@pytest.mark.parametrize("affine", AFFINES)
@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint16, np.float32])
@pytest.mark.parametrize("size", [(20, 22), (50, 48), (21, 49)])
def test_it_is_clip_and_equalisation_as_scikit_image_does_them(affine, dtype, size):
    arrays = heads(dtype=dtype)
    if dtype == np.float32:
        arrays *= np.float32(0.37)
    found = prepare(case_of(arrays, affine), spec((16, *size), CHANNELS[:2])).tensor
    expected = by_hand(arrays, affine, 16, size)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=2e-6)


def test_of_155_slices_95_remain():
    array = np.zeros((12, 12, 155), np.int16)
    array[2:9, 3:10] = 1 + np.arange(155)
    found = prepare(case_of([array]), spec((95, 12, 12), ("flair",))).tensor[0]
    shown = array[5, 5, 30:-30]
    assert len(shown) == 95
    # Clipped at both ends, growing in between, in the order of the slices.
    line = found[:, 6, 6]
    assert (np.diff(line) >= 0).all()
    assert (line > 0).all()
    assert line[-1] == 1
    np.testing.assert_allclose(line[1:-1], (np.arange(1, 94) + 1) / 95, atol=0.01)


def test_a_volume_of_few_slices_is_padded_with_zeros():
    array = heads((20, 20, 12), 1)[0]
    found = prepare(case_of([array]), spec((20, 24, 24), ("flair",)))
    assert found.plan.start[0] == -4
    assert not found.tensor[:, :4].any()
    assert not found.tensor[:, 16:].any()
    occupied = apply_orientation(array, io_orientation(LPS)).transpose(2, 1, 0).any(axis=(1, 2))
    np.testing.assert_array_equal(found.tensor[0].any(axis=(1, 2))[4:16], occupied)


def test_ranks_by_hand():
    """Ten voxels, 0 % to 100 % kept by construction: 1 and 2 are clipped to the percentiles."""
    image = np.array([0, 1, 2, 2, 3, 4, 4, 4, 5, 5, 6], np.int16).reshape(11, 1, 1)
    low, high, heights = paper.equalisation([image])
    assert low == pytest.approx(1.09)  # 1 % of 9 steps above the lowest of ten
    assert high == pytest.approx(5.91)
    width = (high - low) / 256
    at = np.floor((np.array([1.09, 2, 3, 4, 5, 5.90999]) - low) / width).astype(int)
    assert heights[at].tolist() == pytest.approx([0.1, 0.3, 0.4, 0.7, 0.9, 1.0])


def test_the_modalities_are_one_sample():
    one, other = np.full((6, 6, 6), 10, np.int16), np.full((6, 6, 6), 20, np.int16)
    found = prepare(case_of([one, other]), spec((6, 6, 6), CHANNELS[:2])).tensor
    assert np.unique(found[0]) == pytest.approx([0.5])
    assert np.unique(found[1]) == pytest.approx([1.0])


def test_a_constant_brain_is_one():
    array = np.zeros((12, 12, 12), np.int16)
    array[3:8, 3:8, 3:8] = 7
    found = prepare(case_of([array]), spec((12, 12, 12), ("flair",))).tensor
    assert np.unique(found).tolist() == [0, 1]
    assert found.sum() == 125


# -- where the window lies


@settings(max_examples=60, deadline=None)
@given(
    extent=st.tuples(*[st.integers(1, 40)] * 3),
    shape=st.tuples(*[st.integers(1, 40)] * 3),
    seed=st.integers(0, 999) | st.none(),
)
def test_offsets_crop_and_pad_no_more_than_they_must(extent, shape, seed):
    rng = None if seed is None else np.random.default_rng(seed)
    for n, m, c in zip(extent, shape, paper.offsets(extent, shape, rng), strict=True):
        assert min(n - m, 0) <= c <= max(n - m, 0)
        if rng is None:
            assert abs(2 * c - (n - m)) <= 1


def test_every_offset_is_drawn():
    rng = np.random.default_rng(0)
    drawn = {paper.offsets((5, 9, 4), (5, 6, 6), rng) for _ in range(400)}
    assert drawn == {(0, h, w) for h in range(4) for w in range(-2, 1)}


@settings(max_examples=60, deadline=None)
@given(
    extent=st.tuples(*[st.integers(1, 9)] * 2),
    corner=st.tuples(*[st.integers(-12, 12)] * 2),
    shape=st.tuples(*[st.integers(1, 9)] * 2),
)
def test_a_cut_is_an_index_or_zero(extent, corner, shape):
    array = np.arange(1, 1 + 3 * extent[0] * extent[1]).reshape(3, *extent)
    found = paper.cut(array, corner, shape)
    assert found.shape == (3, *shape)
    for y, x in np.ndindex(*shape):
        at = y + corner[0], x + corner[1]
        inside = all(0 <= i < n for i, n in zip(at, extent, strict=True))
        assert found[:, y, x].tolist() == (array[:, at[0], at[1]].tolist() if inside else [0, 0, 0])


@pytest.mark.parametrize("size", [(20, 22), (50, 48)])
def test_random_offsets_move_the_window_and_nothing_else(size):
    case = case_of(heads())
    wanted = spec((16, *size), CHANNELS[:2])
    middle = prepare(case, wanted)
    back = restore(middle.tensor, middle.plan)
    drawn = [paper.prepare(case, wanted, np.random.default_rng(seed)) for seed in range(6)]
    assert len({p.plan.start for p in drawn}) > 1
    again = paper.prepare(case, wanted, np.random.default_rng(3))
    assert again.plan.start == drawn[3].plan.start
    for p in drawn:
        other = restore(p.tensor, p.plan)
        both = (other != 0) & (back != 0)
        assert both.any()
        np.testing.assert_array_equal(other[both], back[both])


# -- the way back


@pytest.mark.parametrize("affine", AFFINES)
@pytest.mark.parametrize("seed", [None, 0, 1])
def test_a_mask_comes_back_exactly(affine, seed):
    arrays = heads(seed=4)
    rng = None if seed is None else np.random.default_rng(seed)
    prepared = paper.prepare(case_of(arrays, affine), spec((18, 30, 22), CHANNELS[:2]), rng)
    mask = np.random.default_rng(9).random(arrays.shape[1:]) < 0.3
    cover = prepare_mask(mask, prepared.plan)
    assert set(np.unique(cover)) == {0, 1}
    window = restore_mask(np.ones_like(cover)[None], prepared.plan)[0]
    back = restore_mask(cover[None], prepared.plan)[0]
    np.testing.assert_array_equal(back, mask & window)
    index = np.indices(prepared.plan.shape).reshape(3, -1)
    world = prepared.plan.affine[:3, :3] @ index + prepared.plan.affine[:3, 3:]
    inverse = np.linalg.inv(affine)
    native = np.rint(inverse[:3, :3] @ world + inverse[:3, 3:]).astype(int)
    inside = ((native >= 0) & (native < np.array(mask.shape)[:, None])).all(axis=0)
    assert window.sum() == inside.sum()
    np.testing.assert_array_equal(cover.ravel()[inside], mask[tuple(native[:, inside])])


def test_what_is_shown_is_where_it_was():
    arrays = heads(seed=5)
    prepared = prepare(case_of(arrays), spec((34, 36, 40), CHANNELS[:2]))
    back = restore(prepared.tensor, prepared.plan)
    np.testing.assert_array_equal(back != 0, arrays != 0)


def test_the_reference_is_never_looked_at():
    """Promise 8: a reference that cannot even be read changes nothing."""
    arrays = heads()
    plain = case_of(arrays)
    broken = replace(plain, reference=FailingSource("mask.nii", "the reference was read"))
    for rng in (None, np.random.default_rng(1)):
        wanted = spec((16, 20, 22), CHANNELS[:2])
        one = paper.prepare(plain, wanted, rng and np.random.default_rng(1))
        np.testing.assert_array_equal(paper.prepare(broken, wanted, rng).tensor, one.tensor)


# -- refusals


def test_what_cannot_be_used():
    array = heads(count=1)[0]
    thick = np.diag([-1.0, -1.0, 3.0, 1.0])
    with pytest.raises(CaseError, match=r"1 x 1 x 3 mm.*1 mm"):
        prepare(case_of([array], thick), spec(channels=("flair",)))
    ends = np.zeros((10, 10, 40), np.int16)
    ends[2:5, 2:5, :3] = 9
    with pytest.raises(CaseError, match=r"flair\.nii.*nothing but zeros"):
        prepare(case_of([ends]), spec((20, 10, 10), ("flair",)))


@pytest.mark.data
@pytest.mark.parametrize("name", ["glioma3d", "glioma3d_8bit"])
def test_a_patient(data_root, name):
    case = open_dataset(data_root / name).cases[0]
    found = prepare(case, spec())
    arrays = [case.read_image(channel) for channel in CHANNELS]
    expected = by_hand(arrays, case.grid().affine, 95, (128, 128))
    np.testing.assert_allclose(found.tensor, expected, atol=2e-6)
    assert found.plan.start[0] == (case.grid().shape[2] - 95) // 2
    mask = case.read_reference() > 0
    assert restore_mask(prepare_mask(mask, found.plan)[None], found.plan)[0].sum() > 0.5 * mask.sum()
