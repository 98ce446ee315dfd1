"""What a person sees of a run, by task; the rest of the report is the same for all.

A view is a module with the functions of ``View``.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Protocol, cast

from ...zoo.tasks.prompt import PROMPT_TASKS

if TYPE_CHECKING:
    from rich.console import RenderableType

    from ..records import CaseRecord
    from ..results import Results

VIEWS = {
    "segment": "segment",
    "classify": "classify",
    "reason": "reason",
    **dict.fromkeys(PROMPT_TASKS, "language"),
}
"""Task -> module."""


class View(Protocol):
    """How the results of a task are shown."""

    def tables(self, results: Results) -> Sequence[RenderableType]:
        """What is printed first."""
        ...

    def policy(self, results: Results) -> list[str]:
        """By which rules the figures came about."""
        ...

    def notes(self, results: Results) -> list[str]:
        """What the tables cannot hold."""
        ...

    def case_line(self, record: CaseRecord) -> str:
        """A scored case in one line."""
        ...


def view_of(task: str) -> View:
    """The view of a task; a task of a user's own is one of a language model."""
    return cast(View, import_module(f".{VIEWS.get(task, 'language')}", __name__))
