"""Which images may show one patient, where nobody says: near-duplicates, and neighbours in a numbered series.

Public sets of slices seldom name patients. Split by image, the neighbours of a test slice are then learned
from, and the score says little. Two signs of kinship are looked for: pixels, by the correlation of what is
left of two pictures after their slow changes are removed; and serial numbers, since slices of one volume were
usually numbered in a row. Neither proves anything; both together keep apart what should be.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

from ..zoo.errors import UsageError
from ..zoo.images import ImageCase

SIDE = 48
MARGIN = 1 / 8


def grouped(
    cases: Sequence[ImageCase], alike: float = 0.7, series: str = "", run: int = 20
) -> list[ImageCase]:
    """The same cases, with one ``patient`` for all that may be kin (directly, or over others).

    Args:
        cases: images; what their ``patient`` holds together already stays together.
        alike: images whose ``signature`` correlates above this are kin; 1 looks at no pixels.
        series: a regular expression with one group, the serial number in a case's id; "" for none.
        run: numbers that are equal after division by this, rounded down, are kin.

    Raises:
        UsageError: ``series`` is no such expression, or does not fit a case's id; ``run`` below 1.
        CaseError: an image cannot be read.
    """
    if run < 1:
        raise UsageError(f"run = {run}: at least 1 number makes a run")
    links = [_equal([case.patient for case in cases])]
    if series:
        links.append(_equal([str(number // run) for number in _serials(cases, series)]))
    if alike < 1:
        links.append(_above(np.stack([signature(case.read()) for case in cases]), alike))
    rows, columns = np.concatenate(links, axis=1)
    graph = csr_array((np.ones(len(rows), bool), (rows, columns)), shape=(len(cases), len(cases)))
    group = connected_components(graph, directed=False)[1]
    first = np.unique(group, return_index=True)[1]
    return [replace(case, patient=cases[first[g]].patient) for case, g in zip(cases, group, strict=True)]


def signature(image: NDArray[np.uint8]) -> NDArray[np.float32]:
    """A unit vector whose dot product with another image's says how alike they are.

    The middle square without an eighth on every side (frames, text and insets of recorders live there), 48 x
    48, minus its blurred self (sigma 2), clipped to two standard deviations (highlights), of mean 0.

    Args:
        image: (H, W) or (H, W, 3) uint8.

    Example:
        >>> image = np.random.default_rng(0).integers(0, 256, (90, 100), dtype=np.uint8)
        >>> round(float(signature(image) @ signature(255 - image // 2)), 2)
        -1.0
    """
    grey = image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    height, width = grey.shape
    half = int(min(height, width) * (0.5 - MARGIN))
    y, x = height // 2, width // 2
    middle = grey[max(0, y - half) : y + half + 1, max(0, x - half) : x + half + 1]
    small = cv2.resize(middle, (SIDE, SIDE), interpolation=cv2.INTER_AREA).astype(np.float32)
    fine = small - cv2.GaussianBlur(small, (0, 0), 2)
    limit = 2 * fine.std()
    fine = np.clip(fine, -limit, limit).ravel()
    fine -= fine.mean()
    return fine / max(float(np.linalg.norm(fine)), 1e-6)


def _equal(keys: Sequence[str]) -> NDArray[np.int64]:
    """(2, n) links: every item to the first with its key."""
    first: dict[str, int] = {}
    return np.array([[first.setdefault(key, i), i] for i, key in enumerate(keys)], np.int64).T


def _above(vectors: NDArray[np.float32], limit: float) -> NDArray[np.int64]:
    """(2, n) links between unit vectors whose dot product is above ``limit``; block by block."""
    found = []
    for start in range(0, len(vectors), 512):
        rows, columns = np.nonzero(vectors[start : start + 512] @ vectors.T > limit)
        found.append(np.stack([rows + start, columns]))
    return np.concatenate(found, axis=1)


def _serials(cases: Sequence[ImageCase], series: str) -> list[int]:
    try:
        pattern = re.compile(series)
    except re.error as error:
        raise UsageError(f"series {series!r} is no regular expression: {error}") from None
    hits = [pattern.search(case.id) for case in cases]
    for case, hit in zip(cases, hits, strict=True):
        if not hit or pattern.groups != 1 or not hit[1].isdecimal():
            raise UsageError(
                f"series {series!r} has to find one number in every id; it does not in {case.id!r}"
            )
    return [int(hit[1]) for hit in hits if hit]
