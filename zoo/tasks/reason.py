"""The prompt task ``reason``: what is known of a condition, in named sections, from what a classifier found.

The classifier sees the image; the language model is given its finding in words, or none, or the true label,
and answers with one JSON object: a text for each section. ``voxzoo.eval.reasoning`` scores the sections
against a benchmark. The parser, in ``reasoned``, says of each section whether it was answered.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import UsageError
from .prompt import Prompt
from .reasoned import ANSWERED as ANSWERED
from .reasoned import CUT, EMPTY, MALFORMED, REFUSED, STATUSES, Reasoned, Section, read_reasoned

__all__ = [
    "ABOUT",
    "ANSWERED",
    "ARMS",
    "CUT",
    "EMPTY",
    "MALFORMED",
    "NAME",
    "REFUSED",
    "SECTIONS",
    "STATUSES",
    "TASK",
    "Finding",
    "ReasonTask",
    "Reasoned",
    "Section",
]

NAME = "reason"
SECTIONS = ("causes", "symptoms", "treatment", "lifestyle", "follow-up")
"""Of an answer, unless a benchmark has its own."""
ARMS = ("without", "predicted", "true")
"""What the prompt says of the finding: nothing, the classifier's, the true one."""
ABOUT = "a medical image"
TOKENS_A_SECTION, TOKENS_AROUND = 120, 16

PROMPTS = {
    "default": "{about} of a patient was examined. {finding}\nExplain it for a clinician: {sections}. Be "
    "specific, a few short sentences each. Reply with one JSON object and nothing else:\n{form}",
    "brief": "{finding} Subject: {about}. Fill in, in plain short sentences: {sections}. JSON only:\n{form}",
    "teacher": "You teach medical students and show them {about}. {finding} Write the handout: {sections}. "
    "State facts, no advice to see a doctor. Give exactly this JSON, filled in:\n{form}",
    "patient": "A patient holds the report on {about} in hand and wants to understand it. {finding} Tell "
    "them, in simple words and without leaving out facts, about {sections}. Answer as JSON:\n{form}",
    "checklist": "Task: structured reasoning about {about}.\nInput: {finding}\nOutput: for {sections}, "
    "the points that a specialist would check.\nForm, strictly:\n{form}",
}
"""Paraphrases of one question; the finding stands in the same words in each."""

_TEXT_RULES = r"""text ::= "\"" char* "\""
char ::= [^"\\\x7F\x00-\x1F] | "\\" (["\\/bfnrt] | "u" hex hex hex hex)
hex ::= [0-9a-fA-F]
"""


@dataclass(frozen=True)
class Finding:
    """What is said to be in the image.

    Attributes:
        label: the condition.
        confidence: calibrated probability of a classifier; None for the true label.
        runner_up: its second choice and that one's probability; None for the true label.
    """

    label: str
    confidence: float | None = None
    runner_up: tuple[str, float] | None = None

    def sentence(self) -> str:
        """In words; the same finding is the same sentence whatever the last digits of its floats are.

        Example:
            >>> Finding("colon_polyps", 0.914, ("erythema", 0.051)).sentence()
            'A classifier reports: colon polyps (calibrated probability 0.91; next: erythema, 0.05).'
            >>> Finding("erythema").sentence()
            'The confirmed finding is: erythema.'
        """
        if self.confidence is None:
            return f"The confirmed finding is: {spoken(self.label)}."
        told = f"calibrated probability {self.confidence:.2f}"
        if self.runner_up is not None:
            told += f"; next: {spoken(self.runner_up[0])}, {self.runner_up[1]:.2f}"
        return f"A classifier reports: {spoken(self.label)} ({told})."


UNKNOWN = "No finding was reported."


def spoken(label: str) -> str:
    """A label as a person writes it.

    Example:
        >>> spoken("colon_polyps")
        'colon polyps'
    """
    return " ".join(label.replace("_", " ").split())


@dataclass(frozen=True)
class ReasonTask:
    """``reason``; see the module.

    Attributes:
        name: what records and options call it.
        prompts: name -> text with the places {about}, {finding}, {sections} and {form}.

    Example:
        >>> TASK.parse('{"causes": "Age."}', ("causes",)).sections["causes"].text
        'Age.'
        >>> print(TASK.grammar(("causes", "follow-up")).splitlines()[0])
        root ::= "{\\"causes\\": " text ", \\"follow-up\\": " text "}"
    """

    name: str = NAME
    prompts: Mapping[str, str] = field(default_factory=lambda: dict(PROMPTS))

    def prompt(
        self,
        name: str = "default",
        finding: Finding | None = None,
        sections: Sequence[str] = SECTIONS,
        about: str = ABOUT,
    ) -> Prompt:
        """The text that a model gets.

        Args:
            name: of a paraphrase, or the path of a UTF-8 text file with the same places.
            finding: what it is told; None says that nothing was reported.
            sections: that are asked for.
            about: what was examined, in a few words.

        Raises:
            UsageError: no such paraphrase or file, or one that has no place for {finding} and {form}.

        Example:
            >>> TASK.prompt("brief", Finding("gout"), ("causes",), "a joint").text.splitlines()[1]
            '{"causes": "..."}'
        """
        text, name = (self.prompts[name], name) if name in self.prompts else _from_file(name, self.prompts)
        places = {
            "about": about,
            "finding": UNKNOWN if finding is None else finding.sentence(),
            "sections": _listed(sections),
            "form": json.dumps(dict.fromkeys(sections, "..."), ensure_ascii=False),
        }
        return Prompt(name, _filled(text, places))

    def grammar(self, sections: Sequence[str] = SECTIONS) -> str:
        """The answers asked for, as GBNF: one JSON object, the sections in this order, each a text."""
        pairs = []
        for number, section in enumerate(sections):
            before = "{" if number == 0 else ", "
            pairs.append(f"{_literal(f'{before}{json.dumps(section, ensure_ascii=False)}: ')} text")
        return f'root ::= {" ".join(pairs)} "}}"\n{_TEXT_RULES}'

    def schema(self, sections: Sequence[str] = SECTIONS) -> dict[str, Any]:
        """The same as JSON schema, for endpoints that take no GBNF."""
        return {
            "type": "object",
            "properties": {section: {"type": "string"} for section in sections},
            "required": list(sections),
            "additionalProperties": False,
        }

    def new_tokens(self, sections: Sequence[str] = SECTIONS) -> int:
        """How many tokens an answer may take, unless another number is asked for."""
        return TOKENS_AROUND + TOKENS_A_SECTION * len(sections)

    def parse(self, text: str, sections: Sequence[str] = SECTIONS, finished: bool | None = None) -> Reasoned:
        """Read an answer; raises nothing, whatever the text is. See ``reasoned.read_reasoned``."""
        return read_reasoned(text, sections, finished)


def _from_file(name: str, known: Mapping[str, str]) -> tuple[str, str]:
    path = Path(name).expanduser()
    if not path.is_file():
        raise UsageError(f"prompt: {name!r} is neither a prompt of {NAME} ({', '.join(known)}) nor a file")
    try:
        text = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: cannot be read as UTF-8 text: {error}") from None
    lacking = [place for place in ("{finding}", "{form}") if place not in text]
    if lacking:
        raise UsageError(
            f"{path}: the prompt has no place {lacking[0]}; it may have {{about}}, {{sections}} too"
        )
    return text, path.stem


def _filled(text: str, places: Mapping[str, str]) -> str:
    """One pass, so that braces in a label or a section are left alone."""
    parts = text.split("{")
    out = parts[0]
    for part in parts[1:]:
        name, brace, rest = part.partition("}")
        out += f"{places[name]}{rest}" if brace and name in places else "{" + part
    return out


def _listed(sections: Sequence[str]) -> str:
    *most, last = sections
    return f"{', '.join(most)} and {last}" if most else last


def _literal(text: str) -> str:
    """GBNF's way to write a text."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


TASK = ReasonTask()
