"""Recipes: how a bundled model is made, as one small readable TOML file per model.

Everything that changes the weights stands in the recipe (data, augmentation, optimiser, seed), so that one
command repeats a training. Unknown keys are refused: a typo must not train another model in silence.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

from ..zoo.contract import InputSpec, LicenceSpec
from ..zoo.errors import UsageError
from .augment import AugmentSpec
from .language.spec import LanguageSpec
from .sections import DataSpec, EnsembleSpec, FitSpec, PretrainSpec, VoxelSpec, one_of
from .typed import build, hint

TASKS = ("segment", "classify", "prompt")
LOSSES = {
    "segment": ("dice+bce", "dice", "bce"),
    "classify": ("cross-entropy", "bce"),
    "prompt": ("tokens+masks",),
}
#: Networks that look at each voxel by itself, and can learn from single ones.
VOXELWISE = ("voxelwise3d-seg",)


@dataclass(frozen=True)
class Recipe:
    """One model's making.

    Attributes:
        name: of the model, as in the zoo.
        version: of the weights that this recipe makes.
        network: key of ``networks.NETWORKS``.
        input: ``InputSpec`` (volumes) or ``ImageSpec`` (2-D images; told apart by ``resize`` and the shape);
            ``SliceRule`` for the task "prompt".
        task: "segment", "classify" or "prompt".
        options: what the network's constructor takes.
        regions: output channels of a segmenter.
        classes: class names of a classifier, in the order of its outputs.
        target: the fact of a case that names its class, e.g. "grade".
        threshold: on the probabilities.
        fill_holes: what the prediction encloses in a plane belongs to it.
        min_component_mm3, min_component_share: smaller components are removed from the prediction.
        min_region_mm3: region -> volume below which it is taken for absent.
        seed: of weights, sampling and augmentation.
        augment: ``AugmentSpec`` for volumes, ``Augment2DSpec`` for images, ``SliceAugmentSpec`` for slices.
        licence, data, fit, pretrain, voxels, ensemble: see the classes.
        language: of the task "prompt" only.
    """

    name: str
    version: str
    network: str
    input: Any
    licence: LicenceSpec
    task: str = "segment"
    regions: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()
    target: str = ""
    seed: int = 0
    threshold: float = 0.5
    fill_holes: bool = False
    min_component_mm3: float = 0.0
    min_component_share: float = 0.0
    min_region_mm3: Mapping[str, float] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    data: DataSpec = field(default_factory=DataSpec)
    fit: FitSpec = field(default_factory=FitSpec)
    augment: Any = field(default_factory=AugmentSpec)
    pretrain: PretrainSpec = field(default_factory=PretrainSpec)
    voxels: VoxelSpec = field(default_factory=VoxelSpec)
    ensemble: EnsembleSpec = field(default_factory=EnsembleSpec)
    language: LanguageSpec = field(default_factory=LanguageSpec)

    def __post_init__(self) -> None:
        one_of("", self, task=TASKS)
        if self.fit.loss and self.fit.loss not in LOSSES[self.task]:
            known = ", ".join(LOSSES[self.task])
            raise UsageError(
                f"recipe [fit]: loss = {self.fit.loss!r}; expected one of {known} to {self.task}"
            )
        if self.task == "segment" and not self.regions:
            raise UsageError("recipe: 'regions' is missing: a segmenter names its output channels")
        if self.task == "classify" and (len(self.classes) < 2 or not self.target):
            raise UsageError("recipe: a classifier needs 'classes' (two or more) and 'target'")
        if (self.ensemble.folds or self.ensemble.partner) and self.task != "segment":
            raise UsageError("recipe [ensemble]: folds and partners can be averaged for segmenters only")
        if self.voxels.inside and self.loss != "bce":
            raise UsageError(f'recipe [fit]: loss = {self.loss!r}; single voxels are learned with "bce"')
        if self.voxels.inside and not (self.network in VOXELWISE and self._standard):
            raise UsageError(
                f"recipe [voxels]: single voxels are for {', '.join(VOXELWISE)} with the usual "
                f"preprocessing; the network is {self.network!r}"
            )
        if (self.ensemble.mirror or self.fit.mask_weight) and (self.task != "classify" or self.volumes):
            raise UsageError("recipe: ensemble.mirror and fit.mask_weight are for classifiers of 2-D images")
        if self.ensemble.turn and len(set(self.input.shape)) > 1:
            raise UsageError(f"recipe [ensemble]: turn is for square images, not {list(self.input.shape)}")
        if self.fit.mask_weight and not self.options.get("locate"):
            raise UsageError("recipe [fit]: mask_weight needs a network with options.locate = true")
        if self.task == "prompt" and (self.pretrain.steps or self.pretrain.weights):
            raise UsageError("recipe [pretrain]: not for prompts; give language.warm_steps")
        if (self.data.phantoms or self.pretrain.steps) and not self.volumes and self.task != "prompt":
            raise UsageError("recipe: there are no 2-D phantoms: leave out data.phantoms and [pretrain]")
        if self.pretrain.steps and not self.data.phantoms:
            raise UsageError("recipe [pretrain]: needs phantoms; give data.phantoms")

    @property
    def volumes(self) -> bool:
        """Whether the input is 3-D."""
        return isinstance(self.input, InputSpec)

    @property
    def _standard(self) -> bool:
        return isinstance(self.input, InputSpec) and self.input.preprocessing == "grid"

    @property
    def loss(self) -> str:
        """The loss by name, the task's own where the recipe is silent."""
        return self.fit.loss or LOSSES[self.task][0]

    def to_dict(self) -> dict[str, Any]:
        """The recipe as plain values, for JSON."""
        return asdict(self)


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
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"recipe {spec}: cannot be read ({error})") from error
    elif spec in bundled():
        text = (resources.files(__package__) / "recipes" / f"{spec}.toml").read_text(encoding="utf-8")
    else:
        raise UsageError(f"no recipe named {spec!r}{hint(spec, bundled())}, or give a .toml file")
    return parse_recipe(text, spec)


def parse_recipe(text: str, where: str) -> Recipe:
    """A recipe from TOML text; ``where`` names it in messages."""
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"recipe {where}: not valid TOML: {error}") from error
    return recipe_from(values, where)


def recipe_from(values: Mapping[str, Any], where: str) -> Recipe:
    """A recipe from parsed TOML, or from what ``Recipe.to_dict`` gave."""
    flat, spoken = _flat(values.get("input")), values.get("task") == "prompt"
    sections = _spoken_sections() if spoken else _sections(flat)
    parts: dict[str, Any] = {
        key: build(kind, values.get(key, {}), f"recipe {where} [{key}]", key not in ("input", "licence"))
        for key, kind in sections.items()
        if key in values or ((flat or spoken) and key == "augment")
    }
    return build(Recipe, {**values, **parts}, f"recipe {where}")


def _flat(table: object) -> bool:
    """Whether an input table speaks of 2-D images."""
    if not isinstance(table, Mapping):
        return False
    sizes = table.get("shape")
    return "resize" in table or ("spacing_mm" not in table and isinstance(sizes, list) and len(sizes) == 2)


def _sections(flat: bool) -> dict[str, type]:
    """The dataclass behind each table; 2-D images have an input and augmentations of their own."""
    shared = {
        "licence": LicenceSpec,
        "data": DataSpec,
        "fit": FitSpec,
        "pretrain": PretrainSpec,
        "voxels": VoxelSpec,
        "ensemble": EnsembleSpec,
        "language": LanguageSpec,
    }
    if not flat:
        return {"input": InputSpec, "augment": AugmentSpec, **shared}
    from ..zoo.contract import ImageSpec
    from .augment2d import Augment2DSpec

    return {"input": ImageSpec, "augment": Augment2DSpec, **shared}


def _spoken_sections() -> dict[str, type]:
    """The dataclass behind each table of a recipe of a language model."""
    from ..zoo.tasks.slices import SliceRule
    from .language.spec import SliceAugmentSpec

    return {**_sections(False), "input": SliceRule, "augment": SliceAugmentSpec}
