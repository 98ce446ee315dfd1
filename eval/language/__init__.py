"""Language models as imaging models: recorded answers, the rules that score them, and what they are worth.

A transcript (``transcripts``) holds raw answers. ``scoring`` joins it to the references (``references``),
under a protocol (``protocols``) whose every rule is an option, and gives the figures per patient and over
patients.
"""

from typing import TYPE_CHECKING

from ...rasterize.lazy import lazy

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
__getattr__, __dir__ = lazy(__name__, _HOMES)
