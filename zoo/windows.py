"""A window that slides over a volume larger than the network's input, and the blend of its answers.

Windows overlap; an answer counts most in the middle of its window (a Gaussian with a standard deviation of an
eighth of the window, as in Isensee et al. 2021, nnU-Net, doi 10.1038/s41592-020-01008-z), where the network
sees the most around a voxel. Windows stand on a lattice, so the weights are products of one weight per axis,
and made to sum to 1 over the windows of a voxel beforehand: nothing is divided afterwards.

Answers are added up in a buffer as deep as one window. As soon as the windows move on, the planes that they
leave behind are final and are handed on, so the blended volume never exists as a whole.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..rasterize.jit import kernel

if TYPE_CHECKING:
    from numpy.typing import NDArray

SIGMA = 1 / 8
"""Standard deviation of the Gaussian, in windows."""

Corner = tuple[int, int, int]


@dataclass(frozen=True, eq=False)
class Windows:
    """Where the windows stand in a volume, and what their answers weigh.

    Attributes:
        shape: (D, H, W) of the volume.
        window: (D, H, W) of the window; no larger.
        starts: first index of the windows along each axis.
        weights: (number of windows, window size) float32 along each axis.
    """

    shape: Corner
    window: Corner
    starts: tuple[tuple[int, ...], ...]
    weights: tuple[NDArray[np.float32], ...]

    @classmethod
    def of(cls, shape: Sequence[int], window: Sequence[int], overlap: float) -> Windows:
        """Windows that cover a volume.

        Args:
            shape: (D, H, W) of the volume, at least ``window``.
            window: (D, H, W).
            overlap: neighbours share at least this part of themselves, 0 <= overlap < 1.

        Example:
            >>> Windows.of((10, 8, 8), (4, 8, 8), 0.5).starts
            ((0, 2, 4, 6), (0,), (0,))
        """
        places = tuple(starts(n, m, overlap) for n, m in zip(shape, window, strict=True))
        weighed = tuple(weights(n, m, s) for n, m, s in zip(shape, window, places, strict=True))
        return cls(tuple(shape), tuple(window), places, weighed)  # type: ignore[arg-type]

    def __len__(self) -> int:
        return int(np.prod([len(s) for s in self.starts]))


def starts(size: int, window: int, overlap: float) -> tuple[int, ...]:
    """Evenly spread first indices of as few windows as the overlap needs.

    Example:
        >>> starts(100, 64, 0.5), starts(64, 64, 0.5), starts(130, 64, 0.0)
        ((0, 18, 36), (0,), (0, 33, 66))
    """
    room = size - window
    if room <= 0:
        return (0,)
    steps = int(np.ceil(room / max(1.0, window * (1 - overlap))))
    return tuple(round(i * room / steps) for i in range(steps + 1))


def weights(size: int, window: int, places: Sequence[int]) -> NDArray[np.float32]:
    """Gaussian weights of the windows at ``places``, which sum to 1 at every voxel.

    Returns:
        (windows, window) float32.

    Example:
        >>> weights(4, 2, (0, 1, 2)).tolist()
        [[1.0, 0.5], [0.5, 0.5], [0.5, 1.0]]
    """
    middle = (window - 1) / 2
    bell = np.exp(-0.5 * ((np.arange(window) - middle) / (SIGMA * window)) ** 2)
    total = np.zeros(size)
    for place in places:
        total[place : place + window] += bell
    return np.stack([bell / total[place : place + window] for place in places]).astype(np.float32)


def slabs(
    windows: Windows, channels: int, answer: Callable[[Corner], NDArray[np.float32] | None]
) -> Iterator[NDArray[np.float32]]:
    """The blended answers, a slab of planes at a time, the lowest first.

    Args:
        windows: where they stand.
        channels: K.
        answer: corner of a window -> (K, d, h, w) float32 of it, C-ordered, or None for zeros.

    Yields:
        (K, n, H, W) float32: the next n planes. It is a view of the buffer: use it before asking for more.
    """
    depth = windows.window[0]
    buffer = np.zeros((channels, depth, *windows.shape[1:]), np.float32)
    along_d = windows.starts[0]
    for i, z in enumerate(along_d):
        for j, y in enumerate(windows.starts[1]):
            for k, x in enumerate(windows.starts[2]):
                prob = answer((z, y, x))
                if prob is not None:
                    wz, wy, wx = (w[n] for w, n in zip(windows.weights, (i, j, k), strict=True))
                    _add_window(prob, wz, wy, wx, y, x, buffer)
        final = along_d[i + 1] - z if i + 1 < len(along_d) else depth
        yield buffer[:, :final]
        _advance(buffer, final)


def _advance(buffer: NDArray[np.float32], planes: int) -> None:
    """Forget the first planes; plane by plane, since numpy copies the whole of what overlaps."""
    left = buffer.shape[1] - planes
    for plane in range(left):
        buffer[:, plane] = buffer[:, plane + planes]
    buffer[:, left:] = 0


@kernel
def _add_window(
    prob: np.ndarray, wz: np.ndarray, wy: np.ndarray, wx: np.ndarray, y0: int, x0: int, buffer: np.ndarray
) -> None:
    """buffer += (wz * wy) * wx * prob, in this order, at row y0 and column x0."""
    for c in range(prob.shape[0]):
        for z in range(prob.shape[1]):
            for y in range(prob.shape[2]):
                weight = wz[z] * wy[y]
                source = prob[c, z, y]
                row = buffer[c, z, y0 + y, x0 : x0 + source.size]
                for x in range(source.size):
                    row[x] += weight * wx[x] * source[x]
