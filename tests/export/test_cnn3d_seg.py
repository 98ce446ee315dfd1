"""The study's segmenter."""

import pytest

torch = pytest.importorskip("torch")

from voxzoo.export.networks import build  # noqa: E402
from voxzoo.export.networks.cnn3d_seg import WithSigmoid  # noqa: E402
from voxzoo.zoo.errors import UsageError  # noqa: E402

from .model_tester import ModelTester  # noqa: E402


class TestCNN3DSeg(ModelTester):
    network = "cnn3d-seg"
    parameters = 91_921
    shape = (15, 16, 16)
    odd_shapes = ((95, 8, 8), (7, 9, 10), (1, 5, 3))

    def deployed(self, net):
        return WithSigmoid(net)

    def test_padding_to_a_multiple_of_four_is_the_same_as_background(self):
        """95 slices are computed as 96 with an empty one: appending that slice by hand changes nothing."""
        net, x = self.build().eval(), self.images()
        with torch.no_grad():
            by_hand = net(torch.cat([x, torch.zeros(2, 4, 1, 16, 16)], 2))[:, :, :15]
            torch.testing.assert_close(net(x), by_hand)

    def test_is_the_stack_of_layers_the_paper_names(self):
        """Against the same operations written out one by one, on an even grid where nothing is padded."""
        net, x = self.build().eval(), self.images((8, 8, 8))
        w, f = dict(net.named_parameters()), torch.nn.functional
        with torch.no_grad():
            y = f.max_pool3d(f.relu(f.conv3d(x, w["down1.weight"], w["down1.bias"], padding=1)), 2)
            y = f.max_pool3d(f.relu(f.conv3d(y, w["down2.weight"], w["down2.bias"], padding=1)), 2)
            y = f.relu(f.conv3d(y, w["middle.weight"], w["middle.bias"], padding=1))
            y = f.relu(f.conv_transpose3d(y, w["up1.weight"], w["up1.bias"], stride=2))
            y = f.relu(f.conv_transpose3d(y, w["up2.weight"], w["up2.bias"], stride=2))
            y = f.conv3d(y, w["head.weight"], w["head.bias"], padding=1)
            torch.testing.assert_close(net(x), y)


def test_unknown_network_and_unknown_option_are_named():
    with pytest.raises(UsageError, match="cnn3d-seg"):
        build("cnn4d")
    with pytest.raises(UsageError, match="colour"):
        build("cnn3d-seg", colour="red")
