"""Training of segmenters: crops of volumes, overlapping regions, Dice on whole held-out volumes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ...eval.overlap import dice
from ..deployed import deployed
from ..device import dense
from ..losses import region_loss
from ..recipe import Recipe
from ..samples import Sampler, TrainingVolume
from ..volumes import OutlinedSampler, OutlinedVolume, fitted
from ..voxels import VoxelSampler

Volume = TrainingVolume | OutlinedVolume


@dataclass(frozen=True)
class TrainingSet:
    """What one training sees.

    Attributes:
        real: patients to learn from.
        phantoms: phantoms to learn from.
        held_out: patients to validate on; never learned from.
    """

    real: Sequence[Volume]
    phantoms: Sequence[Volume]
    held_out: Sequence[Volume] = ()

    def describe(self) -> dict[str, list[str]]:
        """Case ids by role."""
        return {
            "real": [v.case for v in self.real],
            "phantoms": [v.case for v in self.phantoms],
            "held_out": [v.case for v in self.held_out],
        }


class SegmentTask:
    """A ``TrainingTask`` for regions of volumes.

    Args:
        recipe: its loss, regions and threshold.
        data: volumes on the model's grid.
    """

    metric = "Dice"

    def __init__(self, recipe: Recipe, data: TrainingSet) -> None:
        self.recipe, self.data = recipe, data
        self.samples = len(data.real) + len(data.phantoms)
        self._sampler = sampler(recipe, data)

    def batch(self, step: int) -> tuple[np.ndarray, ...]:
        return self._sampler.batch(step)

    def loss(self, network: nn.Module, tensors: tuple[Tensor, ...]) -> Tensor:
        image, label = tensors
        if self.recipe.voxels.inside:
            return region_loss(self.recipe.loss, network.perceptron(image), label)
        return region_loss(self.recipe.loss, network(dense(image)), label)

    def validate(self, network: nn.Module, device: torch.device) -> dict[str, float]:
        """``by_case``, by ``case/region``."""
        cases = self.by_case(network, device)
        return {f"{case}/{region}": value for case, found in cases.items() for region, value in found.items()}

    def by_case(self, network: nn.Module, device: torch.device) -> dict[str, dict[str, float]]:
        """Dice of every region of whole volumes on the model's grid: a guide; zoo-eval gives results."""
        network.eval()
        out: dict[str, dict[str, float]] = {}
        for volume in self.data.held_out:
            found = self._probabilities(network, volume, device) > self.recipe.threshold
            truth = fitted(volume.label, self.recipe.input).astype(np.uint8) > 127
            pairs = zip(self.recipe.regions, found, truth, strict=True)
            out[volume.case] = {region: round(dice(a, b), 4) for region, a, b in pairs}
        return out

    def score(self, validation: dict[str, float]) -> float | None:
        """Mean Dice over cases and regions."""
        return round(float(np.mean(list(validation.values()))), 5) if validation else None

    def deployed(self, network: nn.Module) -> nn.Module:
        return deployed(self.recipe, network)

    def describe(self) -> dict[str, list[str]]:
        return self.data.describe()

    def _probabilities(self, network: nn.Module, volume: Volume, device: torch.device) -> np.ndarray:
        """(K, D, H, W)."""
        image = fitted(volume.image, self.recipe.input).astype(np.float32)
        with torch.no_grad():
            return torch.sigmoid(network(torch.from_numpy(image)[None].to(device)))[0].cpu().numpy()


def sampler(recipe: Recipe, data: TrainingSet) -> Any:
    """What draws the batches: augmented crops, single voxels, or whole volumes as the study drew them."""
    if recipe.voxels.inside:
        return VoxelSampler([*data.real, *data.phantoms], recipe)  # type: ignore[list-item]
    if recipe.input.preprocessing == "paper":
        return OutlinedSampler([*data.real, *data.phantoms], recipe)  # type: ignore[list-item]
    return Sampler(data.real, data.phantoms, recipe)  # type: ignore[arg-type]
