"""Checks on a pair of masks and a spacing, and their memory laid out for the kernels without a copy.

Kernels read flat uint8 memory in C order. Arrays from NIfTI files are in Fortran order, slices of volumes
in any other: instead of copying, both masks get the same transposition, and the spacing follows.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..rasterize.errors import InputError

Spacing = float | Sequence[float] | NDArray[np.floating]


@dataclass(frozen=True)
class MaskPair:
    """Two masks of one shape, as C-contiguous uint8 arrays with the same axis order.

    Attributes:
        pred: uint8 view (a copy only where memory layouts or wide integers demand it). Values are 0/1 when
            the input was bool or wider than a byte; byte-wide integers are NOT yet checked: kernels do it
            in passing and call :func:`not_binary`.
        ref: the same for the reference.
        shape: the caller's shape.
        axes: ``axes[k]`` is the caller's axis that became axis ``k`` of ``pred`` and ``ref``.
    """

    pred: NDArray[np.uint8]
    ref: NDArray[np.uint8]
    shape: tuple[int, ...]
    axes: tuple[int, ...]


def as_mask_pair(pred: ArrayLike, ref: ArrayLike, ndims: tuple[int, ...] = (2, 3)) -> MaskPair:
    """Check two binary masks and lay them out for the kernels.

    Args:
        pred: predicted mask, bool or 0/1 integers, any memory order.
        ref: reference mask, same shape.
        ndims: numbers of axes that are allowed; () allows any from 1.

    Returns:
        The pair. Copies nothing when both are byte-wide and share a (possibly permuted) contiguous layout.

    Raises:
        InputError: different shapes, a dtype that is neither bool nor integer, values other than 0/1 in
            integers wider than a byte, a wrong number of axes, an axis of length 0.

    Example:
        >>> pair = as_mask_pair(np.zeros((2, 3), bool, order="F"), np.ones((2, 3), bool, order="F"))
        >>> pair.pred.shape, pair.axes
        ((3, 2), (1, 0))
    """
    a, b = np.asarray(pred), np.asarray(ref)
    _check_shapes(a, b, ndims)
    a, b = _as_bytes(a, "pred"), _as_bytes(b, "ref")
    axes = _memory_axes(a, b)
    at, bt = a.transpose(axes), b.transpose(axes)
    return MaskPair(np.ascontiguousarray(at), np.ascontiguousarray(bt), a.shape, axes)


def as_label_pair(pred: ArrayLike, ref: ArrayLike) -> tuple[NDArray[np.integer], NDArray[np.integer]]:
    """Check two integer label maps of one shape; the same memory order for both, no copy where possible.

    Args:
        pred: predicted labels, bool or integers, any number of axes from 1.
        ref: reference labels, same shape.

    Returns:
        Both as C-contiguous arrays in one common axis order (dtypes kept; bool becomes uint8).

    Raises:
        InputError: different shapes or a dtype that is neither bool nor integer.
    """
    a, b = np.asarray(pred), np.asarray(ref)
    _check_shapes(a, b, ())
    _check_dtype(a, "pred")
    _check_dtype(b, "ref")
    a, b = (x.view(np.uint8) if x.dtype == bool else x for x in (a, b))
    axes = _memory_axes(a, b)
    return np.ascontiguousarray(a.transpose(axes)), np.ascontiguousarray(b.transpose(axes))


def as_spacing(spacing_mm: Spacing, ndim: int) -> tuple[float, ...]:
    """Check a spacing and expand a single number to every axis.

    Args:
        spacing_mm: mm per voxel, one number or one per axis, in the masks' axis order.
        ndim: number of axes.

    Returns:
        ``ndim`` positive finite floats.

    Raises:
        InputError: wrong length, or a value that is not a positive finite number.

    Example:
        >>> as_spacing(1, 3), as_spacing((3, 0.5), 2)
        ((1.0, 1.0, 1.0), (3.0, 0.5))
    """
    try:
        values = [float(s) for s in np.atleast_1d(np.asarray(spacing_mm, dtype=np.float64)).ravel()]
    except (TypeError, ValueError):
        raise InputError(f"spacing_mm={spacing_mm!r}: expected a number or {ndim} numbers") from None
    if np.ndim(spacing_mm) == 0:
        values = values * ndim
    if len(values) != ndim or np.ndim(spacing_mm) > 1:
        raise InputError(
            f"spacing_mm={spacing_mm!r}: expected one number or {ndim}, one per axis of the masks"
        )
    if not all(math.isfinite(s) and s > 0 for s in values):
        raise InputError(f"spacing_mm={spacing_mm!r}: every value must be a positive finite number of mm")
    return tuple(values)


def not_binary(name: str, array: NDArray[np.integer]) -> InputError:
    """The error for a mask with other values than 0 and 1, naming a few of them.

    Args:
        name: the argument, "pred" or "ref".
        array: the offending mask.

    Returns:
        The exception, to be raised by the caller.
    """
    seen = np.unique(array)
    shown = ", ".join(str(v) for v in seen[:5]) + (", …" if seen.size > 5 else "")
    return InputError(f"{name} holds the values {shown}: a binary metric wants 0/1, pass `{name} == label`")


def _check_shapes(a: NDArray, b: NDArray, ndims: tuple[int, ...]) -> None:
    """Refuse two shapes, a number of axes no metric here is defined for, axes without a voxel."""
    if a.shape != b.shape:
        raise InputError(f"pred has shape {a.shape} but ref has shape {b.shape}: they must be on one grid")
    if a.ndim == 0 or (ndims and a.ndim not in ndims):
        wanted = " or ".join(f"{n}-D" for n in ndims) or "at least 1-D"
        raise InputError(f"masks of shape {a.shape} have {a.ndim} axes: expected {wanted} arrays")
    if a.size == 0:
        raise InputError(f"masks of shape {a.shape} have no voxels")


def _check_dtype(x: NDArray, name: str) -> None:
    """Only bool and integers: thresholding a probability is the caller's decision."""
    if x.dtype != bool and not np.issubdtype(x.dtype, np.integer):
        raise InputError(
            f"{name} has dtype {x.dtype}: expected bool or integers; threshold it, as in {name} > 0.5"
        )


def _as_bytes(x: NDArray, name: str) -> NDArray[np.uint8]:
    """One byte per voxel; wide integers are checked for 0/1 here, byte-wide ones later in passing."""
    _check_dtype(x, name)
    if x.dtype.itemsize == 1:
        return x.view(np.uint8)
    if x.min() < 0 or x.max() > 1:
        raise not_binary(name, x)
    return x.astype(np.uint8)


def _memory_axes(a: NDArray, b: NDArray) -> tuple[int, ...]:
    """The axis order that makes both contiguous, or failing that the first one that is."""
    for x in (a, b):
        axes = tuple(int(k) for k in np.argsort([-abs(s) for s in x.strides], kind="stable"))
        if x.transpose(axes).flags.c_contiguous:
            return axes
    return tuple(range(a.ndim))
