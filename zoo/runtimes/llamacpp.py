"""Language models in llama.cpp: a text GGUF and its mmproj, asked about slices, or the text GGUF alone.

The image stands first and is read once: further questions about it go on from there. Answers follow the
task's grammar, by slots where the vocabulary writes numbers as single tokens. A grade comes with the real
probabilities of its classes, each number decoded by slots with its distribution. Several questions about one
image can be answered side by side, in one batch.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import repeat
from typing import TYPE_CHECKING, Any

import numpy as np

from ..answerer import Question, Reply
from ..chat import conversation, text_conversation
from ..errors import InputError, UsageError, VoxzooError
from ..ggufpair import GgufPair
from ..grammar import Grammar
from ..sampling import Sampling
from ..tasks.grade import CLASSES
from .base import RuntimeInfo
from .hf_decode import CHOICE, Chooser, class_tokens, softmax_of
from .llamacpp_native import Native, Settings, check_gpu, offers_gpu, version
from .llamacpp_probe import probe
from .slots import SlotPlan, SlotWords, decode_slots
from .threads import default_threads
from .turns import Turns, decode_tokens, take_turns

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["DECODINGS", "LlamaCpp", "open_model"]

DECODINGS = ("auto", "slots", "grammar", "free")
LARGEST = 127
"""Numbers up to this one have to be single tokens for slots: the last row and column of a slice."""
_MOST_PLANS = 32
_read_grammar = lru_cache(maxsize=32)(Grammar.parse)


def open_model(
    pair: GgufPair,
    *,
    sampling: Sampling | None = None,
    device: str = "auto",
    threads: int | None = None,
    decoding: str = "auto",
    grammar: str = "auto",
    context: int | None = None,
    cache: str = "f16",
    concurrency: int = 1,
    trusted: bool = False,
) -> LlamaCpp:
    """Open a pair of files for questions.

    Args:
        pair: the files, checked.
        sampling: temperature and seed; default greedy.
        device: "auto" (the GPU, if this build of llama.cpp has one), "cpu" or "cuda".
        threads: of each call; default: the physical cores this process may use.
        decoding: "slots", "grammar" (token by token), "free" (no grammar), or "auto": slots where the
            vocabulary allows.
        grammar: "none" is another way to say free decoding.
        context: tokens; default what the model was trained with, 4096 at most.
        cache: numbers of the key-value cache: "f16" or "f32".
        concurrency: questions about one image that ``answer_all`` answers in one batch.
        trusted: skip the trial in a process of its own that keeps a native crash from ending this one.

    Raises:
        MissingDependencyError: llama-cpp-python is absent.
        DeviceError: a GPU was asked for and is not to be had.
        ModelError: llama.cpp refuses the files, or crashes on them.
        UsageError: a word that means nothing, or slots with a vocabulary that has none.
    """
    decoding = "free" if grammar == "none" else decoding
    _check(device, decoding, cache, context, concurrency)
    gpu = device == "cuda" or (device == "auto" and offers_gpu())
    check_gpu(gpu)
    settings = Settings(threads or default_threads(), gpu, context, cache, concurrency)
    if not trusted:
        probe(pair, settings)
    native = Native(pair.text.name, pair.mmproj.name if pair.mmproj else None, settings)
    return LlamaCpp(pair, native, settings, sampling, decoding)


def _check(device: str, decoding: str, cache: str, context: int | None, concurrency: int) -> None:
    for what, got, known in (
        ("device", device, ("auto", "cpu", "cuda")),
        ("decoding", decoding, DECODINGS),
        ("cache", cache, ("f16", "f32")),
    ):
        if got not in known:
            raise UsageError(f"unknown {what} {got!r}: expected one of {', '.join(known)}")
    for what, number in (("context", 1 if context is None else context), ("concurrency", concurrency)):
        if isinstance(number, bool) or not isinstance(number, int) or number < 1:
            raise UsageError(f"{what}: got {number!r}, expected a whole number from 1")


class LlamaCpp:
    """A model that can be asked; safe to call from several threads, which wait for each other.

    Attributes:
        name: of the contract, or of the file.
        content_hash: over all that changes answers in both files.
        contract: None of a foreign model.
        runtime: what executes it, as obtained.
        settings: what changes its answers.
        side_by_side: questions that ``answer_all`` answers in one batch.
    """

    def __init__(
        self, pair: GgufPair, native: Native, opened: Settings, sampling: Sampling | None, decoding: str
    ) -> None:
        self.name, self.content_hash, self.contract = pair.name, pair.content_hash, pair.contract
        self._native, self._sampling = native, sampling or Sampling()
        self._ends = native.ends()
        self._words = SlotWords.of(native.tokenize, LARGEST, self._ends)
        if decoding == "slots" and self._words is None:
            raise UsageError(f"decoding: {self.name} writes numbers in several tokens: use grammar")
        slots = decoding == "slots" or (decoding == "auto" and self._words is not None)
        self._decoding = "slots" if slots else decoding.replace("auto", "grammar")
        self._sees = pair.mmproj is not None
        self._before, self._between, self._after = _template(pair)
        self._start = _begun(native.tokenize(self._before, True), native.first_token)
        self._marks = _marks(pair)
        self._digits = class_tokens(native.tokenize, CHOICE)
        self._shown: bytes = b""
        """Size and bytes of the image that was read last."""
        self._prefix = 0
        self._plans: dict[str, SlotPlan] = {}
        self._lock = threading.Lock()
        header = pair.text.header
        device = "cuda" if opened.gpu else "cpu"
        self.runtime = RuntimeInfo("llama.cpp", version(), device, header.main_type.lower(), opened.threads)
        self.settings: dict[str, Any] = {
            **self._sampling.settings(),
            "decoding": self._decoding,
            "context": native.context,
            "cache": opened.cache,
        }
        self.side_by_side = opened.sequences
        if self.side_by_side > 1:  # sums in another order: the last bits of the logits depend on it
            self.settings["sequences"] = self.side_by_side

    def __repr__(self) -> str:
        return f"<voxzoo language model {self.name}: {self.runtime}>"

    def answer(self, question: Question) -> Reply:
        """Ask it.

        Raises:
            InputError: an image that it does not take, or a question longer than its context.
            ModelError: llama.cpp fails.
        """
        (outcome,) = self._together([question])
        if isinstance(outcome, VoxzooError):
            raise outcome
        return outcome

    def answer_all(self, questions: Sequence[Question]) -> list[Reply | VoxzooError]:
        """Ask several questions, ``side_by_side`` at a time in one batch where they are about the same image.

        A question has the same answer however often and in whichever order it is asked, provided that the
        same others stand beside it: in a batch, sums are made in another order than alone.

        Returns:
            For each question its answer, or the error that it ended in.
        """
        out: list[Reply | VoxzooError] = []
        shown = [None if q.image is None else (q.image.shape, q.image.tobytes()) for q in questions]
        start = 0
        for stop in range(1, len(questions) + 1):
            full = stop - start == self.side_by_side
            if full or stop == len(questions) or shown[stop] != shown[start]:
                out += self._together(questions[start:stop])
                start = stop
        return out

    def _together(self, questions: Sequence[Question]) -> list[Reply | VoxzooError]:
        """Answers to at most ``side_by_side`` questions about one image, or about none."""
        with self._lock:
            try:
                texts = self._begin(questions[0].image)
            except VoxzooError as error:
                return [error] * len(questions)
            outcomes: list[Reply | VoxzooError | _Asked] = []
            for question in questions:
                try:
                    outcomes.append(self._asked(question, texts))
                except VoxzooError as error:
                    outcomes.append(error)
            going = [one for one in outcomes if isinstance(one, _Asked)]
            replies: Iterator[Reply | VoxzooError]
            try:
                replies = iter(self._answered(going))
            except VoxzooError as error:
                replies = repeat(error)
            return [next(replies) if isinstance(one, _Asked) else one for one in outcomes]

    def _begin(self, image: NDArray[Any] | None) -> tuple[str, str]:
        """Read what stands before the questions; the texts around each question."""
        if image is not None:
            self._look(self._image(image))
            return self._between, self._after
        self._shown, self._prefix = b"", 0
        self._native.forget()
        return text_conversation(*self._marks)

    def _asked(self, question: Question, texts: tuple[str, str]) -> _Asked:
        """A question in tokens, and how its answer will be decoded."""
        words = self._native.tokenize(f"{texts[0]}{question.prompt}{texts[1]}", True)
        if question.image is None:
            words = _begun(words, self._native.first_token)
        self._check_room(len(words), question.new_tokens)
        follows = bool(question.grammar) and self._decoding != "free"
        grammar = _read_grammar(question.grammar) if follows else None
        drawn = self._sampling
        chooser = Chooser(self._native.text, self._ends, grammar, drawn.temperature, drawn.seed_of(question))
        plan = None
        if grammar is not None and self._decoding == "slots" and self._words is not None:
            plan = self._plan(question.grammar, grammar, self._words)
        classes = self._classes(words) if plan is None and question.task == "grade" else None
        return _Asked(question, words, chooser, grammar, plan, classes)

    def _answered(self, going: Sequence[_Asked]) -> list[Reply]:
        """Decode side by side."""
        at = [self._prefix] * len(going)
        self._native.share(len(going))

        def read(parts: dict[int, Sequence[int]]) -> dict[int, NDArray[np.float32]]:
            given = self._native.read_together({n: (ids, at[n]) for n, ids in parts.items()})
            for number, ids in parts.items():
                at[number] += len(ids)
            return given

        turns = [one.decode(self._ends, self._native.n_vocab) for one in going]
        found = take_turns(turns, read)
        return [self._reply(one, numbers) for one, numbers in zip(going, found, strict=True)]

    def _reply(self, asked: _Asked, distributions: list[NDArray[np.float64]]) -> Reply:
        question, chooser, classes = asked.question, asked.chooser, asked.classes
        if asked.plan is not None and question.task == "grade":
            classes = _classes(distributions)
        given = [token for token in chooser.ids if token not in self._ends]
        record = {**self.settings, **self._sampling.record(question)}
        tokens_in = self._prefix + len(asked.words)
        return Reply(
            self._native.text(given), tokens_in, len(chooser.ids), classes, record, tuple(distributions)
        )

    def close(self) -> None:
        """Free the memory; it cannot be asked any more."""
        self._native.close()

    def _image(self, image: NDArray[Any]) -> NDArray[np.uint8]:
        """Three equal channels."""
        if not self._sees:
            raise InputError(f"{self.name}: has no mmproj, so it sees no image; give MODEL.gguf+MMPROJ.gguf")
        if not isinstance(image, np.ndarray) or image.dtype != np.uint8:
            got = image.dtype if isinstance(image, np.ndarray) else type(image).__name__
            raise InputError(f"image: got {got}, expected uint8: bring its values to 0..255 first")
        size = self.contract.image if self.contract else image.shape[:2]
        grey = image.ndim == 2
        if image.shape[:2] != size or not (grey or image.shape[2:] == (3,)) or 0 in image.shape:
            expected = f"({size[0]}, {size[1]})" if self.contract else "(H, W)"
            raise InputError(
                f"image: got shape {image.shape}, {self.name} takes {expected}, or with 3 channels behind; "
                "voxzoo.zoo.slices2d makes such slices"
            )
        return np.ascontiguousarray(np.repeat(image[..., None], 3, axis=2) if grey else image)

    def _look(self, image: NDArray[np.uint8]) -> None:
        """Read the mark of the beginning and the image, unless they are what was read last."""
        key = str(image.shape).encode() + image.tobytes()
        if key == self._shown:
            self._native.forget(self._prefix)
            return
        self._shown = b""
        self._native.forget()
        if self._start:
            self._native.read(self._start, 0)
        self._prefix = self._native.show(image, len(self._start))
        self._shown = key

    def _check_room(self, question: int, answer: int) -> None:
        needed = self._prefix + question + answer
        if needed > self._native.context:
            raise InputError(
                f"the image takes {self._prefix} tokens, the prompt {question}, the answer up to {answer}: "
                f"{needed} are more than the context of {self._native.context}; ask in fewer words"
            )

    def _plan(self, text: str, grammar: Grammar, words: SlotWords) -> SlotPlan:
        if len(self._plans) > _MOST_PLANS:
            self._plans.clear()
        return self._plans.setdefault(text, SlotPlan(grammar, words))

    def _classes(self, words: list[int]) -> dict[str, float] | None:
        """Softmax over the logits of the three digits after "Choice: "."""
        if self._digits is None:
            return None
        before = self._native.tokenize(f"{CHOICE}0")[:-1]
        logits = self._native.read([*words, *before], self._prefix)
        self._native.forget(self._prefix)
        return softmax_of(logits[self._digits])


@dataclass(frozen=True)
class _Asked:
    """A question in tokens."""

    question: Question
    words: list[int]
    chooser: Chooser
    grammar: Grammar | None
    plan: SlotPlan | None
    classes: dict[str, float] | None
    """Of a grade that is not decoded by slots."""

    def decode(self, ends: Sequence[int], n_vocab: int) -> Turns[list[NDArray[np.float64]]]:
        """The answer, into ``chooser.ids``; the distributions of its numbers, where slots tell them."""
        most = self.question.new_tokens
        if self.plan is not None:
            return (yield from decode_slots(self.words, self.plan, self.chooser, most, n_vocab))
        yield from decode_tokens(self.words, self.chooser, ends, most, self.grammar)
        return []


def _classes(distributions: Sequence[NDArray[np.float64]]) -> dict[str, float] | None:
    """The first number of a grade is its class."""
    if not distributions:
        return None
    shares = distributions[0][: len(CLASSES)]
    return {name: round(float(share), 6) for name, share in zip(CLASSES, shares, strict=True)}


def _template(pair: GgufPair) -> tuple[str, str, str]:
    """Before the image, between image and prompt, after the prompt."""
    return conversation(*_marks(pair)) if pair.mmproj else ("", "", "")


def _marks(pair: GgufPair) -> tuple[str | None, str, str]:
    """The chat template, and what begins and ends a conversation."""
    header = pair.text.header
    tokens, template = header.get("tokenizer.ggml.tokens", []), header.get("tokenizer.chat_template")

    def mark(name: str) -> str:
        number = header.get(f"tokenizer.ggml.{name}_token_id")
        whole = isinstance(number, int) and isinstance(tokens, list) and 0 <= number < len(tokens)
        return tokens[number] if whole else ""

    return template if isinstance(template, str) else None, mark("bos"), mark("eos")


def _begun(ids: list[int], first: int | None) -> list[int]:
    """The tokens before the image with the mark of the beginning, once."""
    return ids if first is None or ids[:1] == [first] else [first, *ids]
