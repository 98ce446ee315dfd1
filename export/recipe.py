"""Recipes: how a bundled model is made, as one small readable TOML file per model.

Everything that changes the weights stands in the recipe (data, augmentation, optimiser, seed), so that one
command repeats a training. Unknown keys are refused: a typo must not train another model in silence.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from importlib import resources
from pathlib import Path
from typing import Any, TypeVar

from ..zoo.contract import InputSpec, LicenceSpec
from ..zoo.errors import UsageError
from .augment import AugmentSpec

T = TypeVar("T")


@dataclass(frozen=True)
class DataSpec:
    """What a model is trained on.

    Attributes:
        collection: only real cases whose ``collection`` fact starts with this; "" takes every case.
        phantoms: how many phantom cases.
        phantom_seed: seed of the phantom dataset.
        phantom_share: share of the training samples that come from phantoms.
        tumour_share: share of the samples whose crop lies around a tumour voxel.
    """

    collection: str = ""
    phantoms: int = 0
    phantom_seed: int = 1
    phantom_share: float = 0.0
    tumour_share: float = 0.6


@dataclass(frozen=True)
class FitSpec:
    """How long and how fast.

    Attributes:
        steps: optimiser steps.
        batch: crops per step.
        crop: (D, H, W) voxels of a crop.
        learning_rate: peak of AdamW's rate; linear warm-up, then a cosine to 0.
        warmup: steps of warm-up.
        weight_decay: AdamW's.
        average: decay of the running average of the weights, which is what is validated and exported.
        validate_every: steps between validations and checkpoints.
    """

    steps: int = 2000
    batch: int = 4
    crop: tuple[int, int, int] = (48, 64, 64)
    learning_rate: float = 2e-3
    warmup: int = 50
    weight_decay: float = 1e-4
    average: float = 0.995
    validate_every: int = 200


@dataclass(frozen=True)
class Recipe:
    """One model's making.

    Attributes:
        name: of the model, as in the zoo.
        version: of the weights that this recipe makes.
        network: key of ``networks.NETWORKS``.
        options: what the network's constructor takes.
        regions: output channels.
        threshold: on the probabilities.
        min_component_mm3, min_component_share: smaller components are removed from the prediction.
        seed: of weights, sampling and augmentation.
        input, licence, data, fit, augment: see the classes.
    """

    name: str
    version: str
    network: str
    regions: tuple[str, ...]
    input: InputSpec
    licence: LicenceSpec
    seed: int = 0
    threshold: float = 0.5
    min_component_mm3: float = 0.0
    min_component_share: float = 0.0
    options: Mapping[str, Any] = field(default_factory=dict)
    data: DataSpec = field(default_factory=DataSpec)
    fit: FitSpec = field(default_factory=FitSpec)
    augment: AugmentSpec = field(default_factory=AugmentSpec)

    def to_dict(self) -> dict[str, Any]:
        """The recipe as plain values, for JSON."""
        return asdict(self)


SECTIONS = {
    "input": InputSpec,
    "licence": LicenceSpec,
    "data": DataSpec,
    "fit": FitSpec,
    "augment": AugmentSpec,
}


def bundled() -> list[str]:
    """Names of the recipes that the package ships."""
    folder = resources.files(__package__) / "recipes"
    return sorted(p.name.removesuffix(".toml") for p in folder.iterdir() if p.name.endswith(".toml"))


def load_recipe(spec: str) -> Recipe:
    """A recipe by bundled name or by path.

    Args:
        spec: ``cnn3d-seg``, or the path of a TOML file.

    Raises:
        UsageError: no such recipe, no TOML, unknown or missing keys, values of a wrong type.

    Example:
        >>> load_recipe("cnn3d-seg").network
        'cnn3d-seg'
    """
    path = Path(spec)
    if path.suffix == ".toml" or path.is_file():
        try:
            text = path.read_text(encoding="utf-8")
        except OSError as error:
            raise UsageError(f"recipe {spec}: cannot be read ({error.strerror})") from error
    elif spec in bundled():
        text = (resources.files(__package__) / "recipes" / f"{spec}.toml").read_text(encoding="utf-8")
    else:
        raise UsageError(f"no recipe named {spec!r}; there are: {', '.join(bundled())}, or give a .toml file")
    return parse_recipe(text, spec)


def parse_recipe(text: str, where: str) -> Recipe:
    """A recipe from TOML text; ``where`` names it in messages."""
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"recipe {where}: not valid TOML: {error}") from error
    for key, kind in SECTIONS.items():
        if key in values:
            values[key] = _build(kind, values[key], f"{where} [{key}]")
    return _build(Recipe, values, where)


def _build(kind: type[T], values: Mapping[str, Any], where: str) -> T:
    """``kind(**values)`` with lists as tuples, and every wrong key named."""
    known = {f.name: f for f in fields(kind)}  # type: ignore[arg-type]
    unknown = sorted(set(values) - set(known))
    if unknown:
        raise UsageError(f"recipe {where}: unknown key {unknown[0]!r}; known: {', '.join(sorted(known))}")
    frozen = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
    for key, value in frozen.items():
        default = known[key].default
        if isinstance(default, (int, float)) and not isinstance(value, (int, float)):
            raise UsageError(f"recipe {where}: {key} = {value!r}; expected a number")
    try:
        return kind(**frozen)
    except TypeError as error:
        raise UsageError(f"recipe {where}: {error}") from error
