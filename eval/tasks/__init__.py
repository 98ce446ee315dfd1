"""What models are asked and how the answers are scored: one module a task, loaded when it is needed.

A new task is a subclass of ``base.Task`` with a line in ``TASKS``, and a view with a line in ``views.VIEWS``.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from ...zoo.errors import UsageError

if TYPE_CHECKING:
    from ...zoo.model import Model
    from ..options import Options
    from .base import Task

AUTO = "auto"
TASKS = {"segment": "segment.Segment", "classify": "classify.Classify"}
"""Name -> where its class is, from here."""


def open_task(model: Model, options: Options) -> Task:
    """The task of a run: the one asked for, else the model's own.

    Raises:
        UsageError: the model cannot be asked this, or an option is about another task.
    """
    own = model.contract.task
    name = own if options.task == AUTO else options.task
    if name not in TASKS:
        raise UsageError(
            f"{model.name}: its task is {own!r}, which is not scored by itself; "
            f"--task takes {', '.join(TASKS)}"
        )
    options.check_task(name)
    module, _, kind = TASKS[name].rpartition(".")
    task: Task = getattr(import_module(f".{module}", __name__), kind).of(model, options)
    return task
