"""Make the bundled template: tissue maps of half a symmetric average brain, from the files nilearn ships.

Run once by a maintainer, ``python -m voxzoo.zoo.phantom.build_template``; nilearn is needed for its data
files alone and is no dependency of voxzoo. The result is small because the ICBM 152 template used is mirror
symmetric (checked here), and because 1.5 mm and eight bits hold the detail of an average of 152 people.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import CaseError, MissingDependencyError
from ..nifti import read_nifti

SPACING_MM = 1.5
BOUNDS_MM = ((0.0, 76.5), (-115.5, 81.0), (-75.0, 88.5))
"""World box (right, anterior, superior) that is kept; x starts at the mirror plane."""

DEPTH_STEP_MM = 0.2
DEPTH_ZERO = 40
"""Depth is stored as uint8: (value - DEPTH_ZERO) * DEPTH_STEP_MM mm below the brain's surface, clipped."""

CHANNELS = ("gm", "wm", "depth", "ventricle")
TARGET = Path(__file__).with_name("icbm152_half.npz")


def build(target: Path = TARGET) -> Path:
    """Write the bundled ``.npz`` and return its path.

    Args:
        target: where to write.

    Returns:
        ``target``. The file holds ``maps`` (4, nx, ny, nz) uint8 in the order of ``CHANNELS``,
        ``origin_mm`` (3,) and ``spacing_mm``.

    Raises:
        MissingDependencyError: nilearn is not installed.
        CaseError: its template is not mirror symmetric (another release was put in its place).
    """
    gm, wm, t1 = (_load(name) for name in ("gm", "wm", "t1"))
    brain = _brain_mask(gm + wm, t1)
    csf = np.clip(1.0 - gm - wm, 0.0, 1.0) * brain
    full = [gm * brain, wm * brain, _depth(brain), _ventricles(csf, brain)]
    maps = np.stack([_resample(channel) for channel in full])
    scale = np.array([255.0, 255.0, 1.0 / DEPTH_STEP_MM, 255.0])[:, None, None, None]
    offset = np.array([0.0, 0.0, DEPTH_ZERO, 0.0])[:, None, None, None]
    stored = np.clip(np.rint(maps * scale + offset), 0, 255).astype(np.uint8)
    origin = np.array([low for low, _ in BOUNDS_MM])
    np.savez_compressed(target, maps=stored, origin_mm=origin, spacing_mm=np.float64(SPACING_MM))
    return target


def _load(kind: str) -> Any:
    """One template volume of nilearn, float32 in 0..1, mirror symmetric; voxel x is at world x - 98 mm."""
    spec = find_spec("nilearn")
    if spec is None or spec.origin is None:
        raise MissingDependencyError("the template is derived from files of nilearn: pip install nilearn")
    path = Path(spec.origin).parent / f"datasets/data/mni_icbm152_{kind}_tal_nlin_sym_09a_converted.nii.gz"
    volume = read_nifti(path)
    array = np.ascontiguousarray(volume.array).astype(np.float32) / 255.0
    if not np.array_equal(array, array[::-1]):
        raise CaseError(f"{path}: expected the mirror symmetric release (nlin_sym_09a), this one is not")
    return array


def _brain_mask(tissue: Any, t1: Any) -> Any:
    """The brain with its ventricles and the fluid in its sulci: tissue or T1 signal, closed, holes filled."""
    from scipy import ndimage

    mask = (tissue > 0.25) | ((t1 > 0.12) & (ndimage.gaussian_filter(tissue, 2.0) > 0.25))
    ball = ndimage.generate_binary_structure(3, 1)
    mask = ndimage.binary_closing(np.pad(mask, 8), ball, iterations=4)[8:-8, 8:-8, 8:-8]
    labels, count = ndimage.label(mask)
    largest = 1 + int(np.argmax(ndimage.sum_labels(mask, labels, range(1, count + 1))))
    return ndimage.binary_fill_holes(labels == largest)


def _depth(brain: Any) -> Any:
    """Signed distance to the brain's surface in mm, positive inside, lightly smoothed."""
    from scipy import ndimage

    inside = ndimage.distance_transform_edt(brain).astype(np.float32)
    outside = ndimage.distance_transform_edt(~brain).astype(np.float32)
    return ndimage.gaussian_filter(np.where(brain, inside - 0.5, 0.5 - outside), 0.7)


def _ventricles(csf: Any, brain: Any) -> Any:
    """Fluid of the lateral and third ventricles: central fluid, grown back into its own partial volume."""
    from scipy import ndimage

    x, y, z = (np.arange(n) - o for n, o in zip(csf.shape, (98, 134, 72), strict=True))
    box = (np.abs(x)[:, None, None] < 42) & ((y > -58) & (y < 42))[None, :, None] & ((z > -26) & (z < 36))
    deep = (ndimage.distance_transform_edt(brain) > 18) & box
    labels, count = ndimage.label((csf > 0.35) & deep)
    sizes = ndimage.sum_labels(np.ones_like(labels), labels, range(1, count + 1))
    core = np.isin(labels, 1 + np.flatnonzero(sizes > 150))
    return csf * ndimage.binary_dilation(core, iterations=2) * box


def _resample(volume: Any) -> Any:
    """The half with x >= 0 on the stored lattice, averaged over the larger voxel first."""
    from scipy import ndimage

    smooth = ndimage.gaussian_filter(volume, 0.45)
    axes = [np.arange(low, high + 1e-6, SPACING_MM) for low, high in BOUNDS_MM]
    index = np.meshgrid(axes[0] + 98, axes[1] + 134, axes[2] + 72, indexing="ij")
    return ndimage.map_coordinates(smooth, index, order=1, mode="nearest")


if __name__ == "__main__":
    print(build())
