"""Which words of a sentence are denied: cues, how far they reach, and what stops them.

The approach is that of NegEx and ConText (Chapman et al. 2001, J Biomed Inform 34:301; Harkema et al. 2009,
J Biomed Inform 42:839), written anew for answers in prose:

1. A **denial** (no, not, without, neither, nor, none, never, non) reaches from itself to its clause's end.
   "non" reaches one word; "without", and "lack of" and its like, only to the next verb.
2. A **verb of denial** (avoid, stop, exclude, rule out, deny, absent, contraindicated, ...) reaches forward
   too, but back over its clause when it stands in the passive ("alcohol should be avoided") or at the end
   ("bleeding absent").
3. "not" before a **verdict** ("not needed", "not usually seen", "not recommended"), and a denial at the end
   ("bleeding: none"), also reaches back over its clause.
4. "not" right before a verb of denial cancels both: "cannot be excluded", "do not stop".
5. A new cue ends the reach of the one before.
6. A **clause** ends with the sentence, at "but, however, although, while, because, if, which, ..."; and at a
   comma or "and" where a verb stands on both sides of it. So a list keeps its denial ("no polyps, ulcers, or
   bleeding") and a new statement does not ("no polyps were seen, and the mucosa is red").
7. What only looks like a denial is none: "not only", "no doubt", "no more than", "no change", "No, ...".

Known limits: "if", questions and "may" are read as statements; "do not eat and drink" denies eating alone; a
denial does not reach over the end of a sentence ("Bleeding? None.").
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from .words import COMMA, STOP, stem, tokens_of, word_set

__all__ = ["Word", "signed_words"]

_DENIALS = word_set("no not without neither nor none never nothing non")
_ADVICE = word_set(
    """avoid avoids avoided avoiding avoidance stop stops stopped stopping quit quits quitting cease ceases
    discontinue discontinues discontinued discontinuing discontinuation refrain refrains abstain abstinence
    """
)
_LEXICAL = _ADVICE | word_set(
    """exclude excludes excluded excluding exclusion deny denies denied absent absence lack lacks lacking
    contraindicated unlikely unnecessary unneeded"""
)
_PHRASES = {
    **{(word, "out"): "ruled" for word in ("rule", "rules", "ruling", "ruled")},
    ("free", "of"): "lack",
    ("free", "from"): "lack",
    ("negative", "for"): "lack",
}
_PSEUDO = frozenset(
    [("not", word) for word in ("only", "just", "merely", "simply")]
    + [("no", word) for word in ("doubt", "matter", "change", "increase", "more", "less", "fewer", "later")]
    + [("without", "doubt"), ("not", "less"), ("not", "more")]
)
_SHORT = frozenset(("without", "lack", "lacks", "lacking", "absence"))
"""Cues whose reach ends at the next verb: "without symptoms need no treatment"."""
_VERDICTS = word_set(
    """present seen found observed visible detected identified noted evident apparent required needed
    necessary indicated recommended advised used given helpful effective appropriate performed done taken
    consumed allowed common likely expected possible suspected involved occur appear exist warranted useful
    safe advisable suitable suggested prescribed"""
)
_BE = word_set("be is are was were been being")
_AUXILIARIES = _BE | word_set("can could may might must should shall will would do does did has have had")
_VERBS = _AUXILIARIES | word_set(
    """need needs cause causes lead leads require requires show shows take limit reduce increase follow keep
    maintain consult seek repeat start continue contact monitor consider eat drink use choose treat remove
    schedule perform exercise manage get see call try ensure include"""
)
_BREAKS = word_set(
    """but however although though except yet while whereas because instead nevertheless unless until if when
    so therefore thus then which who whose besides"""
)
_SILENT = STOP | _BREAKS | _DENIALS | {COMMA}
"""Tokens that are no words of their own."""
_BETWEEN = STOP | word_set("always clearly normally routinely strictly currently")


@dataclass(frozen=True)
class Word:
    """A word of a sentence that says something.

    Attributes:
        stem: under which it is compared.
        denied: whether a negation reaches it.
        advice: whether that negation is advice (avoid, stop), not a fact.
    """

    stem: str
    denied: bool
    advice: bool = False


@dataclass(frozen=True)
class _Cue:
    """A negation at a place of the tokens.

    Attributes:
        at, after: its first token, and the first behind it.
        kind: "denial" or "lexical".
        word: that says how far it reaches.
    """

    at: int
    after: int
    kind: str
    word: str


@lru_cache(maxsize=8192)
def signed_words(sentence: str, verdicts: bool = True) -> tuple[Word, ...]:
    """The words of a sentence that say something, each affirmed or denied, in order.

    Args:
        sentence: one, as ``sentences_of`` gives them.
        verdicts: False leaves out the verdict of a negation ("needed" of "not needed"), which a gold wording
            has no need of.

    Example:
        >>> [word.stem for word in signed_words("Ulcers are found, but there is no bleeding") if word.denied]
        ['bleed']
        >>> [word.stem for word in signed_words("Alcohol should be avoided") if word.denied]
        ['alcohol']
    """
    tokens = tokens_of(sentence)
    clause = _clauses(tokens)
    cues = list(_cues(tokens))
    denied: dict[int, bool] = {}
    hidden = {at for cue in cues for at in range(cue.at, cue.after)}
    for number, cue in enumerate(cues):
        limit = cues[number + 1].at if number + 1 < len(cues) else len(tokens)
        if cue.kind == "none":
            continue
        verdict = _verdict(tokens, cue)
        if verdict is not None and not verdicts:
            hidden.add(verdict)
        for at in _reached(tokens, clause, cue, limit, verdict):
            denied.setdefault(at, cue.word in _ADVICE)
    return tuple(
        Word(stem(token), at in denied, denied.get(at, False))
        for at, token in enumerate(tokens)
        if at not in hidden and token not in _SILENT
    )


def _cues(tokens: Sequence[str]) -> Iterator[_Cue]:
    """Negations from left to right; of kind "none" where two cancel each other."""
    at = 0
    while at < len(tokens):
        found = _cue_at(tokens, at)
        if found is not None and found.word in ("not", "never", "no"):
            inner = _skip(tokens, found.after)
            second = _cue_at(tokens, inner)
            if second is not None and (second.kind == "lexical" or second.word == "without"):
                found = _Cue(at, second.after, "none", "")
        if found is not None:
            yield found
        at = found.after if found is not None else at + 1


def _cue_at(tokens: Sequence[str], at: int) -> _Cue | None:
    if at >= len(tokens):
        return None
    word, pair = tokens[at], tuple(tokens[at : at + 2])
    if pair in _PHRASES:
        return _Cue(at, at + 2, "lexical", _PHRASES[pair])
    if word in _LEXICAL:
        return _Cue(at, at + 1, "lexical", word)
    if word not in _DENIALS or pair in _PSEUDO or (word == "no" and at == 0 and pair[1:] == (COMMA,)):
        return None
    return _Cue(at, at + 1, "denial", word)


def _skip(tokens: Sequence[str], at: int) -> int:
    """The first token from a place on that is more than an auxiliary or an adverb."""
    while at < len(tokens) and tokens[at] in _BETWEEN:
        at += 1
    return at


def _verdict(tokens: Sequence[str], cue: _Cue) -> int | None:
    """Place of the "needed" in "not usually needed"; None without one."""
    if cue.word not in ("not", "never"):
        return None
    at = _skip(tokens, cue.after)
    return at if at < len(tokens) and tokens[at] in _VERDICTS else None


def _reached(
    tokens: Sequence[str], clause: Sequence[int], cue: _Cue, limit: int, verdict: int | None
) -> Iterator[int]:
    """Places of the tokens that a cue denies; ``limit`` is where the next cue begins."""
    here = clause[cue.at]
    ahead = [at for at in range(cue.after, limit) if clause[at] == here]
    last = not any(tokens[at] not in _BETWEEN and tokens[at] != COMMA for at in ahead)
    passive = cue.kind == "lexical" and cue.word not in _SHORT and _is_passive(tokens, cue.at)
    if verdict is not None or passive or last:
        yield from (at for at in range(cue.at) if clause[at] == here)
    if passive:
        return
    for at in ahead[:1] if cue.word == "non" else ahead:
        if cue.word in _SHORT and tokens[at] in _VERBS:
            return
        yield at


def _is_passive(tokens: Sequence[str], at: int) -> bool:
    """Whether a form of "be" stands before, with no more than adverbs between."""
    while at > 0 and (tokens[at - 1] in _BETWEEN or tokens[at - 1].endswith("ly")):
        at -= 1
        if tokens[at] in _BE:
            return True
    return False


def _clauses(tokens: Sequence[str]) -> list[int]:
    """The number of the clause that each token belongs to."""
    parts = _parts(tokens)
    out: list[int] = []
    number, has_verb = 0, False
    for index, part in enumerate(parts):
        verb = _has_verb(part)
        broken = bool(part) and part[0] in _BREAKS
        if index and (broken or (has_verb and verb)):
            number, has_verb = number + 1, False
        has_verb = has_verb or verb
        out += [number] * len(part)
    return out


def _parts(tokens: Sequence[str]) -> list[list[str]]:
    """Tokens cut before each comma, "and" and word that breaks a clause."""
    parts: list[list[str]] = [[]]
    for token, following in itertools.zip_longest(tokens, tokens[1:], fillvalue=""):
        joined = parts[-1] and all(t in (COMMA, "and", "or") for t in parts[-1])
        breaks = token in _BREAKS and (token, following) != ("if", "any")
        if breaks or (token in (COMMA, "and") and not joined):
            parts.append([])
        parts[-1].append(token)
    return parts


def _has_verb(part: Sequence[str]) -> bool:
    return any(token in _VERBS or token in _LEXICAL or token == "not" for token in part)
