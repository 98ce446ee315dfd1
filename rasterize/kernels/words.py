"""Eight bytes and more of a mask at a time."""

from llvmlite import ir
from numba import types
from numba.extending import intrinsic


@intrinsic
def load64(typing_context, array, index):
    """Eight bytes of a contiguous uint8 array as one word; ``index`` in bytes, no alignment needed."""
    signature = types.uint64(array, types.intp)

    def generate(context, builder, signature, arguments):
        data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
        pointer = builder.bitcast(builder.gep(data, [arguments[1]]), ir.IntType(64).as_pointer())
        word = builder.load(pointer)
        word.align = 1
        return word

    return signature, generate


def _store_of_ones(size):
    """An intrinsic that writes ``size`` bytes of 1 at a byte index of a contiguous uint8 array."""

    @intrinsic
    def store(typing_context, array, index):
        signature = types.void(array, types.intp)

        def generate(context, builder, signature, arguments):
            data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
            block = ir.VectorType(ir.IntType(8), size)
            pointer = builder.bitcast(builder.gep(data, [arguments[1]]), block.as_pointer())
            builder.store(ir.Constant(block, [1] * size), pointer).align = 1
            return context.get_dummy_value()

        return signature, generate

    return store


ones8, ones16, ones32 = _store_of_ones(8), _store_of_ones(16), _store_of_ones(32)
