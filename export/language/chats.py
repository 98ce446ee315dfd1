"""Conversations for any vision-language model: its own chat template, the image first, then the prompt.

As in the study, one conversation asks one task about one slice; what is learned is the answer alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .conversation import prompt_text
from .slices import Slice

IGNORED = -100


class Chats:
    """Slices and texts as a model's inputs.

    Args:
        processor: of the model.
        task: a prompt task.
        wording: of its prompts.
    """

    def __init__(self, processor: Any, task: str, wording: str) -> None:
        self.processor, self.task, self.wording = processor, task, wording
        tokenizer = processor.tokenizer
        if tokenizer.pad_token is None:
            tokenizer.pad_token = tokenizer.eos_token

    def question(self, one: Slice) -> str:
        """What stands before the answer."""
        text = prompt_text(self.task, self.wording, one.modality, one.plane, one.image.shape)
        content = [{"type": "image"}, {"type": "text", "text": text}]
        return self.processor.apply_chat_template(
            [{"role": "user", "content": content}], add_generation_prompt=True
        )

    def asked(self, slices: Sequence[Slice]) -> dict[str, Tensor]:
        """Questions, padded on the left, to be answered."""
        return self._inputs([self.question(one) for one in slices], slices, "left")

    def taught(self, slices: Sequence[Slice], answers: Sequence[str]) -> dict[str, Tensor]:
        """Questions with their answers, and ``labels`` that leave the questions out."""
        questions = [self.question(one) for one in slices]
        end = self.processor.tokenizer.eos_token or ""
        texts = [q + answer + end for q, answer in zip(questions, answers, strict=True)]
        inputs = self._inputs(texts, slices, "right")
        labels = inputs["input_ids"].clone()
        labels[inputs["attention_mask"] == 0] = IGNORED
        lengths = self._inputs(questions, slices, "right")["attention_mask"].sum(1)
        for row, length in zip(labels, lengths.tolist(), strict=True):
            row[:length] = IGNORED
        return {**inputs, "labels": labels}

    def _inputs(self, texts: list[str], slices: Sequence[Slice], side: str) -> dict[str, Tensor]:
        images = [[np.repeat(one.image[..., None], 3, axis=2)] for one in slices]
        tokenizer = self.processor.tokenizer
        before, tokenizer.padding_side = tokenizer.padding_side, side
        try:
            found = self.processor(
                text=texts, images=images, padding=True, add_special_tokens=False, return_tensors="pt"
            )
        finally:
            tokenizer.padding_side = before
        return {name: value for name, value in found.items() if isinstance(value, Tensor)}

    @torch.no_grad()
    def answers(self, model: Any, slices: Sequence[Slice], most: int, batch: int) -> list[str]:
        """What the model says, greedily.

        Args:
            model: in eval mode.
            slices: to be asked about.
            most: new tokens of an answer.
            batch: slices at a time.
        """
        out: list[str] = []
        tokenizer, device = self.processor.tokenizer, next(model.parameters()).device
        for first in range(0, len(slices), batch):
            inputs = {k: v.to(device) for k, v in self.asked(slices[first : first + batch]).items()}
            found = model.generate(
                **inputs, max_new_tokens=most, do_sample=False, pad_token_id=tokenizer.pad_token_id
            )
            out += tokenizer.batch_decode(
                found[:, inputs["input_ids"].shape[1] :],
                skip_special_tokens=True,
                clean_up_tokenization_spaces=False,
            )
        return out
