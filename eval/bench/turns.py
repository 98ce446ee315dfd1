"""The interleaved run: models take turns, so that a busy machine is busy for all of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from ...zoo.errors import RunError
from ..energy.items import ItemMeter
from ..jsonlines import JsonLines
from ..stages import EXPECTED, describe
from .subjects import Opened

ROUNDS = 10
LEAST_ROUNDS = 3
MOST_ITEMS = 500
"""In a turn: of a model that answers in microseconds, more say nothing more."""
SCHEMA = "voxzoo.bench.turns/1"


@dataclass(frozen=True)
class Item:
    """One piece of work in a turn; ``reason`` is why it failed, "" if it did not."""

    case: str
    seconds: dict[str, float]
    cpu_s: float
    slices: int
    due: int
    reason: str = ""

    @property
    def total_s(self) -> float:
        """Wall seconds."""
        return sum(self.seconds.values())


@dataclass(frozen=True)
class Turn:
    """What one model did before the next one's turn.

    Attributes:
        model: its row.
        round: from 0.
        items: at least one.
        energy: of all of them, as ``ItemMeter.item`` makes it.
    """

    model: str
    round: int
    items: tuple[Item, ...]
    energy: dict[str, Any] = field(default_factory=dict)

    @property
    def seconds(self) -> float:
        """Wall seconds of its items."""
        return sum(item.total_s for item in self.items)

    @property
    def failed(self) -> bool:
        """Whether something in it failed."""
        return any(item.reason for item in self.items)

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> Turn:
        """The inverse of ``asdict``.

        Raises:
            RunError: a field is missing.
        """
        try:
            items = tuple(Item(**item) for item in plain["items"])
            return cls(plain["model"], plain["round"], items, plain["energy"])
        except (KeyError, TypeError) as error:
            raise RunError(f"not a turn of a benchmark: {error}") from error


@dataclass(frozen=True)
class Plan:
    """How long turns are, and how many.

    Attributes:
        seconds: that each model works at least, together.
        turn_s: length of a turn, at least; a turn is one piece of work at least.
    """

    seconds: float
    turn_s: float

    @classmethod
    def of(cls, seconds: float, least_s: float) -> Plan:
        """Ten turns, or fewer and longer ones where the meter needs longer windows.

        Example:
            >>> Plan.of(10, 0.0).turn_s, Plan.of(10, 5.0).turn_s
            (1.0, 5.0)
        """
        return cls(seconds, max(seconds / ROUNDS, least_s))

    def is_done(self, turns: Sequence[Turn]) -> bool:
        """Whether a model has worked enough. One that failed three times in a row at once has too."""
        last = turns[-LEAST_ROUNDS:]
        if len(last) < LEAST_ROUNDS:
            return False
        hopeless = all(all(item.reason for item in turn.items) for turn in turns)
        enough = sum(turn.seconds for turn in turns) >= self.seconds
        return hopeless or enough or len(turns) * self.turn_s >= max(self.seconds, LEAST_ROUNDS * self.turn_s)


def take_turns(
    rows: Mapping[str, Opened],
    cases: Sequence[Any],
    plan: Plan,
    meter: ItemMeter,
    found: Sequence[Turn],
    keep: Callable[[Turn], None],
) -> None:
    """Go round until every model has worked long enough.

    Args:
        rows: name -> model.
        cases: taken one a round, the same for all models.
        plan: for how long.
        meter: entered.
        found: turns of an earlier session.
        keep: is given each turn as it ends.
    """
    done: dict[str, list[Turn]] = {name: [t for t in found if t.model == name] for name in rows}
    number = min((len(turns) for turns in done.values()), default=0)
    while any(not plan.is_done(turns) for turns in done.values()):
        order = list(rows)[number % len(rows) :] + list(rows)[: number % len(rows)]
        for name in order:
            mine = done[name]
            if plan.is_done(mine) or any(turn.round == number for turn in mine):
                continue
            turn = _turn(name, rows[name], number, cases[number % len(cases)], plan.turn_s, meter)
            mine.append(turn)
            keep(turn)
        number += 1


def _turn(name: str, one: Opened, number: int, case: Any, turn_s: float, meter: ItemMeter) -> Turn:
    """Work until the turn is over; at the first failure it is."""
    items: list[Item] = []
    meter.lap()
    end = time.perf_counter() + turn_s
    while not items or (time.perf_counter() < end and not items[-1].reason and len(items) < MOST_ITEMS):
        items.append(_item(one, case, number + len(items)))
    spent = {"answer": sum(item.cpu_s for item in items)}
    energy = meter.item(spent, meter.lap(), sum(item.total_s for item in items))
    return Turn(name, number, tuple(items), energy)


def _item(one: Opened, case: Any, turn: int) -> Item:
    begin, cpu = time.perf_counter(), time.process_time()
    try:
        did = one.subject.work(case, turn)
    except EXPECTED as error:
        seconds = {"failed": time.perf_counter() - begin}
        return Item(case.id, seconds, time.process_time() - cpu, 0, 0, describe(error))
    return Item(case.id, did.seconds, time.process_time() - cpu, did.slices, did.due)


def open_journal(path: Any, identity: Mapping[str, Any]) -> tuple[JsonLines, list[Turn]]:
    """The file of turns, and the turns that it holds.

    Raises:
        RunError: it cannot be written or belongs to another benchmark.
    """
    lines = JsonLines(path, SCHEMA, identity)
    return lines, [Turn.from_dict(plain) for plain in lines.found if "items" in plain]


def to_line(turn: Turn) -> dict[str, Any]:
    """A turn as JSON values, seconds to the microsecond."""
    plain = asdict(turn)
    for item in plain["items"]:
        item["seconds"] = {stage: round(s, 6) for stage, s in item["seconds"].items()}
        item["cpu_s"] = round(item["cpu_s"], 6)
    return plain
