"""Training volumes, and the crops that training draws from them.

A volume is a case after the contract's own preprocessing, kept small (float16 images, 8-bit soft labels);
a crop is drawn, augmented and returned as float32. Every crop depends on (seed, step, place in the batch)
alone, so a resumed training draws what an uninterrupted one would have.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..zoo.cases import Case
from ..zoo.contract import InputSpec
from ..zoo.errors import LabelError
from ..zoo.preprocess import prepare, prepare_mask
from ..zoo.tasks.segment import REGIONS
from . import augment
from .recipe import Recipe

Array = NDArray[np.float32]


@dataclass(frozen=True)
class TrainingVolume:
    """One case on the model's grid.

    Attributes:
        case: its id.
        image: (C, D, H, W) float16.
        label: (K, D, H, W) uint8, 255 = wholly inside the region.
        inside: (n, 3) int16 voxels of the first region, from which crops are centred.
    """

    case: str
    image: NDArray[np.float16]
    label: NDArray[np.uint8]
    inside: NDArray[np.int16]


def load_volume(case: Case, spec: InputSpec, regions: Sequence[str]) -> TrainingVolume:
    """Read, preprocess and pack one case.

    Raises:
        LabelError: the case has no reference segmentation.
    """
    reference = case.read_reference()
    if reference is None:
        raise LabelError(f"{case.id}: no reference segmentation; training needs one")
    prepared = prepare(case, spec)
    cover = [prepare_mask(np.isin(reference, REGIONS[r]), prepared.plan) for r in regions]
    label = np.rint(np.stack(cover) * 255).astype(np.uint8)
    inside = np.argwhere(label[0] > 127).astype(np.int16)
    return TrainingVolume(case.id, prepared.tensor.astype(np.float16), label, inside)


def load_volumes(cases: Iterable[Case], recipe: Recipe) -> list[TrainingVolume]:
    """``load_volume`` over cases, in their order."""
    return [load_volume(case, recipe.input, recipe.regions) for case in cases]


class Sampler:
    """Draws augmented crops from real and phantom volumes.

    Args:
        real: volumes of patients.
        phantoms: volumes of phantom cases; may be empty.
        recipe: its data, fit and augment sections say how.
    """

    def __init__(
        self, real: Sequence[TrainingVolume], phantoms: Sequence[TrainingVolume], recipe: Recipe
    ) -> None:
        self.real, self.phantoms, self.recipe = list(real), list(phantoms), recipe
        both = [*self.real, *self.phantoms]
        self._histograms = {v.case: augment.histogram(v.image.astype(np.float32)) for v in both}

    def batch(self, step: int) -> tuple[Array, Array]:
        """Images (B, C, d, h, w) and labels (B, K, d, h, w) of one step."""
        made = [self.sample(step, i) for i in range(self.recipe.fit.batch)]
        images, labels = zip(*made, strict=True)
        return np.stack(images), np.stack(labels)

    def sample(self, step: int, place: int) -> tuple[Array, Array]:
        """One augmented crop."""
        rng = np.random.default_rng([self.recipe.seed, step, place])
        spec = self.recipe.augment
        style = self._style(rng)
        image, label = self._crop(self._host(rng), style, rng)
        donors = self.real or self.phantoms
        if rng.random() < spec.transplant:
            donor = self._crop(donors[rng.integers(len(donors))], style, rng, tumour=True)
            image, label = augment.transplant(image, label, *augment.flip(*donor, spec, rng))
        if spec.cyst and rng.random() < spec.cyst:
            image, label = augment.make_cyst(image, label, rng)
        if rng.random() < spec.fade:
            image = augment.fade_tumour(image, label, rng)
        image = augment.vary_intensities(image, spec, rng)
        if spec.bias:
            image = augment.coil_bias(image, spec.bias, rng)
        image = augment.mix_up_channels(image, spec.mix_up, rng)
        if rng.random() < spec.thick:
            image = augment.thick_slices(image, int(rng.integers(1, 4)), int(rng.integers(2, 4)))
        image, label = augment.flip(image, label, spec, rng)
        if rng.random() < spec.warp:
            image, label = augment.warp(image, label, spec, rng)
        return image, label

    def _host(self, rng: np.random.Generator) -> TrainingVolume:
        """The volume that the crop comes from."""
        phantom = bool(self.phantoms) and (not self.real or rng.random() < self.recipe.data.phantom_share)
        pool = self.phantoms if phantom else self.real
        return pool[rng.integers(len(pool))]

    def _style(self, rng: np.random.Generator) -> tuple[Array, list[float]]:
        """A histogram to move toward, each channel's from a volume of its own, and how far."""
        chance, tables = self.recipe.augment.restyle, list(self._histograms.values())
        count = len(tables[0])
        target = np.stack([tables[rng.integers(len(tables))][c] for c in range(count)])
        return target, [float(rng.uniform(0, 1.2)) if rng.random() < chance else 0.0 for _ in range(count)]

    def _crop(
        self,
        volume: TrainingVolume,
        style: tuple[Array, list[float]],
        rng: np.random.Generator,
        tumour: bool | None = None,
    ) -> tuple[Array, Array]:
        """A restyled crop around a tumour voxel, or anywhere."""
        size = np.array(self.recipe.fit.crop)
        shape = np.array(volume.image.shape[1:])
        wanted = rng.random() < self.recipe.data.tumour_share if tumour is None else tumour
        if wanted and len(volume.inside):
            jitter = size // 3
            middle = volume.inside[rng.integers(len(volume.inside))] + rng.integers(-jitter, jitter + 1)
        else:
            middle = rng.integers(size // 2, np.maximum(shape - size // 2, size // 2 + 1))
        start = np.clip(middle - size // 2, 0, np.maximum(shape - size, 0))
        window = (slice(None), *(slice(a, a + n) for a, n in zip(start, size, strict=True)))
        image = augment.restyle(
            volume.image[window].astype(np.float32), self._histograms[volume.case], *style
        )
        return image, volume.label[window].astype(np.float32) / np.float32(255)
