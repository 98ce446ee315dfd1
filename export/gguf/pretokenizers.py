"""By which name llama.cpp knows the rule that cuts a tokenizer's text into words.

llama.cpp holds these rules in code, under the name that a file gives; a wrong name means other tokens and
worse answers, without a warning. So a rule is recognised by what it is (steps and regular expression of
``tokenizer.json``), and one that is not is refused. Source: ``src/llama-vocab.cpp`` of llama.cpp.
"""

from __future__ import annotations

from typing import Any

from ...zoo.errors import ModelError

_COMMON = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|"
_REST = r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
_LLAMA3 = _COMMON + r"\p{N}{1,3}" + _REST
_QWEN2 = _COMMON + r"\p{N}" + _REST
#: (regular expression, whether a whole word of the vocabulary is taken without merging) -> name.
_SPLITS = {(_LLAMA3, True): "llama-bpe", (_LLAMA3, False): "dbrx", (_QWEN2, False): "qwen2"}


def name_of(tokenizer: dict[str, Any], where: str) -> str:
    """llama.cpp's name of a tokenizer's rule.

    Args:
        tokenizer: the content of tokenizer.json, with a byte-level BPE model.
        where: for messages.

    Raises:
        ModelError: a rule that llama.cpp is not known to have.

    Example:
        >>> name_of({"pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": False}, "model": {}}, "here")
        'gpt-2'
    """
    steps = _steps(tokenizer.get("pre_tokenizer"))
    whole_words = tokenizer["model"].get("ignore_merges") is True
    found = _recognised(steps, whole_words)
    normalizer = (tokenizer.get("normalizer") or {}).get("type")
    if found is None or normalizer not in ((None, "NFC") if found == "qwen2" else (None,)):
        kinds = ", ".join(str(step.get("type")) for step in steps) or "none"
        raise ModelError(
            f"{where}: text is cut into words by a rule ({kinds}; normalizer {normalizer}) that is none of "
            "llama-bpe, gpt-2, smollm, qwen2: llama.cpp would make other tokens of it; use transformers:"
        )
    return found


def _steps(rule: Any) -> list[dict[str, Any]]:
    """The rule's steps in order; of anything strange, one step that nothing is recognised by."""
    if not isinstance(rule, dict):
        return []
    if rule.get("type") == "Sequence":
        inner = rule.get("pretokenizers")
        return [step if isinstance(step, dict) else {} for step in inner] if isinstance(inner, list) else [{}]
    return [rule]


def _recognised(steps: list[dict[str, Any]], whole_words: bool) -> str | None:
    if not steps or steps[-1].get("type") != "ByteLevel" or steps[-1].get("add_prefix_space", True):
        return None
    own_words = steps[-1].get("use_regex", True)
    if own_words and not whole_words and len(steps) == 1:
        return "gpt-2"
    if len(steps) != 2:
        return None
    first = steps[0]
    if own_words and not whole_words and first.get("type") == "Digits" and first.get("individual_digits"):
        return "smollm"
    pattern = first.get("pattern") or {}
    isolated = (
        first.get("type") == "Split" and first.get("behavior") == "Isolated" and not first.get("invert")
    )
    if not own_words and isolated and isinstance(pattern, dict):
        return _SPLITS.get((pattern.get("Regex", ""), whole_words))
    return None
