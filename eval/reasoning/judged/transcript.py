"""Answers to the twelve questions as JSON lines, appended one by one: a run goes on where it stopped."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from ....zoo.answerer import Answerer, Question
from ....zoo.errors import CaseError
from ...jsonlines import JsonLines
from .gutvlm import QUESTIONS, GutVlm
from .vqa import SCHEMA, Answered, Image, ask


def ask_on_file(
    path: Path,
    model: Answerer,
    data: GutVlm,
    *,
    context: str = "none",
    image_of: Callable[[str], Image] | None = None,
) -> list[Answered]:
    """``vqa.ask`` with every answer on the disk before the next question; the same call goes on.

    Args:
        path: the transcript; made if it is not there. Failed questions in it are asked again.
        model, data, context, image_of: as of ``vqa.ask``.

    Raises:
        RunError: the file belongs to another run, is in use or cannot be written.
    """
    run = {
        "model": model.name,
        "content": model.content_hash,
        "data": data.sha256,
        "context": context,
        "images": image_of is not None,
    }
    with closing(JsonLines(path, SCHEMA, run)) as lines:
        known = [answer for answer in map(_answered, lines.found) if answer is not None and not answer.error]
        return ask(
            model,
            data,
            context=context,
            image_of=image_of,
            known=known,
            keep=lambda answer: lines.append(_plain(answer)),
        )


class Replay:
    """Answers on file: JSON lines {"image", "question" (0 to 11), "answer"}, as a run writes them.

    Attributes:
        name, content_hash: of the file.
    """

    def __init__(self, path: Path) -> None:
        self.name, self.content_hash, answers = read_answers(path)
        self._answers = {(one.image, one.number): one for one in answers}

    def answer(self, question: Question) -> str:
        """The recorded answer.

        Raises:
            CaseError: none is on file, or the model failed then.
        """
        found = self._answers.get((question.case, question.slice))
        if found is None or found.error:
            raise CaseError(f"{question.case}: question {question.slice}: no answer on file")
        return found.text


def read_answers(path: Path) -> tuple[str, str, list[Answered]]:
    """(name of who answered, hash of the file, its answers); of an answer given twice the last counts.

    Raises:
        CaseError: no such file, or a line that is no answer; file and line are named.
    """
    try:
        content = path.read_bytes()
        lines = content.decode("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise CaseError(f"{path}: cannot be read as recorded answers: {error}") from error
    name, answers = path.stem, []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        plain = _json(path, number, line)
        if number == 1 and "schema" in plain:
            name = str(plain.get("run", {}).get("model", name))
            continue
        answer = _answered(plain)
        if answer is None:
            raise CaseError(
                f"{path}:{number}: expected an object with image, question (0 to {QUESTIONS - 1}) and answer"
            )
        answers.append(answer)
    return name, hashlib.sha256(content).hexdigest(), answers


def _json(path: Path, number: int, line: str) -> dict[str, Any]:
    try:
        plain = json.loads(line)
    except (json.JSONDecodeError, RecursionError) as error:
        raise CaseError(f"{path}:{number}: no JSON: {error}") from error
    return plain if isinstance(plain, dict) else {}


def _answered(plain: Any) -> Answered | None:
    """An answer from its line; None for what is none."""
    if not isinstance(plain, dict):
        return None
    image, number = plain.get("image"), plain.get("question")
    text, error = plain.get("answer", ""), plain.get("error", "")
    fits = isinstance(number, int) and not isinstance(number, bool) and 0 <= number < QUESTIONS
    if not (
        fits
        and all(isinstance(word, str) for word in (image, text, error))
        and plain.keys() & {"answer", "error"}
    ):
        return None
    return Answered(str(image), int(str(number)), text, error)


def _plain(answer: Answered) -> dict[str, Any]:
    said = {"error": answer.error} if answer.error else {"answer": answer.text}
    return {"image": answer.image, "question": answer.number, **said}
