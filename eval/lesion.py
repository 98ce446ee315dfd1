"""Lesion by lesion: a large lesion found does not hide small ones missed.

A lesion is a 26-connected component (8-connected in 2-D). Two definitions:

* :func:`lesion_wise` is that of the BraTS 2023 challenges (Saluja et al., *BraTS-2023-Metrics*, the
  challenge's own code). Reference components that touch after ``dilation`` steps count as one lesion. Every
  predicted component that meets the dilated lesion belongs to it, and all of them together are scored
  against the (undilated) lesion. A lesion that nothing meets scores 0, and so does every predicted
  component that belongs to no lesion. Lesions of at most ``min_mm3`` are left out of the mean, but what
  was predicted for them is no false positive.
* :func:`lesion_f1` counts: a reference component is found when the prediction shares a voxel with it, a
  predicted component is false when it shares none with the reference; no dilation, no minimum.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..rasterize.errors import InputError
from .empty import undefined_value
from .overlap import Counts, count
from .validate import Spacing, as_spacing

Distance = Callable[[NDArray[np.bool_], NDArray[np.bool_]], float]

BRATS_PENALTY_MM = 374.0


@dataclass(frozen=True)
class Lesion:
    """One reference lesion and what was predicted for it.

    Attributes:
        volume_mm3: of the lesion.
        found: whether any predicted component belongs to it.
        dice: of the predicted components that belong to it, taken together; 0 when there are none.
        distance_mm: their distance, the penalty when there are none; None when no distance was asked for.
    """

    volume_mm3: float
    found: bool
    dice: float
    distance_mm: float | None


@dataclass(frozen=True)
class LesionScore:
    """Every lesion that counts, and the mean over lesions and false positives.

    Attributes:
        lesions: those above the minimum volume.
        ignored: number of those that are not.
        false_positives: predicted components that belong to no lesion.
        dice: sum over lesions / (lesions + false positives); 1 where there is neither.
        distance_mm: the same mean with the penalty for each false positive; 0 where there is neither.
    """

    lesions: tuple[Lesion, ...]
    ignored: int
    false_positives: int
    dice: float
    distance_mm: float | None

    @property
    def found(self) -> int:
        """Lesions (of those that count) for which something was predicted."""
        return sum(lesion.found for lesion in self.lesions)

    @property
    def missed(self) -> int:
        """Lesions (of those that count) for which nothing was."""
        return len(self.lesions) - self.found


def lesion_wise(
    pred: ArrayLike,
    ref: ArrayLike,
    *,
    spacing_mm: Spacing = 1.0,
    dilation: int = 3,
    min_mm3: float = 50.0,
    distance: Distance | None = None,
    penalty_mm: float = BRATS_PENALTY_MM,
) -> LesionScore:
    """Lesion-wise Dice, and a lesion-wise distance, as BraTS 2023 defines them.

    Args:
        pred: predicted mask, bool or 0/1 integers, 2-D or 3-D.
        ref: reference mask, same shape.
        spacing_mm: mm per voxel, one number or one per axis; for the volumes.
        dilation: steps by which reference components grow before they are joined and matched, along axes and
            face diagonals (18 neighbours). BraTS: 3 for gliomas, 1 for metastases and meningiomas.
        min_mm3: lesions up to this volume are left out. BraTS: 50, and 2 for metastases.
        distance: ``(pred, ref) -> mm``, such as ``hd95`` with its spacing and preset bound.
        penalty_mm: distance of a missed lesion and of a false positive.

    Returns:
        The scores of the lesions and their means.

    Raises:
        InputError: masks, spacing or dilation that cannot be used.

    Example:
        >>> ref = np.zeros((1, 5, 20), bool); ref[:, :, :5] = True; ref[:, :, 15:] = True
        >>> pred = np.zeros_like(ref); pred[:, :, :5] = True
        >>> score = lesion_wise(pred, ref, min_mm3=0, dilation=1)
        >>> score.dice, score.found, score.missed
        (0.5, 1, 1)
    """
    a, b, spacing = _checked(pred, ref, spacing_mm)
    if not isinstance(dilation, (int, np.integer)) or dilation < 0:
        raise InputError(f"dilation={dilation!r}: expected 0 or more steps")
    found = _Matcher(a, b, int(dilation))
    voxel_mm3 = float(np.prod(spacing))
    kept: list[Lesion] = []
    taken: set[int] = set()
    for lesion in range(1, found.lesions + 1):
        members = found.members(lesion)
        taken.update(members)
        volume = found.size(lesion) * voxel_mm3
        if volume > min_mm3:
            mm = found.distance(lesion, members, distance, penalty_mm) if distance else None
            kept.append(Lesion(volume, bool(members), found.dice(lesion, members), mm))
    false = found.components - len(taken)
    n = len(kept) + false
    mean = sum(lesion.dice for lesion in kept) / n if n else 1.0
    far = [lesion.distance_mm for lesion in kept if lesion.distance_mm is not None]
    mean_mm = (sum(far) + false * penalty_mm) / n if n else 0.0
    return LesionScore(tuple(kept), found.lesions - len(kept), false, mean, mean_mm if distance else None)


def lesion_f1(pred: ArrayLike, ref: ArrayLike, *, empty: str | float = "penalty") -> float:
    """F1 of finding lesions, 2 found / (2 found + false + missed).

    Args:
        pred: predicted mask, bool or 0/1 integers, 2-D or 3-D.
        ref: reference mask, same shape.
        empty: value where neither mask has a lesion, as in :func:`voxzoo.eval.overlap.dice`.

    Returns:
        0 to 1.

    Raises:
        InputError: masks that cannot be compared.

    Example:
        >>> lesion_f1([[1, 0, 0, 0, 1]], [[1, 0, 1, 0, 0]])
        0.5
    """
    counts = lesion_counts(pred, ref)
    whole = 2 * counts.tp + counts.fp + counts.fn
    if whole == 0:
        return undefined_value(empty, both_empty=True, perfect=1.0, penalty=0.0, metric="lesion_f1")
    return 2 * counts.tp / whole


def lesion_counts(pred: ArrayLike, ref: ArrayLike) -> Counts:
    """Lesions found (tp), false (fp) and missed (fn), by shared voxels; tn is 0.

    Args:
        pred: predicted mask, bool or 0/1 integers, 2-D or 3-D.
        ref: reference mask, same shape.

    Returns:
        Counts of lesions, for :func:`voxzoo.eval.overlap.score` (precision, recall, …). ``tp`` counts
        reference components, so ``tp + fp`` need not be the number of predicted ones.

    Raises:
        InputError: masks that cannot be compared.

    Example:
        >>> lesion_counts([[1, 0, 0, 0, 1]], [[1, 0, 1, 0, 0]])
        Counts(tp=1, fp=1, fn=1, tn=0)
    """
    a, b, _ = _checked(pred, ref, 1.0)
    pred_labels, n_pred = _components(a)
    ref_labels, n_ref = _components(b)
    shared = a & b
    found = np.unique(ref_labels[shared]).size
    true = np.unique(pred_labels[shared]).size
    return Counts(found, n_pred - true, n_ref - found, 0)


def _checked(
    pred: ArrayLike, ref: ArrayLike, spacing_mm: Spacing
) -> tuple[NDArray[np.bool_], NDArray[np.bool_], tuple[float, ...]]:
    """Both masks as bool, and the spacing per axis."""
    a, b = np.asarray(pred), np.asarray(ref)
    count(a, b)  # shapes, dtypes and values
    if a.ndim not in (2, 3):
        raise InputError(f"masks of shape {a.shape} have {a.ndim} axes: lesions are defined in 2-D and 3-D")
    return a.astype(bool), b.astype(bool), as_spacing(spacing_mm, a.ndim)


def _components(mask: NDArray[np.bool_]) -> tuple[NDArray[np.int32], int]:
    """Component number of every voxel, 26- or 8-connected, and their count."""
    from scipy import ndimage

    labels, n = ndimage.label(mask, np.ones((3,) * mask.ndim))
    return labels, n


def _dilate(mask: NDArray[np.bool_], steps: int) -> NDArray[np.bool_]:
    """Grow along axes and face diagonals."""
    from scipy import ndimage

    if steps == 0:
        return mask
    structure = ndimage.generate_binary_structure(mask.ndim, 2)
    return ndimage.binary_dilation(mask, structure, iterations=steps)


class _Matcher:
    """Reference lesions, predicted components, and which belong together."""

    def __init__(self, pred: NDArray[np.bool_], ref: NDArray[np.bool_], dilation: int) -> None:
        from scipy import ndimage

        self.dilation = dilation
        self.pred, self.components = _components(pred)
        grown, self.lesions = _components(_dilate(ref, dilation))
        self.ref = np.where(ref, grown, 0)
        self._boxes = ndimage.find_objects(self.ref, max_label=self.lesions)
        self._pred_sizes = np.bincount(self.pred.ravel(), minlength=self.components + 1)
        self._ref_sizes = np.bincount(self.ref.ravel(), minlength=self.lesions + 1)

    def size(self, lesion: int) -> int:
        """Voxels of a lesion."""
        return int(self._ref_sizes[lesion])

    def members(self, lesion: int) -> list[int]:
        """The predicted components that meet the dilated lesion."""
        around = _widened(self._boxes[lesion - 1], self.dilation, self.ref.shape)
        grown = _dilate(self.ref[around] == lesion, self.dilation)
        met = np.unique(self.pred[around][grown])
        return met[met > 0].tolist()

    def dice(self, lesion: int, members: list[int]) -> float:
        """Dice of a lesion with its components together."""
        box = self._boxes[lesion - 1]
        both = np.isin(self.pred[box], members) & (self.ref[box] == lesion)
        whole = int(self._pred_sizes[members].sum()) + self.size(lesion)
        return 2 * int(both.sum()) / whole

    def distance(self, lesion: int, members: list[int], metric: Distance, penalty_mm: float) -> float:
        """Distance of a lesion from its components together, on the full grid."""
        if not members:
            return penalty_mm
        return float(metric(np.isin(self.pred, members), self.ref == lesion))


def _widened(box: tuple[slice, ...], by: int, shape: tuple[int, ...]) -> tuple[slice, ...]:
    return tuple(slice(max(s.start - by, 0), min(s.stop + by, n)) for s, n in zip(box, shape, strict=True))
