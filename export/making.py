"""From a recipe and data folders to a training set, and from a trained network to a model file."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from torch import nn

from ..zoo.cases import Case
from ..zoo.contract import Contract, OutputSpec
from ..zoo.datasets import open_dataset
from ..zoo.errors import ModelError, UsageError
from ..zoo.phantom import phantom_dataset
from ..zoo.splits import make_splits
from ..zoo.tasks.segment import LABELS, REGION_NAMES
from .networks.cnn3d_seg import WithSigmoid
from .onnx import export_onnx, parity
from .recipe import Recipe
from .samples import TrainingVolume, load_volumes
from .train import TrainingSet

#: Largest difference between torch and onnxruntime that an export of plain convolutions may show.
TOLERANCE = 1e-5


def collect(
    recipe: Recipe,
    data: Sequence[str],
    fold: int | None = None,
    folds: int = 5,
    say: Callable[[str], None] = lambda line: None,
) -> TrainingSet:
    """Load what the recipe trains on.

    Args:
        recipe: its data section chooses among the cases.
        data: dataset folders.
        fold: patients of this fold are held out; None trains on all.
        folds: how many folds.
        say: told what is being loaded.

    Raises:
        UsageError: no case left to train on, or no such fold.
    """
    cases = [case for folder in data for case in open_dataset(folder).cases if _wanted(case, recipe)]
    if not cases:
        wanted = f" of collection {recipe.data.collection!r}" if recipe.data.collection else ""
        raise UsageError(f"no segmented case{wanted} in {', '.join(data)}: nothing to train on")
    away = _held_out(cases, fold, folds, recipe.seed)
    say(f"{len(cases) - len(away)} patients' cases to learn from, {len(away)} held out; loading")
    volumes = load_volumes(cases, recipe)
    spec = recipe.input
    say(f"making {recipe.data.phantoms} phantoms")
    made = phantom_dataset(
        n=recipe.data.phantoms,
        seed=recipe.data.phantom_seed,
        shape=spec.shape[::-1],
        spacing_mm=spec.spacing_mm[::-1],
    )
    return TrainingSet(
        real=[v for v in volumes if v.case not in away],
        phantoms=load_volumes(made.cases, recipe),
        held_out=[v for v in volumes if v.case in away],
    )


def finish(recipe: Recipe, network: nn.Module, data: TrainingSet, folder: Path) -> Iterator[str]:
    """Export the trained network and prove that the file computes what torch does.

    Yields:
        Lines to print.

    Raises:
        ModelError: the exported file differs from torch beyond ``TOLERANCE``.
    """
    deployed = WithSigmoid(network)
    path = folder / f"{recipe.name}.onnx"
    export_onnx(deployed, contract_of(recipe, data), path)
    worst = max(parity(deployed, path, v.image.astype(np.float32)) for v in _a_few(data))
    if worst > TOLERANCE:
        path.unlink()
        raise ModelError(f"{path}: differs from torch by {worst:.1e}, more than {TOLERANCE:.0e}; not kept")
    yield f"exported {path} ({path.stat().st_size / 1e6:.2f} MB), max difference from torch {worst:.1e}"


def contract_of(recipe: Recipe, data: TrainingSet) -> Contract:
    """The contract of the model that ``recipe`` makes from ``data``."""
    seen = data.describe()
    return Contract(
        name=recipe.name,
        version=recipe.version,
        task="segment",
        input=recipe.input,
        output=OutputSpec(
            name="probability",
            kind="regions",
            channels=recipe.regions,
            threshold=recipe.threshold,
            min_component_mm3=recipe.min_component_mm3,
            min_component_share=recipe.min_component_share,
        ),
        labels=labels_of(recipe.regions),
        licence=recipe.licence,
        training={
            "recipe": recipe.name,
            "command": f"zoo-train {recipe.name} --data DIR --out RUN",
            "seed": recipe.seed,
            "steps": recipe.fit.steps,
            "cases": seen["real"],
            "phantoms": len(seen["phantoms"]),
            "held_out": seen["held_out"],
        },
    )


def labels_of(regions: Sequence[str]) -> dict[int, str]:
    """Mask values for a set of regions: a glioma's parts where they can be told apart, else the whole."""
    if tuple(regions) == ("wt",):
        return {1: REGION_NAMES["wt"]}
    return dict(LABELS)


def _wanted(case: Case, recipe: Recipe) -> bool:
    return case.has_reference and case.facts.get("collection", "").startswith(recipe.data.collection)


def _held_out(cases: Sequence[Case], fold: int | None, folds: int, seed: int) -> set[str]:
    if fold is None:
        return set()
    if fold >= folds:
        raise UsageError(f"--fold {fold} of {folds} folds: the last one is {folds - 1}")
    return set(make_splits(cases, folds=folds, seed=seed).test(fold))


def _a_few(data: TrainingSet) -> list[TrainingVolume]:
    return [*data.held_out, *data.real, *data.phantoms][:2]
