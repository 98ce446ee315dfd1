"""Which sample comes next: every one of a pool once before any comes again, by (seed, number of the draw)."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray


class Rounds:
    """Pools that take turns, each dealt in shuffled rounds.

    Args:
        targets: (n,) class numbers of the samples.
        classes: how many classes there are.
        balanced: a pool per class, so that each is drawn equally often; else one pool of all.
        seed: another seed, another order.

    Example:
        >>> rounds = Rounds([0, 1, 1, 1], classes=2, balanced=True, seed=0)
        >>> sorted(rounds.index(draw) for draw in range(6))
        [0, 0, 0, 1, 2, 3]
    """

    def __init__(self, targets: ArrayLike, classes: int, balanced: bool, seed: int) -> None:
        numbers = np.asarray(targets)
        kinds = [np.flatnonzero(numbers == k) for k in range(classes)]
        self.seed = seed
        self.pools = [p for p in kinds if len(p)] if balanced else [np.arange(len(numbers))]

    def index(self, draw: int) -> int:
        """The sample drawn as number ``draw``, from 0."""
        turn, place = divmod(draw, len(self.pools))
        which = int(self._shuffled(len(self.pools), 0, turn)[place])
        pool = self.pools[which]
        around, position = divmod(turn, len(pool))
        return int(pool[self._shuffled(len(pool), 1 + which, around)[position]])

    def _shuffled(self, n: int, stream: int, around: int) -> NDArray[np.int64]:
        return np.random.default_rng([self.seed, stream, around]).permutation(n)
