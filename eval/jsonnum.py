"""Numbers in JSON: NaN and infinities have no place there, so they get one spelling and one way back."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from ..zoo.errors import InputError

Plain = float | int | str | None
_INFINITE = {"inf": math.inf, "-inf": -math.inf}


def encode(value: float) -> Plain:
    """A number as JSON can hold it: NaN becomes null, infinities the strings "inf" and "-inf".

    Example:
        >>> encode(0.5), encode(float("nan")), encode(float("inf"))
        (0.5, None, 'inf')
    """
    number = float(value)
    if math.isnan(number):
        return None
    if math.isinf(number):
        return "inf" if number > 0 else "-inf"
    return number


def decode(value: Plain) -> float:
    """The inverse of ``encode``, exact to the last bit.

    Example:
        >>> decode(encode(0.1)) == 0.1, decode("inf"), decode(None)
        (True, inf, nan)
    """
    if value is None:
        return math.nan
    if isinstance(value, str):
        if value not in _INFINITE:
            raise InputError(f'got {value!r}, expected a number, null, "inf" or "-inf"')
        return _INFINITE[value]
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InputError(f"got {value!r}, expected a number")
    return float(value)


def encode_all(values: Mapping[str, float]) -> dict[str, Plain]:
    """``encode`` over the values of a mapping."""
    return {name: encode(value) for name, value in values.items()}


def decode_all(values: Mapping[str, Any]) -> dict[str, float]:
    """``decode`` over the values of a mapping."""
    return {name: decode(value) for name, value in values.items()}
