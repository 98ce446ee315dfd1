"""Sets of training images and the batches drawn from them."""

import dataclasses
from collections import Counter
from dataclasses import fields

import cv2
import numpy as np
import pytest

from voxzoo.export.augment2d import Augment2DSpec
from voxzoo.export.images import ImageSampler, ImageSet
from voxzoo.export.recipe import Recipe
from voxzoo.export.sections import DataSpec, FitSpec
from voxzoo.zoo.contract import ImageSpec, LicenceSpec
from voxzoo.zoo.errors import CaseError, LabelError, UsageError
from voxzoo.zoo.images import ImageCase, prepare_image

SPEC = ImageSpec("image", ("red", "green", "blue"), (12, 16))
CLASSES = ("many", "few", "one")
STILL = Augment2DSpec(**{field.name: 0.0 for field in fields(Augment2DSpec)})


@pytest.fixture
def cases(tmp_path):
    """Ten, three and one images, each of one colour that tells which it is."""
    made = []
    for number, name in enumerate(["many"] * 10 + ["few"] * 3 + ["one"]):
        path = tmp_path / f"{number}.png"
        cv2.imwrite(str(path), np.full((6, 8, 3), 10 * number, np.uint8))
        made.append(ImageCase(str(number), str(number), path, {"class": name}))
    return made


def _recipe(augment=STILL, oversample=False, batch=6, seed=0):
    return Recipe(
        name="x",
        version="1",
        network="mobilecoatnet",
        input=SPEC,
        licence=LicenceSpec("none", "none", "confirmed"),
        task="classify",
        classes=CLASSES,
        target="class",
        seed=seed,
        data=DataSpec(oversample=oversample),
        fit=FitSpec(batch=batch),
        augment=augment,
    )


def _load(cases):
    return ImageSet.load(cases, SPEC, CLASSES, "class")


def _drawn(sampler, steps):
    """Which images came, told by their colour."""
    levels = np.concatenate([sampler.batch(step)[0][:, 0, 0, 0] for step in range(steps)])
    return np.rint((levels + 1) * 127.5 / 10).astype(int).tolist()


def test_a_set_holds_what_prediction_would_be_fed(cases):
    images = _load(cases)
    assert images.counts == {"many": 10, "few": 3, "one": 1}
    assert images.targets.tolist() == [0] * 10 + [1] * 3 + [2]
    for index in (0, 5, 13):
        np.testing.assert_array_equal(images.tensor(index), prepare_image(cases[index], SPEC))


def test_every_image_comes_once_before_any_comes_again(cases):
    drawn = _drawn(ImageSampler(_load(cases), _recipe(batch=7)), steps=6)
    for start in (0, 14, 28):
        assert sorted(drawn[start : start + 14]) == list(range(14))
    assert drawn[:14] != drawn[14:28]


def test_oversampling_draws_every_class_equally_often(cases):
    sampler = ImageSampler(_load(cases), _recipe(oversample=True))
    drawn = _drawn(sampler, steps=15)
    assert Counter(0 if n < 10 else 1 if n < 13 else 2 for n in drawn) == {0: 30, 1: 30, 2: 30}
    assert set(Counter(n for n in drawn if n < 10).values()) == {3}
    assert set(Counter(n for n in drawn if 10 <= n < 13).values()) == {10}


def test_targets_belong_to_their_images(cases):
    images, targets = ImageSampler(_load(cases), _recipe(batch=14)).batch(3)
    assert images.shape == (14, 3, 12, 16)
    assert images.dtype == np.float32
    assert targets.dtype == np.int64
    numbers = np.rint((images[:, 0, 0, 0] + 1) * 127.5 / 10)
    assert targets.tolist() == [0 if n < 10 else 1 if n < 13 else 2 for n in numbers]


def test_a_batch_depends_on_seed_and_step_alone(cases):
    spec = Augment2DSpec()
    one, two = (ImageSampler(_load(cases), _recipe(spec)) for _ in range(2))
    one.batch(0)
    for a, b in zip(one.batch(5), two.batch(5), strict=True):
        assert np.array_equal(a, b)
    assert not np.array_equal(one.batch(5)[0], one.batch(6)[0])
    other = ImageSampler(_load(cases), _recipe(spec, seed=1))
    assert not np.array_equal(one.batch(5)[0], other.batch(5)[0])


def test_data_without_labels_and_with_unknown_ones_is_refused(cases):
    nameless = ImageCase("x", "x", cases[0].path)
    with pytest.raises(LabelError, match=r"x: no fact 'class'"):
        _load([*cases, nameless])
    with pytest.raises(LabelError, match=r"0: class 'many'; the recipe knows a, b"):
        ImageSet.load(cases, SPEC, ("a", "b"), "class")
    with pytest.raises(CaseError, match=r"gone\.png"):
        _load([ImageCase("g", "g", cases[0].path.with_name("gone.png"), {"class": "one"})])


def test_masks_are_fitted_and_come_with_their_images(cases, tmp_path):
    """The left half is marked in every image but the healthy one, 6 x 8 pixels made 12 x 16."""
    half = np.zeros((6, 8), np.uint8)
    half[:, :4] = 255
    (tmp_path / "masks").mkdir()
    for case in cases[:-1]:
        cv2.imwrite(str(tmp_path / "masks" / case.path.name), half)
    healthy = ImageCase("h", "h", cases[-1].path, {"class": "no_tumor"})
    marked = [*cases[:-1], healthy]
    images = ImageSet.load(marked, SPEC, ("many", "few", "no_tumor"), "class", marked=True)
    assert images.masks.shape == (14, 12, 16, 1)
    assert (images.masks[:-1, :, :7] == 255).all()
    assert (images.masks[:-1, :, 9:] == 0).all()
    assert not images.masks[-1].any()
    assert _load(cases).masks is None

    recipe = dataclasses.replace(_recipe(batch=14), classes=("many", "few", "no_tumor"))
    _, targets, masks = ImageSampler(images, recipe).batch(0)
    assert (masks.shape, masks.dtype, masks.max()) == ((14, 12, 16), np.float32, 1)
    assert (masks.any((1, 2)) == (targets < 2)).all()
    with pytest.raises(LabelError, match=r"13: no mask; .*masks/13\.png"):
        ImageSet.load(cases, SPEC, CLASSES, "class", marked=True)
    cv2.imwrite(str(tmp_path / "masks" / "13.png"), half[:3])
    with pytest.raises(CaseError, match=r"mask has shape \(3, 8\), the image \(6, 8\)"):
        ImageSet.load(cases, SPEC, CLASSES, "class", marked=True)


def test_a_class_without_images_is_named(cases):
    with pytest.raises(UsageError, match="'one'"):
        ImageSampler(_load(cases[:-1]), _recipe())
