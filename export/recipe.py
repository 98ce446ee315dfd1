"""Recipes: how a bundled model is made, as one small readable TOML file per model.

Everything that changes the weights stands in the recipe (data, augmentation, optimiser, seed), so that one
command repeats a training. Unknown keys are refused: a typo must not train another model in silence.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from importlib import resources
from pathlib import Path
from typing import Any

from ..zoo.contract import InputSpec, LicenceSpec
from ..zoo.errors import UsageError
from .augment import AugmentSpec
from .language.spec import LanguageSpec
from .typed import build, hint

TASKS = ("segment", "classify", "prompt")
OPTIMISERS = ("adamw", "adam", "sgd")
SCHEDULES = ("cosine", "constant")
PRECISIONS = ("fp32", "bf16", "fp16")
LOSSES = {
    "segment": ("dice+bce", "dice", "bce"),
    "classify": ("cross-entropy", "bce"),
    "prompt": ("tokens+masks",),
}
KEPT = ("last", "best")


@dataclass(frozen=True)
class DataSpec:
    """What a model is trained on.

    Attributes:
        collection: only real cases whose ``collection`` fact starts with this; "" takes every case.
        phantoms: how many phantom cases.
        phantom_seed: seed of the phantom dataset.
        phantom_share: share of the training samples that come from phantoms.
        tumour_share: share of the samples whose crop lies around a tumour voxel.
        oversample: draw every class equally often, however few cases it has (classify only).
        real: learn from real cases too; False trains on phantoms alone and holds every real case out.
        phantoms_held_out: further phantoms of the series, never learned from, to validate and calibrate on
            (classify only).
        alike, series, run: images that may show one patient are kept on one side of a split: see
            ``likeness.grouped`` (2-D only; alike = 1 and series = "" group nothing).
    """

    collection: str = ""
    phantoms: int = 0
    phantom_seed: int = 1
    phantom_share: float = 0.0
    tumour_share: float = 0.6
    oversample: bool = False
    real: bool = True
    phantoms_held_out: int = 0
    alike: float = 1.0
    series: str = ""
    run: int = 20

    def __post_init__(self) -> None:
        whole = ("phantoms", "phantoms_held_out", "phantom_seed")
        _at_least("data", self, 0, *whole, "phantom_share", "tumour_share")
        if self.phantom_share > 1 or self.tumour_share > 1:
            raise UsageError("recipe [data]: phantom_share and tumour_share are shares, at most 1")


@dataclass(frozen=True)
class FitSpec:
    """How long and how fast.

    Attributes:
        steps: optimiser steps.
        epochs: passes over the training samples; above 0 they decide the steps.
        batch: crops per step.
        crop: (D, H, W) voxels of a crop.
        optimiser: "adamw", "adam" or "sgd" (momentum 0.9).
        learning_rate: peak of the optimiser's rate; linear warm-up comes first.
        schedule: after the warm-up a "cosine" to 0, or "constant".
        warmup: steps of warm-up.
        weight_decay: the optimiser's.
        clip: largest norm of the gradient; longer ones are shortened to it. 0 leaves them.
        loss: by name (see ``LOSSES``); "" takes the first of the task's.
        average: decay of the running average of the weights, which is what is validated and exported.
        validate_every: steps between validations and checkpoints; 0 = once an epoch.
        patience: validations without a better score after which training stops; 0 = never.
        keep: the weights that are exported: of the "last" or of the "best" validation.
        mask_weight: of finding what is marked in an image, beside its class; 0 leaves it out. 2-D images with
            masks only, and networks with ``options.locate``. The exported network has no trace of it.
        precision: "fp32", or mixed: "bf16", "fp16" (with a scaled loss).
    """

    steps: int = 2000
    epochs: int = 0
    batch: int = 4
    crop: tuple[int, int, int] = (48, 64, 64)
    optimiser: str = "adamw"
    learning_rate: float = 2e-3
    schedule: str = "cosine"
    warmup: int = 50
    weight_decay: float = 1e-4
    clip: float = 1.0
    loss: str = ""
    average: float = 0.995
    validate_every: int = 200
    patience: int = 0
    keep: str = "last"
    mask_weight: float = 0.0
    precision: str = "fp32"

    def __post_init__(self) -> None:
        _at_least("fit", self, 1, "steps", "batch")
        _at_least(
            "fit",
            self,
            0,
            "epochs",
            "warmup",
            "weight_decay",
            "clip",
            "average",
            "validate_every",
            "patience",
            "mask_weight",
        )
        _one_of("fit", self, optimiser=OPTIMISERS, schedule=SCHEDULES, keep=KEPT, precision=PRECISIONS)
        if not self.learning_rate > 0 or self.average >= 1:
            raise UsageError("recipe [fit]: learning_rate has to be above 0 and average below 1")
        if min(self.crop) < 1:
            raise UsageError(f"recipe [fit]: crop = {list(self.crop)}; expected voxels, at least 1")
        if not self.validate_every and not self.epochs:
            raise UsageError("recipe [fit]: validate_every = 0 means once an epoch: give epochs too")

    def settled(self, samples: int) -> FitSpec:
        """Epochs as steps, for this many training samples."""
        if not self.epochs:
            return self
        each = -(-samples // self.batch)
        return replace(self, steps=self.epochs * each, validate_every=self.validate_every or each)


@dataclass(frozen=True)
class PretrainSpec:
    """A first stage on phantoms alone, done once and shared by all folds (phantoms hold no patient).

    Attributes:
        steps: optimiser steps; 0 leaves the stage out.
        learning_rate: peak rate of the stage; 0 takes the recipe's.
    """

    steps: int = 0
    learning_rate: float = 0.0

    def __post_init__(self) -> None:
        _at_least("pretrain", self, 0, "steps", "learning_rate")


@dataclass(frozen=True)
class VoxelSpec:
    """Learning from single voxels rather than from crops; for networks that look at each voxel by itself.

    Attributes:
        inside: voxels of the first region drawn from every volume, once; 0 learns from crops.
        outside: voxels of the rest of the brain drawn from every volume.
        gain, shift: standard deviation of what each channel is multiplied by (about 1) and moved by.
        sides: standard deviation of what moves a channel of the head's other side against this one.
        noise: standard deviation of what is added to every feature.
    """

    inside: int = 0
    outside: int = 0
    gain: float = 0.15
    shift: float = 0.2
    sides: float = 0.15
    noise: float = 0.2

    def __post_init__(self) -> None:
        _at_least("voxels", self, 0, "inside", "outside", "gain", "shift", "sides", "noise")


@dataclass(frozen=True)
class EnsembleSpec:
    """Several answers in one file.

    Attributes:
        folds: after a cross-validation, export the mean of the folds' probabilities as one network.
        mirror: answer with the mean over an image and its mirror image (classifiers of 2-D images).
        partner: recipe of another segmenter of the same regions on the same grid, trained beside this one on
            the same cases; the answer is the weighted mean of both.
        partner_share: its weight in the mean, between 0 and 1.
    """

    folds: bool = False
    mirror: bool = False
    partner: str = ""
    partner_share: float = 0.5

    def __post_init__(self) -> None:
        if not 0 < self.partner_share < 1:
            raise UsageError(
                f"recipe [ensemble]: partner_share = {self.partner_share}; expected between 0 and 1"
            )


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
        _one_of("", self, task=TASKS)
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
        if (self.ensemble.mirror or self.fit.mask_weight) and (self.task != "classify" or self.volumes):
            raise UsageError("recipe: ensemble.mirror and fit.mask_weight are for classifiers of 2-D images")
        if self.fit.mask_weight and not self.options.get("locate"):
            raise UsageError("recipe [fit]: mask_weight needs a network with options.locate = true")
        if self.task == "prompt" and self.pretrain.steps:
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


def _at_least(section: str, spec: Any, least: int, *names: str) -> None:
    for name in names:
        if getattr(spec, name) < least:
            raise UsageError(f"recipe [{section}]: {name} = {getattr(spec, name)}; expected {least} or more")


def _one_of(section: str, spec: Any, **choices: tuple[str, ...]) -> None:
    for name, known in choices.items():
        got = getattr(spec, name)
        if got not in known:
            place = f" [{section}]" if section else ""
            raise UsageError(f"recipe{place}: {name} = {got!r}{hint(str(got), known)}")
