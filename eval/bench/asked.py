"""A language model under the clock: it is asked about a slice at a time."""

from __future__ import annotations

import os
import time
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...zoo.answerer import Answerer, Question
from ...zoo.errors import InputError, UsageError
from ..language.naming import REPLAY, SCRIPT
from .work import Did

if TYPE_CHECKING:
    from ...zoo.cases import Case
    from ...zoo.tasks.prompt import PromptTask
    from ...zoo.tasks.slices import SliceRule


@dataclass
class AnswerSubject:
    """A language model: from a patient's image to the text about one slice.

    A volume is read and cut once; each of its slices bears its share of that.

    Args:
        model: who is asked.
        task: what.
        rule: which slices.
        size: bytes of its files; None where not known.
    """

    model: Answerer
    task: PromptTask
    rule: SliceRule
    size: int | None = None
    unit: str = "slice"
    _open: tuple[str, Any, float] | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        from ...zoo.language import asked_prompt

        self.name = self.model.name
        self._prompt = asked_prompt(self.model, self.task, "auto", self.rule).text
        runtime = getattr(self.model, "runtime", None)
        self.facts: dict[str, Any] = {
            "name": self.name,
            "content_sha256": self.model.content_hash,
            "runtime": {"name": "live", "device": "cpu"} if runtime is None else asdict(runtime),
            "bytes": self.size,
            "flops_per_run": None,
            "flops_reason": "not counted for language models",
            "runs_per_volume": None,
            "task": self.task.name,
            "shown": self.rule.record(),
        }

    def work(self, case: Case, turn: int) -> Did:
        """One slice, the next of the patient's."""
        slices, opening = self._slices(case)
        index = slices.indices[turn % len(slices.indices)]
        begin = time.perf_counter()
        image = slices.image(index)
        shown = time.perf_counter()
        self.model.answer(self._question(case, index, image, turn))
        seconds = {"prepare": opening + shown - begin, "answer": time.perf_counter() - shown}
        return Did(seconds, 1, len(slices.indices))

    def _slices(self, case: Case) -> tuple[Any, float]:
        if self._open is None or self._open[0] != case.id:
            from ...zoo.slices2d import open_slices

            begin = time.perf_counter()
            slices = open_slices(case, self.rule)
            took = time.perf_counter() - begin
            if not slices.indices:
                raise InputError(f"{case.id}: no slice to ask about; try --show all")
            self._open = case.id, slices, took / len(slices.indices)
        return self._open[1], self._open[2]

    def _question(self, case: Case, index: int, image: Any, turn: int) -> Question:
        task, grammar = self.task, self.task.grammar(self.rule.size)
        plane = self.rule.plane
        return Question(task.name, self._prompt, image, grammar, task.new_tokens, case.id, plane, index, turn)


def answer_subject(
    model: Any, task: str, show: str | None = None, device: str = "auto", threads: int | None = None
) -> AnswerSubject:
    """Open a language model for a benchmark.

    Args:
        model: what ``zoo.language`` opens, "script:FILE.py", or an object with ``answer``.
        task: what it is asked.
        show: which slices; None leaves it to the task.
        device, threads: of its runtime.

    Raises:
        UsageError: recorded answers, an unknown task or range of slices.
        ModelError, ContractError, DeviceError, MissingDependencyError: it cannot be opened.
    """
    from ...zoo.language import shown_by
    from ...zoo.tasks.prompt import prompt_task

    asked, size = prompt_task(task), None
    if isinstance(model, str | os.PathLike):
        size, model = _size(os.fspath(model)), _open(os.fspath(model), device, threads)
    rule = shown_by(model, asked)
    try:
        rule = replace(rule, which=show or rule.which)
    except InputError as error:
        raise UsageError(str(error)) from error
    return AnswerSubject(model, asked, rule, size)


def _open(spec: str, device: str, threads: int | None) -> Answerer:
    from ...zoo.language import load_language
    from ..language.live import load_script

    if spec.startswith(REPLAY):
        raise UsageError(f"{spec}: recorded answers take no time; give a model that answers")
    if spec.startswith(SCRIPT):
        return load_script(spec.removeprefix(SCRIPT))
    return load_language(spec, device=device, threads=threads)


def _size(spec: str) -> int | None:
    """Bytes of a GGUF pair; None for what lies elsewhere or in many files."""
    from ...zoo.ggufpair import split_pair
    from ...zoo.language import PREFIXES
    from ...zoo.registry import resolve

    if spec.startswith((SCRIPT, REPLAY, *PREFIXES)):
        return None
    name, mmproj = split_pair(spec)
    found = resolve(name)
    paths = [found.path, resolve(mmproj).path if mmproj else getattr(found, "mmproj", None)]
    return sum(Path(path).stat().st_size for path in paths if path is not None)
