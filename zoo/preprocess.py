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
3. *Orientation*: axes are permuted and flipped to the nearest of world R, A, S. Obliquity, the rotation that
   then remains, is ignored: images stay on their own lattice, as they are for a reader at the console.
4. *Spacing*: resampled as ``zoo/resample.py`` says. Axes of equal spacing (to 1e-4) are copied; the window
   then starts on a whole voxel.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from .cases import Case
from .errors import CaseError, InputError
from .grid import Grid
from .intensity import intensity_map
from .resample import AxisTable, IntensityMap, gather, scatter, scatter_above
from .voxels import flat_view, occupied_box

if TYPE_CHECKING:
    from .contract import InputSpec
    from .resample import Tables

__all__ = ["Plan", "Prepared", "make_plan", "prepare", "prepare_mask", "restore", "restore_mask"]

EQUAL_SPACING = 1e-4
"""Ratio of spacings, minus one, below which an axis is copied: 0.02 voxels over a head."""


@dataclass(frozen=True)
class Plan:
    """How a patient's grid and the model's lie to each other; both ways follow from it.

    Args:
        grid: the patient's.
        shape: (D, H, W) of the model.
        axes: the native array axis behind each of (D, H, W).
        flips: whether that axis runs against (S, A, R).
        scale: model spacing / native spacing along (D, H, W); exactly 1 where nothing is interpolated.
        start: where the centre of the model's first voxel lies, in native voxels counted along (S, A, R).
    """

    grid: Grid
    shape: tuple[int, int, int]
    axes: tuple[int, int, int]
    flips: tuple[bool, bool, bool]
    scale: tuple[float, float, float]
    start: tuple[float, float, float]

    @cached_property
    def forward(self) -> Tables:
        """Tables from native voxels to the model's."""
        return tuple(self._forward(t) for t in range(3))  # type: ignore[return-value]

    @cached_property
    def backward(self) -> Tables:
        """Tables from the model's voxels to native ones: the same mapping of points, inverted."""
        return tuple(self._backward(t) for t in range(3))  # type: ignore[return-value]

    @property
    def affine(self) -> np.ndarray:
        """(4, 4) float64: index (d, h, w) of the model's grid -> world mm."""
        out = np.eye(4)
        out[:3, 3] = self.grid.affine[:3, 3]
        for t in range(3):
            column = self.grid.affine[:3, self.axes[t]]
            sign = -1.0 if self.flips[t] else 1.0
            first = self._native(t) - 1 - self.start[t] if self.flips[t] else self.start[t]
            out[:3, t] = sign * self.scale[t] * column
            out[:3, 3] += first * column
        return out

    def _native(self, t: int) -> int:
        return self.grid.shape[self.axes[t]]

    def _forward(self, t: int) -> AxisTable:
        table = AxisTable.build(self._native(t), self.shape[t], self.scale[t], self.start[t])
        return table.source_flipped(self._native(t)) if self.flips[t] else table

    def _backward(self, t: int) -> AxisTable:
        scale = 1.0 / self.scale[t]
        table = AxisTable.build(self.shape[t], self._native(t), scale, -self.start[t] * scale)
        return table.target_flipped() if self.flips[t] else table


@dataclass(frozen=True, eq=False)
class Prepared:
    """What the model is fed, and the way back.

    Args:
        tensor: (C, D, H, W) float32, C-contiguous.
        plan: the geometry.
    """

    tensor: np.ndarray
    plan: Plan


def prepare(case: Case, spec: InputSpec) -> Prepared:
    """Read and preprocess one case for a model.

    Args:
        case: its modalities are taken by name, in the order of ``spec.channels``.
        spec: the contract's input.

    Returns:
        Prepared with a (C, D, H, W) float32 tensor.

    Raises:
        MissingModalityError: the case lacks a channel.
        GridError: its modalities lie on different grids.
        CaseError: a file cannot be read, holds NaN or infinity, or nothing but zeros.
    """
    grid = case.grid()
    images = [_compact(image) for image in case.read_images(spec.channels)]
    boxes = [_brain_box(case, name, image) for name, image in zip(spec.channels, images, strict=True)]
    plan = make_plan(grid, spec, _union(boxes))
    tensor = np.empty((len(images), *plan.shape), dtype=np.float32)
    for channel in range(len(images)):
        _fill(images[channel], intensity_map(images[channel], spec), plan, tensor[channel])
        images[channel] = None  # type: ignore[call-overload]
    return Prepared(tensor, plan)


def make_plan(grid: Grid, spec: InputSpec, box: Sequence[tuple[int, int]]) -> Plan:
    """The geometry for one patient.

    Args:
        grid: the patient's.
        spec: gives shape, spacing and crop rule.
        box: first and last index of the brain along each native axis.

    Example:
        >>> from voxzoo.zoo.contract import InputSpec
        >>> spec = InputSpec("x", ("flair",), (95, 128, 128), (1.5, 1.5, 1.5))
        >>> grid = Grid((240, 240, 155), np.diag([-1.0, -1.0, 1.0, 1.0]))
        >>> plan = make_plan(grid, spec, ((40, 200), (30, 210), (5, 145)))
        >>> plan.axes, plan.flips, plan.start
        ((2, 1, 0), (False, True, True), (4.5, 23.75, 23.75))
    """
    axes, flips = _orientation(grid)
    scale, start = [], []
    for t, axis in enumerate(axes):
        n = grid.shape[axis]
        low, high = box[axis] if spec.crop == "brain-center" else (0, n - 1)
        middle = (low + high) / 2
        ratio = spec.spacing_mm[t] / grid.spacing_mm[axis]
        ratio = 1.0 if abs(ratio - 1.0) < EQUAL_SPACING else ratio
        first = (n - 1 - middle if flips[t] else middle) - ratio * (spec.shape[t] - 1) / 2
        scale.append(ratio)
        start.append(float(np.floor(first)) if ratio == 1.0 else first)
    return Plan(grid, tuple(spec.shape), axes, flips, tuple(scale), tuple(start))  # type: ignore[arg-type]


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
    prob, out = _answer(prob, plan), _native_like(len(prob), plan, np.float32)
    for channel, target in zip(prob, out, strict=True):
        flat, strides = _writable_flat(target, plan)
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
    prob, out = _answer(prob, plan), _native_like(len(prob), plan, np.bool_)
    thresholds = np.broadcast_to(np.asarray(threshold, dtype=np.float32), (len(prob),))
    if not (thresholds >= 0).all():
        raise InputError(f"a threshold below 0 would select everything outside the window, got {threshold}")
    for channel, value, target in zip(prob, thresholds, out, strict=True):
        flat, strides = _writable_flat(target, plan)
        scatter_above(channel, plan.backward, strides, float(value), flat)
    return out


def _answer(prob: np.ndarray, plan: Plan) -> np.ndarray:
    prob = np.asarray(prob)
    if prob.ndim != 4 or prob.shape[1:] != plan.shape:
        raise InputError(
            f"the model's answer has shape {prob.shape}; (K, {', '.join(map(str, plan.shape))}) expected"
        )
    return np.ascontiguousarray(prob, dtype=np.float32)


def _native_like(channels: int, plan: Plan, dtype: type) -> np.ndarray:
    return np.zeros((channels, *plan.grid.shape[::-1]), dtype=dtype).transpose(0, 3, 2, 1)


def _writable_flat(target: np.ndarray, plan: Plan) -> tuple[np.ndarray, np.ndarray]:
    """One Fortran-ordered channel as a flat view, with its element strides along (D, H, W)."""
    strides = np.array([target.strides[axis] // target.itemsize for axis in plan.axes], dtype=np.int64)
    return target.T.reshape(-1), strides


def _orientation(grid: Grid) -> tuple[tuple[int, int, int], tuple[bool, bool, bool]]:
    """Native axis behind (S, A, R), and whether it runs against it."""
    from nibabel.orientations import io_orientation

    found = io_orientation(grid.affine)
    axes = [int(np.flatnonzero(found[:, 0] == world)[0]) for world in (2, 1, 0)]
    flips = [bool(found[axis, 1] < 0) for axis in axes]
    return tuple(axes), tuple(flips)  # type: ignore[return-value]


def _compact(image: np.ndarray) -> np.ndarray:
    """The voxels as one of the types that kernels are compiled for: 8- and 16-bit integers, float32."""
    if (image.dtype.kind in "iu" and image.dtype.itemsize <= 2) or image.dtype == np.float32:
        return image
    if image.dtype.kind in "iu" and image.size and image.min() >= -32768 and image.max() <= 32767:
        return image.astype(np.int16)
    return image.astype(np.float32)


def _brain_box(case: Case, name: str, image: np.ndarray) -> tuple[tuple[int, int], ...]:
    box = occupied_box(image)
    if box is None:
        raise CaseError(f"{case.images[name].name}: the {name} image holds nothing but zeros")
    return box


def _union(boxes: Sequence[Sequence[tuple[int, int]]]) -> list[tuple[int, int]]:
    return [(min(b[a][0] for b in boxes), max(b[a][1] for b in boxes)) for a in range(3)]


def _fill(image: np.ndarray, intensity: IntensityMap, plan: Plan, out: np.ndarray) -> None:
    flat, strides = flat_view(image)
    gather(flat, strides[list(plan.axes)], plan.forward, intensity, out)
