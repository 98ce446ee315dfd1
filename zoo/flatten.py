"""Divide out what a receive coil did to the brightness of one part of the head against another.

A polynomial of low order in the three coordinates is fitted to the logarithm of the brain's intensities by
iteratively reweighted least squares with Tukey's biweight, which gives what stands out (fluid, rims, tumour)
no say; the intensities are divided by its exponential. It is the idea of Guillemaud and Brady 1997
(doi 10.1109/42.585758) reduced to one smooth tissue: far coarser than N4, without anything to tune, and in
milliseconds. It looks at the image alone.
"""

from __future__ import annotations

from math import exp

import numpy as np
from numpy.typing import NDArray

from ..rasterize.jit import kernel

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
    brain = np.flatnonzero(image)
    if brain.size < 100 * (order + 1) ** 3:
        return image.copy()
    values = image.ravel()[brain].astype(np.float64)
    low, floor = np.percentile(values, (0.5, 1))
    shift = min(low, 0.0)
    every = max(1, brain.size // SAMPLES)
    places = np.stack(np.unravel_index(brain[::every], image.shape), axis=1)
    logs = np.log(np.maximum(values[::every], floor) - shift + 1e-3 * (floor - shift + 1))
    field = _fit(places / (np.maximum(image.shape, 2) - 1) * 2 - 1, logs, order)
    out = np.empty(image.shape, np.float32)
    _divide(image, shift, field, *(np.linspace(-1, 1, n) for n in image.shape), out)
    return out


@kernel
def _divide(
    image: NDArray[np.float32],
    shift: float,
    field: Array,
    z: Array,
    y: Array,
    x: Array,
    out: NDArray[np.float32],
) -> None:
    """out = (image - shift) / exp(polynomial), 0 in the background; by Horner, axis after axis."""
    terms = field.shape[0]
    plane, row = np.empty((terms, terms)), np.empty(terms)
    for i in range(z.size):
        for b in range(terms):
            for c in range(terms):
                plane[b, c] = 0.0
                for a in range(terms - 1, -1, -1):
                    plane[b, c] = plane[b, c] * z[i] + field[a, b, c]
        for j in range(y.size):
            for c in range(terms):
                row[c] = 0.0
                for b in range(terms - 1, -1, -1):
                    row[c] = row[c] * y[j] + plane[b, c]
            for k in range(x.size):
                if image[i, j, k] == 0:
                    out[i, j, k] = 0
                    continue
                value = 0.0
                for c in range(terms - 1, -1, -1):
                    value = value * x[k] + row[c]
                out[i, j, k] = (image[i, j, k] - shift) * exp(-value)


def _fit(at: Array, values: Array, order: int) -> Array:
    """Coefficients (order + 1,) * 3 of the polynomial's departure from its own median at ``at`` (n, 3)."""
    powers = [p for p in np.ndindex((order + 1,) * 3) if sum(p) <= order]
    of = np.cumprod([np.ones_like(at.T)] + [at.T] * order, axis=0)  # of[p, axis]: that coordinate to the p
    terms = np.stack([of[a, 0] * of[b, 1] * of[c, 2] for a, b, c in powers], axis=1)
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
