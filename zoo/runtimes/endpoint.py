"""``openai:URL#MODEL``: a model behind an OpenAI-compatible chat endpoint (llama-server, vLLM, ...).

The image goes first, as a PNG in a data URL, then the prompt. Further words may follow the model's name, with
commas between::

    openai:http://127.0.0.1:8080/v1#llava,server=llama.cpp,timeout=60

=========== ======================================================================================
server      auto (what the server says it is), openai, llama.cpp, vllm, or vllm-guided (before 0.12)
key         name of the environment variable with the API key; default VOXZOO_API_KEY
timeout     seconds for one attempt; 120
retries     further attempts; 5
logprobs    how many likeliest tokens a grade is asked with, for class probabilities; 20, 0 for none
limit       what the server calls its limit of tokens; max_tokens
insecure    yes lets http go to other machines
=========== ======================================================================================

llama.cpp and vLLM are sent the task's grammar and told to use no sampler but the temperature; "openai" takes
neither: its answers are free, or follow a JSON schema where the task has one, and top-k and the like are the
server's own.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from ..answerer import Question, Reply
from ..errors import ModelError, UsageError
from ..sampling import Sampling
from .base import RuntimeInfo
from .endpoint_reply import class_probabilities, count, text_of
from .http_json import Patience, TryAgain, Wire, check_url

__all__ = ["Address", "Endpoint", "open", "parse_address"]

KEY = "VOXZOO_API_KEY"
PLAIN_SAMPLER = {
    "openai": {},
    "llama.cpp": {"top_k": 0, "min_p": 0.0, "repeat_penalty": 1.0, "cache_prompt": False},
    "vllm": {"top_k": -1, "min_p": 0.0, "repetition_penalty": 1.0},
}
"""Dialect -> what turns samplers off that servers or checkpoints would apply of their own."""
SERVERS = ("auto", *PLAIN_SAMPLER, "vllm-guided")
OWNERS = {"llamacpp": "llama.cpp", "vllm": "vllm"}
"""What servers say in ``owned_by`` of their list of models."""
GIVE_UP_AFTER = 5


@dataclass(frozen=True)
class Address:
    """Where a model is and how it is asked; see the module for the words."""

    url: str
    model: str = ""
    server: str = "auto"
    key: str = KEY
    timeout: float = 120.0
    retries: int = 5
    logprobs: int = 20
    limit: str = "max_tokens"
    insecure: bool = False


def parse_address(rest: str) -> Address:
    """``URL#MODEL[,WORD=VALUE...]``.

    Raises:
        UsageError: an unknown word, or a value that cannot be.

    Example:
        >>> parse_address("http://127.0.0.1:8080/v1#llava,timeout=5").timeout
        5.0
    """
    url, _, tail = rest.partition("#")
    model, *words = tail.split(",")
    given: dict[str, Any] = {}
    for word in words:
        name, equals, value = (part.strip() for part in word.partition("="))
        if name not in _READ or not equals:
            raise UsageError(f"{word!r}: expected WORD=VALUE, the word one of {', '.join(_READ)}")
        try:
            given[name] = _READ[name](value)
        except (ValueError, KeyError):
            raise UsageError(f"{name}: {value!r} cannot be") from None
    check_url(url, given.get("insecure", False))
    return Address(url.rstrip("/"), model.strip(), **given)


def _positive(text: str) -> float:
    value = float(text)
    if not 0 < value < 86400:
        raise ValueError
    return value


def _up_to(most: int) -> Any:
    table = {str(n): n for n in range(most + 1)}
    return table.__getitem__


_READ: Mapping[str, Any] = {
    "server": {name: name for name in SERVERS}.__getitem__,
    "key": str,
    "timeout": _positive,
    "retries": _up_to(100),
    "logprobs": _up_to(100),
    "limit": {name: name for name in ("max_tokens", "max_completion_tokens")}.__getitem__,
    "insecure": {"yes": True, "no": False}.__getitem__,
}


def open(
    rest: str,
    *,
    sampling: Sampling | None = None,
    grammar: str = "auto",
    concurrency: int = 1,
    patience: Patience | None = None,
) -> Endpoint:
    """Reach a server and find out what it serves.

    Args:
        rest: URL, model and words; see the module. Without a model, the one that it serves.
        sampling: temperature and seed; default greedy.
        grammar: "auto": the task's grammar is sent where the server takes one; "none": never.
        concurrency: questions that a run may have under way at once.
        patience: with retries; default that of ``rest``.

    Raises:
        UsageError: an address that cannot be, or no key where one is named.
        ModelError: the server cannot be reached, refuses the key, or does not serve that model.
    """
    if grammar not in ("auto", "none"):
        raise UsageError(f"grammar: got {grammar!r}, expected auto or none")
    if isinstance(concurrency, bool) or not isinstance(concurrency, int) or not 1 <= concurrency <= 256:
        raise UsageError(f"concurrency: got {concurrency!r}, expected a whole number from 1 to 256")
    address = parse_address(rest)
    wire = Wire(check_url(address.url, address.insecure), _key(address.key), address.timeout)
    served = _served(wire)
    settled, root = _settled(address, served)
    return Endpoint(
        settled,
        root,
        wire,
        sampling or Sampling(),
        grammar != "none",
        concurrency,
        patience or Patience(retries=address.retries),
    )


def _key(name: str) -> str | None:
    """The API key; only the environment has it."""
    value = os.environ.get(name, "").strip()
    if not value:
        if name != KEY:
            raise UsageError(f"key: the environment has no {name}")
        return None
    if not (value.isascii() and value.isprintable()):
        raise UsageError(f"key: {name} holds characters that no key has")
    return value


def _served(wire: Wire) -> list[dict[str, Any]]:
    """What the server lists; nothing if it has no list."""
    try:
        plain = wire.send("/models")
    except TryAgain as error:
        raise ModelError(f"{wire.place}: {error}") from None
    except ModelError as error:
        if ": 404 " in str(error) or ": 405 " in str(error):
            return []
        raise
    listed = plain.get("data") if isinstance(plain, dict) else None
    return [each for each in listed or [] if isinstance(each, dict) and isinstance(each.get("id"), str)]


def _settled(address: Address, served: list[dict[str, Any]]) -> tuple[Address, str]:
    """The address with model and server known, and what the server says the model is made from."""
    names = [each["id"] for each in served]
    model = address.model or (names[0] if len(names) == 1 else "")
    if not model or (names and model not in names):
        listed = ", ".join(names[:8]) or "it lists none"
        raise ModelError(f"{address.url}: which model? got {model!r}; it serves: {listed} (openai:URL#MODEL)")
    entry = next((each for each in served if each["id"] == model), {})
    told = OWNERS.get(str(entry.get("owned_by")), "openai")
    server = told if address.server == "auto" else address.server
    return replace(address, model=model, server=server), str(entry.get("root") or model)


@dataclass
class Endpoint:
    """A model behind an endpoint; may be asked from several threads at once.

    After five questions in a row that the server did not answer, the next are tried once only, so that a run
    on a dead server ends soon; the same command asks them again.

    Attributes:
        name: the model's.
        content_hash: sha256 over URL, model and served root. The weights cannot be verified: a server may
            change them.
        runtime: nothing of what executes it is known.
        settings: what changes its answers.
        concurrency: questions that may be under way at once.
        elsewhere: True: it runs in another process, whose energy is not measured.
    """

    address: Address
    root: str
    wire: Wire
    sampling: Sampling
    sends_grammar: bool
    concurrency: int
    patience: Patience
    _failed: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def __post_init__(self) -> None:
        server, self.elsewhere = self.address.server, True
        self.name = self.address.model
        told = json.dumps(["voxzoo.endpoint/1", self.address.url, self.name, self.root])
        self.content_hash = hashlib.sha256(told.encode()).hexdigest()
        self.runtime = RuntimeInfo("endpoint", server, "not known", "not known", 0)
        self.sends_schema = self.sends_grammar and server == "openai"
        self.sends_grammar = self.sends_grammar and server != "openai"
        self.settings: dict[str, Any] = {
            **self.sampling.settings(),
            "decoding": "grammar" if self.sends_grammar else "free",
            "server": server,
            "weights": "not verifiable: an endpoint tells no more than a name",
        }

    def answer(self, question: Question) -> Reply:
        """Ask it, again where the server is busy or breaks off.

        Raises:
            ModelError: it refuses, or went on failing; the message never holds the key.
        """
        body = self._body(question)
        patience = self.patience if self._failed < GIVE_UP_AFTER else Patience(0)
        try:
            reply = patience.until_it_works(
                lambda: self._reply(self.wire.send("/chat/completions", body), question),
                self.wire.place,
                self.sampling.seed_of(question),
            )
        except ModelError:
            self._count(self._failed + 1)
            raise
        self._count(0)
        return reply

    def _count(self, failed: int) -> None:
        with self._lock:
            self._failed = failed

    def _body(self, question: Question) -> dict[str, Any]:
        body: dict[str, Any] = {
            "model": self.name,
            "messages": [{"role": "user", "content": _content(question)}],
            self.address.limit: question.new_tokens,
            "temperature": self.sampling.temperature,
            "top_p": 1,
            "seed": self.sampling.seed_of(question),
            "stream": False,
            **PLAIN_SAMPLER[self.address.server.removesuffix("-guided")],
        }
        if question.task == "grade" and self.address.logprobs:
            body |= {"logprobs": True, "top_logprobs": self.address.logprobs}
        if self.sends_grammar and question.grammar:
            body |= _grammar_field(self.address.server, question.grammar)
        if self.sends_schema and question.schema is not None:
            body["response_format"] = {
                "type": "json_schema",
                "json_schema": {"name": "answer", "strict": True, "schema": question.schema},
            }
        return body

    def _reply(self, plain: Any, question: Question) -> Reply:
        text, choice = text_of(plain)
        usage = plain.get("usage")
        served = plain.get("model")
        record = {**self.settings, **self.sampling.record(question)}
        if self.sends_schema and question.schema is not None:
            record["decoding"] = "JSON schema"
        if isinstance(served, str) and served != self.name:
            record["served"] = served[:200]
        return Reply(
            text,
            count(usage, "prompt_tokens"),
            count(usage, "completion_tokens"),
            class_probabilities(choice) if question.task == "grade" else None,
            record,
        )


def _content(question: Question) -> str | list[dict[str, Any]]:
    """The image, then the prompt; a plain text where nothing is shown."""
    if question.image is None:
        return question.prompt
    shown = {"type": "image_url", "image_url": {"url": png_url(question.image)}}
    return [shown, {"type": "text", "text": question.prompt}]


def _grammar_field(server: str, grammar: str) -> dict[str, Any]:
    if server == "llama.cpp":
        return {"grammar": grammar}
    if server == "vllm-guided":
        return {"guided_grammar": grammar}
    return {"structured_outputs": {"grammar": grammar}}


def png_url(image: Any) -> str:
    """An image (H, W) uint8 as a PNG in a data URL.

    Raises:
        ModelError: it cannot be written as PNG.
    """
    import cv2

    done, data = cv2.imencode(".png", image)
    if not done:
        raise ModelError(f"an image of shape {image.shape} and {image.dtype} cannot be written as PNG")
    return "data:image/png;base64," + base64.b64encode(data.tobytes()).decode()
