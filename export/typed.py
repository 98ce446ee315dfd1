"""Dataclasses from parsed TOML: unknown keys are refused with the nearest known one, wrong types by name."""

from __future__ import annotations

import difflib
import types
import typing
from collections.abc import Mapping
from dataclasses import MISSING, fields
from typing import Any, TypeVar

from ..zoo.errors import UsageError

T = TypeVar("T")

_WORDS = {int: "a whole number", float: "a number", str: "a text", bool: "true or false"}


def build(kind: type[T], values: object, where: str, check_types: bool = True) -> T:
    """``kind(**values)`` with lists as tuples.

    Args:
        kind: a dataclass.
        values: a TOML table.
        where: what messages call it.
        check_types: compare values with the annotations; False where ``kind`` checks them itself.

    Raises:
        UsageError: not a table, an unknown or missing key, a value of a wrong type.

    Example:
        >>> from voxzoo.export.sections import FitSpec
        >>> build(FitSpec, {"batch": 8}, "[fit]").batch
        8
    """
    if not isinstance(values, Mapping):
        raise UsageError(f"{where}: got {values!r}, expected a table of keys")
    known = {f.name: f for f in fields(kind) if f.init}  # type: ignore[arg-type]
    for key in values:
        if key not in known:
            raise UsageError(f"{where}: unknown key {key!r}{hint(str(key), known)}")
    for name, f in known.items():
        if name not in values and f.default is MISSING and f.default_factory is MISSING:
            raise UsageError(f"{where}: {name!r} is missing")
    if check_types:
        annotations = typing.get_type_hints(kind)
        for key, value in values.items():
            if not fits(value, annotations[key]):
                raise UsageError(f"{where}: {key} = {value!r}; expected {spell(annotations[key])}")
    return kind(**{k: tuple(v) if isinstance(v, list) else v for k, v in values.items()})


def hint(word: str, known: Mapping[str, Any] | typing.Iterable[str]) -> str:
    """The end of a message about an unknown word: the nearest known one, and all of them.

    Example:
        >>> hint("stpes", ["steps", "batch"])
        "; did you mean 'steps'? Known: batch, steps"
    """
    near = difflib.get_close_matches(word, list(known), 1)
    question = f"did you mean {near[0]!r}? " if near else ""
    return f"; {question}Known: {', '.join(sorted(known))}"


def fits(value: object, annotation: Any) -> bool:
    """Whether a TOML value may stand where a dataclass is annotated so.

    Example:
        >>> fits([1, 2], tuple[int, int]), fits(2, float), fits(True, int), fits(["a"], tuple[str, ...])
        (True, True, False, True)
    """
    origin, inner = typing.get_origin(annotation), typing.get_args(annotation)
    if origin in (typing.Union, types.UnionType):
        return any(fits(value, each) for each in inner)
    if origin is tuple:
        if not isinstance(value, list | tuple):
            return False
        if inner[-1] is Ellipsis:
            return all(fits(v, inner[0]) for v in value)
        return len(value) == len(inner) and all(map(fits, value, inner))
    if annotation is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if annotation is int:
        return isinstance(value, int) and not isinstance(value, bool)
    if annotation in (str, bool):
        return isinstance(value, annotation)
    return True


def spell(annotation: Any) -> str:
    """An annotation in words, for messages.

    Example:
        >>> spell(tuple[int, int, int]), spell(tuple[str, ...]), spell(float)
        ('a list of 3 whole numbers', 'a list of texts', 'a number')
    """
    if annotation in _WORDS:
        return _WORDS[annotation]
    inner = typing.get_args(annotation)
    if typing.get_origin(annotation) is tuple:
        each = _WORDS.get(inner[0], "value").removeprefix("a ") + "s"
        return f"a list of {each}" if inner[-1] is Ellipsis else f"a list of {len(inner)} {each}"
    return "another type"
