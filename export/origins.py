"""What a person hands to ``zoo-export``, as something that can be exported."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from torch import nn

from ..zoo import onnxfile
from ..zoo.contract import Contract
from ..zoo.errors import ContractError, ModelError, UsageError
from ..zoo.registry import resolve, verify
from ..zoo.torchfile import TorchFile
from . import weights
from .delivery import Origin
from .deployed import deployed
from .making import contract_of
from .networks import build
from .partner import partner_folder, together
from .recipe import Recipe, load_recipe, recipe_from


def origin_of(source: str, recipe: str | None = None, contract: Path | None = None) -> Origin:
    """Find out what ``source`` is and open it.

    Args:
        source: a training folder of ``zoo-train``; a safetensors file of weights; an ONNX file; a name of the
            zoo.
        recipe: of weights: what network they belong to and what it is for.
        contract: JSON of the contract, for an ONNX file that has none inside; it wins over one inside.

    Raises:
        UsageError: weights without a recipe, or a recipe for what needs none.
        ModelError: no such file, a pickle, weights of another network, an unfinished training.
        ContractError: an ONNX file without a contract, or one that contradicts the network.
    """
    path = Path(source)
    given = None if contract is None else _contract(contract)
    if path.is_dir():
        _needs_none(source, recipe)
        return _of_folder(path, given)
    if path.suffix == ".safetensors":
        if recipe is None:
            raise UsageError(f"{source}: weights alone don't say which network they are of: add --recipe")
        return _of_weights(path, load_recipe(recipe), given)
    _needs_none(source, recipe)
    return _of_model(source, given)


_UNKNOWN: dict[str, Any] = {"real": [], "phantoms": [], "held_out": []}


def _of_folder(folder: Path, contract: Contract | None) -> Origin:
    """A finished training. Its own export knows more than its recipe: the temperature of a classifier."""
    recipe, facts, network = _trained(folder)
    exported = folder / f"{recipe.name}.onnx"
    if contract is None and exported.is_file():
        contract = onnxfile.read_contract(exported)
    if recipe.ensemble.partner:
        network = together(recipe, network, _trained(partner_folder(folder))[2])
    return _of_network(network, recipe, facts, contract)


def _trained(folder: Path) -> tuple[Recipe, dict[str, Any], nn.Module]:
    """The recipe of a finished training, its cases by role, and its network."""
    description = folder / "recipe.json"
    try:
        plain = json.loads(description.read_text(encoding="utf-8"))
        recipe = recipe_from(plain["recipe"], str(description))
        facts = {**_UNKNOWN, **plain["cases"]}
    except FileNotFoundError as error:
        raise ModelError(f"{folder}: no training of zoo-train: it has no {description.name}") from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(f"{description}: cannot be read ({error})") from error
    path = folder / "weights.safetensors"
    if not path.is_file():
        raise ModelError(f"{folder}: the training is not finished: it has no {path.name}")
    return recipe, facts, _filled(path, recipe)


def _of_weights(path: Path, recipe: Recipe, contract: Contract | None) -> Origin:
    network = _filled(path, recipe)
    if recipe.ensemble.partner:
        raise UsageError(
            f"{path}: {recipe.name} answers together with {recipe.ensemble.partner}, and these weights are "
            "of one of them: give the training folder"
        )
    return _of_network(network, recipe, _UNKNOWN, contract)


def _filled(path: Path, recipe: Recipe) -> nn.Module:
    network: nn.Module = build(recipe.network, **recipe.options)
    weights.put(weights.read_weights(path), network, str(path))
    return network


def _of_network(
    network: nn.Module, recipe: Recipe, facts: dict[str, Any], contract: Contract | None
) -> Origin:
    return Origin.of_network(deployed(recipe, network), contract or contract_of(recipe, facts))


def _of_model(source: str, contract: Contract | None) -> Origin:
    found = resolve(source)
    if found.path is None:
        raise UsageError(f"{source}: is code of voxzoo, with no file to export")
    if isinstance(verify(found), TorchFile):
        raise UsageError(f"{source}: is TorchScript; export from the training folder or from an ONNX file")
    return Origin.of_file(found.path, contract)


def _contract(path: Path) -> Contract:
    try:
        return Contract.from_json(path.read_text(encoding="utf-8")).with_hash("")
    except (OSError, UnicodeDecodeError) as error:
        raise ContractError(f"{path}: the contract cannot be read: {error}") from error
    except ContractError as error:
        raise ContractError(f"{path}: {error}") from error


def _needs_none(source: str, recipe: str | None) -> None:
    if recipe is not None:
        raise UsageError(f"--recipe belongs to a file of weights (.safetensors); {source} knows its own")
