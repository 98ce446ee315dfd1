"""Divide out what a receive coil did to the brightness of one part of the head against another.

A polynomial of low order in the three coordinates is fitted to the logarithm of the brain's intensities by
iteratively reweighted least squares with Tukey's biweight, which gives what stands out (fluid, rims, tumour)
no say; the intensities are divided by its exponential. It is the idea of Guillemaud and Brady 1997
(doi 10.1109/42.585758) reduced to one smooth tissue: far coarser than N4, without anything to tune, and in
milliseconds. It looks at the image alone.
"""

from __future__ import annotations

import numpy as np
from numpy.polynomial.polynomial import polygrid3d
from numpy.typing import NDArray

ROUNDS = 6
SAMPLES = 30_000
"""Voxels that the fit looks at, evenly strided over the brain."""
REACH = 3.0
"""Residuals beyond so many robust standard deviations have no weight."""

Array = NDArray[np.float64]


def flatten(image: NDArray[np.float32], order: int) -> NDArray[np.float32]:
    """Even out the brightness of one image.

    Args:
        image: (D, H, W) float32; 0 is background.
        order: greatest total degree of the polynomial, 1 or more.

    Returns:
        A new float32 array; the background stays 0, the robust middle of the brain stays where it was. Where
        intensities reach below 0 (some collections' do) they are first moved up to be positive.

    Example:
        >>> z = np.linspace(-1, 1, 21, dtype=np.float32)[:, None, None]
        >>> tilted = np.exp(0.5 * z) * np.full((21, 20, 20), 100, np.float32)
        >>> flat = flatten(tilted, 1)
        >>> round(float(tilted.max() / tilted.min()), 2), round(float(flat.max() / flat.min()), 2)
        (2.72, 1.0)
    """
    brain = image != 0
    if np.count_nonzero(brain) < 100 * (order + 1) ** 3:
        return image.copy()
    values = image[brain].astype(np.float64)
    low, floor = np.percentile(values, (0.5, 1))
    shift = min(low, 0.0)
    places = np.argwhere(brain)[:: max(1, values.size // SAMPLES)]
    seen = image[tuple(places.T)].astype(np.float64)
    logs = np.log(np.maximum(seen, floor) - shift + 1e-3 * (floor - shift + 1))
    field = _fit(places / (np.maximum(image.shape, 2) - 1) * 2 - 1, logs, order)
    z, y, x = (np.linspace(-1, 1, n) for n in image.shape)
    out = ((image - shift) * np.exp(-polygrid3d(z, y, x, field))).astype(np.float32)
    return np.where(brain, out, np.float32(0))


def _fit(at: Array, values: Array, order: int) -> Array:
    """Coefficients (order + 1,) * 3 of the polynomial's departure from its own median at ``at`` (n, 3)."""
    powers = [p for p in np.ndindex((order + 1,) * 3) if sum(p) <= order]
    terms = np.stack([np.prod(at**p, axis=1) for p in powers], axis=1)
    low, high = np.percentile(values, (5, 95))
    weight = ((values >= low) & (values <= high)).astype(np.float64)
    for _ in range(ROUNDS):
        weighted = terms * weight[:, None]
        found = np.linalg.lstsq(weighted.T @ terms, weighted.T @ values, rcond=None)[0]
        rest = values - terms @ found
        spread = 1.4826 * float(np.median(np.abs(rest)))
        if spread < 1e-9:
            break
        weight = np.clip(1 - (rest / (REACH * spread)) ** 2, 0, None) ** 2
    field = np.zeros((order + 1,) * 3)
    for power, value in zip(powers, found, strict=True):
        field[power] = value
    field[0, 0, 0] -= np.median(terms @ found)
    return field
