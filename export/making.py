"""From a trained network to a model file: contract, export, and the proof that the file computes the same."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from torch import nn

from ..zoo.contract import Contract, OutputSpec
from ..zoo.errors import ModelError
from ..zoo.tasks.segment import LABELS, REGION_NAMES
from .onnx import export_onnx, parity
from .recipe import Recipe
from .tasks.base import TrainingTask
from .tasks.classify import ClassifyTask

#: Largest difference between torch and onnxruntime that an export may show: plain, and with normalisation.
TOLERANCE, TOLERANCE_NORMALISED = 1e-5, 5e-5


def finish(recipe: Recipe, network: nn.Module, task: TrainingTask, folder: Path) -> Iterator[str]:
    """Calibrate (classifiers), export, and prove that the file computes what torch does.

    Yields:
        Lines to print.

    Raises:
        ModelError: the exported file differs from torch beyond the tolerance.
    """
    facts: dict[str, Any] = task.describe()
    degrees = 1.0
    if isinstance(task, ClassifyTask):
        found = task.calibration(network)
        yield str(found) if found else "not calibrated: no case was held out (give --fold)"
        facts["calibration"] = found.to_dict() if found else None
        degrees = found.temperature if found else 1.0
    yield export(task.deployed(network), contract_of(recipe, facts, degrees), task, folder)


def export(deployed: nn.Module, contract: Contract, task: TrainingTask, folder: Path) -> str:
    """Write the ONNX file and prove it on a few real inputs; the line to print."""
    path = folder / f"{contract.name}.onnx"
    export_onnx(deployed, contract, path)
    worst = max(parity(deployed, path, image) for image in task.examples(2))
    allowed = tolerance(deployed)
    if worst > allowed:
        path.unlink()
        raise ModelError(f"{path}: differs from torch by {worst:.1e}, more than {allowed:.0e}; not kept")
    return f"exported {path} ({path.stat().st_size / 1e6:.2f} MB), max difference from torch {worst:.1e}"


def tolerance(network: nn.Module) -> float:
    """The difference that rounding explains: normalisation layers add to it."""
    normalised = any("Norm" in type(module).__name__ for module in network.modules())
    return TOLERANCE_NORMALISED if normalised else TOLERANCE


def contract_of(recipe: Recipe, facts: dict[str, Any], temperature: float = 1.0) -> Contract:
    """The contract of the model that ``recipe`` makes.

    Args:
        recipe: with its steps settled.
        facts: case ids by role (``real``, ``phantoms``, ``held_out``), and whatever else there is to say.
        temperature: of a classifier.
    """
    told = {k: v for k, v in facts.items() if k not in ("real", "phantoms", "held_out") and v is not None}
    return Contract(
        name=recipe.name,
        version=recipe.version,
        task=recipe.task,
        input=recipe.input,
        output=_classes(recipe, temperature) if recipe.task == "classify" else _regions(recipe),
        labels=dict(enumerate(recipe.classes)) if recipe.task == "classify" else labels_of(recipe.regions),
        licence=recipe.licence,
        training={
            "recipe": recipe.name,
            "command": f"zoo-train {recipe.name} --data DIR --out RUN",
            "seed": recipe.seed,
            "steps": recipe.fit.steps,
            "cases": facts["real"],
            "phantoms": len(facts["phantoms"]),
            "held_out": facts["held_out"],
            **told,
        },
    )


def labels_of(regions: Sequence[str]) -> dict[int, str]:
    """Mask values for a set of regions: a glioma's parts where they can be told apart, else the whole."""
    if tuple(regions) == ("wt",):
        return {1: REGION_NAMES["wt"]}
    return dict(LABELS)


def _regions(recipe: Recipe) -> OutputSpec:
    return OutputSpec(
        name="probability",
        kind="regions",
        channels=recipe.regions,
        threshold=recipe.threshold,
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
