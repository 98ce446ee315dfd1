"""The study's recipes: its hyper-parameters, and whole volumes at random offsets, unchanged otherwise."""

import dataclasses

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from voxzoo.export.material import gather  # noqa: E402
from voxzoo.export.networks import build  # noqa: E402
from voxzoo.export.optim import learning_rate, optimiser  # noqa: E402
from voxzoo.export.recipe import load_recipe  # noqa: E402
from voxzoo.export.volumes import GradedSampler, GradedVolume, OutlinedSampler, OutlinedVolume  # noqa: E402


def test_the_published_hyper_parameters():
    """Tables 5 (segmentation) and 2 (grade) of arXiv 2509.10683; a fold of five learns from 248 patients."""
    seg, cls = load_recipe("paper-cnn3d-seg"), load_recipe("paper-cnn3d-cls")
    for recipe, rate, epochs in ((seg, 5e-5, 100), (cls, 4e-7, 200)):
        fit = recipe.fit.settled(248)
        assert (fit.learning_rate, fit.batch, fit.steps) == (rate, 16, epochs * 16)
        assert recipe.input.channels == ("flair", "t1", "t1ce", "t2")
        assert recipe.input.shape == (95, 128, 128)
        assert recipe.input.preprocessing == "paper"
        assert {learning_rate(fit, step) for step in (0, 1, fit.steps - 1)} == {rate}
        made = optimiser(fit, torch.nn.Linear(2, 2))
        assert type(made) is torch.optim.Adam
        assert made.defaults["weight_decay"] == 0
    assert (seg.loss, seg.threshold, seg.regions) == ("dice", 0.7, ("wt",))
    assert (cls.loss, cls.data.oversample, cls.classes) == ("bce", True, ("low", "high"))
    assert sum(p.numel() for p in build(seg.network, **seg.options).parameters()) == 91_921
    with torch.device("meta"):
        assert sum(p.numel() for p in build(cls.network, **cls.options).parameters()) == 48_239_097


def _small(name, **fit):
    recipe = load_recipe(name)
    spec = dataclasses.replace(recipe.input, shape=(5, 8, 8))
    return dataclasses.replace(recipe, input=spec, fit=dataclasses.replace(recipe.fit, batch=3, **fit))


def _coded(height, width):
    """Every voxel holds its own place, so that a window tells where it was cut."""
    h, w = np.meshgrid(np.arange(height), np.arange(width), indexing="ij")
    return np.broadcast_to(1 + h * 16 + w, (4, 5, height, width)).astype(np.float16)


def test_volumes_are_cut_and_padded_at_random_offsets_with_their_labels():
    recipe = _small("paper-cnn3d-seg")
    image = _coded(11, 6)  # cut along H, padded along W
    label = (image[:1] % 2 * 255).astype(np.uint8)
    sampler = OutlinedSampler([OutlinedVolume("a", image, label)], recipe)
    places = set()
    for step in range(12):
        images, labels = sampler.batch(step)
        assert images.shape == (3, 4, 5, 8, 8)
        assert np.array_equal(labels[:, 0], images[:, 0] % 2)
        for one in images:
            where = np.argwhere(one[0, 0] > 0)
            first = tuple(where[0])
            assert len(where) == 8 * 6
            code = int(one[0, 0][first]) - 1
            places.add((code // 16, first[1]))
    assert {row for row, _ in places} == {0, 1, 2, 3}
    assert {column for _, column in places} == {0, 1, 2}


def test_every_patient_comes_once_an_epoch():
    recipe = _small("paper-cnn3d-seg")
    volumes = [
        OutlinedVolume(str(k), np.full((4, 5, 8, 8), k + 1, np.float16), np.zeros((1, 5, 8, 8), np.uint8))
        for k in range(6)
    ]
    sampler = OutlinedSampler(volumes, recipe)
    for epoch in range(3):
        seen = [int(one.max()) for step in (2 * epoch, 2 * epoch + 1) for one in sampler.batch(step)[0]]
        assert sorted(seen) == [1, 2, 3, 4, 5, 6]


def test_the_low_grade_is_drawn_as_often_and_nothing_is_augmented():
    recipe = _small("paper-cnn3d-cls")
    volumes = [GradedVolume(str(k), np.full((4, 5, 8, 8), k, np.float16), int(k > 0)) for k in range(5)]
    sampler = GradedSampler(volumes, recipe)
    targets = np.concatenate([sampler.batch(step)[1] for step in range(8)])
    assert targets.sum() == 12
    images, numbers = sampler.batch(0)
    assert all(
        (one == one.flat[0]).all() and (one.flat[0] > 0) == number
        for one, number in zip(images, numbers, strict=True)
    )


def test_whole_heads_become_the_studys_volumes():
    """From a phantom of BraTS's voxels to a batch: 95 slices of 128 x 128, in 0 to 1, labels in place."""
    recipe = load_recipe("paper-cnn3d-seg")
    recipe = dataclasses.replace(recipe, fit=dataclasses.replace(recipe.fit, batch=1))
    task = gather(recipe, ["phantom:n=1,seed=2"]).task()
    image, label = task.batch(0)
    assert image.shape == (1, 4, 95, 128, 128)
    assert label.shape == (1, 1, 95, 128, 128)
    assert 0 == image.min() < image.max() <= 1
    assert 0 < label.mean() < 0.2
    assert (image[0, 0][label[0, 0] == 1] > 0).mean() > 0.99
