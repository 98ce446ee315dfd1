"""B @ A of a LoRA, each sum taken in the order of the rank with one rounding a term.

That is how PyTorch's CPU kernels add (fused multiply-add along the inner dimension), so that what is merged
here equals PEFT's own merge to the bit; other BLAS libraries cut the sum differently at the edges of their
tiles, which moves the last bit of a few percent of the values.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ...rasterize.jit import kernel

Rows = npt.NDArray[np.float32]
_TILE = 1024


def product(left: Rows, right: Rows) -> Rows:
    """``left @ right`` in float32.

    Args:
        left: (rows, rank) float32, contiguous.
        right: (rank, columns) float32, contiguous.

    Example:
        >>> product(np.ones((2, 3), np.float32), np.arange(6, dtype=np.float32).reshape(3, 2))
        array([[6., 9.],
               [6., 9.]], dtype=float32)
    """
    out = np.zeros((left.shape[0], right.shape[1]), np.float32)
    _accumulate(left, np.ascontiguousarray(right), out)
    return out


@kernel(fastmath={"contract"})
def _accumulate(left, right, out):  # type: ignore[no-untyped-def]
    """out += left @ right; in tiles of columns, so that the part of ``right`` in use stays in the cache."""
    rows, rank = left.shape
    columns = right.shape[1]
    for begin in range(0, columns, _TILE):
        end = min(columns, begin + _TILE)
        for i in range(rows):
            line = out[i, begin:end]
            for k in range(rank):
                factor, other = left[i, k], right[k, begin:end]
                for j in range(end - begin):
                    line[j] += factor * other[j]
