"""What a recipe trains on: cases chosen from data folders, loaded once, dealt into tasks by fold."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ..zoo.cases import Case
from ..zoo.datasets import open_dataset
from ..zoo.errors import UsageError
from ..zoo.images import AnyCase, ImageCase
from ..zoo.phantom import phantom_dataset
from ..zoo.splits import make_splits
from .images import ImageSampler, ImageSet
from .likeness import grouped
from .recipe import Recipe
from .samples import load_volumes
from .sections import EnsembleSpec, PretrainSpec
from .tasks.base import TrainingTask
from .tasks.classify import ClassifyTask
from .tasks.segment import SegmentTask, TrainingSet
from .volumes import GradedSampler, GradedSet, load_graded, load_outlined

Say = Callable[[str], None]


def gather(recipe: Recipe, data: Sequence[str], say: Say = lambda line: None) -> Material:
    """Choose what the recipe trains on; it is loaded when the first task is asked for.

    Args:
        recipe: its data section chooses among the cases.
        data: dataset folders, or words such as ``phantom:n=8``.
        say: told what is being loaded.

    Raises:
        UsageError: no case left to train on, or images where volumes are expected (or the reverse).
    """
    if recipe.task == "prompt":
        from .language.material import PromptMaterial

        return PromptMaterial(recipe, data, say)
    if recipe.task == "segment":
        return SegmentMaterial(recipe, data, say)
    return GradedMaterial(recipe, data, say) if recipe.volumes else ImageMaterial(recipe, data, say)


class Material(ABC):
    """Cases of one recipe, loaded once.

    Attributes:
        recipe: whose they are.
        cases: the real ones that it may use.
    """

    wanted_are: str

    def __init__(self, recipe: Recipe, data: Sequence[str], say: Say) -> None:
        self.recipe, self._say, self._loaded = recipe, say, False
        self.cases = self._grouped([case for folder in data for case in self._open(folder)])
        if not self.cases:
            kept = f" of collection {recipe.data.collection!r}" if recipe.data.collection else ""
            raise UsageError(f"no {self.wanted_are}{kept} in {', '.join(data)}: nothing to train on")

    @property
    def patients(self) -> dict[str, str]:
        """Case id -> patient."""
        return {case.id: case.patient for case in self.cases}

    def task(self, fold: int | None = None, folds: int = 5) -> TrainingTask:
        """The task with a fold held out.

        Args:
            fold: whose patients are held out; None learns from all.
            folds: how many there are.

        Raises:
            UsageError: no such fold, fewer patients than folds, or nothing left to learn from.
            LabelError: a case without what is to be learned.
            CaseError: a case cannot be read.
        """
        away = self.held_out(fold, folds)
        self.load()
        return self._task(away)

    def held_out(self, fold: int | None, folds: int) -> set[str]:
        """Ids of the cases that ``task`` holds out, found without loading any."""
        if not self.recipe.data.real:
            if fold is not None:
                raise UsageError(f"recipe {self.recipe.name} learns from no real case: there are no folds")
            return {case.id for case in self.cases}
        if fold is None:
            return set()
        if fold >= folds:
            raise UsageError(f"--fold {fold} of {folds} folds: the last one is {folds - 1}")
        by = self.recipe.target if self.recipe.task == "classify" else "grade"
        return set(make_splits(self.cases, folds=folds, seed=self.recipe.seed, stratify=by).test(fold))

    def load(self) -> None:
        """Read and preprocess every case and make the phantoms, unless that was done."""
        if self._loaded:
            return
        self._say(f"loading {len(self.cases)} cases")
        self._load()
        data = self.recipe.data
        if data.phantoms:
            self._say(f"making {data.phantoms + data.phantoms_held_out} phantoms")
            self._load_phantoms(phantoms(self.recipe))
        self._loaded = True

    def pretraining(self) -> tuple[Recipe, TrainingTask]:
        """The first stage: the recipe and the task of learning from phantoms alone."""
        recipe, stage = self.recipe, self.recipe.pretrain
        rate = stage.learning_rate or recipe.fit.learning_rate
        fit = replace(recipe.fit, steps=stage.steps, epochs=0, learning_rate=rate, patience=0, keep="last")
        fit = replace(fit, validate_every=fit.validate_every or max(1, stage.steps // 10))
        data = replace(recipe.data, real=False)
        first = replace(recipe, fit=fit, data=data, pretrain=PretrainSpec(), ensemble=EnsembleSpec())
        self.load()
        return first, self._phantom_task(first)

    def _open(self, folder: str) -> list[AnyCase]:
        opened = open_dataset(folder)
        flat = any(isinstance(case, ImageCase) for case in opened)
        if flat == self.recipe.volumes:
            found, wanted = ("2-D images", "volumes") if flat else ("volumes", "2-D images")
            raise UsageError(f"{folder} holds {found}; recipe {self.recipe.name} takes {wanted}")
        return [case for case in opened if self._wanted(case) and self._collected(case)]

    def _collected(self, case: AnyCase) -> bool:
        return case.facts.get("collection", "").startswith(self.recipe.data.collection)

    def _grouped(self, cases: list[Any]) -> list[Any]:
        return cases

    def _phantom_task(self, recipe: Recipe) -> TrainingTask:
        raise UsageError("there are no phantoms to begin with")

    def beside(self, recipe: Recipe, task: TrainingTask) -> TrainingTask:
        """The task of a partner that learns from the same cases as ``task``.

        Raises:
            UsageError: there are no partners for what this recipe does.
        """
        raise UsageError(f"recipe {recipe.name}: only segmenters of volumes have partners")

    def _load_phantoms(self, cases: Sequence[Case]) -> None:
        raise UsageError("there are no 2-D phantoms")

    @abstractmethod
    def _wanted(self, case: Any) -> bool: ...

    @abstractmethod
    def _load(self) -> None: ...

    @abstractmethod
    def _task(self, away: set[str]) -> TrainingTask: ...


class SegmentMaterial(Material):
    """Segmented volumes."""

    wanted_are = "segmented case"
    made: list[Any] = []  # noqa: RUF012 - replaced, never changed in place

    def _wanted(self, case: Case) -> bool:
        return case.has_reference

    def _load(self) -> None:
        self.volumes = self._read(self.cases)

    def _load_phantoms(self, cases: Sequence[Case]) -> None:
        self.made = self._read(cases)

    def _read(self, cases: Sequence[Case]) -> list[Any]:
        paper = self.recipe.input.preprocessing == "paper"
        return load_outlined(cases, self.recipe) if paper else load_volumes(cases, self.recipe)

    def _task(self, away: set[str]) -> SegmentTask:
        real = [v for v in self.volumes if v.case not in away]
        held_out = [v for v in self.volumes if v.case in away]
        return SegmentTask(self.recipe, TrainingSet(real, self.made, held_out))

    def _phantom_task(self, recipe: Recipe) -> SegmentTask:
        return SegmentTask(recipe, TrainingSet([], self.made))

    def beside(self, recipe: Recipe, task: TrainingTask) -> SegmentTask:
        """The task of a partner: the same real cases to learn from, the same held out."""
        roles = task.describe()
        real, held_out = ([v for v in self.volumes if v.case in roles[r]] for r in ("real", "held_out"))
        return SegmentTask(recipe, TrainingSet(real, [], held_out))


class GradedMaterial(Material):
    """Volumes whose class is known."""

    wanted_are = "case whose class is known"
    made: list[Any] = []  # noqa: RUF012 - replaced, never changed in place

    def _wanted(self, case: Case) -> bool:
        return case.fact(self.recipe.target) is not None

    def _load(self) -> None:
        self.volumes = load_graded(self.cases, self.recipe)

    def _load_phantoms(self, cases: Sequence[Case]) -> None:
        self.made = load_graded(cases, self.recipe)

    def _task(self, away: set[str]) -> ClassifyTask:
        count, spec = self.recipe.data.phantoms, self.recipe.input
        real = [v for v in self.volumes if v.case not in away]
        kept = {"phantoms": self.made[count:], "patients": [v for v in self.volumes if v.case in away]}
        return graded_task(
            self.recipe, real, self.made[:count], {k: GradedSet(v, spec) for k, v in kept.items()}
        )

    def _phantom_task(self, recipe: Recipe) -> ClassifyTask:
        count = recipe.data.phantoms
        held_out = {"phantoms": GradedSet(self.made[count:], recipe.input)}
        return graded_task(recipe, [], self.made[:count], held_out)


class ImageMaterial(Material):
    """2-D images whose class is known."""

    wanted_are = "image whose class is known"

    def _wanted(self, case: ImageCase) -> bool:
        return case.fact(self.recipe.target) is not None

    def _grouped(self, cases: list[ImageCase]) -> list[ImageCase]:
        spec = self.recipe.data
        if spec.alike >= 1 and not spec.series:
            return cases
        return grouped(cases, spec.alike, spec.series, spec.run)

    def _load(self) -> None:
        recipe = self.recipe
        marked = recipe.fit.mask_weight > 0
        self.images = ImageSet.load(self.cases, recipe.input, recipe.classes, recipe.target, marked)

    def _task(self, away: set[str]) -> ClassifyTask:
        apart = np.array([case in away for case in self.images.cases])
        learned, held_out = _part(self.images, ~apart), _part(self.images, apart)
        roles = {"real": list(learned.cases), "phantoms": [], "held_out": list(held_out.cases)}
        source = ImageSampler(learned, self.recipe)
        return ClassifyTask(self.recipe, source, learned, {"images": held_out}, roles)


def graded_task(
    recipe: Recipe, real: Sequence[Any], made: Sequence[Any], held_out: dict[str, GradedSet]
) -> ClassifyTask:
    """Classification of volumes, real and phantoms alike.

    Raises:
        UsageError: a class without a case to learn from.
    """
    learned = GradedSet([*real, *made], recipe.input)
    for number, name in enumerate(recipe.classes):
        if number not in learned.targets:
            raise UsageError(
                f"no case of class {name!r} to learn from; {len(learned)} cases of other classes"
            )
    roles = {
        "real": [v.case for v in real],
        "phantoms": [v.case for v in made],
        "held_out": [case for cases in held_out.values() for case in cases.cases],
    }
    return ClassifyTask(recipe, GradedSampler(learned.volumes, recipe), learned, held_out, roles)


def phantoms(recipe: Recipe) -> Sequence[Case]:
    """The recipe's phantoms, on the model's own grid; for the paper's preprocessing whole heads at 1 mm."""
    spec, n = recipe.input, recipe.data.phantoms + recipe.data.phantoms_held_out
    if spec.preprocessing == "paper":
        return phantom_dataset(n=n, seed=recipe.data.phantom_seed).cases  # type: ignore[return-value]
    grid = {"shape": spec.shape[::-1], "spacing_mm": spec.spacing_mm[::-1]}
    return phantom_dataset(n=n, seed=recipe.data.phantom_seed, **grid).cases  # type: ignore[return-value]


def _part(images: ImageSet, chosen: np.ndarray) -> ImageSet:
    """The chosen ones of a set."""
    cases = tuple(case for case, kept in zip(images.cases, chosen, strict=True) if kept)
    masks = None if images.masks is None else images.masks[chosen]
    return replace(
        images, cases=cases, images=images.images[chosen], targets=images.targets[chosen], masks=masks
    )
