"""Formats of reduced precision: values worked out by hand, sizes, what may be quantised and what may not."""

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
ort = pytest.importorskip("onnxruntime")

from onnx import TensorProto, helper, numpy_helper  # noqa: E402

from voxzoo.export.formats import FORMATS, get_format  # noqa: E402
from voxzoo.export.formats.int8 import quantise  # noqa: E402
from voxzoo.export.onnx import MAX_IR, OPSET, check_versions  # noqa: E402
from voxzoo.zoo.errors import ModelError, UsageError  # noqa: E402
from voxzoo.zoo.runtimes.base import open_session  # noqa: E402

RNG = np.random.default_rng(0)


def weights(*shape):
    return (RNG.standard_normal(shape) / 8).astype(np.float32)


def build(**changes):
    """conv -> relu -> transposed conv -> mean -> fully connected, each with weights worth quantising."""
    named = {
        "conv": weights(16, 4, 3, 3, 3),
        "bias": weights(16),
        "up": weights(16, 8, 2, 2, 2),
        "fc": weights(8, 40),
        "mat": weights(40, 12),
        **changes,
    }
    nodes = [
        helper.make_node("Conv", ["x", "conv", "bias"], ["a"], pads=[1] * 6),
        helper.make_node("Relu", ["a"], ["b"]),
        helper.make_node("ConvTranspose", ["b", "up"], ["c"], strides=[2, 2, 2]),
        helper.make_node("GlobalAveragePool", ["c"], ["d"]),
        helper.make_node("Flatten", ["d"], ["e"]),
        helper.make_node("Gemm", ["e", "fc"], ["f"]),
        helper.make_node("MatMul", ["f", "mat"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 4, 6, 6, 6])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 12])],
        [numpy_helper.from_array(value, name) for name, value in named.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=MAX_IR)


def run(model, x, runtime="onnxruntime"):
    return open_session(model.SerializeToString(), runtime, "cpu").run(x)


X = RNG.standard_normal((1, 4, 6, 6, 6)).astype(np.float32)


def kinds(model):
    return {t.name: t.data_type for t in model.graph.initializer}


@pytest.mark.parametrize(("name", "share", "error"), [("onnx-fp16", 0.6, 1e-4), ("onnx-int8", 0.4, 5e-3)])
@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
def test_smaller_files_answer_alike_on_both_runtimes(name, share, error, runtime):
    pytest.importorskip(runtime)
    model = build()
    before = model.SerializeToString()
    small = get_format(name).convert(model, [])
    onnx.checker.check_model(small)
    check_versions(small)
    assert model.SerializeToString() == before
    assert small.ByteSize() < share * model.ByteSize()
    expected, got = run(model, X), run(small, X, runtime)
    assert 0 < np.abs(got - expected).max() < error


def test_fp16_keeps_what_does_not_fit_and_what_is_small():
    large = weights(16, 4, 3, 3, 3)
    large[0, 0, 0, 0, 0] = 70_000  # above the largest float16
    small = get_format("onnx-fp16").convert(build(conv=large), [])
    types = kinds(small)
    assert types["conv"] == TensorProto.FLOAT
    assert types["bias"] == TensorProto.FLOAT
    assert types["up.fp16"] == TensorProto.FLOAT16


def test_int8_by_hand():
    weight = np.array([[1.27, -0.635, 0.004, 0.0], [0.0, 0.0, 0.0, 0.0]], np.float32)
    values, scales = quantise(weight, 0)
    assert values.tolist() == [[127, -64, 0, 0], [0, 0, 0, 0]]  # 0.635 / 0.01 = 63.5 -> 64, to even
    np.testing.assert_allclose(scales, [0.01, 1.0], rtol=1e-6)
    assert values.dtype == np.int8


def test_int8_error_is_at_most_half_a_step_of_the_channel():
    weight = weights(16, 8, 2, 2, 2)
    values, scales = quantise(weight, 1)
    assert scales.shape == (8,)
    back = values * scales[None, :, None, None, None]
    assert (np.abs(back - weight) <= scales[None, :, None, None, None] * 0.501).all()


def test_int8_axes_are_those_of_the_output_channels():
    small = get_format("onnx-int8").convert(build(), [])
    axes = {n.output[0]: n.attribute[0].i for n in small.graph.node if n.op_type == "DequantizeLinear"}
    assert axes == {"conv": 0, "up": 1, "fc": 1, "mat": 1}
    scales = {t.name: tuple(t.dims) for t in small.graph.initializer if t.name.endswith(".scale")}
    assert scales == {"conv.scale": (16,), "up.scale": (8,), "fc.scale": (40,), "mat.scale": (12,)}


@pytest.mark.parametrize("name", ["onnx-fp16", "onnx-int8"])
def test_what_is_small_already_is_refused(name):
    half = get_format("onnx-fp16").convert(build(), [])
    with pytest.raises(UsageError, match=f"{name}: there is no float32 weight"):
        get_format(name).convert(half, [])


def test_static_int8_needs_inputs_and_answers_alike():
    form = get_format("onnx-qdq")
    with pytest.raises(UsageError, match="--data"):
        form.convert(build(), [])
    model = build()
    small = form.convert(model, [X, X + 1])
    onnx.checker.check_model(small)
    assert {n.op_type for n in small.graph.node} >= {"QuantizeLinear", "DequantizeLinear"}
    expected = run(model, X)
    assert 0 < np.abs(run(small, X) - expected).max() < 0.1 * np.abs(expected).max()


def test_versions_are_checked():
    model = build()
    model.opset_import[0].version = 20
    with pytest.raises(ModelError, match="opset"):
        check_versions(model)
    model = build()
    model.ir_version = MAX_IR + 1
    with pytest.raises(ModelError, match="IR"):
        check_versions(model)


def test_unknown_format():
    with pytest.raises(UsageError, match=", ".join(FORMATS)):
        get_format("keras")
