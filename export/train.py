"""The training loop: seeded, resumable, with its curve kept as data.

A training folder holds ``recipe.json`` (what is trained, on which cases), ``curve.jsonl`` (a line per
validation), ``last.safetensors`` (everything needed to go on) and, at the end, ``weights.safetensors`` (the
running average of the weights, which is what was validated). Crops depend on (seed, step) alone, so a run
that was killed resumes to the same curve.
"""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional as F

from ..zoo.errors import RunError
from .networks import build
from .recipe import Recipe
from .samples import Sampler, TrainingVolume

Report = Callable[[dict[str, Any]], None]


@dataclass(frozen=True)
class TrainingSet:
    """What one training sees.

    Attributes:
        real: patients to learn from.
        phantoms: phantoms to learn from.
        held_out: patients to validate on; never learned from.
    """

    real: Sequence[TrainingVolume]
    phantoms: Sequence[TrainingVolume]
    held_out: Sequence[TrainingVolume] = ()

    def describe(self) -> dict[str, list[str]]:
        """Case ids by role."""
        return {
            "real": [v.case for v in self.real],
            "phantoms": [v.case for v in self.phantoms],
            "held_out": [v.case for v in self.held_out],
        }


def train(recipe: Recipe, data: TrainingSet, folder: Path, report: Report = lambda line: None) -> nn.Module:
    """Train, or go on with, the model that ``recipe`` describes.

    Args:
        recipe: what to make.
        data: volumes on the model's grid.
        folder: where the training lives; one that holds another training is refused.
        report: called with each line of the curve: step, loss, held-out Dice, seconds left.

    Returns:
        The network with its averaged weights, in eval mode.

    Raises:
        RunError: the folder cannot be written or holds another training.
    """
    _claim(folder, recipe, data)
    state = _State.fresh(recipe)
    state.load(folder / "last.safetensors")
    sampler = Sampler(data.real, data.phantoms, recipe)
    _loop(state, sampler, data, folder, report)
    save_file(_contiguous(state.average.state_dict()), folder / "weights.safetensors")
    return state.average.eval()


@dataclass
class _State:
    """Everything that a checkpoint holds."""

    recipe: Recipe
    network: nn.Module
    average: nn.Module
    optimiser: torch.optim.Optimizer
    step: int = 0

    @classmethod
    def fresh(cls, recipe: Recipe) -> _State:
        torch.manual_seed(recipe.seed)
        network = build(recipe.network, **recipe.options).to(memory_format=torch.channels_last_3d)
        average = build(recipe.network, **recipe.options)
        average.load_state_dict(network.state_dict())
        fit = recipe.fit
        optimiser = torch.optim.AdamW(network.parameters(), fit.learning_rate, weight_decay=fit.weight_decay)
        return cls(recipe, network, average, optimiser)

    def save(self, path: Path) -> None:
        """One safetensors file, replaced atomically."""
        tensors = {f"network.{k}": v for k, v in self.network.state_dict().items()}
        tensors |= {f"average.{k}": v for k, v in self.average.state_dict().items()}
        for index, slots in self.optimiser.state_dict()["state"].items():
            tensors |= {f"optimiser.{index}.{k}": torch.as_tensor(v) for k, v in slots.items()}
        part = path.with_suffix(".part")
        save_file(_contiguous(tensors), part, {"step": str(self.step)})
        os.replace(part, path)

    def load(self, path: Path) -> None:
        """Go on from ``path`` if it is there."""
        if not path.is_file():
            return
        tensors = load_file(path)
        with safe_open(path, "pt") as file:
            self.step = int(file.metadata()["step"])
        self.network.load_state_dict(_below(tensors, "network."))
        self.average.load_state_dict(_below(tensors, "average."))
        slots: dict[int, dict[str, Tensor]] = {}
        for key, value in _below(tensors, "optimiser.").items():
            index, name = key.split(".", 1)
            slots.setdefault(int(index), {})[name] = value
        self.optimiser.load_state_dict(self.optimiser.state_dict() | {"state": slots})

    def average_in(self) -> None:
        """Move the running average; it starts short so that the first validations mean something."""
        keep = min(self.recipe.fit.average, (self.step + 1) / (self.step + 10))
        with torch.no_grad():
            for mean, value in zip(self.average.parameters(), self.network.parameters(), strict=True):
                mean.lerp_(value, 1 - keep)


def _loop(state: _State, sampler: Sampler, data: TrainingSet, folder: Path, report: Report) -> None:
    """All steps that are left; crops of the next step are made while this one is learned."""
    fit, began, losses = state.recipe.fit, time.monotonic(), []
    first = state.step
    with ThreadPoolExecutor(1) as ahead:
        upcoming = ahead.submit(sampler.batch, state.step)
        while state.step < fit.steps:
            batch = upcoming.result()
            upcoming = ahead.submit(sampler.batch, state.step + 1)
            losses.append(_learn(state, batch))
            state.step += 1
            state.average_in()
            if state.step % fit.validate_every and state.step != fit.steps:
                continue
            pace = (time.monotonic() - began) / (state.step - first)
            line = {
                "step": state.step,
                "loss": round(float(np.mean(losses)), 5),
                "dice": validate(state.average, data.held_out, state.recipe.threshold),
            }
            losses.clear()
            state.save(folder / "last.safetensors")
            _append(folder / "curve.jsonl", line)
            report(line | {"of": fit.steps, "seconds_left": round(pace * (fit.steps - state.step))})


def _learn(state: _State, batch: tuple[np.ndarray, np.ndarray]) -> float:
    """One optimiser step."""
    image, label = (torch.from_numpy(np.ascontiguousarray(part)) for part in batch)
    for group in state.optimiser.param_groups:
        group["lr"] = learning_rate(state.recipe, state.step)
    logits = state.network(image.contiguous(memory_format=torch.channels_last_3d))
    loss = soft_dice_loss(logits, label) + F.binary_cross_entropy_with_logits(logits, label)
    state.optimiser.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(state.network.parameters(), 1.0)
    state.optimiser.step()
    return float(loss.detach())


def learning_rate(recipe: Recipe, step: int) -> float:
    """Linear warm-up to the peak, then half a cosine down to 0."""
    fit = recipe.fit
    warm = min(1.0, (step + 1) / max(1, fit.warmup))
    return fit.learning_rate * warm * 0.5 * (1 + math.cos(math.pi * step / fit.steps))


def soft_dice_loss(logits: Tensor, label: Tensor) -> Tensor:
    """1 - soft Dice, pooled over the batch so that crops without tumour are no special case.

    Args:
        logits: (N, K, D, H, W).
        label: same shape, in [0, 1].
    """
    p = torch.sigmoid(logits)
    axes = (0, 2, 3, 4)
    return (1 - (2 * (p * label).sum(axes) + 1) / (p.sum(axes) + label.sum(axes) + 1)).mean()


def validate(network: nn.Module, volumes: Sequence[TrainingVolume], threshold: float) -> dict[str, float]:
    """Dice of the first region on the model's grid, whole volumes, by case (a guide, not a result)."""
    network.eval()
    out = {}
    with torch.no_grad():
        for volume in volumes:
            image = torch.from_numpy(volume.image.astype(np.float32))[None]
            found = torch.sigmoid(network(image))[0, 0].numpy() > threshold
            truth = volume.label[0] > 127
            out[volume.case] = round(float(2 * (found & truth).sum() / max(1, found.sum() + truth.sum())), 4)
    return out


def _claim(folder: Path, recipe: Recipe, data: TrainingSet) -> None:
    """Take the folder for this training, or refuse one that holds another."""
    text = json.dumps({"recipe": recipe.to_dict(), "cases": data.describe()}, indent=1) + "\n"
    path = folder / "recipe.json"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if path.is_file() and path.read_text(encoding="utf-8") != text:
            raise RunError(f"{folder} holds another training (see recipe.json there): give a new --out")
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise RunError(f"{folder}: cannot be written ({error.strerror}); give another --out") from error


def _append(path: Path, line: dict[str, Any]) -> None:
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")
        file.flush()
        os.fsync(file.fileno())


def _below(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}


def _contiguous(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {k: v.contiguous() for k, v in tensors.items()}
