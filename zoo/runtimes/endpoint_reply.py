"""What an OpenAI-compatible server replies: text, tokens, class probabilities. None of it is trusted."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from ..tasks.grade import CLASSES
from .http_json import TryAgain

__all__ = ["class_probabilities", "count", "text_of"]


def text_of(plain: Any) -> tuple[str, Mapping[str, Any]]:
    """(answer, the choice it is from) of a reply.

    Raises:
        TryAgain: it is not shaped like one.

    Example:
        >>> text_of({"choices": [{"message": {"content": "(1, 2)"}}]})[0]
        '(1, 2)'
    """
    try:
        choice = plain["choices"][0]
        message = choice["message"]
        content = message.get("content")
    except (TypeError, KeyError, IndexError, AttributeError):
        raise TryAgain("a reply without an answer in it") from None
    if content is None:
        content = message.get("refusal") or ""
    if isinstance(content, list):
        content = "".join(str(part.get("text", "")) for part in content if isinstance(part, dict))
    if not isinstance(content, str):
        raise TryAgain(f"a reply whose answer is no text but {type(content).__name__}")
    return content.encode("utf-8", "replace").decode(), choice


def count(usage: Any, name: str) -> int | None:
    """A number of tokens; None where the server gives none that can be one."""
    value = usage.get(name) if isinstance(usage, Mapping) else None
    return value if type(value) is int and 0 <= value < 10**9 else None


def class_probabilities(choice: Mapping[str, Any]) -> dict[str, float] | None:
    """Class -> probability at the digit after "Choice:"; None unless the server gave all three.

    Args:
        choice: of a reply; ``logprobs.content`` has a token, its logprob and the likeliest others.

    Example:
        >>> others = [{"token": str(n), "logprob": math.log(p)} for n, p in enumerate((0.2, 0.1, 0.5))]
        >>> said = [{"token": "Choice:"}, {"token": " 2", "top_logprobs": others}]
        >>> class_probabilities({"logprobs": {"content": said}})
        {'low': 0.25, 'high': 0.125, 'none': 0.625}
    """
    found = next(_digits(choice), None)
    if found is None or len(found) < len(CLASSES):
        return None
    total = math.fsum(found.values())
    if not total > 0:
        return None
    return {name: round(found[str(number)] / total, 6) for number, name in enumerate(CLASSES)}


def _digits(choice: Mapping[str, Any]) -> Iterator[dict[str, float]]:
    """Digit -> probability, at the first place where "Choice:" stands before."""
    logprobs = choice.get("logprobs")
    content = logprobs.get("content") if isinstance(logprobs, Mapping) else None
    before = ""
    for part in content if isinstance(content, list) else ():
        token = part.get("token") if isinstance(part, Mapping) else None
        if not isinstance(token, str):
            return
        if before.strip() == "Choice:" and token.strip() in ("0", "1", "2"):
            yield _sums(part.get("top_logprobs"))
            return
        before += token


def _sums(listed: Any) -> dict[str, float]:
    """Digit -> probability, with and without a space before it."""
    out: dict[str, float] = {}
    for each in listed if isinstance(listed, list) else ():
        token, value = (each.get("token"), each.get("logprob")) if isinstance(each, Mapping) else (None, None)
        if not isinstance(token, str) or isinstance(value, bool) or not isinstance(value, int | float):
            continue
        digit = token.strip()
        if digit in ("0", "1", "2") and value <= 1e-6:
            out[digit] = out.get(digit, 0.0) + math.exp(value)
    return out
