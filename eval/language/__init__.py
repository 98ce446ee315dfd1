"""Language models as imaging models: recorded answers, the rules that score them, and what they are worth.

A transcript (``transcripts``) holds raw answers. ``scoring`` joins it to the references (``references``),
under a protocol (``protocols``) whose every rule is an option, and gives the figures per patient and over
patients.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .answers import Answer as Answer
    from .protocols import Protocol as Protocol
    from .protocols import named as named
    from .references import References as References
    from .scoring import score_transcript as score_transcript
    from .transcripts import Transcript as Transcript

_HOMES = {
    "Answer": "answers",
    "Protocol": "protocols",
    "References": "references",
    "Transcript": "transcripts",
    "named": "protocols",
    "score_transcript": "scoring",
}

__all__ = list(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_HOMES[name]}", __name__), name)


def __dir__() -> list[str]:
    return sorted(__all__)
