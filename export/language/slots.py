"""Answers of a llava-nano that is still in torch, greedily and by the tasks' grammars: for validation.

Between two numbers of an answer nothing is to be decided but where a polygon ends, so the fixed tokens are
fed along with the numbers, and only numbers are chosen: the same answers as under the grammar.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ...zoo.tasks.polygon import FEWEST_POINTS, MOST_POINTS
from ..networks.llava_nano import patch_states
from .sampling import question_ids
from .vocabulary import build_tokenizer, number_ids

if TYPE_CHECKING:
    from transformers import DynamicCache, LlavaForConditionalGeneration

CHUNK = 64
"""Images at a time."""

OPEN = {"center": "(", "box": "[(", "polygon": "((", "grade": "Choice: "}
CORNERS = 4


class SlotDecoder:
    """Asks a model about many slices at once.

    Args:
        model: in eval mode, with the tokenizer of ``vocabulary``.
        wording: of the prompts.
        modality, plane: that the prompts speak of.
    """

    def __init__(
        self,
        model: LlavaForConditionalGeneration,
        wording: str = "brief",
        modality: str = "flair",
        plane: str = "axial",
    ) -> None:
        self.model, self.spoken = model, (wording, modality, plane)
        tokens = build_tokenizer()
        device = next(model.parameters()).device
        self.bos = int(tokens.bos_token_id or 0)
        self.numbers = torch.tensor(number_ids(tokens), device=device)
        self.piece = {p: tokens.convert_tokens_to_ids(p) for p in ("), (", "))", ", ", *OPEN.values())}

    @torch.no_grad()
    def answers(self, images: Tensor, tasks: Sequence[str]) -> dict[str, list[str]]:
        """Task -> one answer per image.

        Args:
            images: (n, H, W) uint8, on any device.
            tasks: prompt tasks.
        """
        out: dict[str, list[str]] = {task: [] for task in tasks}
        for first in range(0, len(images), CHUNK):
            some = images[first : first + CHUNK].to(self.numbers.device)
            cache = self._shown(some)
            seen = cache.get_seq_length()
            for task in tasks:
                out[task] += self._asked(cache, task, tuple(some.shape[1:]), len(some))
                cache.crop(seen - cache.get_seq_length())
        return out

    def _shown(self, images: Tensor) -> DynamicCache:
        """The state after the image."""
        from transformers import DynamicCache

        language = self.model.model.language_model
        states = patch_states(self.model, images)
        start = language.embed_tokens(torch.full((len(images), 1), self.bos, device=images.device))
        cache = DynamicCache(config=self.model.config.text_config)
        language(inputs_embeds=torch.cat([start, states], 1), past_key_values=cache, use_cache=True)
        return cache

    def _asked(self, cache: DynamicCache, task: str, size: tuple[int, int], count: int) -> list[str]:
        question = [*question_ids(task, *self.spoken, size), self.piece[OPEN[task]]]
        fixed = torch.tensor(question, device=self.numbers.device).expand(count, -1)
        if task == "grade":
            found = self._fed(cache, fixed)[:, self.numbers[:3]].argmax(1)
            return [f"Choice: {digit} Reasoning: unsaid" for digit in found.tolist()]
        most = {"center": 1, "box": CORNERS, "polygon": MOST_POINTS}[task]
        points, lengths = self._points(cache, fixed, most, task == "polygon")
        left, right = ("[", "]") if task == "box" else ("(", ")") if task == "polygon" else ("", "")
        kept = [row[:n] for row, n in zip(points.tolist(), lengths.tolist(), strict=True)]
        return [left + ", ".join(f"({r}, {c})" for r, c in row) + right for row in kept]

    def _points(self, cache: DynamicCache, fixed: Tensor, most: int, may_end: bool) -> tuple[Tensor, Tensor]:
        """(n, most, 2) points and how many of them count."""
        count = len(fixed)
        lengths = torch.full((count,), most, device=fixed.device)
        points, feed = [], fixed
        for number in range(1, most + 1):
            row = self._fed(cache, feed)[:, self.numbers].argmax(1)
            col = self._fed(cache, self._then(row, ", "))[:, self.numbers].argmax(1)
            points.append(torch.stack([row, col], 1))
            feed = self._then(col, "), (")
            if may_end and FEWEST_POINTS <= number < most:
                ends = self._fed(cache, feed[:, :1])
                over = ends[:, self.piece["))"]] > ends[:, self.piece["), ("]]
                lengths = torch.where(over & (lengths == most), number, lengths)
                feed = feed[:, 1:]
                if bool((lengths < most).all()):
                    break
        points += [points[-1]] * (most - len(points))
        return torch.stack(points, 1), lengths

    def _then(self, numbers: Tensor, piece: str) -> Tensor:
        after = torch.full_like(numbers, self.piece[piece])
        return torch.stack([self.numbers[numbers], after], 1)

    def _fed(self, cache: DynamicCache, ids: Tensor) -> Tensor:
        """(n, vocabulary) logits after these tokens."""
        language = self.model.model.language_model
        states = language(input_ids=ids, past_key_values=cache, use_cache=True).last_hidden_state
        return self.model.lm_head(states[:, -1])
