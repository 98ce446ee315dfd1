"""Transcripts: what a language model answered, one JSON line per case, slice, prompt and repeat.

A line that cannot be used becomes a :class:`~voxzoo.eval.language.problems.Problem`; the rest is read.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...zoo.errors import CaseError
from .. import files
from .answers import SCHEMA, Answer
from .lines import answer_of
from .problems import Problem, json_lines

__all__ = ["SCHEMA", "Answer", "Transcript", "read_transcript", "write_transcript"]


@dataclass(frozen=True)
class Transcript:
    """The answers of a file, and what in it could not be used.

    Attributes:
        path: the file.
        answers: in the file's order.
        problems: lines left out.
    """

    path: Path
    answers: tuple[Answer, ...]
    problems: tuple[Problem, ...] = ()

    def of_task(self, task: str) -> Transcript:
        """The answers to one task.

        Raises:
            CaseError: there is none, or they are of several models or planes.
        """
        found = tuple(answer for answer in self.answers if answer.task == task)
        if not found:
            tasks = ", ".join(sorted({answer.task for answer in self.answers})) or "no line that can be used"
            lines = [*(answer.line for answer in self.answers), *(problem.line for problem in self.problems)]
            line = lines[0] if lines else 1
            raise CaseError(f"{self.path}:{line}: no answer to the task {task!r}; it holds {tasks}")
        for name in ("model", "plane"):
            first = getattr(found[0], name)
            other = next((answer for answer in found if getattr(answer, name) != first), None)
            if other is not None:
                raise CaseError(
                    f"{self.path}:{other.line}: another {name} ({getattr(other, name)}) than in line "
                    f"{found[0].line} ({first}); give one file for each"
                )
        return Transcript(self.path, found, self.problems)


def read_transcript(path: str | os.PathLike[str]) -> Transcript:
    """Read a transcript in either format.

    A second line for a key is left out and named, whether it says the same or something else.

    Args:
        path: the file.

    Returns:
        The transcript; look at its ``problems``.

    Raises:
        RunError: the file cannot be read.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "a.jsonl"
        >>> line = Answer("grade", "toy", "p1", 40, "Choice: 1").to_line()
        >>> _ = path.write_text("\\n".join([line, line, "oops"]))
        >>> transcript = read_transcript(path)
        >>> len(transcript.answers), [problem.line for problem in transcript.problems]
        (1, [2, 3])
    """
    path = Path(path)
    problems: list[Problem] = []
    first: dict[tuple[Any, ...], Answer] = {}
    for number, plain in json_lines(path, problems):
        try:
            answer = answer_of(plain, number)
        except ValueError as error:
            problems.append(Problem(path, number, str(error)))
            continue
        earlier = first.setdefault(answer.key, answer)
        if earlier is not answer:
            problems.append(Problem(path, number, _second(earlier, answer)))
    return Transcript(path, tuple(first.values()), tuple(sorted(problems, key=lambda p: p.line)))


def _second(earlier: Answer, answer: Answer) -> str:
    what = f"case {answer.case}, slice {answer.slice}, repeat {answer.repeat}"
    if earlier.raw == answer.raw:
        return f"{what} is there twice, first in line {earlier.line}; the second is left out"
    return f"{what} has another answer in line {earlier.line}; that one is scored, this one is left out"


def write_transcript(path: str | os.PathLike[str], answers: Iterable[Answer]) -> None:
    """Write answers in our own format, in one step.

    Raises:
        RunError: it cannot be written; what was there is untouched.
    """
    text = "".join(answer.to_line() + "\n" for answer in answers)
    files.atomic_write(Path(path), text.encode())
