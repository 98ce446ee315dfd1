"""Variations of slices: masks, outlines and images move together; the same chance gives the same slice."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from voxzoo.export.language import vary  # noqa: E402
from voxzoo.export.language.sampling import ConversationSampler, SlicePool, moved_outline  # noqa: E402
from voxzoo.export.language.slices import image_slice, slices_of, spread, with_tumour  # noqa: E402
from voxzoo.export.language.spec import LanguageSpec, SliceAugmentSpec  # noqa: E402
from voxzoo.rasterize import fill_polygons  # noqa: E402
from voxzoo.zoo.errors import CaseError, LabelError, UsageError  # noqa: E402
from voxzoo.zoo.images import ImageCase  # noqa: E402
from voxzoo.zoo.phantom import phantom_dataset  # noqa: E402
from voxzoo.zoo.tasks.outline import outline  # noqa: E402
from voxzoo.zoo.tasks.slices import SliceRule  # noqa: E402

from .nano_cases import disc, some_slices  # noqa: E402

STILL = SliceAugmentSpec(**dict.fromkeys(SliceAugmentSpec.__dataclass_fields__, 0.0))


def _sampler(slices, spec=STILL, **language):
    language = LanguageSpec(**{"warm_steps": 0, "empty_share": 0.0, **language})
    return ConversationSampler([(SlicePool(slices), 1.0)], language, spec, 3, 0, 100, 65)


def test_nothing_asked_for_changes_nothing():
    one = disc(50, 60, 12)
    varied, points = _sampler([one]).sample(0, 0)
    assert np.abs(varied.image.astype(int) - one.image).max() <= 1
    assert (varied.mask == one.mask).all()
    assert points.tolist() == [list(p) for p in outline(one.mask)]


def test_a_mirror_swaps_left_and_right_of_image_mask_and_outline():
    one = disc(50, 40, 12)
    varied, points = _sampler([one], dataclasses.replace(STILL, mirror=1.0)).sample(0, 0)
    assert (varied.mask == one.mask[:, ::-1]).all()
    assert np.abs(varied.image.astype(int) - one.image[:, ::-1]).max() <= 1
    assert {tuple(p) for p in points.tolist()} == {(r, 127 - c) for r, c in outline(one.mask)}


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**31), st.integers(45, 80), st.integers(45, 80), st.integers(9, 18))
def test_outlines_follow_masks_through_every_warp(seed, row, col, radius):
    mask = disc(row, col, radius).mask
    warp = vary.draw_warp(mask.shape, SliceAugmentSpec(), np.random.default_rng(seed))
    moved = warp.image(mask.astype(np.float32)) >= 0.5
    if moved.sum() < 100:
        return
    points = moved_outline(np.array(outline(mask)), moved, warp)
    drawn = fill_polygons([points.astype(np.float64)], moved.shape, rule="outline")[0].astype(bool)
    assert 2 * (drawn & moved).sum() / (drawn.sum() + moved.sum()) > 0.85


def test_batches_depend_on_seed_and_step_alone():
    slices = some_slices()
    first, again = (_sampler(slices, SliceAugmentSpec()) for _ in range(2))
    again.batch(3)
    for one, other in zip(first.batch(7), again.batch(7), strict=True):
        assert (one == other).all()
    assert any((a != b).any() for a, b in zip(first.batch(7)[:2], first.batch(8)[:2], strict=True))


def test_no_tumour_no_box_and_a_transplanted_one_is_asked_about():
    slices = some_slices()
    asked = _sampler(slices, empty_share=1.0)
    *_, blocks, _ = asked.batch(0)
    assert set(np.unique(blocks)) <= {0, 1}  # task 1 is the grade
    with_one = _sampler(slices, dataclasses.replace(STILL, transplant=1.0), empty_share=1.0)
    varied, _ = with_one.sample(0, 0)
    assert varied.mask.any()
    assert varied.grade == 1
    assert varied.image[varied.mask].mean() > varied.image[(varied.image > 0) & ~varied.mask].mean() + 40


def test_first_steps_ask_nothing_and_sigma_falls():
    sampler = _sampler(some_slices(), warm_steps=10, warm_batch=5, sigma=(3.0, 1.0))
    assert sampler.batch(9)[2].shape == (5, 0)
    assert sampler.batch(9)[-1].tolist() == [3.0, 0.0]
    assert sampler.batch(10)[0].shape == (3, 128, 128)
    assert sampler.batch(99)[-1].tolist() == [1.0, 1.0]


def test_every_case_is_drawn_alike_however_large_its_tumour():
    pool = SlicePool([*some_slices("large", 30), *some_slices("s", 2)])
    rng = np.random.default_rng(0)
    drawn = [pool.draw(rng).case for _ in range(400)]
    assert 160 < drawn.count("s") < 240


def test_slices_of_a_case_are_those_that_runs_show():
    from voxzoo.zoo.slices2d import open_slices

    case = phantom_dataset(n=1, seed=4, shape=(32, 40, 32), grade="low").cases[0]
    rule = SliceRule(which="all", size=(32, 32), contrast="brain")
    found, shown = slices_of(case, rule), open_slices(case, rule)
    assert [one.index for one in found] == list(shown.indices)
    assert all((one.image == shown.image(one.index)).all() for one in found)
    labels = case.read_reference()  # axes run to left, back and up: the last one counts axial slices
    assert {one.index for one in with_tumour(found)} <= set(np.flatnonzero(labels.any(axis=(0, 1))))
    assert len(with_tumour(found)) > 3
    assert {one.grade for one in with_tumour(found)} == {0}
    assert {one.grade for one in found if not one.mask.any()} == {2}
    assert {one.grade for one in with_tumour(slices_of(case, rule, grades=False))} == {-1}
    assert spread(found, 99) == found
    with pytest.raises(LabelError, match="no reference"):
        slices_of(dataclasses.replace(case, reference=None), rule)


def test_a_picture_has_its_mask_beside_it(tmp_path):
    import cv2

    for folder in ("images", "masks"):
        (tmp_path / folder).mkdir()
    picture, mask = np.zeros((40, 20), np.uint8), np.zeros((40, 20), np.uint8)
    picture[5:35, 2:18], mask[10:20, 4:12] = 120, 255
    path = tmp_path / "images" / "x.png"
    cv2.imwrite(str(path), picture)
    case = ImageCase("x", "x", path, {"class": "glioma", "plane": "coronal"})
    assert image_slice(case, (80, 80)) is None
    cv2.imwrite(str(tmp_path / "masks" / "x.png"), mask)
    one = image_slice(case, (80, 80))
    assert (one.plane, one.modality, one.grade) == ("coronal", "t1", -1)
    rows, cols = np.nonzero(one.mask)  # twice as large, in the middle of 80 columns
    assert (rows.min(), rows.max(), cols.min(), cols.max()) == (20, 39, 28, 43)
    healthy = image_slice(dataclasses.replace(case, facts={"class": "no_tumor"}), (80, 80))
    assert healthy.grade == 2
    assert not healthy.mask.any()
    cv2.imwrite(str(tmp_path / "masks" / "x.png"), mask[:30])
    with pytest.raises(CaseError, match=r"mask has shape \(30, 20\)"):
        image_slice(case, (80, 80))


@pytest.mark.parametrize(
    ("spec", "values", "said"),
    [
        (SliceAugmentSpec, {"mirror": 1.5}, "chance from 0 to 1"),
        (SliceAugmentSpec, {"noise": -1.0}, "0 or more"),
        (LanguageSpec, {"tasks": ("boxes",)}, "expected some of grade, center, box, polygon"),
        (LanguageSpec, {"empty_share": 2.0}, "share from 0 to 1"),
        (LanguageSpec, {"warm_batch": 0}, "1 or more"),
    ],
)
def test_what_cannot_be_is_refused(spec, values, said):
    with pytest.raises(UsageError, match=said):
        spec(**values)
