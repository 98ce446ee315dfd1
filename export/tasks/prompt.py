"""Training of a small model that answers the prompt tasks: slices and conversations in, tokens out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..language.judging import SCORED, judge
from ..language.losses import Conversations, TokenLoss, answer_states, mask_loss, patch_masks
from ..language.sampling import ConversationSampler, SlicePool
from ..language.slices import Slice
from ..language.slots import SlotDecoder
from ..language.vocabulary import build_tokenizer, number_ids
from ..networks.llava_nano import PATCHES
from ..recipe import Recipe

WARM_WEIGHT = 2.0


class PromptTask:
    """A ``TrainingTask`` for slices.

    Args:
        recipe: its language and augment sections.
        pools: where slices come from, and how often.
        held_out: slices with tumour, never learned from; may be none.
        roles: case ids by role, as ``describe`` gives them.
    """

    metric = "score"

    def __init__(
        self,
        recipe: Recipe,
        pools: Sequence[tuple[SlicePool, float]],
        held_out: Sequence[Slice],
        roles: Mapping[str, list[str]],
    ) -> None:
        self.recipe, self.held_out, self.roles = recipe, list(held_out), dict(roles)
        self.samples = sum(len(case) for pool, _ in pools for case in pool.tumour)
        tokens, language = build_tokenizer(), recipe.language
        self.source = ConversationSampler(
            pools, language, recipe.augment, recipe.fit.batch, recipe.seed, recipe.fit.steps, PATCHES + 1
        )
        plain = language.tasks.index("grade") + 1 if "grade" in language.tasks else 0
        self.bos = int(tokens.bos_token_id or 0)
        self.tokens = TokenLoss(number_ids(tokens), plain, language.least_weight)

    def batch(self, step: int) -> tuple[np.ndarray, ...]:
        return self.source.batch(step)

    def loss(self, network: Any, tensors: tuple[Tensor, ...]) -> Tensor:
        """Of the patch masks alone in the first steps; then of the answers too."""
        images, masks, ids, labels, positions, blocks, state = tensors
        states = network(images)
        masked = mask_loss(network.mask_head(states), patch_masks(masks.float()))
        sigma, speaks = state.tolist()
        if not speaks:
            return WARM_WEIGHT * masked
        said = Conversations(ids, labels, positions, blocks)
        answered = labels >= 0
        logits = network.llava.lm_head(answer_states(network, states, said, self.bos)[answered])
        told = self.tokens(logits, labels[answered], blocks[answered], sigma)
        return told + self.recipe.language.mask_weight * masked

    def validate(self, network: nn.Module, device: torch.device) -> dict[str, float]:
        """``by_case``, by ``case/figure``."""
        cases = self.by_case(network, device)
        return {f"{case}/{figure}": value for case, found in cases.items() for figure, value in found.items()}

    def by_case(self, network: Any, device: torch.device) -> dict[str, dict[str, float]]:
        """Means over all slices with tumour of every held-out case, scored by ``eval/language``.

        ``patch-dice`` is what the tower alone sees: of all masks of the case put together.
        """
        if not self.held_out:
            return {}
        network.eval()
        images = torch.from_numpy(np.stack([one.image for one in self.held_out]))
        out = self._seen(network, images.to(device))
        asked = SlotDecoder(network.llava, self.recipe.language.wording, *self._spoken())
        answers = asked.answers(images, self.recipe.language.tasks)
        for case, figures in judge(self.held_out, answers).items():
            out[case] |= figures
        return out

    def score(self, validation: dict[str, float]) -> float | None:
        """Mean of box Dice, centre in box and polygon Dice over the cases."""
        figures = [value for name, value in validation.items() if name.rsplit("/", 1)[1] in SCORED]
        return round(float(np.mean(figures)), 5) if figures else None

    def deployed(self, network: Any) -> nn.Module:
        return network.llava

    def describe(self) -> dict[str, list[str]]:
        return self.roles

    def _spoken(self) -> tuple[str, str]:
        return self.held_out[0].modality, self.held_out[0].plane

    @torch.no_grad()
    def _seen(self, network: Any, images: Tensor) -> dict[str, dict[str, float]]:
        found = torch.cat([network.mask_head(network(some)) > 0 for some in images.split(64)])
        truth = patch_masks(torch.from_numpy(np.stack([one.mask for one in self.held_out]))).to(found.device)
        counts = torch.stack([(found & truth).sum((1, 2)), found.sum((1, 2)) + truth.sum((1, 2))], 1)
        out: dict[str, dict[str, float]] = {}
        cases = [one.case for one in self.held_out]
        for case in dict.fromkeys(cases):
            mine = torch.tensor([name == case for name in cases])
            both, sizes = counts[mine].sum(0).tolist()
            out[case] = {"patch-dice": round(2 * both / max(1, sizes), 4)}
        return out
