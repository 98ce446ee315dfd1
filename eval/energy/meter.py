"""What every meter can: tell the joules that went through what it meters, since some moment."""

from __future__ import annotations

from typing import Protocol

from .reading import Facts


class Meter(Protocol):
    """A source of joules. Only differences of its readings mean something.

    Attributes:
        facts: of its method.
        covers: what it meters, for people.
        part: "cpu" or "gpu": which part of the machine, so that nothing is counted twice.
        notes: what whoever reads the figures should know.
    """

    facts: Facts
    covers: str
    part: str
    notes: tuple[str, ...]

    def joules(self) -> float:
        """Joules since it was opened.

        Raises:
            OSError: it cannot be read any more.
        """
        ...

    @property
    def faults(self) -> list[str]:
        """Resets and the like, in the order in which they were seen."""
        ...

    def close(self) -> None:
        """Let go of what it holds."""
        ...
