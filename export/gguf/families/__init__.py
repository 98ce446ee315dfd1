"""Families of models that are converted: what each writes into its pair of files.

A new family is one module with ``CLASSES`` (of ``config.json``), ``check`` and ``describe``.
"""

from __future__ import annotations

from typing import Any, Protocol

from ....zoo.errors import UsageError
from ..checkpoint import Checkpoint
from . import idefics3, llava, plain

MLLAMA = (
    "mllama (Llama-3.2-Vision) has no llama.cpp runtime anywhere, so there is no GGUF to write: run it with "
    "transformers:FOLDER"
)


class Family(Protocol):
    """One family.

    Attributes:
        CLASSES: names under ``architectures``.
        VISION: whether there is an mmproj to write.
    """

    @property
    def CLASSES(self) -> tuple[str, ...]: ...

    @property
    def VISION(self) -> bool: ...

    def check(self, checkpoint: Checkpoint) -> list[str]:
        """What would come out different in llama.cpp, in words; refuses what would come out wrong.

        Raises:
            UsageError: it would come out wrong.
        """
        ...

    def text_config(self, config: dict[str, Any]) -> dict[str, Any]:
        """The part of config.json about the language model."""
        ...

    def describe(self, checkpoint: Checkpoint) -> dict[str, Any]:
        """Key-values of the mmproj."""
        ...

    def is_used(self, stem: str, block: int | None, checkpoint: Checkpoint) -> bool:
        """Whether llama.cpp needs a tensor of the vision part."""
        ...


FAMILIES: tuple[Family, ...] = (llava, idefics3, plain)


def family_of(checkpoint: Checkpoint) -> Family:
    """The family that a checkpoint is of.

    Raises:
        UsageError: none that is converted.
    """
    named = checkpoint.config.get("architectures")
    classes = [str(c) for c in named] if isinstance(named, list) else []
    if checkpoint.config.get("model_type") == "mllama" or any(c.startswith("Mllama") for c in classes):
        raise UsageError(f"{checkpoint.folder}: {MLLAMA}")
    for family in FAMILIES:
        if set(classes) & set(family.CLASSES):
            return family
    known = ", ".join(name for family in FAMILIES for name in family.CLASSES)
    raise UsageError(
        f"{checkpoint.folder}: {', '.join(classes) or 'nothing'} in config.json; converted are {known}; "
        "all others run with transformers:FOLDER"
    )
