"""Whole volumes to train on: with a grade (classification), or as in the study (``paper`` preprocessing).

A volume waits in memory as float16 and is drawn whole. With the paper's preprocessing it waits in the size of
its brain's box and is cropped or padded at random offsets, without any augmentation; on the usual grid it is
augmented. Every draw depends on (seed, step, place in the batch) alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..zoo import paper
from ..zoo.cases import Case
from ..zoo.contract import InputSpec
from ..zoo.errors import LabelError
from ..zoo.preprocess import Prepared, prepare, prepare_mask
from ..zoo.tasks.segment import REGIONS
from . import augment
from .recipe import Recipe
from .rounds import Rounds

Array = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class GradedVolume:
    """One case with the number of its class.

    Attributes:
        case: its id.
        image: (C, D, H, W) float16; with the paper's preprocessing H and W are those of the brain's box.
        target: number of the class.
    """

    case: str
    image: NDArray[np.float16]
    target: int


@dataclass(frozen=True, eq=False)
class OutlinedVolume:
    """One case with its regions, before the paper's offsets.

    Attributes:
        case: its id.
        image: (C, D, h, w) float16.
        label: (K, D, h, w) uint8, 255 = wholly inside the region.
    """

    case: str
    image: NDArray[np.float16]
    label: NDArray[np.uint8]


class GradedSet:
    """Cases with classes, as the model would be fed them.

    Args:
        volumes: in order.
        spec: the contract's input.

    Attributes:
        cases: ids.
        targets: (n,) int64.
    """

    def __init__(self, volumes: Sequence[GradedVolume], spec: InputSpec) -> None:
        self.volumes, self.spec = list(volumes), spec
        self.cases = tuple(v.case for v in self.volumes)
        self.targets = np.array([v.target for v in self.volumes], np.int64)

    def __len__(self) -> int:
        return len(self.volumes)

    def tensor(self, index: int) -> Array:
        """(C, D, H, W) float32: what the model is fed for case ``index``."""
        return fitted(self.volumes[index].image, self.spec).astype(np.float32)


def load_graded(cases: Iterable[Case], recipe: Recipe) -> list[GradedVolume]:
    """Read and preprocess cases whose class is known.

    Raises:
        LabelError: a case without the fact, or of a class that the recipe does not know.
    """
    return [
        GradedVolume(case.id, _read(case, recipe.input).tensor.astype(np.float16), class_of(case, recipe))
        for case in cases
    ]


def load_outlined(cases: Iterable[Case], recipe: Recipe) -> list[OutlinedVolume]:
    """Read and preprocess segmented cases as the study did, up to the offsets.

    Raises:
        LabelError: a case without a segmentation.
    """
    return [_outlined(case, recipe) for case in cases]


def _outlined(case: Case, recipe: Recipe) -> OutlinedVolume:
    reference = case.read_reference()
    if reference is None:
        raise LabelError(f"{case.id}: no reference segmentation; training needs one")
    made = _read(case, recipe.input)
    cover = [prepare_mask(np.isin(reference, REGIONS[r]), made.plan) for r in recipe.regions]
    label = np.rint(np.stack(cover) * 255).astype(np.uint8)
    return OutlinedVolume(case.id, made.tensor.astype(np.float16), label)


def class_of(case: Case, recipe: Recipe) -> int:
    """The number of the case's class.

    Raises:
        LabelError: the fact is absent, or its value is no class of the recipe.
    """
    name = case.fact(recipe.target)
    if name is None:
        raise LabelError(f"{case.id}: no fact {recipe.target!r}; training needs the class of every case")
    if name not in recipe.classes:
        raise LabelError(f"{case.id}: {recipe.target} {name!r}; the recipe knows {', '.join(recipe.classes)}")
    return recipe.classes.index(name)


class GradedSampler:
    """Draws whole volumes and their classes.

    Args:
        volumes: to learn from.
        recipe: ``data.oversample`` draws the classes equally often; ``augment`` says how volumes vary.
    """

    def __init__(self, volumes: Sequence[GradedVolume], recipe: Recipe) -> None:
        self.volumes, self.recipe = list(volumes), recipe
        targets = [v.target for v in self.volumes]
        self.rounds = Rounds(targets, len(recipe.classes), recipe.data.oversample, recipe.seed)

    def batch(self, step: int) -> tuple[Array, NDArray[np.int64]]:
        """Images (B, C, D, H, W) and class numbers (B,) of one step."""
        size = self.recipe.fit.batch
        drawn = [self.volumes[self.rounds.index(step * size + place)] for place in range(size)]
        images = [self._image(volume, step, place) for place, volume in enumerate(drawn)]
        return np.stack(images), np.array([v.target for v in drawn], np.int64)

    def _image(self, volume: GradedVolume, step: int, place: int) -> Array:
        rng = np.random.default_rng([self.recipe.seed, step, place])
        image = fitted(volume.image, self.recipe.input, rng).astype(np.float32)
        if self.recipe.input.preprocessing == "paper":
            return image
        spec, nothing = self.recipe.augment, image[:0]
        image = augment.vary_intensities(image, spec, rng)
        image, _ = augment.flip(image, nothing, spec, rng)
        if rng.random() < spec.warp:
            image, _ = augment.warp(image, nothing, spec, rng)
        return image


class OutlinedSampler:
    """Draws whole volumes and their regions at the study's random offsets, without augmentation.

    Args:
        volumes: to learn from.
        recipe: of the study.
    """

    def __init__(self, volumes: Sequence[OutlinedVolume], recipe: Recipe) -> None:
        self.volumes, self.recipe = list(volumes), recipe
        self.rounds = Rounds([0] * len(self.volumes), 1, False, recipe.seed)

    def batch(self, step: int) -> tuple[Array, Array]:
        """Images (B, C, D, H, W) and labels (B, K, D, H, W) of one step."""
        size = self.recipe.fit.batch
        made = [self._sample(step, place, step * size + place) for place in range(size)]
        images, labels = zip(*made, strict=True)
        return np.stack(images), np.stack(labels)

    def _sample(self, step: int, place: int, draw: int) -> tuple[Array, Array]:
        rng = np.random.default_rng([self.recipe.seed, step, place])
        volume = self.volumes[self.rounds.index(draw)]
        both = np.concatenate([volume.image, volume.label.astype(np.float16) / 255])
        placed = fitted(both, self.recipe.input, rng).astype(np.float32)
        return placed[: len(volume.image)], placed[len(volume.image) :]


def _read(case: Case, spec: InputSpec) -> Prepared:
    """The case on the model's grid; with the paper's preprocessing, before the offsets."""
    return paper.read(case, spec) if spec.preprocessing == "paper" else prepare(case, spec)


def fitted(
    image: NDArray[np.generic], spec: InputSpec, rng: np.random.Generator | None = None
) -> NDArray[np.generic]:
    """A volume of these classes in the model's shape; the paper's preprocessing draws where.

    Args:
        image: (C, D, h, w).
        spec: the contract's input.
        rng: draws the offsets; None takes the middle, as in prediction.
    """
    if spec.preprocessing != "paper":
        return image
    return paper.cut(image, paper.offsets(image.shape[1:], spec.shape, rng), spec.shape)
