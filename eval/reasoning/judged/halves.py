"""Two halves of the images: everything is chosen on one, everything is reported on the other.

Descriptions that read almost alike stay together, so that no half has seen the other's sentences.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

from .gutvlm import Description
from .words import tokens

NEAR = 0.6
"""Jaccard of pairs of neighbouring words from which two descriptions are near-duplicates. At 0.5 nearly all
of a set written from one template hang together, and there are no two halves."""


def groups(texts: Sequence[str], near: float = NEAR) -> NDArray[np.int64]:
    """Which near-duplicates hang together, directly or through others.

    Args:
        texts: N of them.
        near: Jaccard similarity of their sets of word pairs, 0 to 1, from which two are one group.

    Returns:
        (N,) group of each, numbered by first appearance.

    Example:
        >>> groups(["An image of cecum. No polyps.", "An image of cecum, no polyps", "One polyp is seen."])
        array([0, 0, 1])
    """
    rows, columns = [], []
    known: dict[tuple[str, str], int] = {}
    for row, text in enumerate(texts):
        words = tokens(text)
        pairs = dict.fromkeys(zip(("", *words), (*words, ""), strict=True))
        rows += [row] * len(pairs)
        columns += [known.setdefault(pair, len(known)) for pair in pairs]
    present = csr_array((np.ones(len(rows)), (rows, columns)), shape=(len(texts), max(1, len(known))))
    shared = (present @ present.T).tocoo()
    size = present.sum(axis=1)
    close = shared.data >= near * (size[shared.row] + size[shared.col] - shared.data)
    graph = csr_array((close[close], (shared.row[close], shared.col[close])), shape=(len(texts),) * 2)
    return _by_appearance(connected_components(graph, directed=False)[1])


def _by_appearance(labels: NDArray[np.integer]) -> NDArray[np.int64]:
    _, first, inverse = np.unique(labels, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[inverse].astype(np.int64)


def choosing(descriptions: Sequence[Description], seed: int = 0) -> NDArray[np.bool_]:
    """Which descriptions choices are made on; the others are reported.

    A group goes where the hash of the seed and of its first image's name (in alphabetical order) says, so
    neither the order of a file nor what else is in it moves a group.

    Args:
        descriptions: N of them.
        seed: another one, another split.

    Returns:
        (N,) bool.
    """
    of = groups([one.original for one in descriptions])
    first: dict[int, str] = {}
    for group, one in zip(of.tolist(), descriptions, strict=True):
        first[group] = min(first.get(group, one.image), one.image)
    side = {
        group: hashlib.sha256(f"{seed}:{name}".encode()).digest()[0] % 2 == 0 for group, name in first.items()
    }
    return np.array([side[group] for group in of.tolist()], dtype=np.bool_)
