"""What a recipe of a language model trains on: slices of patients and phantoms, 2-D images with masks."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ...eval.files import atomic_write
from ...zoo.cases import Case
from ...zoo.datasets import open_dataset
from ...zoo.download import cache_dir
from ...zoo.errors import UsageError
from ...zoo.images import AnyCase, ImageCase
from ...zoo.phantom import phantom_dataset
from ...zoo.phantom.dataset import GENERATOR
from ...zoo.splits import make_splits
from ...zoo.tasks.slices import SliceRule
from ..material import Material, Say
from ..recipe import Recipe
from ..tasks.prompt import PromptTask
from .sampling import SlicePool
from .slices import UNKNOWN, Slice, image_slice, slices_of, spread, with_tumour

GRID = {"shape": (128, 152, 122), "spacing_mm": 1.32}
"""Of phantoms: a little finer than a pixel of 128 across a head, and cheaper than 1 mm."""


class PromptMaterial(Material):
    """Slices with masks. Folds are of patients with volumes; images are learned from in every fold.

    Args:
        recipe: of the task "prompt".
        data: dataset folders, of volumes or of 2-D images with masks.
        say: told what is being loaded.
    """

    wanted_are = "segmented case"

    def __init__(self, recipe: Recipe, data: Sequence[str], say: Say) -> None:
        super().__init__(recipe, data, say)
        self.volumes = [case for case in self.cases if isinstance(case, Case)]
        self.pictures = [case for case in self.cases if isinstance(case, ImageCase)]
        self.rule: SliceRule = replace(recipe.input, which="all")

    def held_out(self, fold: int | None, folds: int) -> set[str]:
        if fold is None:
            return set() if self.recipe.data.real else {case.id for case in self.volumes}
        if not self.recipe.data.real:
            raise UsageError(f"recipe {self.recipe.name} learns from no real case: there are no folds")
        if fold >= folds:
            raise UsageError(f"--fold {fold} of {folds} folds: the last one is {folds - 1}")
        splits = make_splits(self.volumes, folds=folds, seed=self.recipe.seed, stratify="grade")
        return set(splits.test(fold))

    def load(self) -> None:
        """Read every case and make the phantoms, or take them from the cache, unless that was done."""
        if not self._loaded:
            self._load()
            self._loaded = True

    def _load(self) -> None:
        if self.volumes:
            self._say(f"loading the slices of {len(self.volumes)} cases")
        self.slices = {case.id: slices_of(case, self.rule) for case in self.volumes}
        if self.pictures:
            self._say(f"loading {len(self.pictures)} images with masks")
        found = [image_slice(case, self.rule.size) for case in self.pictures]
        self.flat = [one for one in found if one is not None]
        if self.pictures and not with_tumour(self.flat):
            raise UsageError("none of the images has a mask in a folder masks beside it: nothing to learn")
        self.made = phantom_slices(self.recipe, self.rule, self._say)

    def _task(self, away: set[str]) -> PromptTask:
        real = [one for case, found in self.slices.items() if case not in away for one in found]
        held_out = [one for case in sorted(away) for one in with_tumour(self.slices[case])]
        pools = [(SlicePool(part), share) for part, share in self._shares(real)]
        if not any(pool for pool, _ in pools):
            raise UsageError(f"recipe {self.recipe.name}: no slice with a tumour to learn from")
        roles = {
            "real": sorted({one.case for one in [*real, *self.flat]}),
            "phantoms": list(dict.fromkeys(one.case for one in self.made)),
            "held_out": sorted(away),
        }
        return PromptTask(self.recipe, pools, held_out, roles)

    def answerable(self, task: str, away: set[str]) -> tuple[list[Slice], list[Slice]]:
        """Slices that have an answer to a task: those to learn from, and those of the cases kept aside."""
        found = [one for case in self.slices.values() for one in case] + self.flat
        found = [one for one in found if (one.grade != UNKNOWN if task == "grade" else one.mask.any())]
        return [one for one in found if one.case not in away], [one for one in found if one.case in away]

    def _shares(self, real: list[Slice]) -> list[tuple[list[Slice], float]]:
        """What is learned from, and how often."""
        images = self.recipe.language.image_share if self.flat else 0.0
        made = self.recipe.data.phantom_share if self.made else 0.0
        return [(real, max(0.0, 1 - images - made)), (self.made, made), (self.flat, images)]

    def _open(self, folder: str) -> list[AnyCase]:
        return [c for c in open_dataset(folder) if c.has_reference and self._collected(c)]

    def _wanted(self, case: Any) -> bool:
        return bool(case.has_reference)


def phantom_slices(recipe: Recipe, rule: SliceRule, say: Say) -> list[Slice]:
    """Slices of the recipe's phantoms, from the cache where they are there.

    Made again they are the same; the file in the cache spares about a second a phantom.
    """
    count, seed, each = recipe.data.phantoms, recipe.data.phantom_seed, recipe.language.slices_each
    if not count:
        return []
    facts = json.dumps([GENERATOR, GRID, count, seed, each, rule.record()], sort_keys=True)
    path = cache_dir() / "slices" / f"{hashlib.sha256(facts.encode()).hexdigest()[:24]}.npz"
    if path.is_file():
        return _unpacked(path, rule)
    say(f"making {count} phantoms")
    out: list[Slice] = []
    for case in phantom_dataset(n=count, seed=seed, **GRID).volumes():  # type: ignore[arg-type]
        found = slices_of(case, rule)
        bare = [one for one in found if not one.mask.any()]
        out += spread(with_tumour(found), each) + spread(bare, max(1, each // 5))
    path.parent.mkdir(parents=True, exist_ok=True)
    atomic_write(path, _packed(out))
    return out


def _packed(slices: Sequence[Slice]) -> bytes:
    import io

    out = io.BytesIO()
    np.savez(
        out,
        images=np.stack([one.image for one in slices]),
        masks=np.packbits(np.stack([one.mask for one in slices]), axis=2),
        cases=np.array([one.case for one in slices]),
        numbers=np.array([[one.index, one.grade] for one in slices]),
    )
    return out.getvalue()


def _unpacked(path: Any, rule: SliceRule) -> list[Slice]:
    with np.load(path, allow_pickle=False) as file:
        images, numbers = file["images"], file["numbers"].tolist()
        masks = np.unpackbits(file["masks"], axis=2, count=rule.size[1]).astype(bool)
        cases = file["cases"].tolist()
    rows = zip(cases, numbers, images, masks, strict=True)
    return [
        Slice(case, index, image, mask, grade, rule.modality, rule.plane)
        for case, (index, grade), image, mask in rows
    ]
