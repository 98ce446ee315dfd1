"""Asking a language model: every slice of every case, each answer on the disk before the next question.

What is asked of a model is :class:`~voxzoo.zoo.answerer.Answerer`; a test's scripted one and a runtime's real
one look the same.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import compress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ...zoo.answerer import Answerer, Question, Reply
from ...zoo.errors import RunError, UsageError, VoxzooError
from ...zoo.tasks.prompt import Prompt, PromptTask
from ...zoo.tasks.slices import SliceRule
from ...zoo.userfile import run_file
from .ahead import in_order
from .answers import Answer
from .naming import SCRIPT
from .writer import TranscriptWriter

if TYPE_CHECKING:
    from ...zoo.cases import Case
    from ..energy.items import ItemMeter


def load_script(path: str) -> Answerer:
    """A model from a Python file of the user's that sets ``MODEL``. That file is run: give only your own.

    Raises:
        UsageError: no such file, or no ``MODEL`` with ``name``, ``content_hash`` and ``answer`` in it.
    """
    file = Path(path).expanduser()
    module = run_file(file, "model", f"{SCRIPT}FILE is a Python file that sets MODEL")
    model = getattr(module, "MODEL", None)
    if not isinstance(model, Answerer):
        raise UsageError(f"{file}: sets no MODEL with name, content_hash and answer(question)")
    return model


_Due = tuple[Answer, NDArray[np.uint8]]
"""An answer without its text, and the image it is about."""


@dataclass(frozen=True)
class Survey:
    """What is asked about every case.

    Attributes:
        task: whose prompts, grammar and parsers.
        prompts: one or more wordings.
        rule: which slices are shown, and how.
        repeats: how often each question is asked.
    """

    task: PromptTask
    prompts: tuple[Prompt, ...]
    rule: SliceRule
    repeats: int = 1


def ask_case(
    model: Answerer,
    case: Case,
    survey: Survey,
    writer: TranscriptWriter,
    on_file: Mapping[Any, Answer],
    told: Callable[[str], None],
    meter: ItemMeter | None = None,
) -> tuple[int, int, list[Answer]]:
    """Ask about one case what is not on file yet.

    Args:
        model: who is asked.
        case: about what.
        survey: what.
        writer: where answers go.
        on_file: key -> answer, of an earlier session.
        told: is given a line for each question that got no answer.
        meter: of the energy of each answer.

    A model with an attribute ``concurrency`` above 1 is asked so many questions at once, from several
    threads; its answers are written in the order of the questions. One with ``side_by_side`` above 1 is given
    all questions about a slice at once. One with ``settings`` has them compared with the ``sampling`` of
    answers on file.

    Returns:
        How many new answers there are, how many were on file, and the questions that got none, as answers
        without a text.

    Raises:
        RunError: an answer on file is one to another image, prompt or model, or with other settings.
    """
    from ...zoo.slices2d import open_slices

    slices = open_slices(case, survey.rule)
    kept: list[int] = []
    reused: list[int] = []
    silent: list[Answer] = []

    def is_due(answer: Answer) -> bool:
        earlier = on_file.get(answer.key)
        if earlier is not None:
            _check_same(earlier, answer, model, writer.path)
            reused.append(answer.slice)
        return earlier is None

    def asked() -> Iterator[tuple[list[Answer], NDArray[np.uint8]]]:
        for index in slices.indices:
            image = slices.image(index)
            digest = hashlib.sha256(image.tobytes()).hexdigest()
            yield list(_blank(model, case.id, index, digest, survey)), image

    def ask(one: _Due) -> _Given:
        return _ask(model, *one, survey, alone=most == 1)

    def keep(one: _Due, given: _Given | VoxzooError) -> None:
        answer, _ = one
        if isinstance(given, RunError):
            raise given
        if isinstance(given, VoxzooError):
            told(f"{case.id}: slice {answer.slice}, repeat {answer.repeat}: {' '.join(str(given).split())}")
            silent.append(answer)
        else:
            writer.append(_filled(answer, given, meter))
            kept.append(answer.slice)

    most = getattr(model, "concurrency", 1)
    if getattr(model, "side_by_side", 1) > 1:
        for answers, image in asked():
            due = [is_due(answer) for answer in answers]
            if any(due):  # then all are asked: the same questions stand side by side again
                given = _ask_together(model, answers, image, survey)
                for answer, outcome in compress(zip(answers, given, strict=True), due):
                    keep((answer, image), outcome)
    else:
        questions = ((a, image) for answers, image in asked() for a in answers if is_due(a))
        in_order(ask, questions, keep, most)
    return len(kept), len(reused), silent


def _blank(model: Answerer, case: str, index: int, digest: str, survey: Survey) -> Iterator[Answer]:
    """The answers that one slice is due, without their text."""
    for prompt in survey.prompts:
        for repeat in range(survey.repeats):
            yield Answer(
                task=survey.task.name,
                model=model.name,
                case=case,
                slice=index,
                raw="",
                plane=survey.rule.plane,
                repeat=repeat,
                prompt=prompt.name,
                prompt_sha256=prompt.sha256,
                image_sha256=digest,
                shown=survey.rule.record(),
                model_sha256=model.content_hash,
            )


def _check_same(earlier: Answer, answer: Answer, model: Answerer, path: Path) -> None:
    pairs = [
        (name.removesuffix("_sha256"), getattr(earlier, name), getattr(answer, name))
        for name in ("model_sha256", "prompt_sha256", "image_sha256")
    ]
    pairs += [(name, earlier.sampling.get(name), value) for name, value in _settings(model).items()]
    for name, found, wanted in pairs:
        if found != wanted:
            raise RunError(
                f"{path}:{earlier.line}: holds an answer with another {name}; give another --out, or "
                "--overwrite to ask again"
            )


def _settings(model: Answerer) -> dict[str, Any]:
    """What changes a model's answers beside its content, for those that say it."""
    return dict(getattr(model, "settings", {}))


@dataclass(frozen=True)
class _Given:
    """A reply, and what it took."""

    reply: Reply
    seconds: float
    cpu_seconds: float


def _question(answer: Answer, image: NDArray[np.uint8], survey: Survey) -> Question:
    return Question(
        answer.task,
        next(prompt.text for prompt in survey.prompts if prompt.name == answer.prompt),
        image,
        survey.task.grammar(survey.rule.size),
        survey.task.new_tokens,
        answer.case,
        answer.plane,
        answer.slice,
        answer.repeat,
    )


def _ask(model: Answerer, answer: Answer, image: NDArray[np.uint8], survey: Survey, alone: bool) -> _Given:
    """Ask one question; CPU time is of the process where it is ``alone``, else of this thread."""
    question = _question(answer, image, survey)
    clock = time.process_time if alone else time.thread_time
    start, cpu = time.perf_counter(), clock()
    given = model.answer(question)
    seconds, spent = time.perf_counter() - start, clock() - cpu
    return _Given(Reply(given) if isinstance(given, str) else given, round(seconds, 6), spent)


def _ask_together(
    model: Any, answers: Sequence[Answer], image: NDArray[np.uint8], survey: Survey
) -> list[_Given | VoxzooError]:
    """Ask all questions about one slice; each took an equal share of the time."""
    questions = [_question(answer, image, survey) for answer in answers]
    start, cpu = time.perf_counter(), time.process_time()
    outcomes = model.answer_all(questions)
    seconds = (time.perf_counter() - start) / len(answers)
    spent = (time.process_time() - cpu) / len(answers)
    return [
        given if isinstance(given, VoxzooError) else _Given(given, round(seconds, 6), spent)
        for given in outcomes
    ]


def _filled(answer: Answer, given: _Given, meter: ItemMeter | None) -> Answer:
    reply = given.reply
    return replace(
        answer,
        raw=reply.text,
        tokens_in=reply.tokens_in,
        tokens_out=reply.tokens_out,
        probabilities=reply.probabilities,
        sampling=reply.sampling,
        seconds=given.seconds,
        energy={} if meter is None else meter.item({"answer": given.cpu_seconds}, meter.lap()),
    )
