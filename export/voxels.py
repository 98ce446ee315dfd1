"""Single voxels of many volumes: what a network that looks at each voxel by itself learns from.

A step then holds voxels of all patients, each patient with as much tumour as the next, where one crop would
hold those of one; and what varies between scanners is drawn for every voxel anew.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from ..zoo.errors import UsageError
from .networks import build
from .recipe import Recipe
from .samples import TrainingVolume

Array = NDArray[np.float32]


@dataclass(frozen=True)
class Drawn:
    """Voxels of one or more volumes.

    Attributes:
        features: (n, F), as ``Voxelwise3D.features`` orders them.
        targets: (n, K) in [0, 1].
    """

    features: Array
    targets: Array


class VoxelSampler:
    """Draws batches of voxels, their intensities varied.

    Args:
        volumes: to learn from.
        recipe: its ``voxels`` section says how many, and how much they vary; its network gives features.

    Raises:
        UsageError: none of the volumes has a voxel of the first region.
    """

    def __init__(self, volumes: Sequence[TrainingVolume], recipe: Recipe) -> None:
        self.recipe = recipe
        network = build(recipe.network, **recipe.options)
        with torch.no_grad():
            drawn = [
                draw(volume, network.features(_tensor(volume))[0].numpy(), recipe, number)
                for number, volume in enumerate(volumes)
                if len(volume.inside)
            ]
        if not drawn:
            raise UsageError("no volume has a tumour: there are no voxels to learn from")
        self.features = np.concatenate([d.features for d in drawn])
        self.targets = np.concatenate([d.targets for d in drawn])

    def batch(self, step: int) -> tuple[Array, Array]:
        """Features (B, F) and targets (B, K) of one step."""
        rng = np.random.default_rng([self.recipe.seed, step])
        chosen = rng.integers(len(self.features), size=self.recipe.fit.batch)
        return self._varied(self.features[chosen], rng), self.targets[chosen]

    def _varied(self, features: Array, rng: np.random.Generator) -> Array:
        """Gain and shift of every channel, the same at all scales; a shift between the sides; noise."""
        spec, channels = self.recipe.voxels, len(self.recipe.input.channels)
        parts = features.reshape(len(features), 2, -1, channels)  # voxel, side, scale, channel

        def normal(amount: float, *shape: int) -> Array:
            return np.float32(amount) * rng.standard_normal((len(features), *shape), dtype=np.float32)

        parts = parts * (1 + normal(spec.gain, 1, 1, channels)) + normal(spec.shift, 1, 1, channels)
        parts[:, 1] += normal(spec.sides, 1, channels)
        return parts.reshape(features.shape) + normal(spec.noise, features.shape[1])


def draw(volume: TrainingVolume, features: Array, recipe: Recipe, number: int) -> Drawn:
    """As many voxels inside the first region and of the rest of the brain as the recipe says, with repeats.

    Args:
        volume: with at least one voxel inside.
        features: (F, D, H, W) of it.
        recipe: its seed and ``voxels`` section.
        number: of the volume; each draws differently.
    """
    rng = np.random.default_rng([recipe.seed, number])
    inside = volume.label[0] > 127
    brain = (volume.image != 0).any(0)
    spec, places = recipe.voxels, []
    for mask, count in ((inside & brain, spec.inside), (brain & ~inside, spec.outside)):
        found = np.flatnonzero(mask)
        if len(found):
            places.append(rng.choice(found, count, replace=len(found) < count))
    chosen = np.concatenate(places)
    flat = features.reshape(len(features), -1)[:, chosen]
    targets = volume.label.reshape(len(volume.label), -1)[:, chosen] > 127
    return Drawn(np.ascontiguousarray(flat.T), np.ascontiguousarray(targets.T, dtype=np.float32))


def _tensor(volume: TrainingVolume) -> torch.Tensor:
    return torch.from_numpy(volume.image.astype(np.float32))[None]
