"""The tables of a recipe: what each of them holds, and what it may hold."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from ..zoo.errors import UsageError
from .typed import hint

OPTIMISERS = ("adamw", "adam", "sgd")
SCHEDULES = ("cosine", "constant")
PRECISIONS = ("fp32", "bf16", "fp16")
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
        at_least("data", self, 0, *whole, "phantom_share", "tumour_share")
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
        at_least("fit", self, 1, "steps", "batch")
        at_least(
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
        one_of("fit", self, optimiser=OPTIMISERS, schedule=SCHEDULES, keep=KEPT, precision=PRECISIONS)
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
    """What a training begins with: a first stage on phantoms alone, or weights that others published.

    The stage is done once and shared by all folds: phantoms hold no patient.

    Attributes:
        steps: optimiser steps of the first stage; 0 leaves it out.
        learning_rate: peak rate of the stage; 0 takes the recipe's.
        weights: name of published weights (see ``published.PUBLISHED``); "" begins with random ones.
    """

    steps: int = 0
    learning_rate: float = 0.0
    weights: str = ""

    def __post_init__(self) -> None:
        at_least("pretrain", self, 0, "steps", "learning_rate")
        if self.steps and self.weights:
            raise UsageError("recipe [pretrain]: steps and weights are two beginnings; give one of them")


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
        at_least("voxels", self, 0, "inside", "outside", "gain", "shift", "sides", "noise")


@dataclass(frozen=True)
class EnsembleSpec:
    """Several answers in one file.

    Attributes:
        folds: after a cross-validation, export the mean of the folds' probabilities as one network.
        mirror: answer with the mean over an image and its mirror image (classifiers of 2-D images).
        turn: and over both turned by quarters, eight views in all (with ``mirror``, of square images).
        partner: recipe of another segmenter of the same regions on the same grid, trained beside this one on
            the same cases; the answer is the weighted mean of both.
        partner_share: its weight in the mean, between 0 and 1.
    """

    folds: bool = False
    mirror: bool = False
    turn: bool = False
    partner: str = ""
    partner_share: float = 0.5

    def __post_init__(self) -> None:
        if self.turn and not self.mirror:
            raise UsageError("recipe [ensemble]: turn goes with mirror = true")
        if not 0 < self.partner_share < 1:
            raise UsageError(
                f"recipe [ensemble]: partner_share = {self.partner_share}; expected between 0 and 1"
            )


def at_least(section: str, spec: Any, least: int, *names: str) -> None:
    """Refuse fields of a table that are below ``least``."""
    for name in names:
        if getattr(spec, name) < least:
            raise UsageError(f"recipe [{section}]: {name} = {getattr(spec, name)}; expected {least} or more")


def one_of(section: str, spec: Any, **choices: tuple[str, ...]) -> None:
    """Refuse fields of a table, or of the recipe itself (""), that are none of the known words."""
    for name, known in choices.items():
        got = getattr(spec, name)
        if got not in known:
            place = f" [{section}]" if section else ""
            raise UsageError(f"recipe{place}: {name} = {got!r}{hint(str(got), known)}")
