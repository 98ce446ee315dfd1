"""From a trained network to a model file: contract, export, and the proof that the file computes the same."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import nn

from ..zoo.contract import Contract, OutputSpec
from ..zoo.tasks.segment import region_labels
from .delivery import Exporter, Origin
from .recipe import Recipe
from .tasks.base import TrainingTask
from .tasks.classify import ClassifyTask
from .told import training_of

#: Cases that an export is proved on.
PROOFS = 2


def finish(
    recipe: Recipe,
    network: nn.Module,
    task: TrainingTask,
    cases: Sequence[Any],
    folder: Path,
    said: Mapping[str, Any] | None = None,
) -> Iterator[str]:
    """Calibrate (classifiers), export, and prove that the file computes what torch does.

    A language model becomes GGUF instead: see ``language/shipping.py``.

    Args:
        recipe: with its steps settled.
        network: trained.
        task: that it was trained for.
        cases: real ones; the export is proved on some of them, held-out ones first.
        folder: takes the file.
        said: what else the contract says of the training: scores of held-out cases, what it began with.

    Yields:
        Lines to print.

    Raises:
        ModelError: the exported file differs from torch beyond rounding.
    """
    facts: dict[str, Any] = {**task.describe(), **(said or {})}
    if recipe.task == "prompt":
        from .language.shipping import ship

        yield from ship(recipe, task.deployed(network), facts, folder)
        return
    degrees = 1.0
    if isinstance(task, ClassifyTask):
        found = task.calibration(network)
        yield str(found) if found else "not calibrated: no case was held out (give --fold)"
        facts["calibration"] = found.to_dict() if found else None
        degrees = found.temperature if found else 1.0
    yield export(task.deployed(network), contract_of(recipe, facts, degrees), cases, folder)


def export(deployed: nn.Module, contract: Contract, cases: Sequence[Any], folder: Path) -> str:
    """Write the ONNX file and prove it on a few cases; what to print.

    No rewrites for speed here: whether they win is measured, and a training has to repeat to the byte.
    ``zoo-export`` makes the faster file.
    """
    away = set(contract.training["held_out"])
    proofs = sorted(cases, key=lambda case: case.id not in away)[:PROOFS]
    exporter = Exporter(Origin.of_network(deployed.cpu(), contract), proofs, fast=False)
    return f"exported {exporter.write('onnx', folder / f'{contract.name}.onnx')}"


def contract_of(recipe: Recipe, facts: dict[str, Any], temperature: float = 1.0) -> Contract:
    """The contract of the model that ``recipe`` makes.

    Args:
        recipe: with its steps settled.
        facts: case ids by role (``real``, ``phantoms``, ``held_out``), and whatever else there is to say.
        temperature: of a classifier.
    """
    classify = recipe.task == "classify"
    return Contract(
        name=recipe.name,
        version=recipe.version,
        task=recipe.task,
        input=recipe.input,
        output=_classes(recipe, temperature) if classify else _regions(recipe),
        labels=dict(enumerate(recipe.classes)) if classify else region_labels(recipe.regions),
        licence=recipe.licence,
        training=training_of(recipe, facts),
    )


def _regions(recipe: Recipe) -> OutputSpec:
    return OutputSpec(
        name="probability",
        kind="regions",
        channels=recipe.regions,
        threshold=recipe.threshold,
        fill_holes=recipe.fill_holes,
        min_component_mm3=recipe.min_component_mm3,
        min_component_share=recipe.min_component_share,
        min_region_mm3=dict(recipe.min_region_mm3),
    )


def _classes(recipe: Recipe, temperature: float) -> OutputSpec:
    return OutputSpec(
        name="logits",
        kind="classes",
        channels=recipe.classes,
        activation="softmax",
        temperature=temperature,
        target=recipe.target,
    )
