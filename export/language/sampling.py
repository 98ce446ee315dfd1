"""Draws augmented slices with their conversations; every batch depends on (seed, step) alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...rasterize import clockwise_from_north, mask_to_box
from ...zoo.tasks.outline import outline
from ...zoo.tasks.prompt import prompt_task
from . import vary
from .conversation import answer_text, pack, prompt_text, targets_of
from .slices import NONE, UNKNOWN, Slice, with_tumour
from .spec import LanguageSpec, SliceAugmentSpec
from .vocabulary import ANSWER, build_tokenizer

FEW_PIXELS = 40
"""Outlines of smaller tumours are traced anew after a variation: moved whole pixels would be too coarse."""

Rng = np.random.Generator
Arrays = tuple[NDArray[Any], ...]


class SlicePool:
    """Slices to draw from: a case first, then one of its slices: no large tumour outweighs a small one.

    Args:
        slices: of any number of cases.
    """

    def __init__(self, slices: Sequence[Slice]) -> None:
        self.tumour = _by_case(with_tumour(slices))
        self.empty = _by_case([one for one in slices if not one.mask.any()])
        self.outlines: dict[int, NDArray[np.int64]] = {}

    def __bool__(self) -> bool:
        return bool(self.tumour)

    def draw(self, rng: Rng, empty: bool = False) -> Slice:
        """A slice with a tumour or, where there are any, one without."""
        cases = self.empty if empty and self.empty else self.tumour
        one = cases[rng.integers(len(cases))]
        return one[rng.integers(len(one))]

    def outline(self, one: Slice) -> NDArray[np.int64]:
        """The polygon of a slice with tumour, traced once."""
        key = id(one)
        if key not in self.outlines:
            self.outlines[key] = np.array(outline(one.mask), np.int64)
        return self.outlines[key]


class ConversationSampler:
    """Batches of a ``TrainingTask``.

    Args:
        pools: where slices come from, and how often: (pool, share); shares are made to sum to 1.
        language, augment: how.
        batch, seed, steps: of the training.
        first: position of the first token behind the image.
    """

    def __init__(
        self,
        pools: Sequence[tuple[SlicePool, float]],
        language: LanguageSpec,
        augment: SliceAugmentSpec,
        batch: int,
        seed: int,
        steps: int,
        first: int,
    ) -> None:
        kept = [(pool, share) for pool, share in pools if pool and share > 0]
        self.pools, shares = [pool for pool, _ in kept], np.array([share for _, share in kept])
        self.bounds = np.cumsum(shares / shares.sum())
        self.language, self.augment, self.size, self.seed = language, augment, batch, seed
        self.steps, self.first, self.tokens = steps, first, build_tokenizer()

    def batch(self, step: int) -> Arrays:
        """Images and masks (B, H, W) uint8, the arrays of ``Packed``, and (2,) float32: sigma, and
        1 where questions are asked.

        In the first steps nothing is asked; the rows of conversations are empty then.
        """
        warm = step < self.language.warm_steps
        size = self.language.warm_batch if warm else self.size
        outlined = not warm and self._outlined(step)
        made = [self.sample(step, place, outlined) for place in range(size)]
        rows: list[dict[int, Any]] = [{} for _ in made]
        if not warm:
            rows = [self._asked(one, points, step, place) for place, (one, points) in enumerate(made)]
        packed = pack(rows, int(self.tokens.pad_token_id or 0), self.first)
        images = np.stack([one.image for one, _ in made])
        masks = np.stack([one.mask for one, _ in made]).astype(np.uint8)
        state = np.array([self._sigma(step), 0.0 if warm else 1.0], np.float32)
        return images, masks, packed.ids, packed.labels, packed.positions, packed.blocks, state

    def sample(self, step: int, place: int, outlined: bool = True) -> tuple[Slice, NDArray[np.int64] | None]:
        """One varied slice, and the outline of its tumour where one is wanted and there is one."""
        rng, spec = np.random.default_rng([self.seed, 7, step, place]), self.augment
        pool = self.pools[int(np.searchsorted(self.bounds, rng.random(), side="right"))]
        one = pool.draw(rng, empty=rng.random() < self.language.empty_share)
        image, mask = one.image.astype(np.float32) / np.float32(255), one.mask
        points = pool.outline(one) if outlined and mask.any() else None
        if not mask.any() and rng.random() < spec.transplant:
            donor = pool.draw(rng)
            image, mask = vary.transplant(
                image, donor.image.astype(np.float32) / np.float32(255), donor.mask, rng
            )
            one = replace(one, grade=donor.grade if mask.any() else one.grade)
            points = np.array(outline(mask), np.int64) if outlined and mask.any() else None
        varied, warp = self._varied(one, image, mask, rng)
        return varied, None if points is None else moved_outline(points, varied.mask, warp)

    def varied(self, one: Slice, number: int, place: int) -> Slice:
        """A variation of one slice, by (seed, number, place)."""
        rng = np.random.default_rng([self.seed, 6, number, place])
        return self._varied(one, one.image.astype(np.float32) / np.float32(255), one.mask, rng)[0]

    def _varied(self, one: Slice, image: vary.Image, mask: vary.Mask, rng: Rng) -> tuple[Slice, vary.Warp]:
        """The slice with another image, and the map from the old pixels to the new."""
        spec = self.augment
        if rng.random() < spec.fade:
            image = vary.fade(image, mask, rng)
        if rng.random() < spec.specks:
            image = vary.specks(image, rng)
        warp = vary.draw_warp(image.shape, spec, rng)
        image = vary.expose(warp.image(image), spec, rng)
        image = vary.degrade(image, spec, rng)
        moved = warp.image(mask.astype(np.float32)) >= 0.5
        grade = one.grade if moved.any() else NONE if not mask.any() else UNKNOWN
        return replace(one, image=vary.finish(image, spec, rng), mask=moved, grade=grade), warp

    def _asked(self, one: Slice, points: NDArray[np.int64] | None, step: int, place: int) -> dict[int, Any]:
        """The tasks of one image as tokens: number from 1 -> (question, answer)."""
        rng, language = np.random.default_rng([self.seed, 8, step, place]), self.language
        found = targets_of(one, [task for task in language.tasks if task != "polygon"])
        if points is not None and one.mask.any():
            found["polygon"] = points.tolist()
        out = {}
        for task, target in found.items():
            wordings = list(prompt_task(task).prompts)
            other = rng.random() < language.other_wordings
            wording = wordings[rng.integers(len(wordings))] if other else language.wording
            question = question_ids(task, wording, one.modality, one.plane, one.image.shape)
            answer = answer_ids(answer_text(task, target, one))
            out[language.tasks.index(task) + 1] = question, answer
        return out

    def _outlined(self, step: int) -> bool:
        """Whether polygons are asked for: of a whole batch or of none of it, for rows of one length."""
        share = np.random.default_rng([self.seed, 9, step]).random()
        return "polygon" in self.language.tasks and share < self.language.polygon_share

    def _sigma(self, step: int) -> float:
        first, last = self.language.sigma
        done = (step - self.language.warm_steps) / max(1, self.steps - self.language.warm_steps)
        return first + (last - first) * min(max(done / 0.7, 0.0), 1.0)


def moved_outline(points: NDArray[np.int64], mask: NDArray[np.bool_], warp: vary.Warp) -> NDArray[np.int64]:
    """An outline under a warp: whole pixels in the moved mask's box, clockwise from the north-most."""
    if not mask.any():
        return points[:0]
    if mask.sum() < FEW_PIXELS:
        return np.array(outline(mask), np.int64)
    top, left, bottom, right = mask_to_box(mask)
    moved = np.clip(np.rint(warp.points(points.astype(np.float64))), (top, left), (bottom, right))
    moved = moved[(moved != np.roll(moved, 1, axis=0)).any(axis=1)]
    if len(moved) < 3:
        return np.array(outline(mask), np.int64)
    return np.asarray(clockwise_from_north(moved)).astype(np.int64)


@lru_cache(maxsize=4096)
def question_ids(
    task: str, wording: str, modality: str, plane: str, size: tuple[int, int]
) -> tuple[int, ...]:
    """Tokens of a prompt and of the mark that the answer begins."""
    text = prompt_text(task, wording, modality, plane, size) + ANSWER
    return tuple(build_tokenizer().encode(text, add_special_tokens=False))


def answer_ids(text: str) -> list[int]:
    """Tokens of an answer and of its end."""
    tokens = build_tokenizer()
    return [*tokens.encode(text, add_special_tokens=False), int(tokens.eos_token_id or 0)]


def _by_case(slices: Sequence[Slice]) -> list[list[Slice]]:
    cases: dict[str, list[Slice]] = {}
    for one in slices:
        cases.setdefault(one.case, []).append(one)
    return list(cases.values())
