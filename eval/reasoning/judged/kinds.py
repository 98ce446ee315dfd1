"""What is wrong with a sentence that experts marked: which claims the corrected text does not bear out.

The data says which sentences are wrong and gives one corrected text per image; it does not say why. Kinds
are derived from the two texts by the rules below, so they are ours, not the experts', and words are read
as two of the judges (``key_points``, ``aligned``) read them. A sentence has every kind that applies, those of
the last three only where no other does:

``landmark``    it names an organ that the corrected text does not name, or alone denies a landmark
``presence``    it affirms a finding (polyp, bleeding, ...) that the corrected text does not affirm, or denies
                one that the corrected text affirms and does not deny
``instrument``  the same of an instrument
``count``       it counts otherwise than the sentence of the corrected text that is closest to it
``colour``      it names a colour that the corrected text does not name
``location``    it names a place that the corrected text does not name
``unchanged``   it stands in the corrected text word for word, although it is marked as wrong
``incomplete``  the corrected text has all its words that say something, each with the same sign
``other``       anything else
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

from ..scoring.words import stem
from .gutvlm import Description, Sentence
from .words import alike, claims

KINDS = (
    "landmark", "presence", "instrument", "count", "colour", "location", "unchanged", "incomplete", "other"
)  # fmt: skip
_Claims = frozenset[tuple[str, bool]]


def _stems(words: str) -> frozenset[str]:
    return frozenset(stem(word) for word in words.split())


_ORGANS = _stems(
    "cecum colon pylorus z esophagus esophageal rectum rectal stomach gastric duodenum duodenal ileum "
    "intestine intestinal squamocolumnar colonic pyloric appendix appendiceal"
)
_FINDINGS = _stems(
    "abnormality abnormal polyp inflammation inflamed bleeding blood infection foreign lesion ulcer erosion "
    "mass redness"
)
_TOOLS = _stems("instrument instrumentation tool forceps snare catheter wire")
_COUNTS = _stems("1 2 3 4 5 6 single several multiple many numerous few")
_SAME_COUNT = {
    stem("single"): "1",
    **dict.fromkeys((stem(word) for word in ("multiple", "many", "numerous", "few")), stem("several")),
}
_LANDMARK = (stem("landmark"), True)
_COLOURS = _stems(
    "pink red white blue brown yellow green orange black grey gray dark light pale purple beige flesh tan "
    "skin"
) | {"blu", "red", "pink", "whit", "purpl", "orang", "brown", "yellow", "green"}  # fmt: skip
_PLACES = _stems(
    "left right center centre central centrally middle upper lower top bottom corner side edge background"
)


def kinds_of(sentence: Sentence, description: Description) -> tuple[str, ...]:
    """The kinds of a sentence that is marked as wrong, in the order of ``KINDS``; none of a right one.

    Args:
        sentence: of the description.
        description: with the corrected text.
    """
    if not sentence.wrong:
        return ()
    return error_kinds(sentence.text, description.gold, sentence.correction, sentence.verbatim)


def error_kinds(text: str, gold: Iterable[str], closest: str = "", verbatim: bool = False) -> tuple[str, ...]:
    """The kinds that apply to a wrong sentence.

    Args:
        text: the sentence.
        gold: sentences of the corrected text.
        closest: the one of them that is closest to it.
        verbatim: whether the sentence stands there word for word.

    Returns:
        One or more of ``KINDS``.

    Example:
        >>> error_kinds("One polyp is on the left.", ["An image of cecum.", "No polyps."], "No polyps.")
        ('presence', 'location')
        >>> error_kinds("An image of colon.", ["An image of cecum."], "An image of cecum.")
        ('landmark',)
        >>> error_kinds("There is one polyp.", ["There are two polyps."], "There are two polyps.")
        ('count',)
    """
    if verbatim:
        return ("unchanged",)
    said = frozenset(claims(text))
    known = frozenset(word for line in gold for word in claims(line))
    applies = {
        "landmark": _unnamed(said, known, _ORGANS) or (_LANDMARK in said and _LANDMARK not in known),
        "presence": _turned(said, known, _FINDINGS),
        "instrument": _turned(said, known, _TOOLS),
        "count": _miscounted(said, frozenset(claims(closest))),
        "colour": _unnamed(said, known, _COLOURS),
        "location": _unnamed(said, known, _PLACES),
    }
    found = tuple(kind for kind, does in applies.items() if does)
    if found:
        return found
    borne_out = said and all(any(alike(s, k) and d == e for k, e in known) for s, d in said)
    return ("incomplete",) if borne_out else ("other",)


def _unnamed(said: _Claims, known: _Claims, words: frozenset[str]) -> bool:
    """Whether a word of these is affirmed that the corrected text does not have, whatever its sign there."""
    return any(
        not denied and _among(s, words) and not any(alike(s, k) for k, _ in known) for s, denied in said
    )


@lru_cache(maxsize=1 << 14)
def _among(stem: str, words: frozenset[str]) -> bool:
    return any(alike(stem, word) for word in words)


def _turned(said: _Claims, known: _Claims, words: frozenset[str]) -> bool:
    """Whether one is affirmed that is not affirmed there, or denied and affirmed there and not denied."""
    for s, denied in said:
        signs = {sign for k, sign in known if alike(s, k)}
        if _among(s, words) and (signs == {False} if denied else False not in signs):
            return True
    return False


def _miscounted(said: _Claims, closest: _Claims) -> bool:
    first, second = (
        {_SAME_COUNT.get(s, s) for s, denied in words if s in _COUNTS and not denied}
        for words in (said, closest)
    )
    return bool(first and second and first != second)
