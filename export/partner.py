"""Two segmenters trained beside each other that answer as one: what one recipe names as another's partner."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from torch import nn

from ..zoo.errors import UsageError
from .ensemble import WeightedMean
from .recipe import Recipe, load_recipe


def partner_of(recipe: Recipe) -> Recipe | None:
    """The recipe of ``recipe``'s partner, or None where it answers alone.

    Raises:
        UsageError: there is no such recipe, or it cannot be averaged with this one or learns from more.

    Example:
        >>> partner_of(load_recipe("resunet3d-seg")).name
        'voxelwise3d-seg'
    """
    name = recipe.ensemble.partner
    if not name:
        return None
    found = load_recipe(name)
    for what in ("task", "input", "regions", "seed"):
        mine, theirs = getattr(recipe, what), getattr(found, what)
        if mine != theirs:
            raise UsageError(
                f"recipe {recipe.name} [ensemble]: partner {name!r} has another {what}: {theirs}, here {mine}"
            )
    if found.ensemble.partner or found.data.phantoms or found.pretrain.steps:
        raise UsageError(
            f"recipe {recipe.name} [ensemble]: partner {name!r} has a partner or phantoms of its own; "
            "a partner learns from the same real cases and nothing else"
        )
    return replace(found, data=replace(recipe.data, phantoms=0))


def partner_folder(folder: Path) -> Path:
    """Where the partner of the training in ``folder`` is trained."""
    return folder / "partner"


def together(recipe: Recipe, network: nn.Module, partner: nn.Module) -> nn.Module:
    """Both as one network, weighted as ``recipe`` says."""
    share = recipe.ensemble.partner_share
    return WeightedMean([network, partner], [1 - share, share]).eval()
