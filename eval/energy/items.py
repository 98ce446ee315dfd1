"""Energy of the items of a run, as it goes on: a few microseconds an item, no command of its own.

Two ways, never mixed in one figure. An estimate is made of the CPU time of the item's own work: reading,
inferring, finishing; scoring is not the model's. A counter meters the machine, so its steps are dealt out
along the run: an item gets what went by since the one before it was answered, all that the run did meanwhile
included.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .conditions import Conditions
from .cpu import WorkCpu
from .estimate import Estimate
from .meters import open_meters
from .reading import METHODS, Energy, counted, total
from .recorder import Mark, Recorder

if TYPE_CHECKING:
    from .carbon import Grid
    from .meter import Meter

OWN_STAGES = ("load", "infer", "finish", "answer")
"""What an answer takes; "score" is not the model's."""


class ItemMeter:
    """Meters the items of one session; use it with ``with``.

    Args:
        meters: of this machine.
        notes: about them.
        elsewhere: whether the models run in another process or on another machine, so that this one's CPU
            time says nothing.
    """

    def __init__(self, meters: Sequence[Meter], notes: Sequence[str] = (), elsewhere: bool = False) -> None:
        self.cpu = WorkCpu()
        self._notes = list(notes)
        self._estimate = next((m for m in meters if isinstance(m, Estimate) and not elsewhere), None)
        self._counters = [Recorder(m) for m in meters if not isinstance(m, Estimate)]
        self._marks: list[Mark] = []
        if elsewhere:
            self._notes.append("the model runs outside this process: its CPU time is not known here")

    def __enter__(self) -> ItemMeter:
        self._stack = ExitStack()
        for recorder in self._counters:
            self._stack.enter_context(recorder)
        self._first = self._marks = [recorder.mark() for recorder in self._counters]
        self._began, self._conditions = self.cpu.seconds(), Conditions.now()
        return self

    def __exit__(self, *_: object) -> None:
        self._last = [recorder.mark() for recorder in self._counters]
        self._notes += self._conditions.notes(Conditions.now())
        self._stack.close()

    def lap(self) -> dict[str, Any]:
        """What the counters went up by since the last lap: part -> reading."""
        marks = [recorder.mark() for recorder in self._counters]
        before, self._marks = self._marks, marks
        windows = zip(self._counters, before, marks, strict=True)
        return {r.meter.part: _reading(r, begin, end) for r, begin, end in windows}

    def item(
        self, cpu_seconds: Mapping[str, float], laps: Mapping[str, Any], wall_s: float | None = None
    ) -> dict[str, Any]:
        """An item's energy, for its record.

        Args:
            cpu_seconds: stage -> CPU time of the item's own work.
            laps: from ``lap``.
            wall_s: in how much time, where nothing else was done in it; else an estimate's is CPU time.
        """
        if not cpu_seconds:
            return {}
        readings = dict(laps)
        own = sum(s for stage, s in cpu_seconds.items() if stage in OWN_STAGES)
        if self._estimate is not None:
            estimated = self._estimate.watts.of(own, own if wall_s is None else wall_s)
            readings[self._estimate.part] = estimated.to_dict()
        return {
            "cpu_seconds": {stage: round(seconds, 6) for stage, seconds in cpu_seconds.items()},
            "readings": {part: _rounded(reading) for part, reading in readings.items()},
        }

    def session(self) -> dict[str, Any]:
        """The whole session, everything that it did: readings by part, and notes."""
        windows = zip(self._counters, self._first, self._last, strict=True)
        readings = {r.meter.part: r.between(begin, end).to_dict() for r, begin, end in windows}
        return {"readings": {part: _rounded(one) for part, one in readings.items()}, "notes": self._notes}


def meter_of(model: Any) -> ItemMeter:
    """Meters for a language model, by the device that its ``runtime`` names.

    One that runs on no device known here (an endpoint) is in another process or on another machine.
    """
    runtime = getattr(model, "runtime", None)
    device = "cpu" if runtime is None else str(runtime.device)
    cuda = device.startswith(("cuda", "gpu"))
    return ItemMeter(*open_meters(cuda=cuda), elsewhere=not cuda and device != "cpu")


def _reading(recorder: Recorder, begin: Mark, end: Mark) -> dict[str, Any]:
    """A window as a figure, and beside it the raw steps: many short windows make a long one."""
    energy, fault = recorder.between(begin, end), recorder.fault_between(begin, end)
    return vars(energy) if fault else {**vars(energy), "counted": end.joules - begin.joules}


def _rounded(plain: Mapping[str, Any]) -> dict[str, Any]:
    return {name: round(v, 6) if isinstance(v, float) else v for name, v in plain.items()}


@dataclass(frozen=True)
class Spent:
    """What one item cost, and what it is a part of.

    Attributes:
        energy: as ``ItemMeter.item`` made it.
        patient: whose.
        slices: how many slices it is about.
    """

    energy: Mapping[str, Any]
    patient: str
    slices: int


def summary(items: Iterable[Spent], grid: Grid) -> dict[str, Any]:
    """Energy per patient and per slice over the items of a run, with CO2; {} where none has any.

    Args:
        items: of one model.
        grid: that the machine hangs on.

    Returns:
        JSON values; ``docs/energy.md`` names them.
    """
    known = [item for item in items if item.energy.get("readings")]
    if not known:
        return {}
    by_part = {
        part: (one, len({known[i].patient for i in used}), sum(known[i].slices for i in used))
        for part, (one, used) in sums([item.energy for item in known]).items()
    }
    parts = {p: _rounded(one.per(n).to_dict()) for p, (one, n, _) in by_part.items()}
    whole = total(one for one, _, _ in by_part.values())
    per_patient = total(one.per(patients) for one, patients, _ in by_part.values())
    per_slice = total(one.per(slices) for one, _, slices in by_part.values())
    patients = len({item.patient for item in known})
    return {
        **_rounded(whole.to_dict()),
        "co2_grams": grid.grams(whole.joules),
        "cases": len(known),
        "patients": patients,
        "axial_slices": sum(item.slices for item in known),
        "cpu_seconds_per_patient": _cpu_seconds(known, patients),
        "per_patient": _rounded(per_patient.to_dict()),
        "per_axial_slice": per_slice.to_dict(),
        "parts": parts if len(parts) > 1 else {},
        "gco2e_per_patient": co2(per_patient, grid),
        "gco2e_per_1000_slices": co2(per_slice, grid, 1000),
        "grid": grid.to_dict(),
    }


def co2(energy: Energy, grid: Grid, times: float = 1) -> dict[str, float | None]:
    """Grams of CO2 equivalent, with the energy's bounds.

    Example:
        >>> from .carbon import Grid
        >>> co2(Energy(36.0, 18.0, 72.0, "estimate", False, 1.0, None), Grid(100.0, "", "", None, ""), 1000)
        {'grams': 1.0, 'low': 0.5, 'high': 2.0}
    """
    found = (("grams", energy.joules), ("low", energy.low), ("high", energy.high))
    return {n: None if j is None else round(grid.grams(j * times) or 0.0, 9) for n, j in found}


def _cpu_seconds(items: Sequence[Spent], patients: int) -> dict[str, float]:
    stages = list(dict.fromkeys(stage for item in items for stage in item.energy["cpu_seconds"]))
    sums = {s: sum(item.energy["cpu_seconds"].get(s, 0.0) for item in items) for s in stages}
    return {stage: round(seconds / patients, 6) for stage, seconds in sums.items()}


def sums(energies: Sequence[Mapping[str, Any]]) -> dict[str, tuple[Energy, list[int]]]:
    """Items added up: part of the machine -> the sum, and which items are in it.

    Items without a reading, and those by another method than most, are not: methods are never mixed.

    Args:
        energies: as ``ItemMeter.item`` made them.
    """
    parts = sorted({part for energy in energies for part in energy.get("readings", ())})
    return {part: _of_part(energies, part) for part in parts}


def _of_part(energies: Sequence[Mapping[str, Any]], part: str) -> tuple[Energy, list[int]]:
    found = [(i, e["readings"][part]) for i, e in enumerate(energies) if part in e.get("readings", ())]
    methods = [reading["method"] for _, reading in found]
    method = max(dict.fromkeys(methods), key=methods.count)
    used = [(i, r) for i, r in found if r["method"] == method and _value(r) is not None]
    return _sum([reading for _, reading in used] or [found[0][1]], method), [i for i, _ in used]


def _value(reading: Mapping[str, Any]) -> float | None:
    return reading.get("counted", reading["joules"])


def _sum(readings: Sequence[Mapping[str, Any]], method: str) -> Energy:
    facts, first = METHODS[method], readings[0]
    seconds = sum(r["seconds"] for r in readings)
    if _value(first) is None:
        return Energy(
            None, None, None, method, facts.measured, seconds, None, first["covers"], first["reason"]
        )
    if facts.interval_s > 0:
        joules, updates = sum(_value(r) or 0.0 for r in readings), sum(r["updates"] for r in readings)
        return counted(facts, joules, seconds, updates, covers=first["covers"], pieces=len(readings))
    joules, low, high = (sum(r[name] for r in readings) for name in ("joules", "low", "high"))
    return Energy(joules, low, high, method, facts.measured, seconds, None, first["covers"])
