"""Everything that a training carries from one step to the next, and its checkpoint."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from ..zoo.errors import ModelError
from . import optim, weights
from .device import Precision, channels_last, random_state, set_random_state
from .networks import build
from .recipe import Recipe


@dataclass
class State:
    """A training at one step.

    Attributes:
        recipe: what is trained.
        device: where.
        network: what the optimiser moves.
        average: the running average of its weights, which is validated and exported.
        optimiser: with its slots.
        precision: with its loss scale.
        step: steps done.
    """

    recipe: Recipe
    device: torch.device
    network: nn.Module
    average: nn.Module
    optimiser: torch.optim.Optimizer
    precision: Precision
    step: int = 0

    @classmethod
    def fresh(cls, recipe: Recipe, device: torch.device, init: dict[str, Tensor] | None, where: str) -> State:
        """Step 0: seeded weights, or ``init``, which messages call ``where``."""
        torch.manual_seed(recipe.seed)
        network = channels_last(build(recipe.network, **recipe.options)).to(device)
        average = build(recipe.network, **recipe.options).to(device)
        if init is not None:
            weights.put(init, network, where)
        average.load_state_dict(network.state_dict())
        precision = Precision(recipe.fit.precision, device)
        return cls(recipe, device, network, average, optim.optimiser(recipe.fit, network), precision)

    def save(self, path: Path) -> None:
        """One safetensors file, replaced atomically."""
        tensors = {f"network.{k}": v for k, v in self.network.state_dict().items()}
        tensors |= {f"average.{k}": v for k, v in self.average.state_dict().items()}
        tensors |= {f"random.{k}": v for k, v in random_state(self.device).items()}
        for index, slots in self.optimiser.state_dict()["state"].items():
            kept = {k: torch.as_tensor(v) for k, v in slots.items() if v is not None}
            tensors |= {f"optimiser.{index}.{k}": v for k, v in kept.items()}
        scaler = json.dumps(self.precision.scaler.state_dict())
        weights.write(path, tensors, {"step": str(self.step), "scaler": scaler})

    def load(self, path: Path) -> None:
        """Go on from ``path`` if it is there.

        Raises:
            ModelError: not a whole checkpoint, or one of another network.
        """
        if not path.is_file():
            return
        tensors, facts = weights.read(path)
        if "step" not in facts:
            raise ModelError(f"{path}: no checkpoint of a training; delete it, and training begins again")
        weights.put(weights.below(tensors, "network."), self.network, str(path))
        weights.put(weights.below(tensors, "average."), self.average, str(path))
        slots: dict[int, dict[str, Tensor]] = {}
        for key, value in weights.below(tensors, "optimiser.").items():
            index, name = key.split(".", 1)
            slots.setdefault(int(index), {})[name] = value
        self.optimiser.load_state_dict(self.optimiser.state_dict() | {"state": slots})
        self.precision.scaler.load_state_dict(json.loads(facts.get("scaler", "{}")) or {})
        set_random_state(weights.below(tensors, "random."), self.device)
        self.step = int(facts["step"])

    def learn(self, loss: Tensor) -> None:
        """One optimiser step, and the running average after it; the average starts short so that the first
        validations mean something."""
        for group in self.optimiser.param_groups:
            group["lr"] = optim.learning_rate(self.recipe.fit, self.step)
        self.precision.step(loss, self.optimiser, self.network, self.recipe.fit.clip)
        self.step += 1
        keep = min(self.recipe.fit.average, (self.step + 1) / (self.step + 10))
        with torch.no_grad():
            for mean, value in zip(self.average.parameters(), self.network.parameters(), strict=True):
                mean.lerp_(value, 1 - keep)
            for mean, value in zip(self.average.buffers(), self.network.buffers(), strict=True):
                if value.is_floating_point():  # running statistics belong to the averaged weights
                    mean.lerp_(value, 1 - keep)
                else:
                    mean.copy_(value)
