"""Which runs are runs of a language model; imports nothing heavy."""

from __future__ import annotations

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
    """
    named = isinstance(model, str) and model.startswith((REPLAY, SCRIPT))
    return named or is_prompt_task(task)
