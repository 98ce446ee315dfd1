"""Lines of a benchmark: what makes one an item, and what is wrong with it."""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

NOT_VERIFIED = "not expert-verified"
_ITEM = (
    "id", "condition", "section", "key_points", "forbidden", "gold", "source", "verified_by", "language",
    "image",
)  # fmt: skip
_POINT = ("id", "text", "accepted")
_HEAD = ("name", "about", "sections", "licence", "source", "schema")
SCHEMA = "voxzoo.reasoning/1"
_ONE_LINE = ("id", "condition", "section", "name", "about", "image")
_SECTION = re.compile(r"[^\W_][\w -]{0,39}")
_LANGUAGE = re.compile(r"[a-z]{2,3}(-[A-Za-z0-9]{2,8})*")
_LONGEST = 20_000


@dataclass(frozen=True)
class KeyPoint:
    """One thing that an answer should, or must not, say.

    Attributes:
        id: within its item.
        text: what it says; always counts.
        accepted: other wordings that count.
    """

    id: str
    text: str
    accepted: tuple[str, ...] = ()

    @property
    def wordings(self) -> tuple[str, ...]:
        """All that count, the text first."""
        return (self.text, *self.accepted)


@dataclass(frozen=True)
class Item:
    """The gold of one section of the answer about one condition.

    Attributes:
        id: unique in its benchmark.
        condition: what the answer is about; a label of the benchmark.
        section: whose gold it is.
        key_points: what the section should say; at least one.
        forbidden: what it must not say.
        gold: reference answer in prose; "" if none: ``reference`` joins the key points then.
        source: where the gold comes from.
        verified_by: the expert who checked it; None: nobody.
        language: code of the texts.
        image: path relative to the benchmark's folder; None if the item is about no certain image.
    """

    id: str
    condition: str
    section: str
    key_points: tuple[KeyPoint, ...]
    forbidden: tuple[KeyPoint, ...] = ()
    gold: str = ""
    source: str = ""
    verified_by: str | None = None
    language: str = "en"
    image: str | None = None

    @property
    def is_verified(self) -> bool:
        """Whether an expert is named; "example, not expert-verified" is none."""
        return self.verified_by is not None and NOT_VERIFIED not in self.verified_by.casefold()

    @property
    def reference(self) -> str:
        """The gold in prose, else the key points as sentences."""
        return self.gold or " ".join(f"{point.text.rstrip('.')}." for point in self.key_points)


def folded(text: str) -> str:
    """For comparing: one case, one form of accents, single spaces.

    Example:
        >>> folded(" Colon  Polyps ")
        'colon polyps'
    """
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def head_of(plain: Mapping[str, Any]) -> dict[str, Any]:
    """The first line, where it names the sections.

    Raises:
        ValueError: says what is wrong with it.
    """
    _known(plain, _HEAD)
    if plain.get("schema", SCHEMA) != SCHEMA:
        raise ValueError(f"schema {plain['schema']!r}: this voxzoo reads {SCHEMA!r}")
    sections = plain["sections"]
    if not isinstance(sections, list) or not sections:
        raise ValueError(f"sections: got {sections!r}, expected a list of names")
    for section in sections:
        if not isinstance(section, str) or not _SECTION.fullmatch(section):
            raise ValueError(
                f"sections: got {section!r}, expected up to 40 letters, digits, spaces or hyphens"
            )
    if len({folded(section) for section in sections}) < len(sections):
        raise ValueError(f"sections: the same one twice among {', '.join(sections)}")
    return {
        name: plain[name] if name == "sections" else _text(plain, name) for name in plain if name != "schema"
    }


def item_of(plain: Mapping[str, Any], sections: Sequence[str]) -> Item:
    """An item from the object of a line.

    Raises:
        ValueError: says what is wrong with it.

    Example:
        >>> line = {"id": "1", "condition": "gout", "section": "causes", "key_points": ["high urate"],
        ...         "source": "example", "verified_by": None}
        >>> item_of(line, ("causes",)).key_points
        (KeyPoint(id='k1', text='high urate', accepted=()),)
    """
    _known(plain, _ITEM)
    section = _text(plain, "section")
    if section not in sections:
        raise ValueError(
            f"section {section!r}: expected one of {', '.join(sections)}; sections of your own stand in the "
            'first line: {"sections": [...]}'
        )
    key_points = _points(plain, "key_points", "k")
    if not key_points:
        raise ValueError("key_points: empty; an item without gold cannot be scored")
    forbidden = _points(plain, "forbidden", "f") if "forbidden" in plain else ()
    _check_points(key_points, forbidden)
    if "verified_by" not in plain:
        raise ValueError("no field 'verified_by': say who checked the gold, or null if nobody did")
    language = _text(plain, "language") if "language" in plain else "en"
    if not _LANGUAGE.fullmatch(language):
        raise ValueError(f"language: got {language!r}, expected a code like en or pt-BR")
    return Item(
        _text(plain, "id"),
        _text(plain, "condition"),
        section,
        key_points,
        forbidden,
        _text(plain, "gold") if "gold" in plain else "",
        _text(plain, "source"),
        None if plain["verified_by"] is None else _text(plain, "verified_by"),
        language,
        _image(plain),
    )


def _known(plain: Mapping[str, Any], names: Sequence[str]) -> None:
    for name in plain:
        if name not in names:
            near = difflib.get_close_matches(name, names, 1)
            hint = f"; did you mean {near[0]!r}?" if near else f"; fields are {', '.join(names)}"
            raise ValueError(f"unknown field {name!r}{hint}")


def _text(plain: Mapping[str, Any], name: str) -> str:
    if name not in plain:
        raise ValueError(f"no field {name!r}")
    value = plain[name]
    if not isinstance(value, str):
        raise ValueError(f"{name}: got {value!r}, expected a text")
    if not value.strip():
        raise ValueError(f"{name}: empty; leave an optional field out")
    if len(value) > _LONGEST:
        raise ValueError(f"{name}: {len(value)} characters, expected {_LONGEST} at most")
    if name in _ONE_LINE and len(value.split("\n")) > 1:
        raise ValueError(f"{name}: got {value!r}, expected one line")
    if any((ord(c) < 32 and c not in "\n\t") or 0xD800 <= ord(c) < 0xE000 for c in value):
        raise ValueError(f"{name}: has control characters or half characters in it")
    return value.strip()


def _points(plain: Mapping[str, Any], name: str, letter: str) -> tuple[KeyPoint, ...]:
    if name not in plain:
        raise ValueError(f"no field {name!r}")
    points = plain[name]
    if not isinstance(points, list):
        raise ValueError(f"{name}: got {points!r}, expected a list")
    return tuple(_point(point, name, f"{letter}{n}") for n, point in enumerate(points, 1))


def _point(point: object, name: str, number: str) -> KeyPoint:
    if isinstance(point, str):
        point = {"text": point}
    if not isinstance(point, dict):
        raise ValueError(f'{name}: got {point!r}, expected a text or {{"text": ..., "accepted": [...]}}')
    try:
        _known(point, _POINT)
        accepted = point.get("accepted", [])
        if not isinstance(accepted, list):
            raise ValueError(f"accepted: got {accepted!r}, expected a list of texts")
        wordings = tuple(_text({"accepted": wording}, "accepted") for wording in accepted)
        return KeyPoint(_text(point, "id") if "id" in point else number, _text(point, "text"), wordings)
    except ValueError as error:
        raise ValueError(f"{name}, {number[1:]}. point: {error}") from None


def _check_points(key_points: Sequence[KeyPoint], forbidden: Sequence[KeyPoint]) -> None:
    """No id and no wording twice: a wording that is both gold and forbidden says nothing."""
    seen: dict[str, KeyPoint] = {}
    ids: set[str] = set()
    for point in (*key_points, *forbidden):
        if point.id in ids:
            raise ValueError(f"two points with the id {point.id!r}")
        ids.add(point.id)
        for wording in point.wordings:
            if seen.setdefault(folded(wording), point) is not point:
                raise ValueError(f"the wording {wording!r} belongs to two points")


def _image(plain: Mapping[str, Any]) -> str | None:
    if plain.get("image") is None:
        return None
    text = _text(plain, "image")
    path = PurePosixPath(text.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or re.match(r"[A-Za-z]:|\w+://", text):
        raise ValueError(f"image: got {text!r}, expected a path below the benchmark's folder")
    return path.as_posix()
