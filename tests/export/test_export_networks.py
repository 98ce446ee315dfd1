"""Every network of the package in every format, on every runtime that can open it."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from voxzoo.export import networks  # noqa: E402
from voxzoo.export.delivery import Exporter, Origin, example_cases  # noqa: E402
from voxzoo.export.networks import build  # noqa: E402
from voxzoo.export.networks.cnn3d_cls import WithTwoLogits  # noqa: E402
from voxzoo.zoo import registry  # noqa: E402
from voxzoo.zoo.contract import Contract, ImageSpec, InputSpec, LicenceSpec, OutputSpec  # noqa: E402

LICENCE = LicenceSpec("Apache-2.0", "no data", "confirmed")
MRI = ("flair", "t1", "t1ce", "t2")
LABELS = {1: "necrosis", 2: "edema", 3: "enhancing"}


def volumes(shape, regions=("wt",)):
    """At this threshold an untrained network finds nothing, so that no mask turns on a rounding."""
    labels = {1: "whole_tumour"} if regions == ("wt",) else LABELS
    spec = InputSpec("image", MRI, shape, (20.0, 20.0, 20.0))
    output = OutputSpec("logits", "regions", regions, activation="sigmoid", threshold=0.99)
    return Contract("mine", "1", "segment", spec, output, labels, LICENCE)


def classes(spec, names=("a", "b")):
    output = OutputSpec("logits", "classes", names, activation="softmax")
    return Contract("mine", "1", "classify", spec, output, dict(enumerate(names)), LICENCE)


NETWORKS = {
    "cnn3d-seg": (lambda: build("cnn3d-seg"), volumes((9, 32, 34)), 1e-5),
    "resunet3d-seg": (
        lambda: build("resunet3d-seg", widths=(8, 16), blocks=(1, 1), edge=4),
        volumes((9, 12, 10), regions=("wt", "tc", "et")),
        5e-5,
    ),
    "voxelwise3d-seg": (
        lambda: build("voxelwise3d-seg", widths=(16,)),
        volumes((9, 12, 10), regions=("wt", "tc", "et")),
        1e-5,
    ),
    "cnn3d-cls": (
        lambda: WithTwoLogits(build("cnn3d-cls", shape=(9, 12, 10))),
        classes(InputSpec("image", MRI, (9, 12, 10), (20.0, 20.0, 20.0))),
        1e-5,
    ),
    "cnn3d-cls-gap": (
        lambda: WithTwoLogits(build("cnn3d-cls-gap")),
        classes(InputSpec("image", MRI, (17, 18, 16), (10.0, 10.0, 10.0))),
        1e-5,
    ),
    "mobilecoatnet": (
        lambda: build("mobilecoatnet", in_channels=1, out_channels=3, size=(64, 64), blocks=(1, 1, 1, 1)),
        classes(ImageSpec("image", ("grey",), (64, 64)), ("a", "b", "c")),
        5e-5,
    ),
}


@pytest.fixture(scope="module", params=NETWORKS)
def exporter(request):
    make, contract, rounding = NETWORKS[request.param]
    torch.manual_seed(0)
    made = Exporter(Origin.of_network(make(), contract), example_cases(contract))
    assert made.tolerance == rounding
    return made


@pytest.mark.parametrize("name", ["onnx", "onnx-fp16", "onnx-int8", "onnx-qdq", "torchscript"])
def test_every_network_in_every_format_on_every_runtime(exporter, name, tmp_path):
    report = exporter.write(name, tmp_path / "model")
    assert list(tmp_path.iterdir()) == [report.path]
    loose = 0.5 if name == "onnx-qdq" else 0.05
    allowed = exporter.tolerance if name in ("onnx", "torchscript") else loose
    assert report.parity.error <= allowed
    runtimes = ["torchscript"] if name == "torchscript" else ["onnxruntime", "openvino"]
    x = exporter.witness.inputs[0]
    expected = exporter.origin.session.run(x)
    for runtime in runtimes:
        model = registry.load(report.path, runtime=runtime, trust=True)
        assert model.content_hash == report.content_sha256 == model.contract.content_sha256
        assert np.abs(model._session.run(x) - expected).max() <= allowed


def test_exports_hold_no_path_of_this_machine(exporter, tmp_path):
    folder = str(networks.__path__[0]).encode()
    for name in ("onnx", "torchscript"):
        path = exporter.write(name, tmp_path / name).path
        content = path.read_bytes()
        assert b"site-packages" not in content
        assert folder not in content
        assert name == "torchscript" or b".py" not in content
