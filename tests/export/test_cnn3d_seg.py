"""The study's segmenter: its published size, odd shapes, learning, and export with parity."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from voxzoo.export.networks import build  # noqa: E402
from voxzoo.export.networks.cnn3d_seg import WithSigmoid  # noqa: E402
from voxzoo.zoo.errors import UsageError  # noqa: E402


def test_has_the_published_number_of_parameters():
    assert sum(p.numel() for p in build("cnn3d-seg").parameters()) == 91_921


@pytest.mark.parametrize("shape", [(95, 32, 32), (7, 9, 10), (4, 4, 4), (1, 5, 3)])
def test_keeps_any_shape(shape):
    assert build("cnn3d-seg")(torch.zeros(2, 4, *shape)).shape == (2, 1, *shape)


def test_padding_to_a_multiple_of_four_is_the_same_as_background():
    """95 slices are computed as 96 with an empty one: appending that slice by hand changes nothing."""
    torch.manual_seed(0)
    net = build("cnn3d-seg").eval()
    x = torch.randn(1, 4, 15, 16, 16)
    with torch.no_grad():
        direct = net(x)
        by_hand = net(torch.cat([x, torch.zeros(1, 4, 1, 16, 16)], 2))[:, :, :15]
    torch.testing.assert_close(direct, by_hand)


def test_is_the_stack_of_layers_the_paper_names():
    """Against the same operations written out one by one, on an even grid where nothing is padded."""
    torch.manual_seed(1)
    net = build("cnn3d-seg").eval()
    x = torch.randn(1, 4, 8, 8, 8)
    w = dict(net.named_parameters())
    f = torch.nn.functional
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


def test_export_computes_what_torch_computes(tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime")
    import onnx

    from voxzoo.export.onnx import MAX_IR, OPSET, export_onnx, parity
    from voxzoo.zoo.contract import Contract, InputSpec, LicenceSpec, OutputSpec
    from voxzoo.zoo.onnxfile import content_sha256, read_contract

    torch.manual_seed(2)
    net = WithSigmoid(build("cnn3d-seg"))
    contract = Contract(
        name="tiny",
        version="0.0.1",
        task="segment",
        input=InputSpec("image", ("flair", "t1", "t1ce", "t2"), (15, 16, 16), (1.5, 1.5, 1.5)),
        output=OutputSpec("probability", "regions", ("wt",)),
        labels={1: "whole_tumour"},
        licence=LicenceSpec("Apache-2.0", "none", "confirmed"),
        training={},
    )
    path = tmp_path / "tiny.onnx"
    export_onnx(net, contract, path)
    image = np.random.default_rng(0).standard_normal((4, 15, 16, 16)).astype(np.float32)
    assert parity(net, path, image) <= 1e-5
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    batch = session.run(None, {"image": np.stack([image, image])})[0]
    np.testing.assert_allclose(batch[0], batch[1], atol=1e-6)

    model = onnx.load(path)
    onnx.checker.check_model(model)
    assert {e.domain: e.version for e in model.opset_import}[""] == OPSET
    assert model.ir_version <= MAX_IR
    assert read_contract(path).content_sha256 == content_sha256(path)
    raw = path.read_bytes()
    assert b"/site-packages/" not in raw
    assert b".py" not in raw
    assert not list(tmp_path.glob("*.part"))
