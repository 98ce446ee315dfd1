"""Exact rewrites: whatever the network, the rewritten graph gives the same numbers, or stays as it was."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

onnx = pytest.importorskip("onnx")
ort = pytest.importorskip("onnxruntime")
torch = pytest.importorskip("torch")

from onnx import TensorProto, helper, numpy_helper  # noqa: E402

from voxzoo.export.rewrite import optimise, slice_volumes  # noqa: E402
from voxzoo.export.rewrite.folded import folded_weight  # noqa: E402
from voxzoo.export.rewrite.rules import side_by_side  # noqa: E402


class Net:
    """An ONNX graph written line by line, with random weights."""

    def __init__(self, channels, shape, seed=0):
        self.rng, self.nodes, self.weights = np.random.default_rng(seed), [], []
        self.shape, self.value, self.channels = (channels, *shape), "x", channels

    def add(self, kind, *others, value=None, **attrs):
        out = f"v{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, [value or self.value, *others], [out], **attrs))
        self.value = out
        return self

    def weight(self, *shape):
        name = f"w{len(self.weights)}"
        values = (self.rng.standard_normal(shape) / np.sqrt(np.prod(shape[1:]))).astype(np.float32)
        self.weights.append(numpy_helper.from_array(values, name))
        return name

    def conv(self, out, kernel=(3, 3, 3), bias=True, group=1, **attrs):
        attrs.setdefault("pads", [k // 2 for k in kernel] * 2)
        weights = [self.weight(out, self.channels // group, *kernel)] + ([self.weight(out)] if bias else [])
        self.channels = out
        return self.add("Conv", *weights, kernel_shape=list(kernel), group=group, **attrs)

    def up(self, out, kernel=(2, 2, 2), bias=True):
        weights = [self.weight(self.channels, out, *kernel)] + ([self.weight(out)] if bias else [])
        self.channels = out
        return self.add("ConvTranspose", *weights, kernel_shape=list(kernel), strides=list(kernel))

    def pool(self, kind="MaxPool", kernel=(2, 2, 2)):
        return self.add(kind, kernel_shape=list(kernel), strides=list(kernel))

    def model(self, batch="N"):
        x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [batch, *self.shape])
        y = helper.make_tensor_value_info(self.value, TensorProto.FLOAT, None)
        graph = helper.make_graph(self.nodes, "net", [x], [y], self.weights)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
        return onnx.shape_inference.infer_shapes(model)


def run(model, x):
    onnx.checker.check_model(model)
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"x": x})[0]


def assert_same(net, batch=2):
    """Rewritten, it gives the same; the number of 3-D convolutions left."""
    model = net.model()
    new = slice_volumes(model)
    x = np.random.default_rng(1).standard_normal((batch, *net.shape)).astype(np.float32)
    before, after = run(model, x), run(new, x)
    assert np.ptp(before) > 0
    np.testing.assert_allclose(after, before, rtol=1e-5, atol=2e-6)
    kernels = [len(a.ints) for n in new.graph.node for a in n.attribute if a.name == "kernel_shape"]
    return kernels.count(3)


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_any_convolution(data):
    draw = data.draw
    numbers = lambda low, high: st.lists(st.integers(low, high), min_size=3, max_size=3)  # noqa: E731
    kernel = draw(numbers(1, 4).filter(lambda k: k[0] > 1))
    net = Net(draw(st.integers(1, 5)), draw(numbers(7, 10)), draw(st.integers(0, 99)))
    net.conv(
        draw(st.sampled_from([1, 3, 8, 16, 17])),
        kernel,
        bias=draw(st.booleans()),
        pads=draw(numbers(0, 2)) + draw(numbers(0, 2)),
        strides=draw(numbers(1, 3)),
        dilations=draw(numbers(1, 2)),
    )
    assert assert_same(net) == 0


@pytest.mark.parametrize("kind", ["MaxPool", "AveragePool"])
@pytest.mark.parametrize("kernel", [(2, 2, 2), (1, 2, 2), (3, 2, 1)])
@pytest.mark.parametrize("shape", [(8, 8, 8), (7, 9, 10)])
def test_pooling_leaves_out_what_fills_no_block(kind, kernel, shape):
    assert assert_same(Net(2, shape).conv(5).add("Relu").pool(kind, kernel).conv(17)) == 0


@pytest.mark.parametrize("classes", [1, 2, 3])
@pytest.mark.parametrize("between", ["Relu", "LeakyRelu", "Sigmoid", None])
def test_encoder_and_decoder_with_a_head_at_full_resolution(classes, between):
    net = Net(4, (8, 12, 16)).conv(8).add("Relu").pool().conv(16).add("Relu").up(8)
    if between:
        net.add(between)
    assert assert_same(net.conv(classes).add("Sigmoid")) == 0


@pytest.mark.parametrize("bias", [True, False])
def test_two_transposed_convolutions_in_a_row(bias):
    net = Net(2, (4, 6, 5)).conv(6, bias=bias).up(4, bias=bias).add("Relu").up(3, bias=bias).add("Relu")
    assert assert_same(net.conv(1, bias=bias)) == 0


def test_a_head_that_is_not_folded_when_something_else_reads_the_volume():
    net = Net(2, (4, 4, 4)).conv(4).up(4)
    seen = net.value
    head = net.conv(1).value
    net.channels = 4
    net.conv(1, value=seen)
    net.add("Add", head)
    assert assert_same(net) == 0


def test_skips_and_residuals():
    net = Net(3, (8, 8, 8)).conv(8).add("Relu")
    skip = net.value
    net.pool().conv(8).add("Relu").up(8)
    net.add("Concat", skip, axis=1)
    net.channels = 16
    net.conv(8)
    assert assert_same(net.add("Add", skip)) == 0


def test_what_has_no_rule_gets_the_plain_volume():
    """Normalisation over the volume, a grouped convolution and a mean are done as before."""
    net = Net(4, (6, 6, 6)).conv(8, bias=False)
    net.add("InstanceNormalization", net.weight(8), net.weight(8)).add("LeakyRelu")
    net.conv(8, group=8).conv(5)
    assert assert_same(net) == 1
    assert assert_same(net.add("GlobalAveragePool").add("Flatten")) == 1


@pytest.mark.parametrize(
    "net",
    [
        Net(8, (6, 6, 6)).conv(8, group=8),
        Net(2, (6, 6, 6)).conv(8, kernel=(1, 3, 3)),
        Net(2, (6, 6, 6)).conv(8, kernel=(1, 1, 1)).add("Relu"),
        Net(2, (6, 6)).add("Relu"),
    ],
    ids=["grouped", "flat kernel", "1x1x1", "2-D"],
)
def test_other_networks_are_left_alone(net):
    assert slice_volumes(net.model()) is None
    model = net.model()
    found = optimise(model)
    assert found.model is model
    assert not found.rewritten


def test_free_sizes_are_left_alone():
    net = Net(2, (6, 6, 6)).conv(8)
    net.shape = (2, "D", 6, 6)
    assert slice_volumes(net.model()) is None


def test_weights_that_are_computed_are_left_alone():
    net = Net(2, (6, 6, 6)).conv(8)
    net.nodes[0].input[2] = "bias"
    net.nodes.insert(0, helper.make_node("Relu", [net.weight(8)], ["bias"]))
    assert slice_volumes(net.model()) is None


def test_the_input_model_is_not_changed():
    model = Net(2, (6, 6, 6)).conv(8).add("Relu").model()
    before = model.SerializeToString()
    slice_volumes(model)
    assert model.SerializeToString() == before


def test_folded_weight_is_the_convolution_on_the_fine_grid():
    """On one axis by hand: fine voxel 2j - 1 + q reads 2j - 2 + q ... 2j + q."""
    weight = np.zeros((1, 1, 3, 3, 3), np.float32)
    weight[0, 0, 1, 1] = [5, 6, 7]  # along the width only
    folded = folded_weight(weight).reshape(4, 2, 2, 2, 2, 2, 2, 2)  # e q r | a b x | i j
    # Slice and row stay: the share e = a + 1 goes to the slice itself, row q of a block is row (i, b).
    along = folded[
        1, 0, :, 0, 1, :, 0, :
    ]  # r | x, j : written q = 0 is fine row 2j - 1, in coarse i = 0, b = 1
    # r = 0 writes fine 2j - 1: reads 2j - 2 (j=0, x=0), 2j - 1 (j=0, x=1), 2j (j=1, x=0)
    np.testing.assert_array_equal(along[0], [[5, 7], [6, 0]])
    # r = 1 writes fine 2j: reads 2j - 1 (j=0, x=1), 2j (j=1, x=0), 2j + 1 (j=1, x=1)
    np.testing.assert_array_equal(along[1], [[0, 6], [5, 7]])


def test_side_by_side_is_the_convolution_twice():
    rng = np.random.default_rng(0)
    weight, x = rng.standard_normal((3, 2, 3, 1, 1)), rng.standard_normal((1, 2, 4, 1, 1))
    wide = side_by_side(weight, 2)
    both = torch.nn.functional.conv3d(torch.tensor(x), torch.tensor(wide))[0, :, 0, 0, 0]
    one = torch.nn.functional.conv3d(torch.tensor(x), torch.tensor(weight))[0, :, :, 0, 0]
    torch.testing.assert_close(both, one.T.reshape(-1))


def test_optimise_proves_before_it_decides():
    model = Net(4, (16, 32, 32)).conv(16).add("Relu").pool().conv(16).up(8).add("Relu").conv(1).model()
    found = optimise(model)
    assert found.error <= 1e-5
    assert "onnxruntime" in found.ratios
    assert found.rewritten == (found.model is not model)
    refused = optimise(model, tolerance=-1.0)
    assert refused.model is model
    assert "differs" in refused.why
