"""A narrow 3x3x3 convolution behind a transposed one, computed at half the resolution.

Where a k2 s2 transposed convolution is followed by what works on single voxels and then by a 3x3x3
convolution to one or two channels, the full-resolution volume need never exist: each coarse voxel keeps its
2x2x2 fine ones as channels (a, b, c, channel), *folded*. The last convolution becomes a 2-D one with a 2x2
kernel on the coarse plane. Its output blocks lie one fine voxel before the coarse grid, (2j - 1, 2j), so that
two coarse voxels hold all four that a block sees; in depth, each coarse slice gives its share of the four
fine slices 2i - 1 ... 2i + 2, and shares are added. All products are those of the original, plus products
with zeros.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx

from .graph import attributes

if TYPE_CHECKING:
    from .slices import Lowering

#: Output channels up to which it pays: wider heads fill the vector units as they are.
NARROW = 2
POINTWISE = ("Relu", "LeakyRelu", "Sigmoid", "Tanh", "Elu", "HardSigmoid", "Identity")


def folds(low: Lowering, up: onnx.NodeProto) -> bool:
    """Whether the pattern begins at this transposed convolution."""
    weights = low.source.weights(up)
    if not weights or weights[0].shape[2:] != (2, 2, 2):
        return False
    user = low.source.only_user(up.output[0])
    while user is not None and user.op_type in POINTWISE:
        user = low.source.only_user(user.output[0])
    return user is not None and user.op_type == "Conv" and _is_head(low, user)


def fold_up(low: Lowering, up: onnx.NodeProto) -> bool:
    """The transposed convolution as a 1x1 one that gives the eight fine voxels as channels."""
    weight, *bias = low.source.weights(up)
    channels, out = weight.shape[:2]
    flat = weight.transpose(2, 3, 4, 1, 0).reshape(8 * out, channels, 1, 1)
    inputs = [low.single(up.input[0]), *map(low.tape.constant, (flat, *(np.tile(b, 8) for b in bias)))]
    low.folded[up.output[0]] = low.tape.op("Conv", *inputs, kernel_shape=[1, 1])
    return True


def fold_head(low: Lowering, head: onnx.NodeProto) -> bool:
    """The 3x3x3 convolution on folded channels, and the way back to the plain volume's twin."""
    weight, *rest = low.source.weights(head)
    bias = rest[0] if rest else np.zeros(len(weight), weight.dtype)
    k, d, h, w = low.size(head.output[0])  # type: ignore[misc]
    tape = low.tape
    shares = tape.op(
        "Conv",
        low.folded[head.input[0]],
        tape.constant(folded_weight(weight)),
        tape.constant(_folded_bias(bias)),
        kernel_shape=[2, 2],
        pads=[1, 1, 1, 1],
    )
    high, wide = h // 2 + 1, w // 2 + 1
    added = _add_shares(low, shares, d, k * 4 * high * wide)
    blocks = tape.reshape(added, -1, k, 2, 2, high, wide)
    fine = tape.reshape(tape.op("Transpose", blocks, perm=[0, 1, 4, 2, 5, 3]), -1, k, h + 2, w + 2)
    window = [tape.numbers(*v) for v in ((1, 1), (h + 1, w + 1), (2, 3))]
    low.put(head.output[0], tape.op("Slice", fine, *window))
    return True


def folded_weight(weight: np.ndarray) -> np.ndarray:
    """The kernel on folded channels.

    Args:
        weight: (K, C, 3, 3, 3).

    Returns:
        (4 * K * 2 * 2, 2 * 2 * 2 * C, 2, 2): to the shares in four fine slices, K channels and the 2x2 fine
        voxels of a block; from the 2x2x2 fine voxels of a coarse one.

    Example:
        >>> folded_weight(np.ones((1, 3, 3, 3, 3), np.float32)).shape
        (16, 24, 2, 2)
    """
    k, c = weight.shape[:2]
    out = np.zeros((4, k, 2, 2, 2, 2, 2, c, 2, 2), weight.dtype)
    for e, a in np.ndindex(4, 2):
        for q, b, i in np.ndindex(2, 2, 2):
            for r, x, j in np.ndindex(2, 2, 2):
                # The fine voxel read, minus the one written, plus one: the place in the kernel.
                place = (a - (e - 1) + 1, 2 * (i - 1) + b - (q - 1) + 1, 2 * (j - 1) + x - (r - 1) + 1)
                if all(0 <= p < 3 for p in place):
                    out[e, :, q, r, a, b, x, :, i, j] = weight[:, :, *place]
    return out.reshape(4 * k * 4, 8 * c, 2, 2)


def _folded_bias(bias: np.ndarray) -> np.ndarray:
    """Once per fine voxel: in the shares of a coarse slice's own two fine ones."""
    out = np.zeros((4, len(bias), 4), bias.dtype)
    out[1:3] = bias[:, None]
    return out.ravel()


def _add_shares(low: Lowering, shares: str, depth: int, plane: int) -> str:
    """(B, D, plane): to a slice's own share comes that of the nearest coarse neighbour."""
    tape = low.tape
    stack = tape.reshape(shares, -1, 2 * depth, plane)
    stack = tape.op("Pad", stack, tape.numbers(0, 4, 0, 0, 4, 0), mode="constant")
    i = 4 * np.arange(depth // 2)[:, None]
    own = tape.op("Gather", stack, tape.constant(np.add(i, [5, 6]).ravel()), axis=1)
    beside = tape.op("Gather", stack, tape.constant(np.add(i, [3, 8]).ravel()), axis=1)
    return tape.op("Add", own, beside)


def _is_head(low: Lowering, conv: onnx.NodeProto) -> bool:
    weights, facts = low.source.weights(conv), attributes(conv)
    if not weights or weights[0].shape[2:] != (3, 3, 3) or len(weights[0]) > NARROW:
        return False
    plain = facts.get("strides", [1] * 3) == facts.get("dilations", [1] * 3) == [1] * 3
    centred = facts.get("pads", [0] * 6) == [1] * 6 and facts.get("auto_pad", b"NOTSET") == b"NOTSET"
    return plain and centred and facts.get("group", 1) == 1 and low.size(conv.output[0]) is not None
