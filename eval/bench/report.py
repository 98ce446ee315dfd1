"""A benchmark on a console: how it goes on, ratios first, then the figures, then what they are about."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from ..energy.carbon import Grid
from ..energy.reading import Energy
from ..energy.words import banded, quantity
from .subjects import Opened
from .turns import Plan, Turn

Row = Mapping[str, Any]


class Reporter:
    """Follows a benchmark.

    Args:
        out: where the tables go.
        err: where progress goes: a bar on a terminal, a line a turn elsewhere.
        quiet: only the tables.
    """

    def __init__(self, out: Console, err: Console, quiet: bool = False) -> None:
        self.out, self.err, self.quiet = out, err, quiet
        self.folder: Path | None = None
        self.turns = 0
        self._bar: Progress | None = None

    def opened(self, name: str, one: Opened) -> None:
        """A model is ready."""
        first = "failed: " + one.reason if one.first_s is None else f"{quantity(one.first_s, 's')}"
        self._say(f"model    {name}: loaded in {quantity(one.load_s, 's')}, first answer {first}")

    def started(self, rows: Sequence[str], cases: int, plan: Plan, folder: Path | None) -> None:
        """Turns begin."""
        self.folder = folder
        self._say(
            f"turns    {plan.turn_s:g} s each, by turns, until every model has worked for {plan.seconds:g} s"
        )
        if not self.quiet and self.err.is_terminal:
            columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
            self._bar = Progress(*columns, console=self.err, transient=True)
            self._bar.add_task("measuring", total=plan.seconds * len(rows))
            self._bar.start()

    def finished(self, turn: Turn, reused: bool) -> None:
        """A turn is over."""
        self.turns += 1
        if self._bar is not None:
            self._bar.advance(self._bar.task_ids[0], turn.seconds)
            return
        said = turn.items[-1].reason or f"{quantity(turn.seconds / len(turn.items), 's')} each"
        where = " (on file)" if reused else ""
        self._say(f"round {turn.round + 1}: {turn.model}: {len(turn.items)} x, {said}{where}")

    def stop(self) -> None:
        """Remove the progress bar."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def show(self, results: Mapping[str, Any]) -> None:
        """Print the results."""
        self.stop()
        for table in (ratio_table(results), time_table(results), energy_table(results)):
            self.out.print(table)
        for line in footnotes(results, self.folder):
            self.out.print(line, highlight=False, markup=False, soft_wrap=True)

    def _say(self, text: str) -> None:
        if not self.quiet:
            self.err.print(text, highlight=False, markup=False, soft_wrap=True)


def _table(title: str, columns: Sequence[str]) -> Table:
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, header_style="bold", pad_edge=False)
    table.add_column("model")
    for column in columns:
        table.add_column(column, justify="right")
    return table


def ratio_table(results: Mapping[str, Any]) -> Table:
    """How many times as much as the first model."""
    names = {
        "seconds_per_patient": "time a patient",
        "seconds_per_slice": "time a slice",
        "cpu_s_per_patient": "CPU a patient",
        "joules_per_patient": "energy a patient",
        "joules_per_slice": "energy a slice",
    }
    table = _table(f"times as much as {escape(results['first'])}, measured by turns", list(names.values()))
    for name, found in results["ratios"].items():
        if not results["models"][name]["items"]:
            continue
        table.add_row(escape(name), *(_times(found[key]) for key in names))
    return table


def _times(value: float | None) -> str:
    return "-" if value is None else f"{value:.3g}x"


def time_table(results: Mapping[str, Any]) -> Table:
    """Seconds, memory, size."""
    columns = (
        "load",
        "first",
        "a patient, median (p95)",
        "a slice",
        "slices/s",
        "CPU s a patient",
        "memory",
        "size",
    )
    table = _table("time and memory: medians, measured alone in their turns", columns)
    for name, row in results["models"].items():
        if not row["items"]:
            continue
        table.add_row(
            escape(name),
            quantity(row["load_s"], "s"),
            quantity(row["first_answer_s"], "s"),
            _spread(row["seconds_per_patient"]),
            quantity(row["seconds_per_slice"] and row["seconds_per_slice"]["median"], "s"),
            _short(row["slices_per_s"]),
            _short(row["cpu_s_per_patient"]),
            _mebi(row["memory_bytes"]),
            _mebi(row["bytes"]),
        )
    return table


def _spread(seconds: Mapping[str, float]) -> str:
    return f"{quantity(seconds['median'], 's')} ({quantity(seconds['p95'], 's')})"


def energy_table(results: Mapping[str, Any]) -> Table:
    """Joules, grams, operations."""
    columns = ("energy a patient [band]", "a slice", "W", "gCO2e per 1000 slices", "GFLOP a run", "of peak")
    table = _table("energy", columns)
    for name, row in results["models"].items():
        if not row["items"]:
            continue
        patient, each = (Energy.from_dict(row[f"energy_per_{what}"]) for what in ("patient", "slice"))
        flops, share = row["flops_per_run"], row["share_of_peak"]
        table.add_row(
            escape(name),
            escape(banded(patient)) if patient.joules is not None else "not known",
            quantity(each.joules, "J"),
            _short(row["watts"]),
            _short(row["gco2e_per_1000_slices"]["grams"]),
            "-" if flops is None else f"{flops / 1e9:.3g}",
            "-" if share is None else f"{share:.0%}",
        )
    return table


def footnotes(results: Mapping[str, Any], folder: Path | None) -> list[str]:
    """Denominators, methods, failures, conditions."""
    rows = results["models"]
    out = [] if results["finished"] else ["UNFINISHED: interrupted; what was measured is shown."]
    out += [_denominator(name, row) for name, row in rows.items() if row["items"]]
    out += [f"{name}: no answer: {row['reason']}" for name, row in rows.items() if not row["items"]]
    failing = {name: row for name, row in rows.items() if row["items"] and row["failed"]}
    out += [f"{name}: {row['failed']} failed, like: {row['reason']}" for name, row in failing.items()]
    out += [_method(results), f"CO2: {Grid(**results['grid'])}"]
    out += _idle(results["energy"]["idle"])
    out += [f"  {note}" for note in results["energy"]["notes"]]
    return out + ([f"Saved: {folder / 'bench.json'}"] if folder else [])


def _denominator(name: str, row: Row) -> str:
    """Promise 9: what "per slice" is divided by."""
    count = row["seconds_per_patient"]["n"]
    if not row["slices"]:
        return f"{name}: {count} images, no slices"
    what = "axial slices of the native grid" if row["unit"] == "volume" else "slices to ask about"
    return (
        f"{name}: {count} {row['unit']}s measured ({row['patients']:.4g} patients' worth, {row['slices']} "
        f"slices); a patient has {row['slices_per_patient']:.4g} {what}"
    )


def _method(results: Mapping[str, Any]) -> str:
    known = [
        Energy.from_dict(row["energy_per_patient"]) for row in results["models"].values() if row["items"]
    ]
    if not known:
        return "Energy: nothing was measured."
    one = known[0]
    why = f"; not known: {one.reason}" if one.joules is None else ""
    return f"Energy: {'measured' if one.measured else 'ESTIMATED'}, {one.method} ({one.covers}){why}."


def _idle(idle: Mapping[str, Any]) -> list[str]:
    lines = []
    for part, reading in idle.items():
        one = Energy(**{key: value for key, value in reading.items() if key != "counted"})
        watts = f"{one.watts:.3g} W" if one.watts is not None else f"not known ({one.reason})"
        lines.append(f"Idle, {part}: {watts}, included above, not taken off.")
    return lines


def _short(value: float | None) -> str:
    return "-" if value is None else f"{value:.3g}"


def _mebi(count: int | None) -> str:
    return "-" if count is None else f"{count / 2**20:.3g} MiB"
