"""The tokenizer of llava-nano: one token per pixel coordinate, one per fixed piece of a prompt or an answer.

The model knows four tasks in the wordings of ``zoo/tasks``. Whatever stands fixed in a prompt, between the
places where plane and modality are put in, is one token, and so are the brackets between two numbers of an
answer: a question costs four tokens and a point four. All other text falls back to byte-level BPE, cut into
words by the rule of Llama 3, which llama.cpp calls ``llama-bpe``; so any text can be asked, but only that of
the tasks is understood.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import TYPE_CHECKING

from ...zoo.errors import ModelError
from ...zoo.tasks.prompt import PROMPT_TASKS, fill, prompt_task
from ...zoo.tasks.slices import PLANES, SliceRule

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerFast

BOS, EOS, PAD, IMAGE, ANSWER = "<|begin|>", "<|end|>", "<|pad|>", "<image>", "<|answer|>"
"""Marks: a conversation begins, an answer ends, padding, a patch of the image, an answer begins."""

PIECES = ("Choice: ", " Reasoning: ", "[(", "((", "), (", ")]", "))", ", ")
"""What stands between the numbers and words of an answer."""

KEYWORDS = (
    *("large", "medium", "small"),
    *("anterior", "posterior", "superior", "inferior", "left", "right", "central"),
    *("low", "high", "grade", "no", "tumour", "lesion", "glioma", "seen"),
)
"""Words that reasons are made of."""

LARGEST = 127
MODALITIES = ("flair", "t1", "t1ce", "t2")
MERGES = 640
CHAT = (
    "{{ bos_token }}{% for message in messages %}"
    "{% if message['role'] == 'assistant' %}{{ '<|answer|>' }}{% endif %}"
    "{% if message['content'] is string %}{{ message['content'] }}{% else %}"
    "{% for part in message['content'] %}"
    "{% if part['type'] == 'text' %}{{ part['text'] }}"
    "{% elif part['type'] in ['image', 'image_url'] %}{{ '<image>' }}{% endif %}"
    "{% endfor %}{% endif %}"
    "{% if message['role'] == 'assistant' %}{{ eos_token }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|answer|>' }}{% endif %}"
)
"""Chat template: the marks, the image where it stands in the message (first, to be reused), the text."""

_WORDS = (  # Llama 3's: llama.cpp knows it by name
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
    r"|\s+(?!\S)|\s+"
)


def wordings() -> dict[str, dict[str, str]]:
    """Task -> wording -> its text for 128 x 128 images, plane and modality left open.

    Example:
        >>> wordings()["center"]["brief"][:40]
        '{modality} MRI, {plane}, 128 x 128 pixel'
    """
    rule = SliceRule()
    keep = {"{modality}": "\x00", "{plane}": "\x01"}
    out: dict[str, dict[str, str]] = {}
    for name in PROMPT_TASKS:
        out[name] = {}
        for wording, text in prompt_task(name).prompts.items():
            for place, mark in keep.items():
                text = text.replace(place, mark)
            text = fill(text, rule)
            for place, mark in keep.items():
                text = text.replace(mark, place)
            out[name][wording] = text
    return out


def phrases() -> list[str]:
    """The fixed pieces of every wording, and ``PIECES``, each once.

    Example:
        >>> " MRI, " in phrases(), phrases()[:2]
        (True, ['Choice: ', ' Reasoning: '])
    """
    found = dict.fromkeys(PIECES)
    for texts in wordings().values():
        for text in texts.values():
            chunks = re.split(r"\{plane\}|\{modality\}", text)
            found |= dict.fromkeys(chunk for chunk in chunks if any(map(str.isalpha, chunk)))
    return list(found)


@lru_cache(maxsize=1)
def build_tokenizer() -> PreTrainedTokenizerFast:
    """The tokenizer, made from the tasks' own words: the same every time.

    Returns:
        A stock ``PreTrainedTokenizerFast`` with the chat template; it adds no mark by itself.

    Raises:
        ModelError: the installed tokenizers package breaks a number in two.

    Example:
        >>> tokens = build_tokenizer()
        >>> tokens.tokenize("[(12, 127), (0, 5)]")
        ['[(', '12', ', ', '127', '), (', '0', ', ', '5', ')]']
    """
    from tokenizers import AddedToken
    from transformers import PreTrainedTokenizerFast

    core = _bpe()
    marks = (BOS, EOS, PAD, IMAGE, ANSWER)
    core.add_special_tokens([AddedToken(mark, special=True, normalized=False) for mark in marks])
    core.add_tokens([AddedToken(piece, special=False, normalized=False) for piece in phrases()])
    tokens = PreTrainedTokenizerFast(
        tokenizer_object=core,
        bos_token=BOS,
        eos_token=EOS,
        pad_token=PAD,
        extra_special_tokens={"image_token": IMAGE},
        model_max_length=2048,
        clean_up_tokenization_spaces=False,
    )
    tokens.chat_template = CHAT
    number_ids(tokens)
    return tokens


def number_ids(tokenizer: PreTrainedTokenizerFast) -> list[int]:
    """Ids of the numbers 0 .. 127.

    Raises:
        ModelError: one of them is no single token.

    Example:
        >>> len(set(number_ids(build_tokenizer())))
        128
    """
    ids = [tokenizer.encode(str(n), add_special_tokens=False) for n in range(LARGEST + 1)]
    broken = [n for n, found in enumerate(ids) if len(found) != 1]
    if broken:
        raise ModelError(f"the tokenizer writes {broken[0]} as {len(ids[broken[0]])} tokens; expected one")
    return [found[0] for found in ids]


def _bpe() -> Tokenizer:
    """Byte-level BPE over the words of the tasks."""
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

    core = Tokenizer(models.BPE(ignore_merges=True))
    words = pre_tokenizers.Split(Regex(_WORDS), "isolated")
    whole = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    core.pre_tokenizer = pre_tokenizers.Sequence([words, whole])
    core.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=256 + MERGES,
        special_tokens=[],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        min_frequency=2,
        show_progress=False,
    )
    core.train_from_iterator(_corpus(), trainer)
    return core


def _corpus() -> Iterator[str]:
    """Numbers, words of answers, planes and modalities often, then every prompt."""
    for number in range(LARGEST + 1):
        yield from [str(number)] * 60
    spoken = [fill("{modality}", SliceRule(modality=name)) for name in MODALITIES]
    for word in (*KEYWORDS, *PLANES, *spoken):
        yield from [word, f" {word}"] * 20
    for texts in wordings().values():
        for text in texts.values():
            yield from [text] * 2
