"""LLaMA alone, without eyes."""

from __future__ import annotations

from typing import Any

from ..checkpoint import Checkpoint

CLASSES = ("LlamaForCausalLM",)
VISION = False


def check(checkpoint: Checkpoint) -> list[str]:
    """As ``Family.check``."""
    return []


def text_config(config: dict[str, Any]) -> dict[str, Any]:
    """As ``Family.text_config``."""
    return dict(config)


def describe(checkpoint: Checkpoint) -> dict[str, Any]:
    """As ``Family.describe``: nothing."""
    return {}


def is_used(stem: str, block: int | None, checkpoint: Checkpoint) -> bool:
    """As ``Family.is_used``: nothing."""
    return False
