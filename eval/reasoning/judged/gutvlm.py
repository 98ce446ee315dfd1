"""GutVLM's files: descriptions of endoscopy images, each sentence marked by experts, and twelve answers each.

``X.json`` is {image: {"original_text", "corrections", "annotations": {"start-end": {"text", "start", "end",
"type": "correct" | "incorrect"}}}}, ``vqa_X.json`` {image: [{"question", "answer"}, ... twelve]} of the same
images. The texts were written by a language model and corrected by experts: no word of them is trusted.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ....zoo.errors import CaseError
from .words import split_sentences, tokens

QUESTIONS = 12
LANDMARKS = ("cecum", "colon", "pylorus", "z-line")
OTHER = "other"
MARKS = {"correct": False, "incorrect": True}
LEAST_WORDS = 3
"""Of a sentence; shorter marks are slips of the mouse (a full stop, the last letter of a word)."""
MOST_ODD = 0.02
"""Of the descriptions may have marks that do not fit their text; beyond that the file is refused."""
MOST_BYTES = 1 << 28
_WORD = re.compile(r"[A-Za-z0-9]{2,}")


@dataclass(frozen=True)
class Sentence:
    """One marked sentence.

    Attributes:
        image: it is about.
        text: as in the description, without the space around it.
        start, end: characters of the description.
        wrong: the experts' mark.
        verbatim: it stands in the corrected text word for word (case and punctuation aside).
        correction: the sentence of the corrected text that shares most words with it; "" if none shares one.
    """

    image: str
    text: str
    start: int
    end: int
    wrong: bool
    verbatim: bool
    correction: str


@dataclass(frozen=True)
class Description:
    """What a model said of an image and what experts made of it.

    Attributes:
        image: its file name.
        original, corrected: the texts.
        sentences: in the order of the text.
        questions, answers: twelve each, the answers as they stand in the file, without the space around them.
        oddities: marks that lie outside the text, sentences without a mark: left out, counted.
        fragments: marks of fewer than three words: left out, counted.
    """

    image: str
    original: str
    corrected: str
    sentences: tuple[Sentence, ...]
    questions: tuple[str, ...]
    answers: tuple[str, ...]
    oddities: tuple[str, ...] = ()
    fragments: int = 0

    @property
    def landmark(self) -> str:
        """The class of the image: the answer to the first question, or "other"."""
        answer = self.answers[0].lower()
        return answer if answer in LANDMARKS else OTHER

    @property
    def gold(self) -> tuple[str, ...]:
        """The sentences of the corrected text."""
        return split_sentences(self.corrected)


@dataclass(frozen=True)
class GutVlm:
    """Both files, read.

    Attributes:
        name: of the first file, without its ending.
        descriptions: in the file's order.
        sha256: over the bytes of both.
    """

    name: str
    descriptions: tuple[Description, ...]
    sha256: str

    @property
    def sentences(self) -> tuple[Sentence, ...]:
        """Of all descriptions."""
        return tuple(sentence for one in self.descriptions for sentence in one.sentences)


def read_gutvlm(path: str | Path) -> GutVlm:
    """Read ``X.json`` and ``vqa_X.json`` beside it.

    Args:
        path: the file ``X.json``, or a folder with one such pair.

    Returns:
        The descriptions, sentences aligned with their marks and corrections.

    Raises:
        CaseError: no such pair or several, a file that is no JSON, an image twice or in one file only, a
            missing or mistyped field (record and field are named), or marks that do not fit their text in
            more than 2 % of the descriptions.
    """
    file = _find(Path(path))
    other = file.with_name(f"vqa_{file.name}")
    texts, answers = (_load(one) for one in (file, other))
    _same_images(file, texts, other, answers)
    described = tuple(
        _description(f"{file}: {image}", image, record, *_answered(f"{other}: {image}", answers[image]))
        for image, record in texts.items()
    )
    _refuse_odd(file, described)
    digest = hashlib.sha256(file.read_bytes() + other.read_bytes()).hexdigest()
    return GutVlm(file.stem, described, digest)


def _find(path: Path) -> Path:
    if path.is_dir():
        pairs = [p for p in sorted(path.glob("*.json")) if p.with_name(f"vqa_{p.name}").is_file()]
        if len(pairs) != 1:
            raise CaseError(
                f"{path}: {len(pairs)} pairs of X.json and vqa_X.json, expected one; of several, name X.json"
            )
        return pairs[0]
    for file in (path, path.with_name(f"vqa_{path.name}")):
        if not file.is_file():
            raise CaseError(f"{file}: no such file; expected X.json and vqa_X.json in one folder")
    return path


def _load(file: Path) -> dict[str, Any]:
    try:
        if file.stat().st_size > MOST_BYTES:
            raise CaseError(f"{file}: larger than {MOST_BYTES >> 20} MiB, expected a file of texts")
        read = json.loads(
            file.read_text(encoding="utf-8-sig"), object_pairs_hook=lambda pairs: _once(file, pairs)
        )
    except (OSError, UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise CaseError(f"{file}: not readable as JSON (cut off?): {error}") from error
    if not isinstance(read, dict) or not read:
        raise CaseError(f"{file}: got {_kind(read)}, expected an object image -> record, not empty")
    return read


def _once(file: Path, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object none of whose keys stands there twice: JSON would silently keep the last."""
    found = dict(pairs)
    if len(found) != len(pairs):
        twice = next(key for i, (key, _) in enumerate(pairs) if key in dict(pairs[:i]))
        raise CaseError(
            f"{file}: {twice!r} stands there twice in one object, expected each image and mark once"
        )
    return found


def _same_images(file: Path, texts: Mapping[str, Any], other: Path, answers: Mapping[str, Any]) -> None:
    only = sorted(texts.keys() ^ answers.keys())
    if only:
        where = file if only[0] in texts else other
        raise CaseError(
            f"{where}: {only[0]}: in this file only ({len(only)} such images), expected the same in both"
        )


def _description(
    where: str, image: str, record: Any, questions: tuple[str, ...], answers: tuple[str, ...]
) -> Description:
    _expect(where, record, dict)
    original, corrected = (_text(where, record, name) for name in ("original_text", "corrections"))
    marks = [
        _mark(f"{where}: annotations[{key!r}]", mark)
        for key, mark in _get(where, record, "annotations", dict).items()
    ]
    sentences, oddities, fragments = [], [], 0
    gold = split_sentences(corrected)
    whole = f" {' '.join(tokens(corrected))} "
    for text, start, end, wrong in sorted(marks, key=lambda mark: mark[1:3]):
        if len(tokens(text)) < LEAST_WORDS:
            fragments += 1
        elif not _fits(original, text, start, end):
            oddities.append(f"annotations: [{start}, {end}) is not where its text stands in original_text")
        else:
            verbatim = f" {' '.join(tokens(text))} " in whole
            sentences.append(Sentence(image, text, start, end, wrong, verbatim, closest(text, gold)))
    oddities += _unmarked(original, [mark[1:3] for mark in marks])
    return Description(
        image, original, corrected, tuple(sentences), questions, answers, tuple(oddities), fragments
    )


def closest(sentence: str, gold: Iterable[str]) -> str:
    """The sentence of ``gold`` that shares most words (Jaccard) with this one, the first of equals.

    Example:
        >>> closest("No polyps are seen.", ["An image of cecum.", "One polyp is seen."])
        'One polyp is seen.'
        >>> closest("Pink.", ["An image of cecum."])
        ''
    """
    words = set(tokens(sentence))
    best, most = "", 0.0
    for candidate in gold:
        others = set(tokens(candidate))
        shared = len(words & others) / max(1, len(words | others))
        if shared > most:
            best, most = candidate, shared
    return best


def _mark(where: str, mark: Any) -> tuple[str, int, int, bool]:
    _expect(where, mark, dict)
    text = _get(where, mark, "text", str).strip()
    start, end = (_get(where, mark, name, int) for name in ("start", "end"))
    word = _get(where, mark, "type", str)
    if word not in MARKS:
        raise CaseError(f"{where}: type: got {word!r}, expected 'correct' or 'incorrect'")
    if not 0 <= start < end:
        raise CaseError(f"{where}: start, end: got {start}, {end}, expected 0 <= start < end")
    return text, start, end, MARKS[word]


def _fits(original: str, text: str, start: int, end: int) -> bool:
    """Whether the marked text stands there; many marks are off by a space or a full stop."""
    there, said = ("".join(tokens(part)) for part in (original[start:end], text))
    return bool(there) and (there in said or said in there)


def _unmarked(original: str, spans: list[tuple[int, int]]) -> list[str]:
    """One line per sentence of the description that no mark touches."""
    covered = bytearray(len(original))
    for start, end in spans:
        covered[start:end] = b"\1" * len(covered[start:end])
    missing = []
    for match in re.finditer(r"[^.!?]+", original):
        words = list(_WORD.finditer(original, *match.span()))
        if len(words) >= LEAST_WORDS and not any(covered[match.start() : match.end()]):
            missing.append(f"annotations: no mark for the sentence at [{match.start()}, {match.end()})")
    return missing


def _refuse_odd(file: Path, described: tuple[Description, ...]) -> None:
    odd = [one for one in described if one.oddities]
    if len(odd) > MOST_ODD * len(described):
        raise CaseError(
            f"{file}: {odd[0].image}: {odd[0].oddities[0]}; so in {len(odd)} of {len(described)} "
            f"descriptions, expected marks that match the sentences in all but {MOST_ODD:.0%}"
        )
    if not any(one.sentences for one in described):
        raise CaseError(f"{file}: annotations: not one marked sentence of {LEAST_WORDS} words in the file")


def _answered(where: str, record: Any) -> tuple[tuple[str, ...], tuple[str, ...]]:
    _expect(where, record, list)
    if len(record) != QUESTIONS:
        raise CaseError(f"{where}: got {len(record)} questions, expected {QUESTIONS}")
    for i, one in enumerate(record):
        _expect(f"{where}: [{i}]", one, dict)
    questions, answers = (
        tuple(_text(f"{where}: [{i}]", one, name) for i, one in enumerate(record))
        for name in ("question", "answer")
    )
    return questions, answers


def _text(where: str, record: Mapping[str, Any], name: str) -> str:
    text: str = _get(where, record, name, str)
    if not text.strip():
        raise CaseError(f"{where}: {name}: empty, expected a text")
    return text if name == "original_text" else text.strip()


def _get(where: str, record: Mapping[str, Any], name: str, kind: type) -> Any:
    if name not in record:
        raise CaseError(f"{where}: {name}: missing, expected {kind.__name__}")
    return _expect(f"{where}: {name}", record[name], kind)


def _expect(where: str, value: Any, kind: type) -> Any:
    if not isinstance(value, kind) or isinstance(value, bool):
        raise CaseError(f"{where}: got {_kind(value)}, expected {kind.__name__}")
    return value


def _kind(value: Any) -> str:
    return "null" if value is None else type(value).__name__
