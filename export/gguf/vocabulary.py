"""The tokenizer of a checkpoint as key-values of GGUF: pieces, merges, marks, chat template.

Only byte-level BPE. What a tokenizer adds by itself is taken from its post-processor; if the chat template
writes the mark of the beginning too, the file says not to add it: programs tokenise what the template made,
and two such marks make every answer worse.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ...zoo.errors import ModelError
from . import pretokenizers
from .checkpoint import Checkpoint

NORMAL, CONTROL, USER_DEFINED, UNUSED = 1, 3, 4, 5
"""Types of tokens in GGUF."""

_MARKS = {"bos": "bos", "eos": "eos", "unk": "unknown", "pad": "padding"}
_MOST = 1 << 22


@dataclass(frozen=True)
class Vocabulary:
    """A tokenizer.

    Attributes:
        pre: llama.cpp's name of the rule that cuts text into words.
        pieces, kinds: text and type of every token id.
        merges: "left right", most frequent first.
        marks: "bos", "eos", "eot", "eom", "unknown", "padding" -> token id.
        add_bos, add_eos: what plain text gets around it.
        chat_template: Jinja, None if there is none.
    """

    pre: str
    pieces: list[str]
    kinds: list[int]
    merges: list[str]
    marks: dict[str, int]
    add_bos: bool
    add_eos: bool
    chat_template: str | None

    def metadata(self) -> dict[str, Any]:
        """Key-values under ``tokenizer.``."""
        values: dict[str, Any] = {
            "tokenizer.ggml.model": "gpt2",
            "tokenizer.ggml.pre": self.pre,
            "tokenizer.ggml.tokens": self.pieces,
            "tokenizer.ggml.token_type": self.kinds,
            "tokenizer.ggml.merges": self.merges,
        }
        values |= {f"tokenizer.ggml.{mark}_token_id": number for mark, number in self.marks.items()}
        values |= {
            "tokenizer.ggml.add_bos_token": self.add_bos,
            "tokenizer.ggml.add_eos_token": self.add_eos,
        }
        return values | ({"tokenizer.chat_template": self.chat_template} if self.chat_template else {})


def read_vocabulary(checkpoint: Checkpoint, size: int, text_config: dict[str, Any]) -> Vocabulary:
    """The tokenizer of a checkpoint.

    Args:
        checkpoint: the folder.
        size: rows of the embedding; ids without a piece are written as unused.
        text_config: of the language model, for marks that the tokenizer does not name.

    Raises:
        ModelError: no tokenizer.json, not byte-level BPE, a rule that llama.cpp has not, ids that contradict
            each other or the embedding.
    """
    where = str(checkpoint.folder / "tokenizer.json")
    tokenizer = checkpoint.json("tokenizer.json")
    if tokenizer is None:
        raise ModelError(f"{where}: missing; save the tokenizer into the folder with save_pretrained")
    model = tokenizer.get("model")
    if not isinstance(model, dict) or model.get("type") != "BPE" or model.get("byte_fallback"):
        raise ModelError(f"{where}: not a byte-level BPE tokenizer, the only kind that is converted")
    pieces, kinds = _pieces(tokenizer, size, where)
    settings = checkpoint.json("tokenizer_config.json") or {}
    template = _template(checkpoint, settings)
    marks = _marks(checkpoint, settings, text_config, pieces)
    first, last = _added(tokenizer)
    bos = pieces[marks["bos"]] if "bos" in marks else None
    adds_bos = bos is not None and first == bos
    return Vocabulary(
        pretokenizers.name_of(tokenizer, where),
        pieces,
        kinds,
        _merges(model, where),
        marks,
        adds_bos and not _writes(template, bos),
        "eos" in marks and last == pieces[marks["eos"]],
        template,
    )


def _pieces(tokenizer: dict[str, Any], size: int, where: str) -> tuple[list[str], list[int]]:
    vocabulary, added = tokenizer["model"].get("vocab"), tokenizer.get("added_tokens") or []
    if not isinstance(vocabulary, dict) or not isinstance(added, list) or not 0 < size <= _MOST:
        raise ModelError(f"{where}: not a tokenizer: no vocabulary, or {size} rows of embeddings")
    pieces: list[str | None] = [None] * size
    kinds = [UNUSED] * size
    for piece, number in vocabulary.items():
        _check_id(piece, number, pieces, where)
        pieces[number], kinds[number] = piece, NORMAL
    for token in added:
        content, number = (token.get("content"), token.get("id")) if isinstance(token, dict) else (None, None)
        if number != vocabulary.get(content, -1):  # an added token may also be a word of the vocabulary
            _check_id(content, number, pieces, where)
        pieces[number], kinds[number] = content, CONTROL if token.get("special") else USER_DEFINED
    return [f"[PAD{n}]" if piece is None else piece for n, piece in enumerate(pieces)], kinds


def _check_id(piece: Any, number: Any, pieces: list[str | None], where: str) -> None:
    if not isinstance(piece, str) or type(number) is not int or not 0 <= number < len(pieces):
        raise ModelError(
            f"{where}: token {str(piece)[:40]!r} has the id {str(number)[:20]}, of {len(pieces)} rows"
        )
    if pieces[number] is not None:
        raise ModelError(f"{where}: {pieces[number]!r} and {piece[:40]!r} share the id {number}")


def _merges(model: dict[str, Any], where: str) -> list[str]:
    merges = model.get("merges")
    if not isinstance(merges, list):
        raise ModelError(f"{where}: no merges")
    pairs = [pair.split(" ") if isinstance(pair, str) else pair for pair in merges]
    for pair in pairs:
        fine = isinstance(pair, list) and len(pair) == 2 and all(isinstance(p, str) for p in pair)
        if not fine or any(" " in p for p in pair):
            raise ModelError(f"{where}: {str(pair)[:60]} is not a merge of two pieces without blanks")
    return [f"{left} {right}" for left, right in pairs]


def _marks(
    checkpoint: Checkpoint, settings: dict[str, Any], text_config: dict[str, Any], pieces: list[str]
) -> dict[str, int]:
    """Ids of the marks; where an answer ends is also where generation is configured to end."""
    ids = {piece: number for number, piece in enumerate(pieces)}
    marks = {}
    for short, name in _MARKS.items():
        number = ids.get(_content(settings.get(f"{short}_token")), text_config.get(f"{short}_token_id"))
        if type(number) is int and 0 <= number < len(pieces):
            marks[name] = number
    stops = (checkpoint.json("generation_config.json") or {}).get("eos_token_id")
    listed = stops if isinstance(stops, list) else [stops]
    others = [n for n in listed if type(n) is int and 0 <= n < len(pieces)]
    for number in others:
        free = next((m for m in ("eos", "eot", "eom") if m not in marks), None)
        if number not in (marks.get("eos"), marks.get("eot"), marks.get("eom")) and free:
            marks[free] = number
    return marks


def _content(token: Any) -> Any:
    """The text of a mark, which is stored plain or with its flags."""
    return token.get("content") if isinstance(token, dict) else token


def _template(checkpoint: Checkpoint, settings: dict[str, Any]) -> str | None:
    found = checkpoint.text("chat_template.jinja") or (checkpoint.json("chat_template.json") or {}).get(
        "chat_template"
    )
    found = found or settings.get("chat_template")
    if isinstance(found, list):  # several, by name
        found = next(
            (t.get("template") for t in found if isinstance(t, dict) and t.get("name") == "default"), None
        )
    return found if isinstance(found, str) else None


def _writes(template: str | None, bos: str | None) -> bool:
    """Whether a chat template writes the mark of the beginning itself."""
    return template is not None and ("bos_token" in template or (bos is not None and bos in template))


def _added(tokenizer: dict[str, Any]) -> tuple[str | None, str | None]:
    """What the tokenizer puts before and behind a text."""
    rule = tokenizer.get("post_processor") or {}
    rules = rule.get("processors", [rule])
    for each in rules if isinstance(rules, list) else []:
        single = (
            each.get("single")
            if isinstance(each, dict) and each.get("type") == "TemplateProcessing"
            else None
        )
        if isinstance(single, list) and single:
            ends = [(end.get("SpecialToken") or {}).get("id") for end in (single[0], single[-1])]
            return ends[0], ends[1]
    return None, None
