"""Training images: a set of cases as fitted pixels and class numbers, and the batches drawn from it.

Images wait in memory as uint8 of the model's size and are normalised after augmentation, by the contract's
own rule. Every batch depends on (seed, step) alone, so a resumed training sees what an uninterrupted one
would have, and every image of a class is seen once before any is seen again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..zoo.contract import ImageSpec
from ..zoo.errors import LabelError, UsageError
from ..zoo.images import ImageCase, fit_image, normalise_image
from .augment2d import Image, augment
from .marked import mask_of
from .recipe import Recipe
from .rounds import Rounds


@dataclass(frozen=True, eq=False)
class ImageSet:
    """Cases on the model's grid, with their classes.

    Attributes:
        cases: their ids, in order.
        images: (n, H, W, C) uint8, fitted.
        targets: (n,) int64, numbers of classes.
        classes: names of the classes, by number.
        spec: the contract's input.
        masks: (n, H, W, 1) uint8, 0 to 255: what is marked, fitted as the images are; None if nobody asked.

    Example:
        >>> spec = ImageSpec("image", ("grey",), (2, 2), "stretch", "unit")
        >>> made = ImageSet(("a", "b"), np.zeros((2, 2, 2, 1), np.uint8), np.array([1, 1]), ("x", "y"), spec)
        >>> len(made), made.counts, made.tensor(0).shape
        (2, {'x': 0, 'y': 2}, (1, 2, 2))
    """

    cases: tuple[str, ...]
    images: NDArray[np.uint8]
    targets: NDArray[np.int64]
    classes: tuple[str, ...]
    spec: ImageSpec
    masks: NDArray[np.uint8] | None = None

    @classmethod
    def load(
        cls,
        cases: Sequence[ImageCase],
        spec: ImageSpec,
        classes: Sequence[str],
        target: str,
        marked: bool = False,
    ) -> ImageSet:
        """Read and fit every case.

        Args:
            cases: images whose class is known.
            spec: the contract's input.
            classes: names in the order of the network's outputs.
            target: the fact of a case that names its class.
            marked: read the masks too.

        Raises:
            LabelError: a case does not have the fact, or its class is none of ``classes``, or its mask is
                asked for and absent.
            CaseError: a file cannot be read.
        """
        targets = np.array([_number(case, classes, target) for case in cases], np.int64)
        images = np.empty((len(cases), *spec.shape, len(spec.channels)), np.uint8)
        masks = np.empty((*images.shape[:3], 1), np.uint8) if marked else None
        for index, case in enumerate(cases):
            pixels = case.read()
            images[index] = fit_image(pixels, spec)
            if masks is not None:
                masks[index] = _fitted_mask(case, pixels.shape[:2], spec)
        return cls(tuple(case.id for case in cases), images, targets, tuple(classes), spec, masks)

    def __len__(self) -> int:
        return len(self.cases)

    @property
    def counts(self) -> dict[str, int]:
        """How many images each class has."""
        numbers = np.bincount(self.targets, minlength=len(self.classes))
        return dict(zip(self.classes, numbers.tolist(), strict=True))

    def tensor(self, index: int) -> NDArray[np.float32]:
        """(C, H, W) float32: what the model is fed for image ``index``."""
        return normalise_image(self.images[index], self.spec)


class ImageSampler:
    """Draws augmented batches.

    Args:
        images: the training set.
        recipe: its seed, ``fit.batch``, ``data.oversample`` and ``augment`` say how. With ``oversample``
            every class is drawn equally often, else every image.

    Raises:
        UsageError: no image, or a class without any.
    """

    def __init__(self, images: ImageSet, recipe: Recipe) -> None:
        empty = [name for name, count in images.counts.items() if not count]
        if empty:
            raise UsageError(f"no image of class {empty[0]!r} to learn from; there are: {images.counts}")
        self.images, self.recipe = images, recipe
        self.rounds = Rounds(images.targets, len(images.classes), recipe.data.oversample, recipe.seed)

    def batch(self, step: int) -> tuple[NDArray[Any], ...]:
        """Images (B, C, H, W), the numbers of their classes (B,), and their masks (B, H, W), if they have
        some, as float32 from 0 to 1, of one step."""
        size = self.recipe.fit.batch
        picked = [self.rounds.index(step * size + place) for place in range(size)]
        varied = [self._varied(index, step, place) for place, index in enumerate(picked)]
        tensors = np.stack([normalise_image(image, self.images.spec) for image, _ in varied])
        masks = [mask[..., 0] for _, mask in varied if mask is not None]
        targets = self.images.targets[picked]
        return (tensors, targets, np.stack(masks) / np.float32(255)) if masks else (tensors, targets)

    def _varied(self, index: int, step: int, place: int) -> tuple[Image, Image | None]:
        rng = np.random.default_rng([self.recipe.seed, 1_000_003, step, place])
        mask = None if self.images.masks is None else self.images.masks[index]
        return augment(self.images.images[index], mask, self.recipe.augment, rng)


def _fitted_mask(case: ImageCase, shape: tuple[int, int], spec: ImageSpec) -> Image:
    mask = mask_of(case, shape)
    if mask is None:
        raise LabelError(
            f"{case.id}: no mask; fit.mask_weight needs one of every image, as masks/{case.path.stem}.png"
        )
    grey = replace(spec, channels=("grey",))
    return fit_image(mask.astype(np.uint8) * 255, grey)


def _number(case: ImageCase, classes: Sequence[str], target: str) -> int:
    name = case.fact(target)
    if name is None:
        raise LabelError(f"{case.id}: no fact {target!r}; training needs the class of every image")
    if name not in classes:
        raise LabelError(f"{case.id}: class {name!r}; the recipe knows {', '.join(classes)}")
    return list(classes).index(name)
