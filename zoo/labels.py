"""Label files to canonical labels: 0 background, 1 necrosis, 2 edema, 3 enhancing; nothing guessed."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np

from .errors import LabelError

__all__ = ["CANONICAL_LABELS", "canonical"]

CANONICAL_LABELS: Mapping[int, int] = MappingProxyType({0: 0, 1: 1, 2: 2, 3: 3, 4: 3})
"""File label -> canonical label for BraTS of every year: enhancing tumour is 4, since 2023 it is 3."""

FRACTION_TOLERANCE = 1e-3
"""How far a float label may be from an integer: scaled label files are off by rounding, soft ones by far."""


def canonical(array: np.ndarray, labels: Mapping[int, int], name: str) -> np.ndarray:
    """Translate file labels to canonical ones.

    Args:
        array: (X, Y, Z) integers, or floats that hold integers (to ``FRACTION_TOLERANCE``).
        labels: label in the file -> canonical label 0..3.
        name: what to call the volume in a message.

    Returns:
        (X, Y, Z) uint8, of the array's memory order.

    Raises:
        LabelError: NaN, fractions or unknown labels; 3 and 4 together where both would become 3.
    """
    from .voxels import translate

    table = np.zeros(256, np.uint8)
    for source, target in labels.items():
        table[source] = target
    found = translate(array, table, FRACTION_TOLERANCE)
    if found.fractions:
        raise LabelError(
            f"{name}: {found.fractions} voxels hold no whole label (the first bad value: {found.first:g}); "
            "is this a label file?"
        )
    if found.outside:
        raise LabelError(f"{name}: {found.outside} voxels are outside 0..255 (the first: {found.first:g})")
    _check_labels(found.counts, labels, name)
    return found.labels


def _check_labels(counts: np.ndarray, labels: Mapping[int, int], name: str) -> None:
    present = [int(value) for value in np.flatnonzero(counts)]
    unknown = [value for value in present if value not in labels and value != 0]
    if unknown:
        many = int(counts[unknown].sum())
        raise LabelError(f"{name}: {many} voxels have labels {unknown}; known are {sorted(labels)}")
    if {3, 4} <= set(present) and labels.get(3) == labels.get(4):
        raise LabelError(f"{name}: labels 3 and 4 in one file: which of them is the enhancing tumour?")
