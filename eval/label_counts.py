"""One pass over two label maps: how often each pair of labels occurs, and every overlap from that."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..rasterize.errors import InputError
from .overlap import Counts
from .validate import as_label_pair

_MOST_LABELS = 255
_CHUNK = 1 << 18  # voxels of a wide dtype that are coded at a time: no whole copy, and it stays in cache


@dataclass(frozen=True)
class Confusion:
    """Voxel counts by pair of labels.

    Attributes:
        counts: (K, K) int64; ``counts[i, j]`` voxels have label ``labels[i]`` in the reference and
            ``labels[j]`` in the prediction (scikit-learn's orientation).
        labels: the K label values, in the order of the rows and columns.
    """

    counts: NDArray[np.int64]
    labels: tuple[int, ...]

    def of(self, labels: int | Iterable[int]) -> Counts:
        """Foreground counts of one label, or of a region that joins several.

        Args:
            labels: a label value, or the values whose union is the foreground.

        Returns:
            The counts, for :func:`voxzoo.eval.overlap.score` and the like.

        Raises:
            InputError: a label that this confusion does not hold, or none at all.

        Example:
            >>> c = confusion([0, 1, 2, 2], [0, 1, 1, 0], labels=(0, 1, 2))
            >>> c.of((1, 2))
            Counts(tp=2, fp=1, fn=0, tn=1)
        """
        wanted = tuple(dict.fromkeys([labels] if isinstance(labels, (int, np.integer)) else labels))
        missing = [value for value in wanted if value not in self.labels]
        if missing or not wanted:
            raise InputError(f"labels {missing or wanted}: this confusion holds {self.labels}")
        inside = np.isin(self.labels, wanted)
        tp = int(self.counts[np.ix_(inside, inside)].sum())
        ref, pred = int(self.counts[inside].sum()), int(self.counts[:, inside].sum())
        return Counts.from_sizes(tp, pred, ref, int(self.counts.sum()))


def confusion(pred: ArrayLike, ref: ArrayLike, labels: Sequence[int]) -> Confusion:
    """Count every pair of labels of two label maps in one pass.

    Args:
        pred: predicted labels, integers or bool of any shape and memory order.
        ref: reference labels, same shape.
        labels: the values that may occur, at most 255 of them with 0, the background, which is put in
            front where it is not listed.

    Returns:
        The counts, rows by reference label and columns by predicted label.

    Raises:
        InputError: different shapes, a dtype that is neither bool nor integer, labels that are no distinct
            integers, or a value in the arrays that is not among them (named).

    Example:
        >>> confusion([0, 1, 2, 2], [0, 1, 1, 0], labels=(0, 1, 2)).counts.tolist()
        [[1, 0, 1], [0, 1, 1], [0, 0, 0]]
    """
    values = _as_labels(labels)
    a, b = (array.reshape(-1) for array in as_label_pair(pred, ref))
    cells = _count(b, a, values)
    if cells[-1].any() or cells[:, -1].any():
        raise _unknown(a, b, values)
    return Confusion(np.ascontiguousarray(cells[:-1, :-1]), values)


def _as_labels(labels: Sequence[int]) -> tuple[int, ...]:
    listed = list(labels)
    if not all(isinstance(v, (int, np.integer)) and not isinstance(v, bool) for v in listed):
        raise InputError(f"labels={labels!r}: expected integers")
    values = tuple(int(v) for v in listed)
    values = values if 0 in values else (0, *values)
    if len(set(values)) != len(values) or not listed or len(values) > _MOST_LABELS:
        raise InputError(f"labels={labels!r}: expected 1 to {_MOST_LABELS} distinct values, 0 included")
    return values


def _count(rows: NDArray, columns: NDArray, values: tuple[int, ...]) -> NDArray[np.int64]:
    """(K + 1, K + 1) counts; the last row and column stand for every value that is not a label."""
    from .kernels.counts import pairs

    n = len(values) + 1
    out = np.zeros((4, n * n), np.int64)
    if rows.dtype == np.uint8 and columns.dtype == np.uint8:
        codes = _code(np.arange(256), values)
        pairs(rows, columns, codes * n, codes, out)
    else:
        codes = np.arange(256, dtype=np.int64)
        for i in range(0, rows.size, _CHUNK):
            part = slice(i, i + _CHUNK)
            coded = (_code(side[part], values).astype(np.uint8) for side in (rows, columns))
            pairs(*coded, codes * n, codes, out)
    return out.sum(axis=0).reshape(n, n)


def _code(array: NDArray, values: tuple[int, ...]) -> NDArray[np.int64]:
    """Place of every element among the labels; K for one that is none of them."""
    order = np.argsort(values)
    ranked = np.asarray(values)[order]
    place = np.searchsorted(ranked, array).clip(max=len(values) - 1)
    return np.where(ranked[place] == array, order[place], len(values))


def _unknown(pred: NDArray, ref: NDArray, values: tuple[int, ...]) -> InputError:
    """The error that names the values nobody listed, and where they are."""
    found = []
    for name, array in (("pred", pred), ("ref", ref)):
        strange = np.setdiff1d(array, values)
        if strange.size:
            shown = ", ".join(map(str, strange[:8])) + (", …" if strange.size > 8 else "")
            found.append(f"{name} holds {shown}")
    return InputError(f"labels {values} expected, but {' and '.join(found)}")
