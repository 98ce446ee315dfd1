"""Distances between the surfaces of two masks: Hausdorff, its percentiles, ASSD and NSD, by preset.

All come from one :class:`SurfaceDistances`; the functions are shorthands for a single number. Distances
are in mm, arithmetic is float64, results are exact (see ``eval/kernels/search.py``), masks are bool or 0/1
integers of any memory order, 2-D or 3-D. ``eval/presets.py`` says what a preset is, ``eval/empty.py``
what happens when a mask is empty.
"""

from __future__ import annotations

import numpy as np  # noqa: F401  (the examples use it)
from numpy.typing import ArrayLike

from .distances import SurfaceDistances
from .presets import DEFAULT_PRESET
from .validate import Spacing

__all__ = ["SurfaceDistances", "assd", "hd", "hd95", "hd_percentile", "nsd", "surface_metrics"]


def hd(
    pred: ArrayLike,
    ref: ArrayLike,
    spacing_mm: Spacing = 1.0,
    preset: str = DEFAULT_PRESET,
    empty: str | float = "penalty",
) -> float:
    """Hausdorff distance: the largest distance from any surface point to the other surface.

    Args:
        pred: predicted mask, bool or 0/1 integers, 2-D or 3-D, any memory order.
        ref: reference mask, same shape.
        spacing_mm: mm per voxel: one number, or one per axis in the masks' axis order.
        preset: a name from ``eval/presets.py``; decides what counts as surface.
        empty: what empty masks give, see ``eval/empty.py``. Default: the image diagonal in mm when one is
            empty, 0 when both are.

    Returns:
        mm.

    Raises:
        InputError: different shapes, other dtypes or values, a bad spacing, an unknown preset or policy;
            an empty mask under ``empty="raise"``.

    Example:
        >>> a, b = np.zeros((16, 16), bool), np.zeros((16, 16), bool)
        >>> a[4:8, 4:8] = b[4:8, 4:11] = True
        >>> hd(a, b, spacing_mm=0.5)
        1.5
    """
    return SurfaceDistances(pred, ref, spacing_mm, preset, empty).hd()


def hd_percentile(
    pred: ArrayLike,
    ref: ArrayLike,
    spacing_mm: Spacing = 1.0,
    preset: str = DEFAULT_PRESET,
    empty: str | float = "penalty",
    *,
    percentile: float,
) -> float:
    """Any percentile of the surface distances (:func:`hd95` with another number).

    Args:
        pred, ref, spacing_mm, preset, empty: as for :func:`hd95`.
        percentile: 0 to 100.

    Returns:
        mm.

    Raises:
        InputError: as for :func:`hd95`; a percentile outside 0 to 100.

    Example:
        >>> a, b = np.zeros((16, 16), bool), np.zeros((16, 16), bool)
        >>> a[4:8, 4:8] = b[4:8, 4:11] = True
        >>> hd_percentile(a, b, percentile=50)
        0.0
    """
    return SurfaceDistances(pred, ref, spacing_mm, preset, empty).hd_percentile(percentile)


def hd95(
    pred: ArrayLike,
    ref: ArrayLike,
    spacing_mm: Spacing = 1.0,
    preset: str = DEFAULT_PRESET,
    empty: str | float = "penalty",
) -> float:
    """95th percentile of the surface distances, the Hausdorff distance without its outliers.

    Args:
        pred: predicted mask, bool or 0/1 integers, 2-D or 3-D, any memory order.
        ref: reference mask, same shape.
        spacing_mm: mm per voxel: one number, or one per axis in the masks' axis order.
        preset: whose definition: "metrics-reloaded" (default), "medpy", "monai", "deepmind", "brats2023".
        empty: what empty masks give, see ``eval/empty.py``. Default: the image diagonal in mm when one is
            empty, 0 when both are.

    Returns:
        mm.

    Raises:
        InputError: different shapes, other dtypes or values, a bad spacing, an unknown preset or policy;
            an empty mask under ``empty="raise"``.

    Example:
        >>> a, b = np.zeros((16, 16), bool), np.zeros((16, 16), bool)
        >>> a[4:8, 4:8] = b[4:8, 4:11] = True
        >>> hd95(a, b), round(hd95(a, b, preset="medpy"), 2), hd95(a, a & False)
        (3.0, 3.0, 22.627416997969522)
    """
    return SurfaceDistances(pred, ref, spacing_mm, preset, empty).hd95()


def assd(
    pred: ArrayLike,
    ref: ArrayLike,
    spacing_mm: Spacing = 1.0,
    preset: str = DEFAULT_PRESET,
    empty: str | float = "penalty",
) -> float:
    """Average symmetric surface distance.

    Over the points of both surfaces together, or with corner presets (deepmind, brats2023) the mean of the
    two directed means, weighted by area.

    Args:
        pred, ref, spacing_mm, preset, empty: as for :func:`hd95`.

    Returns:
        mm.

    Raises:
        InputError: as for :func:`hd95`.

    Example:
        >>> a, b = np.zeros((16, 16), bool), np.zeros((16, 16), bool)
        >>> a[4:8, 4:8] = b[4:8, 4:11] = True
        >>> round(assd(a, b), 4)
        0.6667
    """
    return SurfaceDistances(pred, ref, spacing_mm, preset, empty).assd()


def nsd(
    pred: ArrayLike,
    ref: ArrayLike,
    tolerance_mm: float,
    spacing_mm: Spacing = 1.0,
    preset: str = DEFAULT_PRESET,
    empty: str | float = "penalty",
) -> float:
    """Normalised surface distance (surface Dice): the share of both surfaces within a tolerance.

    Args:
        pred, ref, spacing_mm, preset: as for :func:`hd95`; corner presets weight by area (Nikolov et al.).
        tolerance_mm: the largest distance that counts as agreement.
        empty: what empty masks give. Default: 0 when one is empty, 1 when both are.

    Returns:
        0 to 1.

    Raises:
        InputError: as for :func:`hd95`; a negative tolerance.

    Example:
        >>> a, b = np.zeros((16, 16), bool), np.zeros((16, 16), bool)
        >>> a[4:8, 4:8] = b[4:8, 4:11] = True
        >>> round(nsd(a, b, tolerance_mm=1.0), 3)
        0.8
    """
    return SurfaceDistances(pred, ref, spacing_mm, preset, empty).nsd(tolerance_mm)


def surface_metrics(
    pred: ArrayLike,
    ref: ArrayLike,
    spacing_mm: Spacing = 1.0,
    tolerances_mm: tuple[float, ...] = (1.0, 2.0),
    preset: str = DEFAULT_PRESET,
    empty: str | float = "penalty",
) -> dict[str, float]:
    """Every surface metric of a pair from one computation.

    Args:
        pred, ref, spacing_mm, preset, empty: as for :func:`hd95`.
        tolerances_mm: tolerances of the NSD.

    Returns:
        ``hd``, ``hd95``, ``assd`` in mm and ``nsd_<tolerance>mm`` per tolerance.

    Raises:
        InputError: as for :func:`hd95`.

    Example:
        >>> a, b = np.zeros((16, 16), bool), np.zeros((16, 16), bool)
        >>> a[4:8, 4:8] = b[4:8, 4:11] = True
        >>> sorted(surface_metrics(a, b))
        ['assd', 'hd', 'hd95', 'nsd_1mm', 'nsd_2mm']
    """
    distances = SurfaceDistances(pred, ref, spacing_mm, preset, empty)
    values = {"hd": distances.hd(), "hd95": distances.hd95(), "assd": distances.assd()}
    return values | {f"nsd_{t:g}mm": distances.nsd(t) for t in tolerances_mm}
