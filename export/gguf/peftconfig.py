"""``adapter_config.json`` of PEFT: what of it changes the weights, and what cannot be merged.

Every key is either understood, known to be without effect on the weights, or refused by name: a setting
that is skipped silently is how adapters get lost.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...eval.files import reason
from ...zoo.errors import ModelError, ModelNotFoundError, UsageError

NAME = "adapter_config.json"
_MAX_BYTES = 4 << 20
_MAX_PATTERN = 256
#: A quantifier on a group that holds one already: matching can take for ever.
_NESTED = re.compile(r"\((?:[^()\\]|\\.)*[*+}](?:[^()\\]|\\.)*\)[*+{]")
_UNDERSTOOD = {"r", "lora_alpha", "use_rslora", "use_dora", "rank_pattern", "alpha_pattern", "peft_type",
               "init_lora_weights", "base_model_name_or_path", "auto_mapping"}  # fmt: skip
#: Settings of training and of saving; the tensors in the file already show what came of them.
_NO_EFFECT = {"bias", "corda_config", "ensure_weight_tying", "eva_config", "exclude_modules",
              "inference_mode", "layers_pattern", "layers_to_transform", "loftq_config", "lora_bias",
              "lora_dropout", "lora_ga_config", "megatron_config", "megatron_core", "modules_to_save",
              "peft_version", "qalora_group_size", "revision", "runtime_config", "target_modules",
              "task_type", "trainable_token_indices"}  # fmt: skip
#: Starting points that leave the base model's weights alone; the others change them too.
_PLAIN_STARTS = (True, False, "gaussian", "eva", "orthogonal")


@dataclass(frozen=True)
class PeftConfig:
    """What an adapter's configuration says about its weights.

    Attributes:
        r: rank where no pattern says otherwise.
        alpha: likewise.
        rslora: whether the scale is alpha / sqrt(rank) instead of alpha / rank.
        dora: whether rows are rescaled by a magnitude vector.
        rank_pattern, alpha_pattern: regular expression at the end of a module's name -> value.
        base: name of the base model, "" if it is not said.
        base_class: its class in transformers, "" if it is not said.
    """

    r: int = 8
    alpha: float = 8.0
    rslora: bool = False
    dora: bool = False
    rank_pattern: Mapping[str, float] = field(default_factory=dict)
    alpha_pattern: Mapping[str, float] = field(default_factory=dict)
    base: str = ""
    base_class: str = ""

    def rank(self, module: str) -> int:
        """The rank that a module's adapter should have."""
        return int(_matched(self.rank_pattern, module, self.r))

    def scale(self, module: str, rank: int) -> float:
        """What B @ A of a module is multiplied with.

        Args:
            module: its name in the base model.
            rank: of its adapter.

        Source: E. Hu et al., LoRA (2021); D. Kalajdzievski, Rank Stabilization Scaling Factor (2023).

        Example:
            >>> c = PeftConfig(alpha=16, alpha_pattern={r"layers\\.0\\..*": 32})
            >>> c.scale("model.layers.0.mlp.up_proj", 8), c.scale("model.layers.1.mlp.up_proj", 8)
            (4.0, 2.0)
            >>> PeftConfig(alpha=16, rslora=True).scale("model.layers.0.mlp.up_proj", 16)
            4.0
        """
        alpha = _matched(self.alpha_pattern, module, self.alpha)
        return alpha / (math.sqrt(rank) if self.rslora else rank)


def read_config(folder: Path) -> PeftConfig:
    """The configuration of the adapter in ``folder``.

    Raises:
        ModelNotFoundError: there is none.
        ModelError: it cannot be read, or is not one of PEFT.
        UsageError: it says something that cannot be merged.
    """
    path = folder / NAME
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise ModelError(f"{path}: {path.stat().st_size} bytes, at most {_MAX_BYTES}")
        values = json.loads(path.read_bytes().decode())
    except FileNotFoundError as error:
        raise ModelNotFoundError(f"{folder}: no {NAME} there: not the folder of a PEFT adapter") from error
    except OSError as error:
        raise ModelError(f"{path}: cannot be read ({reason(error)})") from error
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{path}: not JSON ({error})") from error
    if not isinstance(values, dict):
        raise ModelError(f"{path}: a {type(values).__name__}, expected an object with settings of PEFT")
    return parse_config(values, str(path))


def parse_config(values: Mapping[str, Any], where: str) -> PeftConfig:
    """The settings that matter, or a refusal; ``where`` begins every message.

    Raises:
        ModelError: a value of a wrong type.
        UsageError: a setting that cannot be merged.

    Example:
        >>> parse_config({"peft_type": "LORA", "r": 4, "lora_alpha": 8, "use_qalora": True}, "here")
        Traceback (most recent call last):
        voxzoo.zoo.errors.UsageError: here: use_qalora = True cannot be merged; train without it, or run the \
adapter with transformers:BASE+ADAPTER
    """
    _refuse_unknown(values, where)
    mapping = values.get("auto_mapping")
    return PeftConfig(
        r=_positive(values, "r", where, int),
        alpha=_positive(values, "lora_alpha", where, float),
        rslora=bool(values.get("use_rslora")),
        dora=bool(values.get("use_dora")),
        rank_pattern=_pattern(values, "rank_pattern", where),
        alpha_pattern=_pattern(values, "alpha_pattern", where),
        base=_text(values.get("base_model_name_or_path")),
        base_class=_text(mapping.get("base_model_class")) if isinstance(mapping, dict) else "",
    )


def _refuse_unknown(values: Mapping[str, Any], where: str) -> None:
    kind = values.get("peft_type")
    if str(kind).upper() != "LORA":
        raise UsageError(f"{where}: peft_type {kind!r}; only LORA can be merged")
    start = values.get("init_lora_weights", True)
    if not any(start is plain or start == plain for plain in _PLAIN_STARTS):
        raise UsageError(
            f"{where}: init_lora_weights = {start!r} changed the base model's weights too; save the adapter "
            "converted to plain LoRA (save_pretrained with path_initial_model_for_weight_conversion)"
        )
    for key, value in values.items():
        if key not in _UNDERSTOOD | _NO_EFFECT and value:
            raise UsageError(
                f"{where}: {key} = {str(value)[:60]} cannot be merged; train without it, or run the adapter "
                "with transformers:BASE+ADAPTER"
            )


def _positive(values: Mapping[str, Any], key: str, where: str, kind: type) -> Any:
    value = values.get(key, 8)
    if not _is_number(value) or value <= 0 or (kind is int and value != int(value)):
        raise ModelError(f"{where}: {key} = {value!r}, expected a positive number")
    return kind(value)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _pattern(values: Mapping[str, Any], key: str, where: str) -> dict[str, float]:
    found = values.get(key) or {}
    if not isinstance(found, dict) or not all(_is_number(v) and v > 0 for v in found.values()):
        raise ModelError(
            f"{where}: {key}: expected names or regular expressions, each with a positive number"
        )
    for expression in found:
        if len(expression) > _MAX_PATTERN or _NESTED.search(expression):
            raise ModelError(f"{where}: {key}: {expression[:60]!r} is too long or could match for ever")
        try:
            re.compile(expression)
        except (re.error, RecursionError, OverflowError) as error:
            raise ModelError(
                f"{where}: {key}: {expression[:60]!r} is no regular expression: {error}"
            ) from error
    return found


def _matched(pattern: Mapping[str, float], module: str, default: float) -> float:
    """The value of the first expression that matches the end of the name, on a dot; PEFT's own rule."""
    for expression, value in pattern.items():
        if re.match(rf"(.*\.)?({expression})$", module):
            return value
    return default


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
