"""Overlap of a predicted and a reference mask: pure functions of four voxel counts.

With tp, fp, fn, tn the voxels in both, in the prediction only, in the reference only, in neither::

    dice = 2 tp / (2 tp + fp + fn)      iou = tp / (tp + fp + fn)
    precision = tp / (tp + fp)          recall = tp / (tp + fn)          specificity = tn / (tn + fp)

(Taha & Hanbury 2015, *Metrics for evaluating 3D medical image segmentation*, BMC Med. Imaging 15:29.) Where a
denominator is 0 the formula says nothing and ``empty`` decides, by the table in :mod:`voxzoo.eval.empty`:
worst is 0, perfect is 1, and perfect holds where both masks are empty. One empty mask leaves Dice and IoU
defined: they are 0. Specificity without a negative voxel in the reference is perfect.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..rasterize.errors import InputError
from .empty import undefined_value
from .validate import Spacing, as_mask_pair, as_spacing, not_binary

SCORES = ("dice", "iou", "precision", "recall", "specificity")


@dataclass(frozen=True)
class Counts:
    """Voxel counts of one binary comparison.

    Attributes:
        tp: in both masks.
        fp: in the prediction only.
        fn: in the reference only.
        tn: in neither.
    """

    tp: int
    fp: int
    fn: int
    tn: int

    @classmethod
    def from_sizes(cls, both: int, pred: int, ref: int, total: int) -> Counts:
        """From the sizes of the intersection, of the two masks and of the image."""
        return cls(both, pred - both, ref - both, total - pred - ref + both)

    @property
    def pred(self) -> int:
        """Voxels of the prediction."""
        return self.tp + self.fp

    @property
    def ref(self) -> int:
        """Voxels of the reference."""
        return self.tp + self.fn


_BYTES = "?B"  # bool and uint8
_NOT_01 = 0xFEFEFEFEFEFEFEFE

_FRACTIONS: dict[str, Callable[[Counts], tuple[int, int]]] = {
    "dice": lambda c: (2 * c.tp, c.pred + c.ref),
    "iou": lambda c: (c.tp, c.tp + c.fp + c.fn),
    "precision": lambda c: (c.tp, c.pred),
    "recall": lambda c: (c.tp, c.ref),
    "specificity": lambda c: (c.tn, c.tn + c.fp),
}


def count(pred: ArrayLike, ref: ArrayLike) -> Counts:
    """Compare two binary masks voxel by voxel, in one pass.

    Args:
        pred: predicted mask, bool or 0/1 integers, any shape; not copied where both share a memory order.
        ref: reference mask, same shape.

    Returns:
        The four counts, from which every score here follows (:func:`score`).

    Raises:
        InputError: different shapes, a dtype that is neither bool nor integer, other values than 0 and 1.

    Example:
        >>> count([1, 1, 0, 0], [1, 0, 1, 0])
        Counts(tp=1, fp=1, fn=1, tn=1)
    """
    flat = _flat_bytes(pred, ref)
    if flat is None:
        sizes, voxels = _sizes(pred, ref, (), rows=1)
        both, in_pred, in_ref = sizes[0].tolist()
        return Counts.from_sizes(both, in_pred, in_ref, voxels)
    a, b = flat
    both, in_pred, in_ref, or_pred, or_ref = _kernels().overlap(a, b)
    _refuse_other_values(a, b, or_pred, or_ref)
    return Counts.from_sizes(both, in_pred, in_ref, a.size)


@cache
def _kernels() -> Any:
    """The counting kernels, imported with numba when the first mask is counted."""
    from .kernels import counts

    return counts


def _refuse_other_values(pred: NDArray, ref: NDArray, or_pred: int, or_ref: int) -> None:
    """Raise where the OR of a mask's bytes shows another value than 0 and 1."""
    if (or_pred | or_ref) & _NOT_01:
        raise not_binary("pred", pred) if or_pred & _NOT_01 else not_binary("ref", ref)


def _sizes(
    pred: ArrayLike, ref: ArrayLike, ndims: tuple[int, ...], rows: int | None = None
) -> tuple[NDArray[np.int64], int]:
    """(rows, 3) sizes of intersection, prediction and reference, and the voxels of a row.

    ``rows=None`` keeps the first axis apart.
    """
    pair = as_mask_pair(pred, ref, ndims)
    a, b = pair.pred, pair.ref
    if rows is None:
        inverse = np.argsort(pair.axes)
        a, b = (np.ascontiguousarray(x.transpose(inverse)) for x in (a, b))
        rows = len(a)
    out = np.empty((rows, 3), np.int64)
    bits = _kernels().overlap_rows(a.reshape(-1), b.reshape(-1), rows, out)
    _refuse_other_values(a, b, *bits)
    return out, a.size // rows


def _flat_bytes(pred: ArrayLike, ref: ArrayLike) -> tuple[NDArray[np.uint8], NDArray[np.uint8]] | None:
    """Byte masks of one shape and one contiguous order, flat, as they lie in memory; None for all others.

    A short way around :func:`as_mask_pair`, whose checks take as long as counting a million voxels.
    """
    if not (isinstance(pred, np.ndarray) and isinstance(ref, np.ndarray)):
        return None
    if pred.shape != ref.shape or not pred.shape or pred.size == 0:
        return None
    if pred.dtype.char not in _BYTES or ref.dtype.char not in _BYTES:
        return None
    mine, other = pred.flags, ref.flags
    if mine.c_contiguous and other.c_contiguous:
        return pred.reshape(-1).view(np.uint8), ref.reshape(-1).view(np.uint8)
    if mine.f_contiguous and other.f_contiguous:
        return pred.T.reshape(-1).view(np.uint8), ref.T.reshape(-1).view(np.uint8)
    return None


def score(counts: Counts, name: str, empty: str | float = "penalty") -> float:
    """One score from counts.

    Args:
        counts: from :func:`count` or ``Confusion.of``.
        name: one of ``SCORES``.
        empty: what an undefined value becomes; see the module.

    Returns:
        The score, 0 to 1.

    Raises:
        InputError: another name, or an undefined value under ``empty="raise"``.

    Example:
        >>> score(Counts(tp=1, fp=1, fn=1, tn=1), "dice")
        0.5
    """
    if name not in SCORES:
        raise InputError(f"score {name!r}: expected one of {', '.join(SCORES)}")
    part, whole = _FRACTIONS[name](counts)
    if whole > 0:
        return part / whole
    vacuous = name == "specificity" or counts.pred == counts.ref == 0
    return undefined_value(empty, both_empty=vacuous, perfect=1.0, penalty=0.0, metric=name)


def dice(pred: ArrayLike, ref: ArrayLike, *, empty: str | float = "penalty") -> float:
    """Dice coefficient (F1) of two masks, 2 tp / (2 tp + fp + fn).

    Args:
        pred: predicted mask, bool or 0/1 integers of any shape.
        ref: reference mask, same shape.
        empty: value where both are empty: "penalty" (perfect, 1), "nan", "inf", "raise" or a number.

    Returns:
        0 to 1. One empty mask gives 0.

    Raises:
        InputError: masks that cannot be compared (see :func:`count`).

    Example:
        >>> dice([1, 1, 0], [1, 0, 0])
        0.6666666666666666
    """
    return score(count(pred, ref), "dice", empty)


def iou(pred: ArrayLike, ref: ArrayLike, *, empty: str | float = "penalty") -> float:
    """Intersection over union (Jaccard), tp / (tp + fp + fn); arguments as :func:`dice`.

    Example:
        >>> iou([1, 1, 0], [1, 0, 0])
        0.5
    """
    return score(count(pred, ref), "iou", empty)


def precision(pred: ArrayLike, ref: ArrayLike, *, empty: str | float = "penalty") -> float:
    """Positive predictive value, tp / (tp + fp); arguments as :func:`dice`.

    An empty prediction of a reference that is not empty is undefined: 0 under "penalty".

    Example:
        >>> precision([1, 1, 0], [1, 0, 0])
        0.5
    """
    return score(count(pred, ref), "precision", empty)


def recall(pred: ArrayLike, ref: ArrayLike, *, empty: str | float = "penalty") -> float:
    """Sensitivity, tp / (tp + fn); arguments as :func:`dice`.

    A prediction where the reference is empty is undefined: 0 under "penalty".

    Example:
        >>> recall([1, 1, 0], [1, 0, 0])
        1.0
    """
    return score(count(pred, ref), "recall", empty)


def specificity(pred: ArrayLike, ref: ArrayLike, *, empty: str | float = "penalty") -> float:
    """True negative rate, tn / (tn + fp); arguments as :func:`dice`.

    It grows with the background that happens to be in the image, so compare it on one grid only.

    Example:
        >>> specificity([1, 1, 0], [1, 0, 0])
        0.5
    """
    return score(count(pred, ref), "specificity", empty)


def dice_slices(pred: ArrayLike, ref: ArrayLike, *, empty: str | float = "penalty") -> NDArray[np.float64]:
    """Dice of every slice of a stack.

    Args:
        pred: (N, H, W) predicted masks, bool or 0/1 integers.
        ref: (N, H, W) reference masks.
        empty: value of slices where both are empty, as :func:`dice`.

    Returns:
        (N,) float64.

    Raises:
        InputError: masks that cannot be compared, or not three axes.

    Example:
        >>> dice_slices([[[1, 1]], [[0, 0]]], [[[1, 0]], [[0, 0]]]).tolist()
        [0.6666666666666666, 1.0]
    """
    sizes, _ = _sizes(pred, ref, (3,))
    whole = sizes[:, 1] + sizes[:, 2]
    out = 2.0 * sizes[:, 0] / np.maximum(whole, 1)
    if not whole.all():
        out[whole == 0] = undefined_value(empty, both_empty=True, perfect=1.0, penalty=0.0, metric="dice")
    return out


def count_slices(pred: ArrayLike, ref: ArrayLike) -> list[Counts]:
    """The four counts of every slice of a stack, for any score (:func:`score`).

    Args:
        pred: (N, H, W) predicted masks.
        ref: (N, H, W) reference masks.

    Returns:
        N counts.

    Raises:
        InputError: masks that cannot be compared, or not three axes.

    Example:
        >>> count_slices([[[1, 1]]], [[[1, 0]]])
        [Counts(tp=1, fp=1, fn=0, tn=0)]
    """
    sizes, voxels = _sizes(pred, ref, (3,))
    return [Counts.from_sizes(both, p, r, voxels) for both, p, r in sizes.tolist()]


def volume_ml(mask: ArrayLike, spacing_mm: Spacing = 1.0) -> float:
    """Volume of a mask in millilitres: voxels times mm per axis, over 1000.

    Args:
        mask: bool or 0/1 integers, any number of axes (two give an area times 1 mm).
        spacing_mm: mm per voxel, one number or one per axis, in the mask's axis order.

    Returns:
        Millilitres.

    Raises:
        InputError: a mask or spacing that cannot be used.

    Example:
        >>> volume_ml(np.ones((10, 10, 10), bool), spacing_mm=(2, 1, 1))
        2.0
    """
    array = np.asarray(mask)
    return count(array, array).ref * _voxel_ml(array, spacing_mm)


def volume_error_ml(pred: ArrayLike, ref: ArrayLike, spacing_mm: Spacing = 1.0) -> float:
    """Predicted minus reference volume in millilitres; positive where too much is predicted.

    Args:
        pred: predicted mask, bool or 0/1 integers.
        ref: reference mask, same shape.
        spacing_mm: mm per voxel, one number or one per axis.

    Returns:
        Millilitres, signed.

    Raises:
        InputError: masks or spacing that cannot be used.

    Example:
        >>> volume_error_ml(np.zeros((10, 10, 10), bool), np.ones((10, 10, 10), bool))
        -1.0
    """
    counts = count(pred, ref)
    return (counts.pred - counts.ref) * _voxel_ml(np.asarray(ref), spacing_mm)


def volume_error_rel(pred: ArrayLike, ref: ArrayLike, *, empty: str | float = "nan") -> float:
    """(predicted - reference) / reference volume, signed; 1 means twice the volume.

    Args:
        pred: predicted mask, bool or 0/1 integers.
        ref: reference mask, same shape.
        empty: value where the reference has no voxel but the prediction does, for which no finite value is
            fair: "nan" (default), "inf", "raise" or a number. Both empty is 0: nothing was wrong.

    Returns:
        A fraction from -1 upwards.

    Raises:
        InputError: masks that cannot be compared.

    Example:
        >>> volume_error_rel([1, 1, 0], [1, 0, 0])
        1.0
    """
    counts = count(pred, ref)
    if counts.ref > 0:
        return (counts.pred - counts.ref) / counts.ref
    if counts.pred == 0:
        return 0.0
    return undefined_value(empty, both_empty=False, perfect=0.0, penalty=np.inf, metric="volume_error_rel")


def _voxel_ml(array: NDArray, spacing_mm: Spacing) -> float:
    return float(np.prod(as_spacing(spacing_mm, array.ndim))) / 1000
