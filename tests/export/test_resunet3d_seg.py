"""The segmenter to deploy: whole tumour, core and enhancing tumour."""

import pytest

pytest.importorskip("torch")

from voxzoo.export.networks.cnn3d_seg import WithSigmoid

from .model_tester import ModelTester


class TestResUNet3D(ModelTester):
    network = "resunet3d-seg"
    parameters = range(1_000_000, 10_000_000)  # 20 MB with two bytes each
    logits = 3
    odd_shapes = ((17, 9, 10), (12, 8, 23))
    outputs = ("wt", "tc", "et")
    tolerance = 5e-5  # instance normalisation sums in another order

    def options(self):
        return {"widths": (8, 12, 16), "blocks": (1, 2, 1)}

    def deployed(self, net):
        return WithSigmoid(net)
