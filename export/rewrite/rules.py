"""How each operator works on sliced twins. A rule does its node and says True, or touches nothing."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx

from .folded import fold_head, fold_up, folds
from .graph import attributes
from .slices import Lowering

Rule = Callable[[Lowering, onnx.NodeProto], bool]

#: Output channels up to which a convolution makes two slices at once: a third more products, but enough
#: output channels to keep the vector units busy.
NARROW = 16


def starts(low: Lowering, node: onnx.NodeProto) -> bool:
    """Whether a node is a 3-D convolution that is faster as a 2-D one: dense, more than one slice deep."""
    weights = low.source.weights(node) if node.op_type == "Conv" else []
    if not weights or weights[0].ndim != 5 or weights[0].shape[2] == 1 or weights[0].dtype != np.float32:
        return False
    facts = attributes(node)
    automatic = facts.get("auto_pad", b"NOTSET") != b"NOTSET"
    return facts.get("group", 1) == 1 and not automatic and low.size(node.input[0]) is not None


def conv(low: Lowering, node: onnx.NodeProto) -> bool:
    """Gather the slices under the kernel as channels, then convolve planes."""
    if node.input[0] in low.folded:
        return fold_head(low, node)
    if not starts(low, node):
        return False
    facts, (weight, *bias) = attributes(node), low.source.weights(node)
    channels, deep, high, wide = weight.shape[1:]
    pads = facts.get("pads", [0] * 6)
    strides, steps = facts.get("strides", [1] * 3), facts.get("dilations", [1] * 3)
    depth = low.size(node.output[0])[1]  # type: ignore[index]
    rows = 2 if len(weight) <= NARROW and strides[0] == steps[0] == 1 and depth % 2 == 0 else 1
    if rows > 1:
        deep, weight = deep + rows - 1, side_by_side(weight, rows)
    near = _gather(low, node.input[0], deep, steps[0], strides[0] * rows, (pads[0], pads[3]))
    flat = weight.transpose(0, 2, 1, 3, 4).reshape(len(weight), deep * channels, high, wide)
    twin = low.tape.op(
        "Conv",
        near,
        low.tape.constant(flat),
        *(low.tape.constant(np.tile(b, rows)) for b in bias),
        kernel_shape=[high, wide],
        pads=[pads[1], pads[2], pads[4], pads[5]],
        strides=strides[1:],
        dilations=steps[1:],
    )
    low.put(node.output[0], twin, rows)
    return True


def transposed(low: Lowering, node: onnx.NodeProto) -> bool:
    """A transposed convolution whose blocks don't overlap: its depth becomes output channels."""
    weights = low.source.weights(node)
    if not weights or weights[0].ndim != 5 or not low.is_sliced(node.input[0]):
        return False
    weight, *bias = weights
    if not _apart(weight, attributes(node)):
        return False
    if folds(low, node):
        return fold_up(low, node)
    channels, out, deep, high, wide = weight.shape
    flat = weight.transpose(0, 2, 1, 3, 4).reshape(channels, deep * out, high, wide)
    inputs = [low.single(node.input[0]), *map(low.tape.constant, (flat, *(np.tile(b, deep) for b in bias)))]
    twin = low.tape.op("ConvTranspose", *inputs, kernel_shape=[high, wide], strides=[high, wide])
    low.put(node.output[0], twin, rows=deep)
    return True


def pool(low: Lowering, node: onnx.NodeProto) -> bool:
    """Pooling over blocks that don't overlap: first in the plane, then over the slices of a block."""
    facts, value = attributes(node), node.input[0]
    size = low.size(value)
    if not low.is_sliced(value) or size is None or len(node.output) > 1 or not _blocks(facts):
        return False
    deep, *plane = facts["kernel_shape"]
    if any(n < k for n, k in zip(size[1:], facts["kernel_shape"], strict=True)):
        return False
    tape, twin = low.tape, low.any_rows(value)
    flat = tape.op(node.op_type, twin.name, kernel_shape=plane, strides=plane)
    c, d, h, w = size[0], size[1] // deep, size[2] // plane[0], size[3] // plane[1]
    if size[1] % deep:  # slices that fill no block are left out, as they are in the plane
        flat = tape.reshape(flat, -1, size[1], c * h * w)
        flat = tape.op("Slice", flat, tape.numbers(0), tape.numbers(d * deep), tape.numbers(1))
    blocks = tape.reshape(flat, -1, deep, c * h * w)
    reduce = "ReduceMax" if node.op_type == "MaxPool" else "ReduceMean"
    best = tape.op(reduce, blocks, tape.numbers(1), keepdims=0)
    low.put(node.output[0], tape.reshape(best, -1, c, h, w))
    return True


def unary(low: Lowering, node: onnx.NodeProto) -> bool:
    """What works on single voxels works on any form."""
    value = node.input[0]
    others = [low.source.constant(name) for name in node.input[1:] if name]
    if any(other is None or other.size != 1 for other in others):
        return False
    if value in low.folded:
        low.folded[node.output[0]] = _same(low, node, low.folded[value])
    elif low.is_sliced(value):
        twin = low.any_rows(value)
        low.put(node.output[0], _same(low, node, twin.name), twin.rows)
    else:
        return False
    return True


def elementwise(low: Lowering, node: onnx.NodeProto) -> bool:
    """Two volumes of one shape, at least one of them sliced."""
    sizes = [low.size(name) for name in node.input]
    if None in sizes or len(set(sizes)) != 1 or not any(map(low.is_sliced, node.input)):
        return False
    twins = [low.single(name) for name in node.input]
    low.put(node.output[0], low.tape.op(node.op_type, *twins))
    return True


def concat(low: Lowering, node: onnx.NodeProto) -> bool:
    """Channels side by side."""
    known = all(low.size(name) is not None for name in node.input)
    if attributes(node)["axis"] not in (1, -4) or not known or not any(map(low.is_sliced, node.input)):
        return False
    twins = [low.single(name) for name in node.input]
    low.put(node.output[0], low.tape.op("Concat", *twins, axis=1))
    return True


RULES: dict[str, Rule] = {
    "Conv": conv,
    "ConvTranspose": transposed,
    "MaxPool": pool,
    "AveragePool": pool,
    **dict.fromkeys(
        ("Relu", "LeakyRelu", "Sigmoid", "Tanh", "Elu", "Clip", "HardSigmoid", "Identity"), unary
    ),
    **dict.fromkeys(("Add", "Sub", "Mul", "Max"), elementwise),
    "Concat": concat,
}


def side_by_side(weight: np.ndarray, rows: int) -> np.ndarray:
    """A kernel that makes ``rows`` neighbouring slices at once, as channels.

    Args:
        weight: (O, C, D, H, W).
        rows: how many.

    Returns:
        (rows * O, C, D + rows - 1, H, W), zero where a slice does not see another.

    Example:
        >>> side_by_side(np.ones((1, 1, 2, 1, 1)), 2)[:, 0, :, 0, 0]
        array([[1., 1., 0.],
               [0., 1., 1.]])
    """
    out, channels, deep, *plane = weight.shape
    wide = np.zeros((rows, out, channels, deep + rows - 1, *plane), weight.dtype)
    for row in range(rows):
        wide[row, :, :, row : row + deep] = weight
    return wide.reshape(rows * out, *wide.shape[2:])


def _gather(low: Lowering, value: str, deep: int, step: int, stride: int, pads: tuple[int, int]) -> str:
    """(B * D', deep * C, H, W): beside each other the slices that one output slice sees."""
    c, d, h, w = low.size(value)  # type: ignore[misc]
    stack, tape = low.stacked(value), low.tape
    if any(pads):
        wide = [0, pads[0], 0, 0, 0, 0, pads[1], 0, 0, 0]
        stack = tape.op("Pad", stack, tape.numbers(*wide), mode="constant")
    count = (d + sum(pads) - step * (deep - 1) - 1) // stride + 1
    index = np.arange(count)[:, None] * stride + np.arange(deep)[None] * step
    near = tape.op("Gather", stack, tape.constant(index), axis=1)
    return tape.reshape(near, -1, deep * c, h, w)


def _same(low: Lowering, node: onnx.NodeProto, value: str) -> str:
    return low.tape.op(node.op_type, value, *node.input[1:], **attributes(node))


def _apart(weight: np.ndarray, facts: dict) -> bool:
    """Whether a transposed convolution writes blocks side by side: stride = kernel, nothing else."""
    kernel = list(weight.shape[2:])
    strides = facts.get("strides", [1] * 3)
    odd = (
        *facts.get("pads", []),
        *facts.get("output_padding", []),
        *(d - 1 for d in facts.get("dilations", [])),
    )
    automatic = facts.get("auto_pad", b"NOTSET") != b"NOTSET" or "output_shape" in facts
    return strides == kernel and not any(odd) and not automatic and facts.get("group", 1) == 1


def _blocks(facts: dict) -> bool:
    """Whether a pooling reads blocks side by side."""
    kernel = facts["kernel_shape"]
    odd = (*facts.get("pads", []), *(d - 1 for d in facts.get("dilations", [])), facts.get("ceil_mode", 0))
    automatic = facts.get("auto_pad", b"NOTSET") != b"NOTSET"
    return len(kernel) == 3 and facts.get("strides", [1] * 3) == kernel and not any(odd) and not automatic
