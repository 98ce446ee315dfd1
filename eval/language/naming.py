"""Which runs are runs of a language model; imports nothing heavy."""

from __future__ import annotations

from ...zoo.tasks.prompt import PROMPT_TASKS

REPLAY, SCRIPT = "replay:", "script:"


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
    return named or task in PROMPT_TASKS
