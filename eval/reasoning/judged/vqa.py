"""The same images as twelve questions each: a benchmark with one right answer, scored by exact match.

What may be answered is read off the question ("among colon, cecum, ...", "(Zero, Single, Multiple)", "Is
there ..."), never off the gold answers. The other questions, colours and places, are answered freely: there
an exact match asks for the annotator's very word, and figures are low for everybody.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ....zoo.answerer import Answerer, Question, Reply
from ....zoo.errors import CaseError, UsageError, VoxzooError
from ... import stats
from .gutvlm import Description, GutVlm

SCHEMA = "voxzoo.vqa/1"
TASK = "vqa"
CONTEXTS = ("none", "description")
"""What stands before a question: nothing, or the description, errors and all. Never the corrected text."""
STATUSES = ("answered", "outside", "empty", "failed")
NEW_TOKENS = 16
NO_ANSWER = "N/A"
_AMONG = re.compile(r"\bamong ([^?]+)\?", re.IGNORECASE)
_LISTED = re.compile(r"\(([^()]*,[^()]*)\)")
_WHETHER = re.compile(r"\s*(?:is|are|does|do|has|have|can)\b", re.IGNORECASE)
Image: TypeAlias = NDArray[np.uint8]


@dataclass(frozen=True)
class Answered:
    """What a model said to one question.

    Attributes:
        image: it was asked about.
        number: of the question, 0 to 11.
        text: raw; "" where the model failed.
        error: why it failed, "" if it did not.
    """

    image: str
    number: int
    text: str
    error: str = ""

    def status(self, allowed: Sequence[str]) -> str:
        """One of ``STATUSES``: "outside" is an answer that is none of those that may be given."""
        if self.error:
            return "failed"
        if not fold(self.text):
            return "empty"
        return "outside" if allowed and fold(self.text) not in map(fold, allowed) else "answered"


def choices(question: str) -> tuple[str, ...]:
    """The answers that a question allows; none of them: it may be answered freely.

    Example:
        >>> choices("Is it the rectum or the anus among rectum, or anus? ")
        ('rectum', 'anus')
        >>> choices("How many are there? Possible answers are (Zero, Single, Multiple).")
        ('Zero', 'Single', 'Multiple')
        >>> choices("Are there any polyps?"), choices("What color is it?")
        (('Yes', 'No'), ())
    """
    listed = _AMONG.search(question) or _LISTED.search(question)
    if listed:
        words = re.split(r",\s*(?:or\s+|and\s+)?|\s+or\s+", listed[1].strip())
        return tuple(word.strip() for word in words if word.strip())
    return ("Yes", "No") if _WHETHER.match(question) else ()


def fold(text: str) -> str:
    """The form under which answers are compared: small letters, no space or punctuation around.

    Example:
        >>> fold(" Z-line. "), fold("N/A")
        ('z-line', 'n/a')
    """
    return " ".join(text.casefold().split()).strip(" .,;:!'\"")


def prompt(question: str, description: str = "") -> str:
    """What a model is asked.

    Args:
        question: as it stands in the data.
        description: of the image, by another model; "": none is shown.
    """
    allowed = choices(question)
    how = (
        f"Reply with one of: {', '.join(allowed)}. Nothing else."
        if allowed
        else f"Reply with a few words, or {NO_ANSWER} if it does not apply. Nothing else."
    )
    told = (
        f"Another model describes the image so, and may be wrong: <<{description.strip()}>>\n"
        if description
        else ""
    )
    return f"An endoscopy image of the digestive tract.\n{told}Question: {question.strip()}\n{how}"


def grammar(question: str) -> str:
    """The answers that may be given, as GBNF.

    Example:
        >>> print(grammar("Are there any polyps?"))
        root ::= "Yes" | "No"
    """
    allowed = choices(question)
    quoted = (word.replace("\\", "\\\\").replace('"', '\\"') for word in allowed)
    return "root ::= " + (" | ".join(f'"{word}"' for word in quoted) if allowed else r"[^\n]+")


def ask(
    model: Answerer,
    data: GutVlm,
    *,
    context: str = "none",
    image_of: Callable[[str], Image] | None = None,
    known: Iterable[Answered] = (),
    keep: Callable[[Answered], None] = lambda answer: None,
) -> list[Answered]:
    """Ask twelve questions about every image.

    Args:
        model: that is asked. A failure costs one question, not the run.
        data: with the questions.
        context: of ``CONTEXTS``.
        image_of: image's name -> (H, W) or (H, W, 3) uint8; None: the model reads text only.
        known: answers on file, which are not asked for again.
        keep: called with each new answer.

    Returns:
        One answer per question, in the order of the data.

    Raises:
        UsageError: no such context.
        CaseError: of ``image_of``.
    """
    if context not in CONTEXTS:
        raise UsageError(f"context: got {context!r}, expected one of {', '.join(CONTEXTS)}")
    found = {(one.image, one.number): one for one in known}
    answers = []
    for one in data.descriptions:
        due = any((one.image, number) not in found for number in range(len(one.questions)))
        image = image_of(one.image) if image_of is not None and due else None
        for number in range(len(one.questions)):
            answer = found.get((one.image, number))
            if answer is None:
                answer = _ask(model, one, number, image, context)
                keep(answer)
            answers.append(answer)
    return answers


def _ask(model: Answerer, one: Description, number: int, image: Image | None, context: str) -> Answered:
    text = one.questions[number]
    asked = prompt(text, one.original if context == "description" else "")
    question = Question(TASK, asked, image, grammar(text), NEW_TOKENS, one.image, "", number, 0)
    try:
        given = model.answer(question)
    except VoxzooError as error:
        return Answered(one.image, number, "", str(error) or type(error).__name__)
    return Answered(one.image, number, given.text if isinstance(given, Reply) else given)


def score(
    answers: Sequence[Answered], data: GutVlm, *, seed: int = 0, resamples: int = 1000
) -> dict[str, Any]:
    """Exact match per question and over all.

    A question without an answer, or with one outside what may be said, counts as wrong.

    Args:
        answers: one per question of the data, or fewer: what is missing counts as failed.
        data: with the gold.
        seed: of the bootstrap by image.
        resamples: of it.

    Returns:
        JSON-ready: ``questions`` (for each: text, choices, n, exact, chance, counts of ``STATUSES``) and
        ``all``, ``closed`` and ``free`` (mean over their questions), ``every`` (images with all right).
        ``chance`` is the share of the commonest gold answer on the same images: what always saying it scores.

    Raises:
        CaseError: images that do not have the same questions.
    """
    questions = data.descriptions[0].questions
    odd = next((one for one in data.descriptions if one.questions != questions), None)
    if odd is not None:
        raise CaseError(f"{odd.image}: its questions are not those of {data.descriptions[0].image}")
    found = {(one.image, one.number): one for one in answers}
    right = np.zeros((len(data.descriptions), len(questions)))
    counts = [Counter[str]() for _ in questions]
    for row, one in enumerate(data.descriptions):
        for number, question in enumerate(questions):
            said = found.get((one.image, number), Answered(one.image, number, "", "not asked"))
            status = said.status(choices(question))
            counts[number][status] += 1
            right[row, number] = status == "answered" and fold(said.text) == fold(one.answers[number])
    return {
        "questions": list(_questions(questions, data, right, counts, seed, resamples)),
        **dict(_means(questions, data, right, seed, resamples)),
    }


def _questions(
    questions: Sequence[str],
    data: GutVlm,
    right: NDArray[np.float64],
    counts: Sequence[Mapping[str, int]],
    seed: int,
    resamples: int,
) -> Iterator[dict[str, Any]]:
    for number, question in enumerate(questions):
        yield {
            "question": question,
            "choices": list(choices(question)),
            "n": len(right),
            "exact": _figure(right[:, number], seed, resamples),
            "chance": _chance(one.answers[number] for one in data.descriptions),
            **{status: counts[number].get(status, 0) for status in STATUSES},
        }


def _means(
    questions: Sequence[str], data: GutVlm, right: NDArray[np.float64], seed: int, resamples: int
) -> Iterator[tuple[str, dict[str, Any]]]:
    closed = np.array([bool(choices(question)) for question in questions])
    chances = np.array(
        [_chance(one.answers[number] for one in data.descriptions) for number in range(len(questions))]
    )
    for name, which in (("all", np.ones(len(questions), bool)), ("closed", closed), ("free", ~closed)):
        if which.any():
            values = np.asarray(right[:, which].mean(axis=1), np.float64)
            yield (
                name,
                {
                    "questions": int(which.sum()),
                    "exact": _figure(values, seed, resamples),
                    "chance": float(chances[which].mean()),
                },
            )
    every = np.asarray(right.all(axis=1), np.float64)
    yield "every", {"questions": len(questions), "exact": _figure(every, seed, resamples)}


def _figure(values: NDArray[np.float64], seed: int, resamples: int) -> dict[str, Any]:
    interval = stats.bootstrap_ci(values, seed=seed, resamples=resamples)
    return {"value": stats.mean(values), "ci95": None if interval is None else list(interval)}


def _chance(answers: Iterable[str]) -> float:
    counted = Counter(fold(answer) for answer in answers)
    return max(counted.values()) / counted.total()
