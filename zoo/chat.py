"""What a model is given around a question: its own chat template; where there is an image, it stands first.

Templates come with model files, so they are rendered in a sandbox and may only build text.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from .errors import ModelError

__all__ = ["conversation", "text_conversation"]

_PLACES = (
    "<|vision_start|><|image_pad|><|vision_end|>",
    "<start_of_image>",
    "<|image_pad|>",
    "<|image|>",
    "<__media__>",
    "<image>",
    "[IMG]",
)
"""What templates write where an image stands."""
_MARK, _TEXT = "\ue000", "\ue001"
"""Of a private use: they occur in no template."""


@lru_cache(maxsize=8)
def conversation(template: str | None, first: str = "", last: str = "") -> tuple[str, str, str]:
    """The texts before the image, between image and prompt, and from the prompt to the answer.

    A template that knows no images gets the image's place in its text, before the prompt, on its own line.

    Args:
        template: Jinja, or None for a model without one: the mark of the beginning, image, prompt, answer.
        first: text of the mark that begins a conversation.
        last: text of the mark that ends an answer.

    Raises:
        ModelError: a template that cannot be rendered, or that loses the image or the prompt.

    Example:
        >>> conversation("{{ bos_token }}{% for m in messages %}Q: {{ m.content }}{% endfor %}", "<s>")
        ('<s>Q: ', '\\n', '')
        >>> conversation(None, "<s>")
        ('<s>', '', '')
    """
    if template is None:
        return first, "", ""
    typed = [{"type": "image"}, {"type": "text", "text": _TEXT}]
    tries: list[Any] = [typed, f"{_MARK}\n{_TEXT}", [{"type": "text", "text": f"{_MARK}\n{_TEXT}"}]]
    error: ModelError | None = None
    for content in tries:
        try:
            parts = _parts(_rendered(template, content, first, last))
        except ModelError as failed:
            error = error or failed
            continue
        if parts is not None:
            return parts
    raise error or ModelError("the chat template loses the image or the prompt")


@lru_cache(maxsize=8)
def text_conversation(template: str | None, first: str = "", last: str = "") -> tuple[str, str]:
    """The texts before and after a prompt without an image.

    Args:
        template, first, last: as for ``conversation``.

    Raises:
        ModelError: a template that cannot be rendered, or that loses the prompt.

    Example:
        >>> text_conversation("{{ bos_token }}{% for m in messages %}Q: {{ m.content }}{% endfor %}", "<s>")
        ('<s>Q: ', '')
        >>> text_conversation(None, "<s>")
        ('<s>', '')
    """
    if template is None:
        return first, ""
    error: ModelError | None = None
    for content in (_TEXT, [{"type": "text", "text": _TEXT}]):
        try:
            text = _rendered(template, content, first, last)
        except ModelError as failed:
            error = error or failed
            continue
        if text.count(_TEXT) == 1:
            before, after = text.split(_TEXT)
            return before, after
    raise error or ModelError("the chat template loses the prompt")


def _parts(text: str) -> tuple[str, str, str] | None:
    """Before, between and after; None unless image and prompt stand there once, in this order."""
    if text.count(_TEXT) != 1:
        return None
    head, tail = text.split(_TEXT)
    place = _MARK if _MARK in head else next((place for place in _PLACES if place in head), None)
    if place is None or head.count(place) != 1:
        return None
    before, between = head.split(place)
    return before, between, tail


def _rendered(template: str, content: Any, first: str, last: str) -> str:
    from jinja2 import TemplateError
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
    environment.globals["raise_exception"] = _refuse
    try:
        return environment.from_string(template).render(
            messages=[{"role": "user", "content": content}],
            add_generation_prompt=True,
            bos_token=first,
            eos_token=last,
        )
    except (TemplateError, TypeError, ValueError, ArithmeticError, LookupError, AttributeError) as error:
        raise ModelError(f"the chat template cannot be rendered: {str(error)[:200]}") from error
    except (RecursionError, MemoryError) as error:
        raise ModelError("the chat template cannot be rendered: it is too deep or too large") from error


def _refuse(message: object) -> None:
    raise ValueError(message)
