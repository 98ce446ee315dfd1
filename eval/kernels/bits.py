"""Machine words: the few instructions that numba has no name for.

Each is an LLVM intrinsic wrapped for numba: population count, trailing and leading zeros, and a "64 bytes to
64 bits" pack (two ``vpmovmskb`` on x86); the unaligned load is in ``rasterize.kernels.words``. Bytes are
little-endian everywhere numba runs, so bit ``i`` of a packed word is byte ``i`` of memory.
"""

from __future__ import annotations

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

U = np.uint64
ZERO = U(0)
ONE = U(1)
FULL = U(0xFFFFFFFFFFFFFFFF)

SLACK = 32
"""Zero bits that follow every packed row: no shift or window of up to 31 bits crosses into the next row."""


@intrinsic
def popcount(typingctx, x):
    """Number of set bits of a uint64, as int64."""

    def codegen(context, builder, signature, args):
        return builder.ctpop(args[0])

    return types.int64(types.uint64), codegen


@intrinsic
def trailing_zeros(typingctx, x):
    """Index of the lowest set bit of a uint64; 64 for zero."""

    def codegen(context, builder, signature, args):
        return builder.cttz(args[0], ir.Constant(ir.IntType(1), 0))

    return types.int64(types.uint64), codegen


@intrinsic
def leading_zeros(typingctx, x):
    """63 minus the index of the highest set bit of a uint64; 64 for zero."""

    def codegen(context, builder, signature, args):
        return builder.ctlz(args[0], ir.Constant(ir.IntType(1), 0))

    return types.int64(types.uint64), codegen


@intrinsic
def pack64(typingctx, array, index):
    """The 64 bytes of a uint8 array from ``index`` on as 64 bits: bit i says whether byte i is not 0."""

    def codegen(context, builder, signature, args):
        data = context.make_array(signature.args[0])(context, builder, args[0]).data
        vector = ir.VectorType(ir.IntType(8), 64)
        load = builder.load(builder.bitcast(builder.gep(data, [args[1]]), vector.as_pointer()))
        load.align = 1
        flags = builder.icmp_unsigned("!=", load, ir.Constant(vector, None))
        return builder.bitcast(flags, ir.IntType(64))

    return types.uint64(array, types.intp), codegen


LANES = 8
"""Words that the block operations below handle at once (two AVX2 registers, one AVX-512)."""


def _block(context, builder, signature, position, args, index):
    """Pointer to ``LANES`` words of the uint64 array ``args[position]`` from ``index`` on, any alignment."""
    data = context.make_array(signature.args[position])(context, builder, args[position]).data
    vector = ir.VectorType(ir.IntType(64), LANES)
    return builder.bitcast(builder.gep(data, [index]), vector.as_pointer())


def _load(builder, pointer):
    value = builder.load(pointer)
    value.align = 8
    return value


@intrinsic
def or_pair(typingctx, dst, i, src, j, k):
    """``dst[i:i+8] |= src[j:j+8] | src[k:k+8]`` on uint64 arrays, unchecked."""

    def codegen(context, builder, signature, args):
        into = _block(context, builder, signature, 0, args, args[1])
        one = _load(builder, _block(context, builder, signature, 2, args, args[3]))
        two = _load(builder, _block(context, builder, signature, 2, args, args[4]))
        store = builder.store(builder.or_(builder.or_(one, two), _load(builder, into)), into)
        store.align = 8
        return context.get_dummy_value()

    return types.void(dst, types.intp, src, types.intp, types.intp), codegen


@intrinsic
def widen(typingctx, dst, i, src):
    """``dst[i:i+8]`` = the bits of ``src[i:i+8]`` and their neighbours on both sides, unchecked."""

    def codegen(context, builder, signature, args):
        word = ir.IntType(64)
        vector = ir.VectorType(word, LANES)
        one, top = (ir.Constant(vector, [ir.Constant(word, n)] * LANES) for n in (1, 63))
        at = [builder.add(args[1], ir.Constant(args[1].type, d)) for d in (-1, 0, 1)]
        left, here, right = (_load(builder, _block(context, builder, signature, 2, args, k)) for k in at)
        wide = builder.or_(here, builder.or_(builder.shl(here, one), builder.lshr(here, one)))
        wide = builder.or_(wide, builder.or_(builder.lshr(left, top), builder.shl(right, top)))
        builder.store(wide, _block(context, builder, signature, 0, args, args[1])).align = 8
        return context.get_dummy_value()

    return types.void(dst, types.intp, src), codegen


def _numbers(context, builder, signature, position, args, index):
    """Pointer to 64 bytes (32 uint16 or 8 float64) of ``args[position]``, and their vector type."""
    element = signature.args[position].dtype
    kind = ir.DoubleType() if isinstance(element, types.Float) else ir.IntType(element.bitwidth)
    vector = ir.VectorType(kind, 512 // element.bitwidth)
    data = context.make_array(signature.args[position])(context, builder, args[position]).data
    return builder.bitcast(builder.gep(data, [index]), vector.as_pointer()), vector


def _load_numbers(builder, pointer):
    value = builder.load(pointer)
    value.align = 2
    return value


def _less(builder, vector, a, b):
    if isinstance(vector.element, ir.DoubleType):
        return builder.fcmp_ordered("<", a, b)
    return builder.icmp_unsigned("<", a, b)


def _lane_maximum(builder, vector, value):
    """The largest lane of a vector of uint16 or float64."""
    real = isinstance(vector.element, ir.DoubleType)
    name = f"llvm.vector.reduce.{'fmax' if real else 'umax'}.v{vector.count}{'f64' if real else 'i16'}"
    function = cgutils.get_or_insert_function(builder.module, ir.FunctionType(vector.element, [vector]), name)
    return builder.call(function, [value])


@intrinsic
def min_sums(typingctx, dst, i, src, j, offsets, costs, start, end):
    """``dst[i:i+n] = min(dst[i:i+n], src[j + offsets[r] :][:n] + costs[r])`` over ``r`` in start..end-1.

    On 64 bytes of uint16 or float64, unchecked, the minimum kept in registers; returns the largest of the
    n results. Integers must not overflow; floats must not be nan.
    """

    def codegen(context, builder, signature, args):
        into, vector = _numbers(context, builder, signature, 0, args, args[1])
        n = vector.count
        best = cgutils.alloca_once(builder, vector)
        builder.store(_load_numbers(builder, into), best)
        at, cost = (context.make_array(signature.args[k])(context, builder, args[k]).data for k in (4, 5))
        undefined = ir.Constant(vector, ir.Undefined)
        lanes = ir.Constant(ir.VectorType(ir.IntType(32), n), [0] * n)
        add = builder.fadd if isinstance(vector.element, ir.DoubleType) else builder.add
        with cgutils.for_range(builder, args[7], start=args[6]) as loop:
            index = builder.add(args[3], builder.load(builder.gep(at, [loop.index])))
            source, _ = _numbers(context, builder, signature, 2, args, index)
            c = builder.load(builder.gep(cost, [loop.index]))
            one = builder.insert_element(undefined, c, ir.Constant(ir.IntType(32), 0))
            new = add(_load_numbers(builder, source), builder.shuffle_vector(one, undefined, lanes))
            old = builder.load(best)
            builder.store(builder.select(_less(builder, vector, new, old), new, old), best)
        result = builder.load(best)
        builder.store(result, into).align = 2
        return _lane_maximum(builder, vector, result)

    return src.dtype(dst, types.intp, src, types.intp, offsets, costs, types.intp, types.intp), codegen
