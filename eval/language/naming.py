"""Which runs are runs of a language model; imports nothing heavy."""

from __future__ import annotations

import os

from ...zoo.tasks.prompt import PROMPT_TASKS

REPLAY, SCRIPT = "replay:", "script:"


def is_prompt_task(task: str) -> bool:
    """Whether a task is asked of a language model: one of ours, or a user's own Python file.

    Example:
        >>> is_prompt_task("box"), is_prompt_task("mine.py"), is_prompt_task("segment")
        (True, True, False)
    """
    return task in PROMPT_TASKS or task.endswith(".py")


def is_language(model: object, task: str) -> bool:
    """Whether a run is one of a language model.

    Args:
        model: as given to ``zoo-eval``, or an object.
        task: as given.

    Example:
        >>> is_language("replay:a.jsonl", "auto"), is_language("cnn3d-seg", "auto"), is_language("x", "box")
        (True, False, True)
        >>> is_language("model.gguf", "auto")
        True
    """
    if is_prompt_task(task) or hasattr(model, "answer"):
        return True
    if not isinstance(model, str | os.PathLike):
        return False
    from ...zoo.language import is_language_model

    text = os.fspath(model)
    return text.startswith((REPLAY, SCRIPT)) or is_language_model(text)
