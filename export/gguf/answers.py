"""Two models asked the same questions: how often they answer alike, and how right each of them is.

Logits that agree say that a conversion or merge is right; this says that the tasks are still done as well.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ...zoo.answerer import Answerer, Question, Reply
from ...zoo.cases import Case
from ...zoo.datasets import open_dataset
from ...zoo.errors import UsageError
from ...zoo.language import open_answerer
from ...zoo.tasks.prompt import PROMPT_TASKS, choose_prompt, prompt_task
from ...zoo.tasks.slices import SliceRule
from ..language.judging import judge
from ..language.slices import Slice, slices_of, spread, with_tumour


@dataclass(frozen=True)
class TaskAnswers:
    """Both models on one task.

    Attributes:
        task: its name.
        count: questions asked of each.
        alike: share of answers that are the same to the letter.
        figure: name of the score.
        reference, other: mean score over cases, of each model; NaN where it is not defined.
    """

    task: str
    count: int
    alike: float
    figure: str
    reference: float
    other: float

    def line(self) -> str:
        """For people.

        Example:
            >>> TaskAnswers("box", 8, 1.0, "box-dice", 0.61, 0.61).line()
            'box       8 answers, 100% alike   box-dice 0.610 in transformers, 0.610 in llama.cpp'
        """
        scores = f"{self.figure} {self.reference:.3f} in transformers, {self.other:.3f} in llama.cpp"
        return f"{self.task:8s} {self.count:2d} answers, {self.alike:4.0%} alike   {scores}"


def compare_answers(
    reference: Answerer, other: Answerer, slices: Sequence[Slice], wording: str = "brief"
) -> list[TaskAnswers]:
    """Ask two models all prompt tasks about the same slices.

    Args:
        reference: by transformers.
        other: the GGUF.
        slices: with tumour; all of one size.
        wording: of the prompts.

    Raises:
        UsageError: no slices.
        VoxzooError: a model cannot answer.
    """
    if not slices:
        raise UsageError("no slice with a tumour to ask about; give other cases with --data")
    found = []
    for task in PROMPT_TASKS:
        one, two = (_asked(model, task, slices, wording) for model in (reference, other))
        alike = float(np.mean([a == b for a, b in zip(one, two, strict=True)]))
        (figure, left), (_, right) = _scored(task, slices, one), _scored(task, slices, two)
        found.append(TaskAnswers(task, len(slices), alike, figure, left, right))
    return found


def compare_runtimes(
    text: Path,
    mmproj: Path,
    checkpoint: Path,
    adapter: Path | None = None,
    data: str = "phantom",
    most: int = 8,
    threads: int = 1,
) -> list[TaskAnswers]:
    """Ask a GGUF pair and its checkpoint in transformers the same questions, greedily.

    Args:
        text, mmproj: the pair.
        checkpoint: Hugging Face folder.
        adapter: of PEFT, merged into the pair.
        data: what ``zoo.datasets`` opens, with references.
        most: slices that are asked about, spread over the cases.
        threads: of both.

    Raises:
        VoxzooError: a model cannot be opened or asked, or the data cannot be read.
    """
    slices = _slices(data, most)
    name = f"transformers:{checkpoint}" + (f"+{adapter}" if adapter else "")
    reference = open_answerer(name, device="cpu", threads=threads)
    # Token by token, as transformers does it: slots force what stands between the numbers.
    other = open_answerer(f"{text}+{mmproj}", device="cpu", threads=threads, decoding="grammar")
    return compare_answers(reference, other, slices)


def _slices(data: str, most: int) -> list[Slice]:
    """Slices with tumour of a few cases."""
    found: list[Slice] = []
    for case in open_dataset(data).cases:
        if isinstance(case, Case):
            found += spread(with_tumour(slices_of(case, SliceRule())), 4)
        if len(found) >= most:
            break
    return found[:most]


def _asked(model: Answerer, task: str, slices: Sequence[Slice], wording: str) -> list[str]:
    return [_text(model.answer(question)) for question in _questions(task, slices, wording)]


def _text(answer: str | Reply) -> str:
    return answer if isinstance(answer, str) else answer.text


def _questions(task: str, slices: Sequence[Slice], wording: str) -> Iterator[Question]:
    asked = prompt_task(task)
    for one in slices:
        rule = replace(asked.slices, plane=one.plane, modality=one.modality)
        text = choose_prompt(asked, wording, rule).text
        grammar = asked.grammar(one.image.shape[:2])
        yield Question(
            task, text, one.image, grammar, asked.new_tokens, one.case, one.plane, one.index, repeat=0
        )


def _scored(task: str, slices: Sequence[Slice], texts: list[str]) -> tuple[str, float]:
    """(name, mean over cases) of a task's figure."""
    rows = [(name, value) for row in judge(slices, {task: texts}).values() for name, value in row.items()]
    values = [value for _, value in rows if np.isfinite(value)]
    return (rows[0][0] if rows else task), float(np.mean(values)) if values else float("nan")
