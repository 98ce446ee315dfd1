"""What the training loop knows of a task, and nothing more."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import torch
from torch import Tensor, nn


class TrainingTask(Protocol):
    """Data, loss and validation of one training.

    Attributes:
        metric: what ``score`` is called where people read it ("Dice", "macro-F1").
        samples: how many samples make an epoch.
    """

    metric: str
    samples: int

    def batch(self, step: int) -> tuple[np.ndarray, ...]:
        """The arrays of one step, batch first; they depend on (recipe's seed, step) alone.

        Called from threads ahead of time, so it must not touch torch's random state.
        """
        ...

    def loss(self, network: nn.Module, tensors: tuple[Tensor, ...]) -> Tensor:
        """The scalar loss of ``batch``'s arrays, which are on the device already, in the same order."""
        ...

    def validate(self, network: nn.Module, device: torch.device) -> dict[str, float]:
        """Figures on what is held out, by ``case/figure`` or by figure; empty where nothing is held out."""
        ...

    def by_case(self, network: nn.Module, device: torch.device) -> dict[str, dict[str, float]]:
        """Held-out case -> its figures, for the table of a cross-validation."""
        ...

    def score(self, validation: dict[str, float]) -> float | None:
        """One number of ``validate``'s, higher is better; None where nothing was held out.

        Early stopping and the choice of the best weights go by it.
        """
        ...

    def deployed(self, network: nn.Module) -> nn.Module:
        """The network in the form that is exported: its output is what the contract says."""
        ...

    def describe(self) -> dict[str, list[str]]:
        """Case ids by role: ``real``, ``phantoms``, ``held_out``."""
        ...
