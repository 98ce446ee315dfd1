"""Training of classifiers, of volumes and of 2-D images alike: whole inputs in, one class out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ...zoo.tasks.classify import softmax
from ..calibrate import Calibration, calibrate, likelihood_loss
from ..deployed import deployed
from ..device import dense
from ..ensemble import viewed
from ..losses import as_classes, class_loss, map_loss
from ..recipe import Recipe


class ClassSet(Protocol):
    """Cases with classes, on the model's grid: ``GradedSet`` and ``ImageSet``."""

    @property
    def cases(self) -> tuple[str, ...]: ...

    @property
    def targets(self) -> NDArray[np.int64]: ...

    def __len__(self) -> int: ...

    def tensor(self, index: int) -> NDArray[np.float32]: ...


class BatchSource(Protocol):
    """What draws augmented batches: ``GradedSampler`` and ``ImageSampler``."""

    def batch(self, step: int) -> tuple[NDArray[Any], ...]: ...


class ClassifyTask:
    """A ``TrainingTask`` for classes of whole cases.

    Args:
        recipe: its loss, batch and classes.
        source: of the batches.
        learned: what ``source`` draws from.
        held_out: name ("patients", "phantoms", "images") -> cases never learned from. The first one decides
            which weights are best, and the temperature is fitted on it.
        roles: case ids by role, as ``describe`` gives them.
    """

    metric = "macro-F1"

    def __init__(
        self,
        recipe: Recipe,
        source: BatchSource,
        learned: ClassSet,
        held_out: Mapping[str, ClassSet],
        roles: dict[str, list[str]],
    ) -> None:
        self.recipe, self.source, self.learned, self.roles = recipe, source, learned, roles
        self.held_out = {name: cases for name, cases in held_out.items() if len(cases)}
        self.samples = len(learned)

    def batch(self, step: int) -> tuple[np.ndarray, ...]:
        return self.source.batch(step)

    def loss(self, network: nn.Module, tensors: tuple[Tensor, ...]) -> Tensor:
        images, targets, *masks = tensors
        if not masks:
            return class_loss(self.recipe.loss, network(dense(images)), targets)
        logits, places = network.with_map(dense(images))
        found = map_loss(places, masks[0])
        return class_loss(self.recipe.loss, logits, targets) + self.recipe.fit.mask_weight * found

    def validate(self, network: nn.Module, device: torch.device) -> dict[str, float]:
        """Accuracy, macro-F1 and mean -log p(true class) of each held-out set, by ``set/figure``."""
        out = {}
        for name, cases in self.held_out.items():
            logits = self.logits(network, cases, device)
            found = logits.argmax(1)
            out[f"{name}/accuracy"] = round(float((found == cases.targets).mean()), 4)
            out[f"{name}/macro-F1"] = round(macro_f1(found, cases.targets), 4)
            out[f"{name}/NLL"] = round(likelihood_loss(softmax(logits), cases.targets), 4)
        return out

    def by_case(self, network: nn.Module, device: torch.device) -> dict[str, dict[str, float]]:
        """Of each case of the first held-out set: the answer, the truth (class numbers) and p(truth)."""
        out: dict[str, dict[str, float]] = {}
        for cases in list(self.held_out.values())[:1]:
            p = softmax(self.logits(network, cases, device))
            for case, row, target in zip(cases.cases, p, cases.targets, strict=True):
                truth = round(float(row[target]), 5)
                correct = float(row.argmax() == target)
                out[case] = {
                    "correct": correct,
                    "p_true": truth,
                    "found": int(row.argmax()),
                    "target": int(target),
                }
        return out

    def score(self, validation: dict[str, float]) -> float | None:
        """Macro-F1 of the first held-out set."""
        return validation[f"{next(iter(self.held_out))}/macro-F1"] if self.held_out else None

    def deployed(self, network: nn.Module) -> nn.Module:
        return deployed(self.recipe, network)

    def describe(self) -> dict[str, list[str]]:
        return self.roles

    def logits(self, network: nn.Module, cases: ClassSet, device: torch.device) -> NDArray[np.float32]:
        """(n, K), batch by batch, of the network as it is deployed."""
        size, found = self.recipe.fit.batch, []
        network = viewed(self.recipe, network).eval()
        with torch.no_grad():
            for first in range(0, len(cases), size):
                some = [cases.tensor(i) for i in range(first, min(first + size, len(cases)))]
                found.append(as_classes(network(torch.from_numpy(np.stack(some)).to(device))).cpu().numpy())
        return np.concatenate(found)

    def calibration(self, network: nn.Module) -> Calibration | None:
        """The temperature of a trained network, fitted on the first held-out set; None without one."""
        for name, cases in self.held_out.items():
            logits = self.logits(network, cases, next(network.parameters()).device)
            return calibrate(logits, cases.targets, cases.cases, f"held-out {name}")
        return None


def macro_f1(found: NDArray[np.int64], targets: NDArray[np.int64]) -> float:
    """Mean F1 over the classes that occur among answers or truths.

    Example:
        >>> macro_f1(np.array([0, 0, 1]), np.array([0, 1, 1]))  # F1 is 2/3 for both classes
        0.6666666666666666
    """
    scores = []
    for k in np.union1d(found, targets):
        hits = np.sum((found == k) & (targets == k))
        scores.append(2 * hits / (np.sum(found == k) + np.sum(targets == k)))
    return float(np.mean(scores))
