"""Checks of single contract fields.

Each raises ``ContractError`` with the name of the field, what was got and what would fit.
"""

from __future__ import annotations

import json
import math
import re
from typing import NoReturn

from .errors import ContractError


def is_sha256(text: object) -> bool:
    """Whether ``text`` is 64 lower-case hexadecimal digits.

    Example:
        >>> is_sha256("ab" * 32), is_sha256("")
        (True, False)
    """
    return isinstance(text, str) and re.fullmatch("[0-9a-f]{64}", text) is not None


def fail(name: str, got: object, expected: str) -> NoReturn:
    """Refuse the field."""
    raise ContractError(f"contract field {name}: got {got!r}, expected {expected}")


def json_object(name: str, value: object) -> None:
    """An object that JSON can hold, finite numbers only."""
    if not isinstance(value, dict):
        fail(name, value, "a JSON object")
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ContractError(f"contract field {name}: holds what JSON cannot: {error}") from error


def string(name: str, value: object) -> None:
    """A string with something in it."""
    if not isinstance(value, str) or not value.strip():
        fail(name, value, "a non-empty string")


def choice(name: str, value: object, choices: tuple[str, ...]) -> None:
    """One of a few words."""
    if value not in choices:
        fail(name, value, "one of " + ", ".join(choices))


def strings(name: str, value: object) -> None:
    """A tuple of strings with something in them."""
    if not isinstance(value, tuple) or not all(isinstance(v, str) and v.strip() for v in value):
        fail(name, value, "a list of non-empty strings")


def names(name: str, value: tuple[str, ...]) -> None:
    """At least one string, all distinct."""
    strings(name, value)
    if not value or len(set(value)) != len(value):
        fail(name, value, "at least one name, all distinct")


def integers(name: str, value: object, length: int) -> None:
    """A tuple of ``length`` integers."""
    ok = isinstance(value, tuple) and len(value) == length
    if not ok or not all(isinstance(v, int) and not isinstance(v, bool) for v in value):  # type: ignore[attr-defined]
        fail(name, value, f"{length} integers")


def numbers(name: str, value: object, length: int) -> None:
    """A tuple of ``length`` finite numbers."""
    ok = isinstance(value, tuple) and len(value) == length
    if not ok or not all(_is_number(v) for v in value):  # type: ignore[attr-defined]
        fail(name, value, f"{length} finite number{'s' if length > 1 else ''}")


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
