"""One call of ``zoo-train``: material, first stage, training or cross-validation, export."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ..eval.files import prepare_folder
from ..zoo.errors import RunError, UsageError
from . import published, weights
from .crossval import Fold, cross_validate, held_out_rows, lines, summary
from .ensemble import MeanOfSegmenters
from .making import contract_of, export, finish
from .material import Material
from .partner import partner_folder, partner_of, together
from .progress import Progress
from .recipe import Recipe
from .tasks.base import TrainingTask
from .train import train


@dataclass(frozen=True)
class Session:
    """What is trained, where.

    Attributes:
        recipe: what to make.
        material: its data.
        folder: of the training.
        device: to compute on.
        progress: makes what shows one training's progress.
        init: weights to begin with, or None; they take the place of what the recipe begins with.
        say: told which stage or fold begins.
    """

    recipe: Recipe
    material: Material
    folder: Path
    device: torch.device
    progress: Callable[[], Progress]
    init: Path | None = None
    say: Callable[[str], None] = lambda line: None

    def single(self, fold: int | None, folds: int) -> Iterator[str]:
        """Train once, with a fold held out or on everything, and export. Yields lines to print."""
        self._check(fold, folds)
        task = self.material.task(fold, folds)
        network = self._learned(task, self.folder, self._start())
        rows = held_out_rows(Fold(task, network), self.material.patients)
        scores = {"on": f"{len(rows)} held-out cases", **summary(rows)} if rows else None
        split = None if fold is None else {"fold": fold, "folds": folds}
        said = {"scores": scores, "split": split, **self._begun_with()}
        yield from finish(self._settled(task), network, task, self.material.cases, self.folder, said)

    def crossed(self, folds: int) -> Iterator[str]:
        """Train every fold and sum up; where the recipe asks for it, export their mean. Yields lines."""
        self._check(0, folds)
        start = self._start()

        def make(fold: int) -> Fold:
            self.say(f"fold {fold + 1} of {folds}")
            task = self.material.task(fold, folds)
            return Fold(task, self._learned(task, self.folder / f"fold{fold}", start))

        patients = self.material.patients
        made, content = cross_validate(make, folds, patients, self.folder, self.recipe.name)
        yield from lines(content)
        if self.recipe.ensemble.folds:
            yield self._ensemble(made, content["summary"])

    def _check(self, fold: int | None, folds: int) -> None:
        """Find out what cannot work before cases are loaded, which takes minutes."""
        self.material.held_out(fold, folds)
        partner_of(self.recipe)
        if not self.init:
            published.locate(self.recipe)
        prepare_folder(self.folder)

    def _ensemble(self, made: list[Fold], scores: dict[str, Any]) -> str:
        """Export the mean of the folds; its contract says which cases each of them saw, and their scores."""
        roles = [fold.task.describe() for fold in made]
        facts = {
            "real": sorted({case for role in roles for case in role["real"]}),
            "phantoms": roles[0]["phantoms"],
            "held_out": [],
            "scores": {"on": "the cases that a fold never saw, each fold by itself", **scores},
            **self._begun_with(),
            "ensemble": [{"cases": role["real"], "held_out": role["held_out"]} for role in roles],
        }
        task = made[0].task
        mean = MeanOfSegmenters([fold.network for fold in made]).eval()
        return export(mean, contract_of(self._settled(task), facts), self.material.cases, self.folder)

    def _start(self) -> Path | None:
        """The weights to begin with: given, published, or of the first stage; all folds share them."""
        if self.init:
            return self.init
        begun = self.folder / "pretrain" / "weights.safetensors"
        if found := published.locate(self.recipe):
            prepare_folder(begun.parent)
            weights.write(begun, published.beginning(self.recipe, found))
            return begun
        if not self.recipe.pretrain.steps:
            return None
        recipe, task = self.material.pretraining()
        self.say(f"first stage: {recipe.fit.steps} steps on {task.samples} phantoms")
        self._train(recipe, task, begun.parent, None)
        return begun

    def _begun_with(self) -> dict[str, Any]:
        """What the contract says of the beginning: weights that were given, or published ones."""
        if self.init:
            return {"init": self.init.name}
        return {"began_with": self.recipe.pretrain.weights} if self.recipe.pretrain.weights else {}

    def _learned(self, task: TrainingTask, folder: Path, init: Path | None) -> nn.Module:
        """The recipe's network, trained, and its partner beside it if it has one."""
        network = self._train(self.recipe, task, folder, init)
        partner = partner_of(self.recipe)
        if partner is None:
            return network
        self.say(f"its partner, {partner.name}")
        beside = self.material.beside(partner, task)
        return together(self.recipe, network, self._train(partner, beside, partner_folder(folder), None))

    def _train(self, recipe: Recipe, task: TrainingTask, folder: Path, init: Path | None) -> nn.Module:
        return train(recipe, task, folder, self.device, self.progress(), init)

    def _settled(self, task: TrainingTask) -> Recipe:
        return replace(self.recipe, fit=self.recipe.fit.settled(task.samples))


def check_resumable(folder: Path, crossed: bool) -> None:
    """``--resume`` goes on with what is there and begins nothing.

    Raises:
        RunError: there is no training.
    """
    places = [folder / "fold0", folder / "pretrain"] if crossed else [folder, folder / "pretrain"]
    if not any((place / "recipe.json").is_file() for place in places):
        raise RunError(f"--resume: {folder} holds no training; leave --resume out to begin one there")


def check_options(fold: int | None, cross: bool) -> None:
    """Refuse options that contradict each other.

    Raises:
        UsageError: --cv with --fold.
    """
    if cross and fold is not None:
        raise UsageError("--cv trains every fold and --fold one of them: give one of the two")
