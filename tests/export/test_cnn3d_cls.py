"""The study's grade classifier and its averaging variant."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from voxzoo.export.networks import build  # noqa: E402
from voxzoo.export.networks.cnn3d_cls import WithTwoLogits  # noqa: E402
from voxzoo.export.recipe import load_recipe  # noqa: E402

from .model_tester import ModelTester  # noqa: E402


class _Grade(ModelTester):
    outputs = ("low", "high")
    task = "classify"

    def deployed(self, net):
        return WithTwoLogits(net)


class TestCNN3DCls(_Grade):
    network = "cnn3d-cls"
    parameters = 48_239_097
    shape = (13, 16, 8)
    odd_shapes = ()

    def options(self):
        return {"shape": self.shape}

    def test_is_the_stack_of_layers_the_paper_names(self):
        net, x = self.build().eval(), self.images()
        w, f = dict(net.named_parameters()), torch.nn.functional
        with torch.no_grad():
            y = f.relu(f.conv3d(x, w["features.conv1.weight"], w["features.conv1.bias"], padding=1))
            y = f.relu(
                f.conv3d(f.max_pool3d(y, 2), w["features.conv2.weight"], w["features.conv2.bias"], padding=1)
            )
            y = f.max_pool3d(y, 2).reshape(2, 16 * 3 * 4 * 2)
            y = y @ w["hidden.weight"].T + w["hidden.bias"]
            torch.testing.assert_close(net(x), y @ w["head.weight"].T + w["head.bias"])

    def test_flattens_what_the_paper_says(self):
        with torch.device("meta"):
            assert build("cnn3d-cls").hidden.in_features == 376_832


class TestCNN3DClsGAP(_Grade):
    network = "cnn3d-cls-gap"
    parameters = 872 + 3472 + (16 * 27 + 16) + (16 * 32 + 32) + (64 * 26 + 26) + 27
    odd_shapes = ((8, 8, 8), (95, 12, 9))

    def test_its_file_is_tiny(self, exported):
        assert exported[1].stat().st_size < 100_000

    def test_where_a_finding_lies_does_not_matter(self):
        """Moved by a whole pooling step inside an empty volume, a block gives the same answer."""
        net = self.build().eval()
        x = torch.zeros(2, 4, 80, 80, 80)
        x[0, :, 32:36, 32:36, 32:36] = 1
        x[1, :, 40:44, 32:36, 40:44] = 1
        with torch.no_grad():
            first, second = net(x)
        torch.testing.assert_close(first, second)


def test_two_logits_give_the_probability_of_one():
    z = torch.tensor([[-30.0], [-1.5], [0.0], [2.0]])
    two = WithTwoLogits(torch.nn.Identity())(z).softmax(1).numpy()
    one = 1 / (1 + np.exp(-z[:, 0].numpy().astype(float)))
    np.testing.assert_allclose(two, np.stack([1 - one, one], 1), atol=1e-7)


def test_the_recipe_learns_from_phantoms_alone():
    recipe = load_recipe("cnn3d-cls")
    assert not recipe.data.real
    assert recipe.data.phantoms_held_out > 0
    assert "no patient" in recipe.licence.data_terms
    net = build(recipe.network, **recipe.options)
    assert net(torch.zeros(1, len(recipe.input.channels), *recipe.input.shape)).shape == (1, 1)
