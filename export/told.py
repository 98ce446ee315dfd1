"""What a contract says of the training that its weights come from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .recipe import Recipe

_OWN = ("real", "phantoms", "held_out")


def training_of(recipe: Recipe, facts: Mapping[str, Any]) -> dict[str, Any]:
    """The field ``training`` of a contract.

    Args:
        recipe: that was followed.
        facts: case ids by role (``real``, ``phantoms``, ``held_out``), and whatever else there is to say;
            what is None is not said.
    """
    return {
        "recipe": recipe.name,
        "command": f"zoo-train {recipe.name} --data DIR --out RUN{_options(facts)}",
        "seed": recipe.seed,
        "steps": recipe.fit.steps,
        "cases": facts["real"],
        "phantoms": len(facts["phantoms"]),
        "held_out": facts["held_out"],
        **{key: value for key, value in facts.items() if key not in _OWN and value is not None},
    }


def _options(facts: Mapping[str, Any]) -> str:
    """What the command needs besides, to repeat this training."""
    words = []
    if split := facts.get("split"):
        words += ["--fold", split["fold"], "--folds", split["folds"]]
    if folds := facts.get("ensemble"):
        words += ["--cv", "--folds", len(folds)]
    if init := facts.get("init"):
        words += ["--init", init]
    return "".join(f" {word}" for word in words)
