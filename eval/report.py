"""What a person sees of a run: what was taken, how it goes on, the table, the worst cases, what failed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from .assemble import settings_of
from .energy.words import lines as energy_lines
from .records import FAILED, SCORED, CaseRecord
from .views import View, view_of
from .views.common import failed_line, plural, some

if TYPE_CHECKING:
    from ..zoo.datasets import Dataset
    from ..zoo.runtimes.base import RuntimeInfo
    from .results import Results
    from .runner import Run


class Reporter:
    """Follows a run on a console: a progress bar on a terminal, a line per case elsewhere.

    Args:
        out: where the table goes.
        err: where notes and progress go.
        quiet: only the table and what went wrong.
    """

    def __init__(self, out: Console, err: Console, quiet: bool = False) -> None:
        self.out, self.err, self.quiet = out, err, quiet
        self.done = self.total = self.reused = 0
        self.folder: Path | None = None
        self._view: View | None = None
        self._bar: Progress | None = None

    def started(self, run: Run, folder: Path | None) -> None:
        """Say what was taken and begin the progress bar."""
        self.folder, self.total, self._view = folder, len(run.dataset.cases), view_of(run.task.name)
        for line in terms(run) if self.quiet else introduce(run):
            self.err.print(line, highlight=False, markup=False, soft_wrap=True)
        if self.quiet:
            return
        if self.err.is_terminal:
            columns = (
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TimeRemainingColumn(),
            )
            self._bar = Progress(*columns, console=self.err, transient=True)
            self._bar.add_task("cases", total=self.total)
            self._bar.start()

    def finished(self, records: Sequence[CaseRecord], reused: bool) -> None:
        """A case is done."""
        self.done += 1
        self.reused += reused
        if self.quiet:
            return
        record = records[0]
        if self._bar is not None:
            self._bar.advance(self._bar.task_ids[0])
        if self._bar is None or record.status == FAILED:
            text = f"[{self.done}/{self.total}] {_line(record, self._view)}{' (on file)' if reused else ''}"
            self.err.print(text, highlight=False, markup=False, soft_wrap=True)

    def stop(self) -> None:
        """Remove the progress bar."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def show(self, results: Results) -> None:
        """Print the results."""
        self.stop()
        for table in view_of(results.task).tables(results):
            self.out.print(table)
        for line in footnotes(results):
            self.out.print(line, highlight=False, markup=False, soft_wrap=True)


def introduce(run: Run) -> list[str]:
    """Which model was taken, what executes it, on which data, under which terms."""
    runtime, dataset = run.model.runtime, run.dataset
    return [
        f"model    {run.name}: {run.model.reference}",
        f"runtime  {_executor(runtime)}",
        *(f"{name:8} {value}" for name, value in settings_of(run.model).items() if value != "none"),
        f"data     {dataset.name}: {plural(len(dataset.cases), 'case')}, {_origin(dataset)}",
        *run.task.introduction(),
        *terms(run),
    ]


def _executor(runtime: RuntimeInfo) -> str:
    """What executes the model; what is asked or replayed runs on no device of ours."""
    if runtime.device == "none":
        return runtime.name
    threads = plural(runtime.threads, "thread")
    return f"{runtime.name} {runtime.version}, {runtime.device}, {runtime.precision}, {threads}"


def _origin(dataset: Dataset) -> str:
    return "made by voxzoo, no real patients" if dataset.kind == "phantom" else f"from {dataset.source}"


def terms(run: Run) -> list[str]:
    """The licence of weights that are not for everything, or that nobody confirmed; said even when quiet."""
    contract = getattr(run.model, "contract", None)
    if contract is None:  # recorded answers
        return []
    licence = contract.licence
    return [] if licence.status == "confirmed" else [f"licence  {licence.line}"]


def footnotes(results: Results) -> list[str]:
    """What the tables cannot hold: policy, undefined values, worst cases, failures, time, files."""
    view = view_of(results.task)
    return [
        *view.policy(results),
        *_seen_in_training(results),
        *view.notes(results),
        *_failures(results),
        *_without_reference(results),
        *_time(results),
        *_energy(results),
        *_files(results),
    ]


def _seen_in_training(results: Results) -> list[str]:
    seen = results.scores.seen_in_training
    if not seen:
        return []
    folds = (results.scores.contract or {})["training"].get("ensemble")
    could = folds and not results.scores.cross_validated
    hint = " --cross-validated asks the fold that never saw a case." if could else ""
    return [f"NOT HELD OUT: the model was trained on {len(seen)} of these cases ({some(seen)}).{hint}"]


def _failures(results: Results) -> list[str]:
    lines = [f"  {failed_line(record)}" for record in results.failures]
    for name, scores in results.baselines.items():
        mine = {record.case for record in results.failures}
        lines += [f"  {name}: {failed_line(r)}" for r in scores.failures if r.case not in mine]
    return [f"Failed ({len(results.failures)} of {len(results.cases)}):", *lines] if lines else []


def _without_reference(results: Results) -> list[str]:
    names = [record.case for record in results.scores.without_reference]
    if not names:
        return []
    return [f"No reference ({len(names)} of {len(results.cases)}, not scored): {some(names)}"]


def _line(record: CaseRecord, view: View | None) -> str:
    """A case in one line."""
    return view.case_line(record) if view is not None and record.status == SCORED else failed_line(record)


def _time(results: Results) -> list[str]:
    times: dict[str, Any] = results.scores.times
    if not times.get("cases"):
        return []
    per_slice = times["seconds_per_axial_slice"]
    plane = results.scores.details.get("shown", {}).get("plane", "axial")
    slices = f", {1000 * per_slice:.2f} ms per {plane} slice ({times['axial_slices']})" if per_slice else ""
    per_patient = times["seconds_per_patient"]
    digits = 2 if per_patient["total"] >= 1 else 4
    stages = [f"{name} {s:.{digits}f}" for name, s in per_patient.items() if name != "total"]
    total = f"{per_patient['total']:.{digits}f} s per patient"
    if len(stages) == 1:
        return [f"Time: {total}{slices}."]
    return [f"Time: {total} ({', '.join(stages)}){slices}; stages overlap."]


def _energy(results: Results) -> list[str]:
    """Nothing where nothing says anything of it: recorded answers of others, files of an older voxzoo."""
    session, energy = results.session.get("energy"), results.scores.details.get("energy")
    if session is None and energy is None:
        return []
    return energy_lines(energy or {}, (session or {"notes": []})["notes"])


def _files(results: Results) -> list[str]:
    if results.folder is None:
        return []
    session = results.session
    reused = f"; {session['cases_reused']} of {len(results.cases)} cases were on file" * bool(
        session["cases_reused"]
    )
    return [f"Saved: {results.folder / 'results.json'}, {results.folder / 'cases.csv'}{reused}"]
