"""What a benchmark knows of a model: it does a piece of work, and says how long its parts took."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

Stages = dict[str, float]


@dataclass(frozen=True)
class Did:
    """One piece of work: a volume, or a slice of one.

    Attributes:
        seconds: stage -> wall seconds.
        slices: that were answered for.
        due: slices that the patient is due; a volume's own are all of them, of a plain image 0.
    """

    seconds: Stages
    slices: int
    due: int


class Subject(Protocol):
    """A model under the clock.

    Attributes:
        name: of its row.
        facts: name, hash, runtime, bytes, FLOPs: for the results file.
        unit: "volume" or "slice": what one piece of work is about.
    """

    name: str
    facts: dict[str, Any]
    unit: str

    def work(self, case: Any, turn: int) -> Did:
        """Do a piece of work; ``turn`` counts them."""
        ...
