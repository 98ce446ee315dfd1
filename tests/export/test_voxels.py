"""Single voxels drawn from volumes, their intensities varied."""

import dataclasses

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from voxzoo.export.networks import build  # noqa: E402
from voxzoo.export.recipe import load_recipe, parse_recipe  # noqa: E402
from voxzoo.export.samples import TrainingVolume  # noqa: E402
from voxzoo.export.voxels import VoxelSampler  # noqa: E402
from voxzoo.zoo.errors import UsageError  # noqa: E402

SHAPE = (8, 9, 10)


def volume(seed, tumour=True):
    rng = np.random.default_rng(seed)
    image = rng.normal(0, 1, (4, *SHAPE)).astype(np.float16)
    image[:, :2] = 0  # air
    label = np.zeros((3, *SHAPE), np.uint8)
    if tumour:
        label[0, 4:6, 3:6, 2:5] = 255
        label[1, 4, 3:6, 2:5] = 255
    return TrainingVolume(f"case {seed}", image, label, np.argwhere(label[0] > 127).astype(np.int16))


def recipe(batch=64, **voxels):
    found = load_recipe("voxelwise3d-seg")
    still = {"gain": 0.0, "shift": 0.0, "sides": 0.0, "noise": 0.0, "inside": 30, "outside": 50}
    return dataclasses.replace(
        found,
        fit=dataclasses.replace(found.fit, batch=batch),
        voxels=dataclasses.replace(found.voxels, **{**still, **voxels}),
    )


def features_of(made):
    net = build("voxelwise3d-seg")
    with torch.no_grad():
        return net.features(torch.from_numpy(made.image.astype(np.float32))[None])[0].numpy()


def test_each_volume_gives_as_much_tumour_as_the_next_and_none_of_the_air():
    volumes = [volume(1), volume(2), volume(3, tumour=False)]
    found = VoxelSampler(volumes, recipe())
    assert found.features.shape == (2 * (30 + 50), 24)
    assert found.targets[:, 0].sum() == 2 * 30
    known = [features_of(v).reshape(24, -1).T[(v.image != 0).any(0).ravel()] for v in volumes[:2]]
    for number, part in enumerate(np.split(found.features, 2)):
        rows = {row.tobytes() for row in np.ascontiguousarray(known[number])}
        assert all(row.tobytes() in rows for row in part)


def test_a_step_draws_the_same_again_and_another_step_draws_others():
    sampler, again = (
        VoxelSampler([volume(1)], recipe(noise=0.3)),
        VoxelSampler([volume(1)], recipe(noise=0.3)),
    )
    for one, two in zip(sampler.batch(5), again.batch(5), strict=True):
        np.testing.assert_array_equal(one, two)
    assert not np.array_equal(sampler.batch(5)[0], sampler.batch(6)[0])


def test_gain_and_shift_of_a_channel_are_the_same_at_all_scales_and_on_both_sides():
    plain = VoxelSampler([volume(1)], recipe()).batch(0)[0].reshape(64, 6, 4)
    varied = VoxelSampler([volume(1)], recipe(gain=0.3, shift=0.5)).batch(0)[0].reshape(64, 6, 4)
    # one straight line through the six places of a voxel's channel explains what became of them
    gain = (varied[:, 0] - varied[:, 1]) / (plain[:, 0] - plain[:, 1])
    shift = varied[:, 0] - gain * plain[:, 0]
    np.testing.assert_allclose(gain[:, None] * plain + shift[:, None], varied, atol=2e-3)
    assert 0.25 < np.std(gain) < 0.35
    assert 0.4 < np.std(shift) < 0.6


def test_the_sides_differ_by_one_shift_a_channel():
    plain = VoxelSampler([volume(1)], recipe()).batch(0)[0].reshape(64, 2, 3, 4)
    varied = VoxelSampler([volume(1)], recipe(sides=0.5)).batch(0)[0].reshape(64, 2, 3, 4)
    moved = varied - plain
    np.testing.assert_array_equal(moved[:, 0], 0)
    np.testing.assert_allclose(moved[:, 1] - moved[:, 1, :1], 0, atol=1e-6)
    assert 0.4 < moved[:, 1, 0].std() < 0.6


def test_fewer_voxels_than_asked_for_come_repeatedly():
    assert VoxelSampler([volume(1)], recipe(inside=200)).targets[:, 0].sum() == 200


def test_nothing_to_learn_from_and_a_loss_that_needs_volumes():
    with pytest.raises(UsageError, match="no volume has a tumour"):
        VoxelSampler([volume(3, tumour=False)], recipe())
    text = 'name="x"\nversion="1"\nnetwork="voxelwise3d-seg"\nregions=["wt"]\n[voxels]\ninside=5\n'
    toy = '[input]\nname="i"\nchannels=["flair"]\nshape=[4,4,4]\nspacing_mm=[1,1,1]\n'
    terms = '[licence]\nweights="w"\ndata_terms="d"\nstatus="confirmed"\n'
    with pytest.raises(UsageError, match=r'learned with "bce"'):
        parse_recipe(text + toy + terms, "x")
    fit = '[fit]\nloss="bce"\n'
    assert parse_recipe(text + toy + terms + fit, "x").voxels.inside == 5
    with pytest.raises(UsageError, match="the network is 'cnn3d-seg'"):
        parse_recipe(text.replace("voxelwise3d-seg", "cnn3d-seg") + toy + terms + fit, "x")
