"""``replay:FILE``: recorded answers to ``reason`` instead of a model, of ours or of anyone's.

A line needs ``topic``, ``arm``, ``image`` ("" but in the arm predicted), ``prompt``, ``repeat``, ``raw``.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from ...zoo.answerer import Question, Reply
from ...zoo.errors import ModelError, ModelNotFoundError, UsageError
from ...zoo.runtimes.base import RuntimeInfo
from .. import files
from .asking import SCHEMA, Answer


class Replay:
    """Answers from a file; a question that is not in it fails, as one that a model did not answer.

    Args:
        path: the file.

    Raises:
        ModelNotFoundError: no such file.
        UsageError: it holds no answer, or two to one question.
    """

    def __init__(self, path: Path) -> None:
        try:
            data = path.read_bytes()
        except OSError as error:
            raise ModelNotFoundError(f"{path}: cannot be read ({files.reason(error)})") from error
        self.name, self._path = path.stem, path
        self.content_hash = hashlib.sha256(data).hexdigest()
        self.runtime = RuntimeInfo("replay", "", "none", "none", 1)
        self._known: dict[tuple[str, int], Answer] = {}
        for number, line in enumerate(data.splitlines(), 1):
            if line.strip():
                self._read(number, line)
        if not self._known:
            raise UsageError(f"{path}: no answer in it")

    def _read(self, number: int, line: bytes) -> None:
        try:
            plain = json.loads(line)
        except (ValueError, RecursionError):
            plain = None
        if number == 1 and isinstance(plain, dict) and plain.get("schema") == SCHEMA:
            run = plain.get("run")
            self.name = str(run.get("name") or self.name) if isinstance(run, dict) else self.name
            return
        answer = Answer.of(plain)
        if answer is None:
            raise UsageError(
                f"{self._path}:{number}: no answer: texts topic, arm, image, prompt, raw and a number repeat"
            )
        where = "/".join((answer.topic, answer.arm, answer.image, answer.prompt))
        if self._known.setdefault((where, answer.repeat), answer) is not answer:
            raise UsageError(f"{self._path}:{number}: a second answer to {where}, repeat {answer.repeat}")

    def answer(self, question: Question) -> Reply:
        """The recorded answer.

        Raises:
            ModelError: there is none, or it is one to another prompt.
        """
        found = self._known.get((question.case, question.repeat))
        if found is None:
            raise ModelError(f"{self._path}: no answer to {question.case}, repeat {question.repeat}")
        asked = hashlib.sha256(question.prompt.encode("utf-8", "surrogatepass")).hexdigest()
        if found.prompt_sha256 not in ("", asked):
            raise ModelError(f"{self._path}: the answer to {question.case} is one to another prompt")
        if found.new_tokens not in (0, question.new_tokens):
            raise ModelError(f"{self._path}: recorded with --new-tokens {found.new_tokens}; give that, too")
        return Reply(found.raw, found.tokens_in, found.tokens_out, sampling=found.sampling)
