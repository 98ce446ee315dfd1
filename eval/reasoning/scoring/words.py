"""English texts as sentences and words that can be compared: one spelling, one form, numbers as digits."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

from ....zoo.errors import UsageError

__all__ = ["COMMA", "LANGUAGES", "STOP", "check_language", "sentences_of", "stem", "tokens_of"]


def word_set(text: str) -> frozenset[str]:
    """The words of a text, as a set to look them up in."""
    return frozenset(text.split())


LANGUAGES = ("en",)
"""That the rules of words, numbers and negation are written for."""
COMMA = ","
"""Stands among the tokens for whatever may separate two clauses: commas, colons, dashes, brackets."""
STOP = word_set(
    """a an the of to in on at by for from with as per into onto during is are was were be been being am it
    its this that these those there here their they them he she his her him you your we our us i my me and or
    also such any some which who whom whose will would shall should can could may might must do does did doing
    has have had having very quite like include includes including usually typically generally often
    commonly frequently"""
)
"""Words that say nothing of the matter, hedges among them; negations are read before they are left out."""
_ABBREVIATIONS = word_set("e.g i.e etc vs approx dr mr mrs ms prof fig cf al resp incl")
_BULLET = re.compile(r"\s*(?:[-*•·\u2013\u2014#>]+|\(?\d{1,2}[.)]|\(?[a-z][.)])\s+")
_END = re.compile(r"[.!?]+[\"')\]*_]*(?=\s|$)|(?<=[a-z])[.](?=[A-Z][a-z])|;")
_LAST_WORD = re.compile(r"[\w.]*$")
_TOKEN = re.compile(
    r"(?P<number>\d+(?:[.,]\d+)*)|(?P<word>[^\W\d_]+(?:'[^\W\d_]+)?)"
    r"|(?P<apart>[,:()\[\]\u2013\u2014]|\s-+\s)|(?P<percent>%)"
)
_NUMERALS = """zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen
sixteen seventeen eighteen nineteen"""
_ROUND = "twenty thirty forty fifty sixty seventy eighty ninety"
_UNITS = {word: n for n, word in enumerate(_NUMERALS.split())}
_TENS = {word: 10 * n for n, word in enumerate(_ROUND.split(), start=2)}
_TIMES = {"once": 1, "twice": 2, "thrice": 3}
_WHOLE = {"daily": "day"}
_VOWEL = re.compile("[aeiouy]")


def check_language(language: str) -> None:
    """See that texts of a language can be scored by key points.

    Args:
        language: code, e.g. "en" or "en-GB".

    Raises:
        UsageError: no rules are written for it; scores by other rules would be made up.

    Example:
        >>> check_language("en-GB")
    """
    if language.partition("-")[0].lower() not in LANGUAGES:
        raise UsageError(
            f"language {language!r}: words and negations are read by rules for {', '.join(LANGUAGES)}; other "
            "languages can be shown to a judge, not scored by key points"
        )


def sentences_of(text: str) -> list[str]:
    """The sentences of a text, without bullets and numbering.

    A sentence ends at ``. ! ?`` before white space or where a space was forgotten, at a semicolon and at the
    end of a line; not after an abbreviation ("e.g.") or a single letter before a small one ("H. pylori").

    Example:
        >>> sentences_of("1. Treat H. pylori for 1.5 weeks. Stop NSAIDs; eat less\\n- no alcohol")
        ['Treat H. pylori for 1.5 weeks.', 'Stop NSAIDs', 'eat less', 'no alcohol']
    """
    out = []
    for line in text.splitlines():
        line, start = _BULLET.sub("", line, count=1) if _BULLET.match(line) else line, 0
        for end in _END.finditer(line):
            if _goes_on(line[start : end.start()], line[end.end() :].lstrip(), end[0]):
                continue
            out.append(line[start : end.end()].rstrip(";"))
            start = end.end()
        out.append(line[start:])
    return [sentence.strip() for sentence in out if re.search(r"[^\W_]", sentence)]


def _goes_on(before: str, after: str, mark: str) -> bool:
    """Whether a full stop belongs to a shortened word."""
    if mark[0] != "." or not after:
        return False
    found = _LAST_WORD.search(before)
    last = found[0].casefold() if found else ""
    small = after[0].islower()
    return (last in _ABBREVIATIONS and (small or last != "etc")) or (
        len(last) == 1 and last.isalpha() and small
    )


def tokens_of(sentence: str) -> list[str]:
    """Words in small letters and without accents, numbers as digits, ``COMMA`` where clauses may part.

    Hyphens part words; "n't" and "cannot" become "not"; possessives lose their "s"; numbers in words become
    digits ("twenty-five": 25, "twice": 2 time).

    Example:
        >>> tokens_of("Don't take 2,000 mg twice (or twenty-five days)")
        ['do', 'not', 'take', '2000', 'mg', '2', 'time', ',', 'or', '25', 'days', ',']
    """
    plain = unicodedata.normalize("NFKD", sentence.replace("\u2019", "'")).casefold()
    plain = "".join(char for char in plain if not unicodedata.combining(char))
    out: list[str] = []
    for found in _TOKEN.finditer(plain):
        out += _expanded(str(found.lastgroup), found[0])
    return _with_digits(out)


def _expanded(kind: str, text: str) -> list[str]:
    if kind == "apart":
        return [COMMA]
    if kind == "percent":
        return ["percent"]
    if kind == "number":
        return [_number(text)]
    if text in ("cannot", "can't"):
        return ["can", "not"]
    if text == "won't":
        return ["will", "not"]
    if text.endswith("n't"):
        return [text[:-3], "not"]
    if text in _TIMES:
        return [str(_TIMES[text]), "time"]
    return [text.partition("'")[0]]


def _number(text: str) -> str:
    """Without separators of thousands and without zeros that say nothing."""
    text = re.sub(r",(?=\d{3}(?:\D|$))", "", text).replace(",", ".")
    if text.count(".") != 1:
        return text
    return text.rstrip("0").rstrip(".")


def _with_digits(tokens: list[str]) -> list[str]:
    """Numbers in words, read from left to right as far as they are one number."""
    out: list[str] = []
    at = 0
    while at < len(tokens):
        value, after = _spelt(tokens, at)
        out.append(tokens[at] if value is None else str(value))
        at = max(after, at + 1)
    return out


def _spelt(tokens: list[str], at: int) -> tuple[int | None, int]:
    """(the number in words that begins at a token, None if none does; where it ends)."""
    value, after = _below_thousand(tokens, at)
    if value and tokens[after : after + 1] == ["thousand"]:
        more, after = _below_thousand(tokens, after + 1)
        value = 1000 * value + (more or 0)
    return value, after


def _below_thousand(tokens: list[str], at: int) -> tuple[int | None, int]:
    value, after = _below_hundred(tokens, at)
    if value and tokens[after : after + 1] == ["hundred"]:
        more, after = _below_hundred(tokens, after + 1)
        value = 100 * value + (more or 0)
    return value, after


def _below_hundred(tokens: list[str], at: int) -> tuple[int | None, int]:
    word, following = [*tokens[at : at + 2], "", ""][:2]
    if word not in _TENS:
        return (_UNITS[word], at + 1) if word in _UNITS else (None, at)
    digit = _UNITS.get(following, 0)
    return (_TENS[word] + digit, at + 2) if 0 < digit < 10 else (_TENS[word], at + 1)


@lru_cache(maxsize=16_384)
def stem(word: str) -> str:
    """The form under which a word is compared.

    Plurals as Harman's S-stemmer has them (1991, "How effective is suffixing?"), then "ing", "ed", "ly" and a
    final "e" go, doubled consonants become single, and British spelling becomes American. No more than that:
    "ulcerated" and "ulcer" stay apart, which is what accepted wordings are for.

    Args:
        word: as ``tokens_of`` gives it.

    Example:
        >>> [stem(word) for word in ("biopsies", "biopsy", "smoking", "smokes", "tumours", "oesophagus")]
        ['biopsy', 'biopsy', 'smok', 'smok', 'tumor', 'esophagus']
    """
    if word in _WHOLE or len(word) < 3 or word[0].isdigit():
        return _WHOLE.get(word, word)
    word = word.replace("oe", "e").replace("ae", "e").replace("isation", "ization")
    word = _without_ending(_singular(word))
    if len(word) > 3 and word.endswith("our"):
        word = word[:-3] + "or"
    if len(word) > 2 and word[-1] == word[-2] and not _VOWEL.match(word[-1]):
        word = word[:-1]
    return word[:-1] + "z" if len(word) > 5 and word.endswith(("is", "ys")) else word


def _singular(word: str) -> str:
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "y"
    if word.endswith(("sses", "xes", "ches", "shes", "zes")):
        return word[:-2]
    if word.endswith("sis"):
        return word[:-2]
    if word.endswith("s") and not word.endswith(("ss", "us", "is")):
        return word[:-1]
    return word


def _without_ending(word: str) -> str:
    if word.endswith("ied") and len(word) > 4:
        return word[:-3] + "y"
    for ending, least in (("ing", 2), ("ed", 2), ("ly", 4)):
        rest = word[: -len(ending)]
        if word.endswith(ending) and len(rest) >= least and _VOWEL.search(rest) and not word.endswith("eed"):
            return rest
    if len(word) > 4 and re.search("[^aeiouy]re$", word):
        return word[:-2] + "er"
    return word[:-1] if word.endswith("e") and len(word) > 2 and word[-2] != "e" else word
