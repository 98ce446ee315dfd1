"""What a model answered to ``reason``: a text for each section, and whether it is an answer at all.

=========== =====================================================================================
answered    a text
empty       no text
cut         the text stops where the model was stopped, or it was stopped before it came to the section
refused     the text declines to answer
malformed   outside the form: no JSON object, the section is not in it, or it is no text
=========== =====================================================================================

An answered or cut section has its text; the others have none, so that they score 0, never nothing.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .answers import shorten

__all__ = [
    "ANSWERED",
    "CUT",
    "EMPTY",
    "MALFORMED",
    "REFUSED",
    "STATUSES",
    "Reasoned",
    "Section",
    "declines",
    "read_reasoned",
]

ANSWERED, EMPTY, CUT, REFUSED, MALFORMED = "answered", "empty", "cut", "refused", "malformed"
STATUSES = (ANSWERED, EMPTY, CUT, REFUSED, MALFORMED)
_WORST_FIRST = (MALFORMED, CUT, REFUSED, EMPTY, ANSWERED)
_MOST_BRACES = 32
_WITHIN = 300
"""Characters within which an answer that declines says so."""


@dataclass(frozen=True)
class Section:
    """One section of an answer; ``text`` is "" unless ``status`` is "answered" or "cut"."""

    text: str
    status: str


@dataclass(frozen=True)
class Reasoned:
    """An answer as the parser read it.

    Attributes:
        sections: name -> section, all that were asked for.
        repairs: what had to be ignored or rewritten, a sentence each.
    """

    sections: dict[str, Section]
    repairs: tuple[str, ...] = ()

    @property
    def status(self) -> str:
        """Of the answer as a whole: the worst of its sections."""
        found = {section.status for section in self.sections.values()}
        return next((status for status in _WORST_FIRST if status in found), EMPTY)


def read_reasoned(text: str, sections: Sequence[str], finished: bool | None = None) -> Reasoned:
    """Read an answer.

    Args:
        text: as the model gave it. Words around the JSON object and a fence of Markdown are passed over.
        sections: that were asked for.
        finished: whether the model ended by itself; None where that is not known. An object that is not
            closed was "cut" unless the model ended it so, which is "malformed".

    Returns:
        Every section that was asked for, whatever the text is.

    Example:
        >>> cut = read_reasoned('{"causes": "Age and', ("causes", "treatment"))
        >>> cut.sections["causes"], cut.sections["treatment"].status
        (Section(text='Age and', status='cut'), 'cut')
        >>> read_reasoned("I'm sorry, but I cannot help.", ("causes",)).status
        'refused'
    """
    text, repairs = shorten(text)
    finished = False if repairs else finished
    if not text.strip():
        return Reasoned({name: Section("", EMPTY) for name in sections})
    whole = _whole_object(text, sections)
    if whole is not None:
        return _of_object(*whole, sections, repairs)
    partial = _partial_object(text, sections)
    if partial is not None:
        return _of_partial(*partial, sections, finished, repairs)
    status = REFUSED if declines(text) else MALFORMED
    return Reasoned({name: Section("", status) for name in sections}, tuple(repairs))


_CANNOT = r"(?:can ?not|can't|could not|(?:am|'m) (?:unable|not able)|will not|won't|(?:must )?decline)"
_ASKED = "(?:provide|give|offer|answer|help|assist|comply|discuss|diagnose|advise|make|with|this|that|your)"
_DECLINES = re.compile(
    r"\W*(?:"
    + "|".join(
        (
            rf"(?:(?:i'm|i am|my) )?(?:(?:very|so) )?(?:sorry|apologies)[,.:;]?(?: but)? (?:i|we) ?{_CANNOT}",
            rf"i apologi[sz]e[,.:;]?(?: but)? (?:i|we) ?{_CANNOT}",
            rf"(?:unfortunately|regrettably)?[ ,]*(?:i|we) ?{_CANNOT} (?:to )?{_ASKED}",
            rf"as an? (?:ai|artificial|large language|language) [^.]{{0,80}}?(?:{_CANNOT}|unable)",
            rf"(?:unable|not able) to {_ASKED}",
        )
    )
    + ")",
    re.IGNORECASE,
)


def declines(text: str) -> bool:
    """Whether a text begins by declining to answer, in English.

    Example:
        >>> declines("I cannot provide medical advice."), declines("One cannot rule out infection.")
        (True, False)
        >>> declines("As an AI language model, I am unable to diagnose."), declines("Sorry to hear it.")
        (True, False)
    """
    return _DECLINES.match(" ".join(text[:_WITHIN].replace("\u2019", "'").split())) is not None


_Pairs = list[tuple[str, Any]]


def _whole_object(text: str, sections: Sequence[str]) -> tuple[_Pairs, bool] | None:
    """The pairs of the closed JSON object with the most sections, and whether words stand around it."""
    decoder = json.JSONDecoder(strict=False, object_pairs_hook=_Object)
    best: tuple[_Pairs, bool] | None = None
    most = 0
    for match in itertools.islice(re.finditer(r"\{", text), _MOST_BRACES):
        try:
            found, end = decoder.raw_decode(text, match.start())
        except (ValueError, RecursionError):
            continue
        names = {_section(name, sections) for name, _ in found.pairs} - {None}
        if len(names) > most:
            most = len(names)
            best = found.pairs, bool((text[: match.start()] + text[end:]).strip())
    return best


class _Object:
    """A JSON object with all of its pairs, those of one name too."""

    def __init__(self, pairs: _Pairs) -> None:
        self.pairs = pairs


_PAIR = re.compile(r'[{,]\s*"((?:[^"\\]|\\.){1,80})"\s*:\s*"((?:[^"\\]|\\.)*)', re.DOTALL)
"""A name and the text behind it, up to its closing quote or the end of everything."""


def _partial_object(text: str, sections: Sequence[str]) -> tuple[_Pairs, str | None] | None:
    """The pairs of an object that is not closed, and the name of the one that stops in the middle."""
    pairs: _Pairs = []
    open_name, place = None, text.find("{")
    while place >= 0 and (match := _PAIR.search(text, place)) is not None:
        name = match[1]
        pairs.append((name, _unescaped(match[2])))
        place = match.end() + 1
        if match.end() == len(text) or text[match.end()] != '"':
            open_name = name
            break
    begun = text[text.find("{") :] if "{" in text else ""
    if any(_section(name, sections) for name, _ in pairs):
        return pairs, open_name
    first = re.match(r'\{\s*"([^"]{0,80})', begun)
    reached = first is not None and any(
        folded.startswith(_folded(first[1])) for folded in map(_folded, sections)
    )
    return (pairs, None) if reached or begun.strip() == "{" else None


def _unescaped(text: str) -> str:
    """The text of a JSON string without its closing quote; half an escape at the end is dropped."""
    text = re.sub(r"\\(?:u[0-9a-fA-F]{0,3})?$", "", text)
    try:
        return str(json.loads(f'"{text}"', strict=False))
    except ValueError:
        return text


def _of_object(pairs: _Pairs, around: bool, sections: Sequence[str], repairs: list[str]) -> Reasoned:
    repairs += ["words around the JSON object were passed over"] * around
    found = _first_of_each(pairs, sections, repairs)
    read = {}
    for name in sections:
        text = _text_of(found[name], name, repairs) if name in found else None
        read[name] = Section("", MALFORMED) if text is None else _judged(text, ANSWERED)
    return Reasoned(read, tuple(repairs))


def _of_partial(
    pairs: _Pairs, stopped: str | None, sections: Sequence[str], finished: bool | None, repairs: list[str]
) -> Reasoned:
    missing = MALFORMED if finished else CUT
    repairs.append("the JSON object is not closed")
    found = _first_of_each(pairs, sections, repairs)
    last = None if stopped is None else _section(stopped, sections)
    read = {}
    for name in sections:
        if name not in found:
            read[name] = Section("", missing)
        elif name == last:
            read[name] = _judged(found[name], CUT) if not finished else Section("", MALFORMED)
        else:
            read[name] = _judged(found[name], ANSWERED)
    return Reasoned(read, tuple(repairs))


def _judged(text: str, status: str) -> Section:
    """An answer, unless nothing is said or it is declined."""
    text = text.encode("utf-8", "replace").decode().strip()
    if not re.search(r"\w", text):
        return Section("", CUT if status == CUT else EMPTY)
    if declines(text):
        return Section("", REFUSED)
    return Section(text, status)


def _first_of_each(pairs: _Pairs, sections: Sequence[str], repairs: list[str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for written, value in pairs:
        name = _section(written, sections)
        if name is None:
            repairs.append(f"a section that was not asked for was passed over: {written[:40]!r}")
        elif name in found:
            repairs.append(f"{name}: there twice; the first counts")
        else:
            found[name] = value
            repairs += [f"{name}: written {written[:40]!r}"] * (written != name)
    return found


def _text_of(value: Any, name: str, repairs: list[str]) -> str | None:
    """The text of a section; None if it is none."""
    if isinstance(value, list) and all(isinstance(each, str) for each in value):
        repairs.append(f"{name}: a list was joined")
        return _sentences(value)
    if value is None:
        return ""
    return value if isinstance(value, str) else None


def _sentences(parts: Iterable[str]) -> str:
    """Points of a list as sentences.

    Example:
        >>> _sentences(["Age", "smoking."])
        'Age. smoking.'
    """
    stripped = (part.strip() for part in parts)
    return " ".join(part if part[-1] in ".!?" else f"{part}." for part in stripped if part)


def _section(written: str, sections: Sequence[str]) -> str | None:
    """The section that a name means, whatever its case, spaces, hyphens and underscores."""
    known: Mapping[str, str] = {_folded(name): name for name in sections}
    return known.get(_folded(written))


def _folded(name: str) -> str:
    return re.sub(r"[\W_]+", "", name.casefold())
