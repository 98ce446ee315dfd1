"""Inverted residuals first, relative attention last."""

import pytest

torch = pytest.importorskip("torch")

from voxzoo.export.networks import build  # noqa: E402
from voxzoo.export.networks.mobilecoatnet import DropPath, RelativeAttention  # noqa: E402
from voxzoo.export.recipe import load_recipe  # noqa: E402

from .model_tester import ModelTester  # noqa: E402


class TestMobileCoAtNet(ModelTester):
    network = "mobilecoatnet"
    parameters = range(1_500_000, 2_500_000)  # 10 MB with four bytes each
    logits = 3
    shape = (64, 48)
    odd_shapes = ((65, 47), (33, 100), (96, 96), (1, 1))
    channels = ("red", "green", "blue")
    outputs = ("a", "b", "c")
    task = "classify"

    def options(self):
        small = {"stem": 8, "widths": (8, 16, 32, 64), "blocks": (1, 2, 1, 1)}
        return {"in_channels": 3, "out_channels": 3, "size": self.shape, **small}

    def test_dropout_and_stochastic_depth_end_with_training(self):
        net, x = self.build(), self.images()
        with torch.no_grad():
            assert not torch.equal(net(x), net(x))
            net.eval()
            assert torch.equal(net(x), net(x))


def test_a_map_beside_the_classes_leaves_them_as_they_are():
    small = {"stem": 8, "widths": (8, 16, 32, 64), "blocks": (1, 1, 1, 1), "size": (64, 48)}
    nets = []
    for locate in (False, True):
        torch.manual_seed(0)
        nets.append(build("mobilecoatnet", in_channels=1, out_channels=3, locate=locate, **small).eval())
    x = torch.randn(2, 1, 64, 48)
    with torch.no_grad():
        logits, found = nets[1].with_map(x)
        assert torch.equal(logits, nets[0](x))
        assert torch.equal(logits, nets[1](x))
    assert found.shape == (2, 1, 8, 6)


def test_attention_is_the_formula_of_the_paper():
    """CoAtNet's equation 3 in loops: weights of i over j from x_i x_j and the bias of their offset."""
    torch.manual_seed(0)
    height, width = 3, 4
    net = RelativeAttention(64, (height, width))
    with torch.no_grad():
        net.bias.normal_()
        x = torch.randn(1, height * width, 64)
        q, k, v = net.project(x)[0].split(64, dim=1)
        expected = torch.zeros(height * width, 64)
        for head in range(2):
            part = slice(32 * head, 32 * head + 32)
            for i in range(height * width):
                scores = torch.stack(
                    [
                        q[i, part] @ k[j, part] / 32**0.5
                        + net.bias[
                            head, i // width - j // width + height - 1, i % width - j % width + width - 1
                        ]
                        for j in range(height * width)
                    ]
                )
                expected[i, part] = scores.softmax(0) @ v[:, part]
        torch.testing.assert_close(net(x, height, width)[0], net.out(expected))


def test_biases_of_another_grid_keep_what_they_say():
    """Resampled from 3 x 3 to 5 x 5 tokens, the ends and the middle of the table stay where they were."""
    net = RelativeAttention(32, (3, 3))
    with torch.no_grad():
        net.bias.normal_()
        old, new = net.bias_of(3, 3)[0], net.bias_of(5, 5)[0]
    assert new.shape == (25, 25)
    corners = [(0, 0), (0, 8), (8, 0), (4, 4)], [(0, 0), (0, 24), (24, 0), (12, 12)]
    for (i, j), (a, b) in zip(*corners, strict=True):
        torch.testing.assert_close(old[i, j], new[a, b])


def test_dropped_paths_are_whole_images_and_keep_the_mean():
    torch.manual_seed(0)
    drop = DropPath(0.25).train()
    out = drop(torch.ones(4000, 2, 3, 3)).flatten(1)
    assert out.unique().tolist() == [0.0, pytest.approx(4 / 3)]
    assert (out == out[:, :1]).all()
    assert out.mean().item() == pytest.approx(1, abs=0.03)


@pytest.mark.parametrize(("name", "stored"), [("mobilecoatnet-brain2d", 4), ("mobilecoatnet-endoscopy", 2)])
def test_a_recipe_builds_the_network_of_its_input_and_classes(name, stored):
    """``stored``: bytes of a weight in the bundled file, which has to stay below 10 MB."""
    recipe = load_recipe(name)
    assert tuple(recipe.options["size"]) == recipe.input.shape
    net = build(recipe.network, **recipe.options).eval()
    with torch.no_grad():
        assert net(torch.zeros(1, len(recipe.input.channels), *recipe.input.shape)).shape == (1, 4)
    assert len(recipe.classes) == 4
    assert sum(p.numel() for p in net.parameters()) * stored < 10e6
    assert recipe.licence.status == "unconfirmed"
