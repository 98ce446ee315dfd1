"""From a patient's voxels to a model's tensor and back, as the contract says; decided by the image alone.

``prepare`` reads the modalities by name, turns them to RAS, resamples them to the model's spacing around the
brain's middle and normalises them; ``restore`` puts what the model answered back on the patient's own grid,
where it is scored and saved. What lies outside the model's window comes back as 0: tumour there is missed.

Rules, in the order they apply:

1. *Brain*: the voxels that are not 0 (some collections have negative intensities). ``crop="brain-center"``
   puts the middle of the brain's bounding box, over all modalities the model takes, on the middle of the
   model's grid; ``"center"`` the middle of the volume.
2. *Intensities*, per modality, on the native voxels: clip to the percentiles over the brain (numpy's
   ``linear`` definition), subtract the mean and divide by the standard deviation of the clipped brain. The
   background stays 0.
   With ``flatten`` both are taken after steps 3 and 4 instead, from what ``zoo/flatten.py`` leaves.
3. *Orientation*: axes are permuted and flipped to the nearest of world R, A, S. Obliquity, the rotation that
   then remains, is ignored: images stay on their own lattice, as they are for a reader at the console.
4. *Spacing*: resampled as ``zoo/resample.py`` says. Axes of equal spacing (to 1e-4) are copied; the window
   then starts on a whole voxel.

A contract with ``preprocessing="paper"`` has rules of its own: ``zoo/paper.py``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from . import paper
from .cases import Case
from .errors import InputError
from .flatten import flatten
from .intensity import intensity_map
from .plan import Plan, Prepared, make_plan
from .resample import IntensityMap, gather
from .scan import read_scan
from .scatter import scatter, scatter_above
from .voxels import flat_view

if TYPE_CHECKING:
    from .contract import InputSpec

__all__ = ["Plan", "Prepared", "make_plan", "prepare", "prepare_mask", "restore", "restore_mask"]


def prepare(case: Case, spec: InputSpec) -> Prepared:
    """Read and preprocess one case for a model.

    Args:
        case: its modalities are taken by name, in the order of ``spec.channels``.
        spec: the contract's input.

    Returns:
        Prepared with a (C, D, H, W) float32 tensor: of the contract's shape, or of all that a sliding window
        slides over.

    Raises:
        MissingModalityError: the case lacks a channel.
        GridError: its modalities lie on different grids.
        CaseError: a file cannot be read, holds NaN or infinity, or nothing but zeros.
    """
    if spec.preprocessing == "paper":
        return paper.prepare(case, spec)
    scan = read_scan(case, spec.channels)
    plan = make_plan(scan.grid, spec, scan.box())
    tensor = np.empty((len(scan.images), *plan.shape), dtype=np.float32)
    for channel in tensor:
        image = scan.images.pop(0)  # what is done is let go: images may be larger than the tensor
        if spec.flatten:
            _fill(image, IntensityMap(), plan, channel)
            _normalise(flatten(channel, spec.flatten), spec, channel)
        else:
            _fill(image, intensity_map(image, spec), plan, channel)
    return Prepared(tensor, plan)


def _normalise(image: np.ndarray, spec: InputSpec, out: np.ndarray) -> None:
    """Clip and normalise an image that already lies on the model's grid."""
    rule = intensity_map(image, spec)
    values = (np.clip(image, rule.low, rule.high) - rule.mean) * rule.gain
    out[:] = np.where(image != 0, values, 0)


def prepare_mask(mask: np.ndarray, plan: Plan) -> np.ndarray:
    """How much of each model voxel a mask covers: what a network is trained against.

    Args:
        mask: bool or 0/1 on the patient's grid.
        plan: of ``prepare``.

    Returns:
        (D, H, W) float32 in 0..1.

    Raises:
        InputError: the mask has another shape than the patient's grid.
    """
    if mask.shape != plan.grid.shape:
        raise InputError(f"the mask has shape {mask.shape}, the patient's grid {plan.grid.shape}")
    out = np.empty(plan.shape, dtype=np.float32)
    _fill(mask.astype(bool, copy=False).view(np.uint8), IntensityMap(), plan, out)
    return out


def restore(prob: np.ndarray, plan: Plan) -> np.ndarray:
    """Put what the model answered on the patient's grid.

    Args:
        prob: (K, D, H, W) on the model's grid.
        plan: of the ``prepare`` that made the model's input.

    Returns:
        (K, X, Y, Z) float32 in the patient's axis order, each channel Fortran-ordered; 0 outside the window.

    Raises:
        InputError: ``prob`` has another shape than the plan's grid.
    """
    prob, out = _answer(prob, plan), native_zeros(len(prob), plan, np.float32)
    for channel, target in zip(prob, out, strict=True):
        flat, strides = native_flat(target, plan)
        scatter(channel, plan.backward, strides, flat)
    return out


def restore_mask(prob: np.ndarray, plan: Plan, threshold: float | Sequence[float] = 0.5) -> np.ndarray:
    """``restore(prob, plan) > threshold``, bit for bit, without ever holding the restored probabilities.

    Args:
        prob: (K, D, H, W) on the model's grid.
        plan: of the ``prepare`` that made the model's input.
        threshold: one for all channels or one per channel, at least 0.

    Returns:
        (K, X, Y, Z) bool in the patient's axis order, each channel Fortran-ordered.

    Raises:
        InputError: ``prob`` has another shape than the plan's grid, or a threshold is negative.
    """
    prob, out = _answer(prob, plan), native_zeros(len(prob), plan, np.bool_)
    thresholds = np.broadcast_to(np.asarray(threshold, dtype=np.float32), (len(prob),))
    if not (thresholds >= 0).all():
        raise InputError(f"a threshold below 0 would select everything outside the window, got {threshold}")
    for channel, value, target in zip(prob, thresholds, out, strict=True):
        flat, strides = native_flat(target, plan)
        scatter_above(channel, plan.backward, strides, float(value), 1, flat.view(np.uint8))
    return out


def _answer(prob: np.ndarray, plan: Plan) -> np.ndarray:
    prob = np.asarray(prob)
    if prob.ndim != 4 or prob.shape[1:] != plan.shape:
        raise InputError(
            f"the model's answer has shape {prob.shape}; (K, {', '.join(map(str, plan.shape))}) expected"
        )
    return np.ascontiguousarray(prob, dtype=np.float32)


def native_zeros(channels: int, plan: Plan, dtype: type) -> np.ndarray:
    """(channels, X, Y, Z) zeros on the patient's grid, each channel Fortran-ordered."""
    return np.zeros((channels, *plan.grid.shape[::-1]), dtype=dtype).transpose(0, 3, 2, 1)


def native_flat(target: np.ndarray, plan: Plan) -> tuple[np.ndarray, np.ndarray]:
    """One Fortran-ordered channel as a flat view, with its element strides along (D, H, W)."""
    strides = np.array([target.strides[axis] // target.itemsize for axis in plan.axes], dtype=np.int64)
    return target.T.reshape(-1), strides


def _fill(image: np.ndarray, intensity: IntensityMap, plan: Plan, out: np.ndarray) -> None:
    flat, strides = flat_view(image)
    gather(flat, strides[list(plan.axes)], plan.forward, intensity, out)
