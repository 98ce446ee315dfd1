"""Local models that say how far a text bears a claim out: natural language inference, or embeddings.

======================= ===========================================================================
``nli:DIR``             a sequence classifier with a class "entailment": P(the claim follows)
``embed:DIR``           an encoder: cosine of the two mean token vectors, -1 to 1
======================= ===========================================================================

``DIR`` is a checkpoint in the layout of ``transformers``, safetensors only; nothing is downloaded.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from ....zoo.errors import UsageError
from .section import TextScorer

__all__ = ["PREFIXES", "Embedding", "Entailment", "open_scorer"]

BATCH = 16
PREFIXES = ("nli:", "embed:")


def open_scorer(spec: str) -> TextScorer:
    """Open a model that scores pairs of texts.

    Args:
        spec: "nli:DIR" or "embed:DIR".

    Raises:
        UsageError: another word before the folder, or a classifier without a class "entailment".
        ModelNotFoundError, ModelError: no such checkpoint, or one that cannot be opened.
        MissingDependencyError: torch or transformers is not installed.
    """
    from ....zoo.runtimes.hf_text import open_text_model

    kind, colon, folder = spec.partition(":")
    if kind + colon not in PREFIXES:
        raise UsageError(f"scorer: got {spec!r}, expected nli:DIR or embed:DIR")
    opened = open_text_model(folder, classifier=kind == "nli")
    return Entailment(opened) if kind == "nli" else Embedding(opened)


class Entailment:
    """A classifier of (premise, hypothesis), e.g. trained on MNLI.

    Attributes:
        name, content_hash: of the checkpoint.
    """

    def __init__(self, opened: Any) -> None:
        self.name, self.content_hash = f"nli-{opened.name}", opened.content_hash
        self._opened = opened
        labels = {int(n): str(label).casefold() for n, label in opened.model.config.id2label.items()}
        found = [n for n, label in labels.items() if label.startswith("entail")]
        if len(found) != 1:
            raise UsageError(
                f"{opened.name}: its classes are {', '.join(labels.values())}; expected one called entailment"
            )
        self._entailment = found[0]

    def score(self, pairs: Sequence[tuple[str, str]]) -> list[float]:
        """P(entailment) of each (text, claim), 0 to 1; texts longer than the model's context are cut."""
        out: list[float] = []
        for batch in _batches(pairs):
            logits = self._opened.run([text for text, _ in batch], [claim for _, claim in batch]).logits
            out += [float(p) for p in logits.double().softmax(-1)[:, self._entailment]]
        return out


class Embedding:
    """An encoder of single texts, e.g. of the sentence-transformers kind.

    Attributes:
        name, content_hash: of the checkpoint.
    """

    def __init__(self, opened: Any) -> None:
        self.name, self.content_hash = f"embed-{opened.name}", opened.content_hash
        self._opened = opened

    def score(self, pairs: Sequence[tuple[str, str]]) -> list[float]:
        """Cosine of each (text, claim): u.v / (|u| |v|) of the means over the tokens' last vectors."""
        texts = list(dict.fromkeys(text for pair in pairs for text in pair))
        vectors: dict[str, Any] = {}
        for batch in _batches(texts):
            vectors.update(zip(batch, self._opened.vectors(batch), strict=True))
        return [float(vectors[text] @ vectors[claim]) for text, claim in pairs]


def _batches(some: Sequence[Any]) -> Iterator[Sequence[Any]]:
    return (some[start : start + BATCH] for start in range(0, len(some), BATCH))
