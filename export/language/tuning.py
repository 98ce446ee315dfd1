"""LoRA fine-tuning of a vision-language model on one prompt task, with kept-aside patients asked all along.

A folder of a fine-tuning is one of a training: ``recipe.json``, ``curve.jsonl`` (training loss, and of the
kept-aside patients the loss and the task's figures), ``last.safetensors`` to go on from, and at the end
``adapter/`` as PEFT has it. Batches depend on (seed, step) alone: what was killed resumes to the same curve.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ...zoo.errors import ModelError, RunError
from ...zoo.tasks.prompt import prompt_task
from .. import device as devices
from .. import optim, weights
from ..curves import Curve
from ..folder import claim, locked
from ..networks.llava_nano import quiet
from ..progress import Progress, Silent
from ..recipe import Recipe
from ..rounds import Rounds
from .adapters import LoraSpec, adapted, trained
from .chats import Chats
from .conversation import answer_text, targets_of
from .judging import FIGURES, judge
from .sampling import ConversationSampler, SlicePool
from .slices import Slice, spread

LOSS = "NLL"
"""The loss on kept-aside patients among the figures of a validation: mean -log p of an answer's tokens."""


@dataclass(frozen=True, eq=False)
class Tuning:
    """What is tuned, on what.

    Attributes:
        recipe: of the task "prompt", with one task; ``options`` hold the fields of ``LoraSpec`` and
            accumulate, checkpointing, asked.
        learned: slices that have an answer to the task.
        held_out: likewise, of patients kept aside; may be none.
        roles: case ids by role.
    """

    recipe: Recipe
    learned: Sequence[Slice]
    held_out: Sequence[Slice]
    roles: dict[str, list[str]]

    @property
    def task(self) -> str:
        """The task that is learned."""
        return self.recipe.language.tasks[0]

    @property
    def lora(self) -> LoraSpec:
        """Sizes of the adapter."""
        names = ("rank", "alpha", "parts", "dropout")
        chosen: dict[str, Any] = {n: self.recipe.options[n] for n in names if n in self.recipe.options}
        return LoraSpec(**{**chosen, "parts": tuple(chosen["parts"])})


class Drawn:
    """Varied slices with their answers, in a balanced order: every class, or every case, equally often."""

    def __init__(self, tuning: Tuning) -> None:
        recipe, slices = tuning.recipe, list(tuning.learned)
        self.recipe, self.task, self.slices = recipe, tuning.task, slices
        kinds = [one.grade if self.task == "grade" else one.case for one in slices]
        names = sorted(set(kinds), key=str)
        numbers = [names.index(kind) for kind in kinds]
        self.rounds = Rounds(numbers, len(names), balanced=True, seed=recipe.seed)
        self.source = ConversationSampler(
            [(SlicePool(slices), 1.0)], recipe.language, recipe.augment, 1, recipe.seed, recipe.fit.steps, 0
        )

    def batch(self, number: int) -> tuple[list[Slice], list[str]]:
        """The slices and answers of one micro-batch, by its number from 0."""
        size = self.recipe.fit.batch
        made = [self._one(number, place, number * size + place) for place in range(size)]
        return [one for one, _ in made], [text for _, text in made]

    def _one(self, number: int, place: int, draw: int) -> tuple[Slice, str]:
        one = self.slices[self.rounds.index(draw)]
        varied = self.source.varied(one, number, place)
        target = targets_of(varied, [self.task])
        if not target:  # a warp moved the tumour out of sight
            varied, target = one, targets_of(one, [self.task])
        return varied, answer_text(self.task, target[self.task], varied)


def tune(
    tuning: Tuning,
    model: Any,
    processor: Any,
    folder: Path,
    device: torch.device | None = None,
    progress: Progress | None = None,
) -> Any:
    """Train an adapter, or go on with one, and write it to ``FOLDER/adapter``.

    Args:
        tuning: what, on what.
        model: the base; it is changed in place.
        processor: of the base.
        folder: where the training lives.
        device: to compute on; default the CPU.
        progress: told of steps and validations.

    Returns:
        The PEFT model with the adapter that was written.

    Raises:
        RunError: the folder holds another training or cannot be written; the loss is not finite.
        ModelError: the checkpoint there is of another adapter.
    """
    device = device or torch.device("cpu")
    recipe, shown = tuning.recipe, progress or Silent()
    with locked(folder), devices.kept_random_state(device):
        claim(folder, recipe, tuning.roles)
        torch.manual_seed(recipe.seed)
        net = adapted(model, tuning.lora, bool(recipe.options.get("checkpointing"))).to(device)
        chats = Chats(processor, tuning.task, recipe.language.wording)
        run = _Run(tuning, net, chats, folder, device)
        run.go(shown)
        run.choose()
        with quiet():
            net.save_pretrained(folder / "adapter", safe_serialization=True)
    return net


class _Run:
    """A fine-tuning under way."""

    def __init__(self, tuning: Tuning, net: Any, chats: Chats, folder: Path, device: torch.device) -> None:
        self.tuning, self.recipe, self.net = tuning, tuning.recipe, net
        self.chats, self.folder, self.device = chats, folder, device
        self.parts = trained(net)
        self.optimiser = optim.optimiser(self.recipe.fit, nn.ParameterList(self.parts.values()))
        self.drawn, self.step = Drawn(tuning), 0
        self.many = int(self.recipe.options.get("accumulate", 1))
        self._load(folder / "last.safetensors")
        self.curve = Curve(folder, self.step)
        asked = int(self.recipe.options.get("asked", 64))
        self.asked = spread(list(tuning.held_out), asked)

    def go(self, progress: Progress) -> None:
        """All steps that are left."""
        fit, losses = self.recipe.fit, []
        metric = FIGURES.get(self.tuning.task, "share of right grades")
        progress.start(self.step, fit.steps, f"{self.tuning.task} {metric}")
        try:
            while self.step < fit.steps and not self.curve.stalled(fit.patience):
                losses.append(self._learn())
                progress.tick(self.step, torch.tensor(losses[-1]))
                if self.step % fit.validate_every == 0 or self.step == fit.steps:
                    progress.line(self._validated(losses))
                    losses = []
        finally:
            progress.stop()
        self.curve.export(f"{self.recipe.name}, seed {self.recipe.seed}", self.tuning.task)

    def choose(self) -> None:
        """Put the weights in place that the recipe keeps."""
        best = self.folder / "best.safetensors"
        if self.recipe.fit.keep == "best" and self.curve.best() is not None and best.is_file():
            self._put(weights.read(best)[0], best)

    def _learn(self) -> float:
        """One optimiser step over its micro-batches; their mean loss."""
        fit, total = self.recipe.fit, 0.0
        self.net.train()
        self.optimiser.zero_grad()
        for number in range(self.step * self.many, (self.step + 1) * self.many):
            loss = self._loss(*self.drawn.batch(number)) / self.many
            loss.backward()
            total += loss.item()
        if not math.isfinite(total):
            raise RunError(f"the loss became {total} at step {self.step + 1}: lower --learning-rate")
        if fit.clip:
            nn.utils.clip_grad_norm_(list(self.parts.values()), fit.clip)
        for group in self.optimiser.param_groups:
            group["lr"] = optim.learning_rate(fit, self.step)
        self.optimiser.step()
        self.step += 1
        return total

    def _loss(self, slices: Sequence[Slice], answers: Sequence[str]) -> Tensor:
        inputs = self.chats.taught(slices, answers)
        return self.net(**{name: value.to(self.device) for name, value in inputs.items()}).loss

    def _validated(self, losses: list[float]) -> dict[str, Any]:
        """A line of the curve, then the checkpoint that makes it final."""
        figures = self._figures()
        mine = [value for name, value in figures.items() if name != LOSS]
        line = {
            "step": self.step,
            "loss": round(float(np.mean(losses)), 5),
            "score": round(float(np.mean(mine)), 5) if mine else None,
            "validation": figures,
        }
        self.curve.append(line)
        if self.curve.best() == len(self.curve.lines) - 1:
            weights.write(self.folder / "best.safetensors", self.parts, {"step": str(self.step)})
        self._save(self.folder / "last.safetensors")
        return line

    @torch.no_grad()
    def _figures(self) -> dict[str, float]:
        """Of the kept-aside patients: the loss, and per case what the answers score."""
        if not self.asked:
            return {}
        self.net.eval()
        size, task, losses = self.recipe.fit.batch, self.tuning.task, []
        for first in range(0, len(self.asked), size):
            some = self.asked[first : first + size]
            texts = [answer_text(task, targets_of(one, [task])[task], one) for one in some]
            losses += [self._loss(some, texts).item()] * len(some)
        most = prompt_task(task).new_tokens
        said = self.chats.answers(self.net, self.asked, most, size)
        scored = judge(self.asked, {task: said})
        cases = {f"{case}/{name}": v for case, found in scored.items() for name, v in found.items()}
        return {LOSS: round(float(np.mean(losses)), 5), **cases}

    def _save(self, path: Path) -> None:
        tensors = {f"adapter.{name}": value for name, value in self.parts.items()}
        tensors |= {f"random.{k}": v for k, v in devices.random_state(self.device).items()}
        for index, slots in self.optimiser.state_dict()["state"].items():
            tensors |= {f"optimiser.{index}.{k}": torch.as_tensor(v) for k, v in slots.items()}
        weights.write(path, tensors, {"step": str(self.step)})

    def _load(self, path: Path) -> None:
        if not path.is_file():
            return
        tensors, facts = weights.read(path)
        if "step" not in facts:
            raise ModelError(f"{path}: no checkpoint of a training; delete it, and training begins again")
        self._put(weights.below(tensors, "adapter."), path)
        slots: dict[int, dict[str, Tensor]] = {}
        for key, value in weights.below(tensors, "optimiser.").items():
            index, name = key.split(".", 1)
            slots.setdefault(int(index), {})[name] = value
        self.optimiser.load_state_dict(self.optimiser.state_dict() | {"state": slots})
        devices.set_random_state(weights.below(tensors, "random."), self.device)
        self.step = int(facts["step"])

    @torch.no_grad()
    def _put(self, tensors: dict[str, Tensor], path: Path) -> None:
        shapes = {name: tuple(value.shape) for name, value in tensors.items()}
        expected = {name: tuple(value.shape) for name, value in self.parts.items()}
        odd = sorted(n for n in shapes.keys() | expected.keys() if shapes.get(n) != expected.get(n))
        if odd:
            got, wanted = shapes.get(odd[0]), expected.get(odd[0])
            raise ModelError(f"{path}: weights of another adapter: {odd[0]} is {got}, expected {wanted}")
        for name, value in tensors.items():
            self.parts[name].copy_(value)
