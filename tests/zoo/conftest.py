"""A network small enough to know by heart: sigmoid(20 * (channel 0 - 0.5)), made with onnx for each test."""

import numpy as np
import pytest

from voxzoo.zoo import onnxfile
from voxzoo.zoo.contract import Contract, InputSpec, LicenceSpec, OutputSpec

SHAPE = (8, 10, 12)
CHANNELS = ("flair", "t1", "t1ce", "t2")


def build_onnx(channels=4, outputs=1, shape=SHAPE, opset=18, ir=10, bias=-10.0, dtype="float32", metadata=()):
    onnx = pytest.importorskip("onnx", reason='needs onnx: pip install "voxzoo[dev]"')
    helper, numbers = onnx.helper, onnx.numpy_helper
    kind = onnx.TensorProto.FLOAT if dtype == "float32" else onnx.TensorProto.DOUBLE
    weight = np.zeros((outputs, channels, 1, 1, 1), dtype)
    for k in range(outputs):
        weight[k, k % channels] = 20
    graph = helper.make_graph(
        [helper.make_node("Conv", ["x", "w", "b"], ["c"]), helper.make_node("Sigmoid", ["c"], ["y"])],
        "tiny",
        [helper.make_tensor_value_info("x", kind, ["N", channels, *shape])],
        [helper.make_tensor_value_info("y", kind, ["N", outputs, *shape])],
        [numbers.from_array(weight, "w"), numbers.from_array(np.full(outputs, bias, dtype), "b")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=ir)
    for key, value in metadata:
        model.metadata_props.add(key=key, value=value)
    return model.SerializeToString()


def build_contract(channels=CHANNELS, regions=("wt",), status="confirmed", **changes):
    labels = {1: "whole_tumour"} if regions == ("wt",) else {1: "necrosis", 2: "edema", 3: "enhancing"}
    facts = {
        "name": "tiny",
        "version": "0.1.0",
        "task": "segment",
        "input": InputSpec("x", tuple(channels), SHAPE, (1.0, 1.0, 1.0), normalise="none"),
        "output": OutputSpec("y", "regions", tuple(regions)),
        "labels": labels,
        "licence": LicenceSpec("Apache-2.0", "no data", status),
    }
    return Contract(**{**facts, **changes})


@pytest.fixture
def make_onnx():
    """Bytes of the tiny network; keywords change it."""
    return build_onnx


@pytest.fixture
def make_contract():
    """A contract for the tiny network; keywords change it."""
    return build_contract


@pytest.fixture
def tiny(tmp_path):
    """Path of the tiny network with its contract inside."""
    path = tmp_path / "tiny.onnx"
    path.write_bytes(build_onnx())
    onnxfile.write_contract(path, build_contract())
    return path
