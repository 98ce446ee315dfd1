"""What every network of voxzoo has to do, as a class that the test of a network inherits.

``from .model_tester import ModelTester`` works in tests of this folder (pytest imports them as a package).
"""

import copy
import dataclasses

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from safetensors.torch import load_file, save_file  # noqa: E402

from voxzoo.export.networks import build  # noqa: E402
from voxzoo.export.onnx import MAX_IR, OPSET, export_onnx  # noqa: E402
from voxzoo.zoo.contract import Contract, ImageSpec, InputSpec, LicenceSpec, OutputSpec  # noqa: E402
from voxzoo.zoo.onnxfile import content_sha256, read_contract  # noqa: E402
from voxzoo.zoo.runtimes.base import open_session  # noqa: E402
from voxzoo.zoo.tasks.segment import LABELS, REGION_NAMES  # noqa: E402

MODALITIES = ("flair", "t1", "t1ce", "t2")


class ModelTester:
    """Inherit it, name the network, and these tests run on it.

    Attributes:
        network: key of ``NETWORKS``.
        parameters: of the network as built without options: a number, or a range.
        logits: channels or values that the network gives per image.
        shape: of the images that the small network is exported for, channels left out.
        odd_shapes: others that it has to take; only ``shape`` if it takes nothing else.
        channels: of the images.
        outputs: names of regions or classes.
        tolerance: largest difference from torch on a runtime.
    """

    network = ""
    parameters: int | range = 0
    logits = 1
    shape: tuple = (16, 16, 16)
    odd_shapes: tuple = ((7, 9, 10), (17, 5, 12))
    channels = MODALITIES
    outputs: tuple = ("wt",)
    task = "segment"
    tolerance = 1e-5

    def options(self):
        """Of the small network that is tested."""
        return {}

    def build(self, seed=0):
        torch.manual_seed(seed)
        return build(self.network, **self.options())

    def deployed(self, net):
        """The form that is exported."""
        return net

    def images(self, shape=None, count=2, seed=0):
        rng = np.random.default_rng(seed)
        shape = (count, len(self.channels), *(shape or self.shape))
        return torch.from_numpy(rng.standard_normal(shape).astype(np.float32))

    def expected_shape(self, images):
        whole = len(images), self.logits
        return (*whole, *images.shape[2:]) if self.task == "segment" else whole

    def loss(self, logits, seed=1):
        """Distance from a fixed random answer."""
        rng = np.random.default_rng(seed)
        if self.task == "segment" or logits.shape[1] == 1:
            target = torch.from_numpy((rng.random(logits.shape) < 0.5).astype(np.float32))
            return torch.nn.functional.binary_cross_entropy_with_logits(logits, target)
        target = torch.from_numpy(rng.integers(0, logits.shape[1], len(logits)))
        return torch.nn.functional.cross_entropy(logits, target)

    def contract(self):
        if len(self.shape) == 2:
            spec = ImageSpec("image", self.channels, self.shape)
        else:
            spec = InputSpec("image", self.channels, self.shape, (1.5,) * 3)
        if self.task == "classify":
            output = OutputSpec("logits", "classes", self.outputs, activation="softmax", target="class")
            labels = dict(enumerate(self.outputs))
        else:
            output = OutputSpec("probability", "regions", self.outputs)
            labels = {1: REGION_NAMES["wt"]} if len(self.outputs) == 1 else dict(LABELS)
        licence = LicenceSpec("Apache-2.0", "none", "confirmed")
        return Contract("tiny", "0.0.1", self.task, spec, output, labels, licence, {"seed": 0})

    @pytest.fixture(scope="class")
    @classmethod
    def exported(cls, tmp_path_factory):
        """(network in its deployed form, model file)."""
        tester = cls()
        net = tester.deployed(_awake(tester.build()))
        path = tmp_path_factory.mktemp("exported") / "tiny.onnx"
        export_onnx(net, tester.contract(), path)
        return net, path

    def test_has_the_stated_number_of_parameters(self):
        with torch.device("meta"):
            net = build(self.network)
        count = sum(p.numel() for p in net.parameters())
        assert count in (self.parameters if isinstance(self.parameters, range) else [self.parameters])

    def test_takes_odd_shapes_and_any_batch(self):
        net = self.build().eval()
        with torch.no_grad():
            for shape in (self.shape, *self.odd_shapes):
                for count in (1, 3):
                    images = self.images(shape, count)
                    got = net(images)
                    assert got.shape == self.expected_shape(images), shape
                    assert got.isfinite().all()

    def test_one_image_of_a_batch_does_not_change_another(self):
        net = _awake(self.build()).eval()
        images = self.images(count=3)
        with torch.no_grad():
            torch.testing.assert_close(net(images)[1:2], net(images[1:2]), rtol=1e-4, atol=1e-5)

    def test_training_steps_lower_the_loss_and_reach_every_parameter(self):
        net = self.build()
        losses = _train(self, net, steps=8)
        assert losses[-1] < losses[0]
        silent = [name for name, p in net.named_parameters() if p.grad is None or not p.grad.any()]
        assert not silent

    def test_a_seed_decides_everything(self):
        one, same, other = self.build(3), self.build(3), self.build(4)
        _train(self, one, steps=2)
        _train(self, same, steps=2)
        assert _equal(one.state_dict(), same.state_dict())
        assert not _equal(self.build(3).state_dict(), other.state_dict())

    def test_weights_survive_a_file(self, tmp_path):
        net = _awake(self.build(5)).eval()
        save_file({k: v.contiguous() for k, v in net.state_dict().items()}, tmp_path / "w.safetensors")
        again = self.build(6).eval()
        again.load_state_dict(load_file(tmp_path / "w.safetensors"))
        with torch.no_grad():
            assert torch.equal(again(self.images()), net(self.images()))

    @pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
    def test_the_exported_file_computes_what_torch_does(self, exported, runtime):
        pytest.importorskip(runtime)
        net, path = exported
        session = open_session(path, runtime, device="cpu", precision="fp32", threads=1)
        for seed in (0, 1):
            images = self.images(count=1, seed=seed)
            with torch.no_grad():
                expected = net(images).numpy()
            got = session.run(images.numpy())
            assert got.shape == expected.shape
            assert np.abs(got - expected).max() <= self.tolerance

    def test_the_exported_file_takes_batches(self, exported):
        onnxruntime = pytest.importorskip("onnxruntime")
        net, path = exported
        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        images = self.images(count=5)
        with torch.no_grad():
            expected = net(images).numpy()
        np.testing.assert_allclose(
            session.run(None, {"image": images.numpy()})[0], expected, atol=self.tolerance
        )

    def test_the_contract_comes_back(self, exported):
        _, path = exported
        read = read_contract(path)
        assert read.content_sha256 == content_sha256(path)
        assert dataclasses.replace(read, content_sha256="") == self.contract()

    def test_the_file_is_clean(self, exported):
        onnx = pytest.importorskip("onnx")
        _, path = exported
        model = onnx.load(path)
        onnx.checker.check_model(model)
        assert {e.domain: e.version for e in model.opset_import}.get("") == OPSET
        assert model.ir_version <= MAX_IR
        raw = path.read_bytes()
        assert b"/site-packages/" not in raw
        assert b".py" not in raw
        assert [p.name for p in path.parent.iterdir()] == ["tiny.onnx"]


def _awake(net):
    """Parameters away from their zeros and ones, running statistics too: a fresh network hides mistakes."""
    net = copy.deepcopy(net)
    generator = torch.Generator().manual_seed(11)
    with torch.no_grad():
        for tensor in net.state_dict().values():
            if tensor.is_floating_point():
                tensor += 0.1 * tensor.abs().mean() * torch.rand(tensor.shape, generator=generator)
    return net.eval()


def _train(tester, net, steps):
    """Losses on one batch of images, with dropout drawn alike at every step."""
    optimiser = torch.optim.AdamW(net.parameters(), 2e-3)
    images, losses = tester.images(count=4), []
    net.train()
    for _ in range(steps):
        torch.manual_seed(0)
        loss = tester.loss(net(images))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    return losses


def _equal(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[k], other[k]) for k in one)
