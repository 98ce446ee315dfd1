"""The segmenter that looks at each voxel, what lies around it and its mirror image."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

torch = pytest.importorskip("torch")

from voxzoo.export.networks.cnn3d_seg import WithSigmoid  # noqa: E402
from voxzoo.export.networks.voxelwise3d import OUTSIDE, Smooth, Voxelwise3D  # noqa: E402

from .model_tester import ModelTester  # noqa: E402


class TestVoxelwise3D(ModelTester):
    network = "voxelwise3d-seg"
    # 24 features to 64, 64 to 32, 32 to 3, with their biases
    parameters = range(25 * 64 + 65 * 32 + 33 * 3, 25 * 64 + 65 * 32 + 33 * 3 + 1)
    logits = 3
    odd_shapes = ((17, 9, 10), (12, 8, 23))
    outputs = ("wt", "tc", "et")

    def deployed(self, net):
        return WithSigmoid(net)


def brain(shape=(11, 13, 12), seed=0):
    """(1, 2, D, H, W): normal numbers in a box, air around it."""
    x = np.zeros((1, 2, *shape), np.float32)
    x[:, :, 2:-2, 3:-1, 1:-3] = np.random.default_rng(seed).normal(1, 1, x[:, :, 2:-2, 3:-1, 1:-3].shape)
    return torch.from_numpy(x)


@pytest.mark.parametrize("scale", [0.7, 1.0, 2.5])
def test_smoothing_is_a_mean_over_the_brain_alone(scale):
    x = brain()
    inside = (x != 0).any(1, keepdim=True).float()
    with torch.no_grad():
        found = Smooth(scale)(x, inside)[0].numpy()
    # scipy rounds its reach to whole voxels; so does a comparison at |distance| <= 3 scales
    options = {"sigma": scale, "mode": "constant", "radius": int(3 * scale)}
    weight = gaussian_filter(inside[0, 0].numpy().astype(np.float64), **options)
    for channel, image in zip(found, x[0].numpy().astype(np.float64), strict=True):
        wanted = gaussian_filter(image, **options) / np.maximum(weight, 1e-9) * inside[0, 0].numpy()
        np.testing.assert_allclose(channel, wanted, atol=2e-5)


def test_a_brain_of_one_brightness_stays_so_to_its_rim():
    x = (brain() != 0).float() * 3
    inside = (x != 0).any(1, keepdim=True).float()
    torch.testing.assert_close(Smooth(2.0)(x, inside), x)


def test_features_are_this_side_and_then_the_other():
    net, x = Voxelwise3D(in_channels=2, out_channels=1, scales=(1.5,)), brain()
    features = net.features(x)
    assert features.shape == (1, 8, *x.shape[2:])
    torch.testing.assert_close(features[:, :2], x)
    torch.testing.assert_close(features[:, 4:], torch.flip(features[:, :4], (4,)))


def test_air_is_no_tumour_and_mirrored_heads_get_mirrored_answers():
    net, x = Voxelwise3D(in_channels=2, out_channels=1).eval(), brain()
    with torch.no_grad():
        found, other = net(x), net(torch.flip(x, (4,)))
    assert set(found[:, :, ~(x != 0).any(1)[0]].unique().tolist()) == {OUTSIDE}
    torch.testing.assert_close(torch.flip(other, (4,)), found)
