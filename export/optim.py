"""Optimisers and learning-rate schedules by name."""

from __future__ import annotations

import math

import torch
from torch import nn

from .sections import FitSpec


def optimiser(fit: FitSpec, network: nn.Module) -> torch.optim.Optimizer:
    """The optimiser that the recipe names, over all parameters of ``network``."""
    parameters, rate, decay = network.parameters(), fit.learning_rate, fit.weight_decay
    if fit.optimiser == "sgd":
        return torch.optim.SGD(parameters, rate, momentum=0.9, nesterov=True, weight_decay=decay)
    kind = {"adamw": torch.optim.AdamW, "adam": torch.optim.Adam}[fit.optimiser]
    return kind(parameters, rate, weight_decay=decay)


def learning_rate(fit: FitSpec, step: int) -> float:
    """The rate of a step (from 0): a linear warm-up to the peak, then half a cosine to 0, or constant.

    Example:
        >>> fit = FitSpec(steps=100, learning_rate=1.0, warmup=10)
        >>> [round(learning_rate(fit, step), 3) for step in (0, 50, 99)]
        [0.1, 0.5, 0.0]
    """
    warm = min(1.0, (step + 1) / max(1, fit.warmup))
    if fit.schedule == "constant":
        return fit.learning_rate * warm
    return fit.learning_rate * warm * 0.5 * (1 + math.cos(math.pi * step / fit.steps))
