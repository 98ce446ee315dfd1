"""What a scorer is given as true: the corrected text, the same in other words, key points, another text.

Experts left most right sentences as they were: 92 of 100 stand in the corrected text word for word, of the
wrong ones 4. Whoever compares strings is therefore right nearly always, which says nothing about answers that
a model words on its own. So each scorer is asked under several settings:

``corrected``   the corrected text (the setting of the target)
``changed``     the same gold, but only sentences that do not stand in it word for word are judged
``reworded``    the corrected text in other words, by fixed rules (``reword``): nothing stands there verbatim
``answers``     key points made of the twelve answers; no wording of the description is in them
``another``     the corrected text of another image, whatever that shows: what is left of a judge then
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from .gutvlm import Description, GutVlm, Sentence

SETTINGS = ("corrected", "changed", "reworded", "answers", "another")
_NOTHING = frozenset(("n/a", "na", "none", "yes", "no", "-", ""))
"""Answers to a question for a colour or a place that name none."""
_COUNTS = {
    "zero": "There are no polyps.",
    "single": "There is one polyp.",
    "multiple": "There are several polyps.",
}
_FINDINGS = {
    3: "abnormality",
    7: "instruments",
    8: "inflammation",
    9: "bleeding",
    10: "foreign bodies",
    11: "infection",
}
_PHRASES = (
    (r"\ban image of (?:a |an |the )?([\w-]+)", r"the picture was taken in the \1"),
    (r"\bthere (?:is|are|was|were) no\b", "one finds no"),
    (r"\bthere (?:is|are|was|were)\b", "one finds"),
    (r"\b(?:visible |obvious |clear |evident )?(?:signs?|evidence|indications?) of (?!any)", ""),
    (
        r"\b(?:is|are) (?:visible|present|seen|observed|evident|noted|detected|identifiable)\b",
        "can be made out",
    ),
    (r"\bno (?:visible|observable) ", "no "),
    (r"\b(?:visible|present|seen|observed|evident|noted|detected|identifiable)\b", "discernible"),
    (r"\b(?:centrally located|located centrally|in the center|centrally)\b", "in the middle"),
    (r"\b(?:in|on) the (left|right)(?: side)?\b", r"towards the \1"),
    (r"\b(?:appears?|appearing)\b", "looks"),
)
_NOUNS = (
    (r"\babnormalit(?:y|ies)\b", "anomaly"),
    (r"\banatomical landmarks?\b", "landmark structure"),
    (r"\bbleeding\b", "hemorrhage"),
    (r"\binstruments?\b", "tool"),
    (r"\bpolyps\b", "polypoid growths"),
    (r"\bpolyp\b", "polypoid growth"),
)
_ITEM = r"(?!(?:and|or) )(?:foreign )?[a-z]+"
_LIST = re.compile(rf"\b(no|without|any) ({_ITEM}(?:, {_ITEM})*),? (and|or) ({_ITEM})(?=[ .,;]|$)")
"""Things denied together: their order means nothing."""


def golds(data: GutVlm, setting: str) -> Iterator[tuple[Sentence, tuple[str, ...]]]:
    """Every sentence that is judged under a setting, with its gold.

    Args:
        data: the descriptions.
        setting: one of ``SETTINGS``.

    Yields:
        (sentence, the gold's sentences), in the order of the file.
    """
    others = _another(data.descriptions) if setting == "another" else {}
    for one in data.descriptions:
        gold = _gold(one, setting, others)
        for sentence in one.sentences:
            if setting != "changed" or not sentence.verbatim:
                yield sentence, gold


def _gold(one: Description, setting: str, others: dict[str, Description]) -> tuple[str, ...]:
    if setting == "reworded":
        return tuple(reword(sentence) for sentence in one.gold)
    if setting == "answers":
        return key_points(one.answers)
    return others[one.image].gold if setting == "another" else one.gold


def _another(descriptions: Sequence[Description]) -> dict[str, Description]:
    """For each image the next one by name, the last one's being the first."""
    ordered = sorted(descriptions, key=lambda one: one.image)
    return {one.image: after for one, after in zip(ordered, [*ordered[1:], ordered[0]], strict=True)}


def reword(sentence: str) -> str:
    """Say the same otherwise: fixed phrases and nouns are replaced, lists of what is denied are turned round.

    No scorer knows the table. It is a stress test, no model of how people paraphrase.

    Example:
        >>> reword("No polyps, foreign bodies, or signs of bleeding are visible.")
        'no hemorrhage, foreign bodies or polypoid growths can be made out.'
    """
    text = sentence.strip().lower()
    for pattern, instead in _PHRASES:
        text = re.sub(pattern, instead, text)
    text = _LIST.sub(_turned, text)
    for pattern, instead in _NOUNS:
        text = re.sub(pattern, instead, text)
    return text


def _turned(match: re.Match[str]) -> str:
    items: list[str] = [match[4], *str(match[2]).split(", ")[::-1]]
    return f"{match[1]} {', '.join(items[:-1])} {match[3]} {items[-1]}"


def key_points(answers: Sequence[str]) -> tuple[str, ...]:
    """Twelve answers as plain statements; answers that say nothing ("N/A") make none.

    Args:
        answers: twelve, in the order of the file.

    Example:
        >>> key_points(["cecum", "N/A", "N/A", "Yes", "white", "N/A", "Single", *["No"] * 5])[:3]
        ('The image shows the cecum.', 'There is an abnormality.', 'The abnormality is white.')
    """
    said = [answer.strip().lower() for answer in answers]
    points = [""] * len(said)
    for at, text in (
        (0, "The image shows the {}."),
        (1, "The anatomical landmark is {}."),
        (2, "The anatomical landmark is located {}."),
        (4, "The abnormality is {}."),
        (5, "The abnormality is located {}."),
    ):
        points[at] = "" if said[at] in _NOTHING else text.format(said[at])
    points[6] = _COUNTS.get(said[6], "")
    for at, finding in _FINDINGS.items():
        points[at] = _presence(finding, said[at])
    return tuple(point for point in points if point)


def _presence(finding: str, answer: str) -> str:
    if answer not in ("yes", "no"):
        return ""
    many = finding.endswith("s")
    if answer == "no":
        return f"There {'are' if many else 'is'} no {finding}."
    return f"There {'are' if many else 'is'} {'an ' if finding == 'abnormality' else ''}{finding}."
