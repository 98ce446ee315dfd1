"""What a person sees of a run: what was taken, how it goes on, the table, the worst cases, what failed."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from .names import FOREGROUND, full_name
from .records import FAILED, CaseRecord

if TYPE_CHECKING:
    from ..zoo.datasets import Dataset
    from .aggregate import Aggregate
    from .results import Results, Scores
    from .runner import Run

SHOWN = (
    "dice",
    "iou",
    "precision",
    "recall",
    "specificity",
    "hd95",
    "hd",
    "assd",
    "nsd",
    "lesion_dice",
    "lesion_f1",
)
SHOWN_VOLUMES = ("volume_ml", "volume_ref_ml", "volume_error_ml", "volume_error_rel")
SHOWN_OF_REGIONS = ("dice", "precision", "recall", "hd95", "nsd")
UNITS = {"hd95": "mm", "hd": "mm", "assd": "mm"}
TITLES = {
    "volume_ml": "volume, ml",
    "volume_ref_ml": "volume of the reference, ml",
    "volume_error_ml": "volume error, ml",
    "volume_error_rel": "volume error, relative",
}
WORST = 3


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
        self._bar: Progress | None = None

    def started(self, run: Run, folder: Path | None) -> None:
        """Say what was taken and begin the progress bar."""
        self.folder, self.total = folder, len(run.dataset.cases)
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
            text = f"[{self.done}/{self.total}] {_case_line(record)}{' (on file)' if reused else ''}"
            self.err.print(text, highlight=False, markup=False, soft_wrap=True)

    def stop(self) -> None:
        """Remove the progress bar."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def show(self, results: Results) -> None:
        """Print the results."""
        self.stop()
        self.out.print(table(results))
        for line in footnotes(results):
            self.out.print(line, highlight=False, markup=False, soft_wrap=True)


def introduce(run: Run) -> list[str]:
    """Which model was taken, what executes it, on which data, under which terms."""
    runtime, dataset = run.model.runtime, run.dataset
    return [
        f"model    {run.name}: {run.model.reference}",
        f"runtime  {runtime.name} {runtime.version}, {runtime.device}, {runtime.precision}, "
        f"{_plural(runtime.threads, 'thread')}",
        f"data     {dataset.name}: {_plural(len(dataset.cases), 'case')}, {_origin(dataset)}",
        *terms(run),
    ]


def _origin(dataset: Dataset) -> str:
    return "made by voxzoo, no real patients" if dataset.kind == "phantom" else f"from {dataset.source}"


def terms(run: Run) -> list[str]:
    """The licence of weights that are not for everything, or that nobody confirmed; said even when quiet."""
    licence = run.model.contract.licence
    return [] if licence.status == "confirmed" else [f"licence  {licence.line}"]


def table(results: Results) -> Table:
    """Metrics down, models across; each mean with its interval, n, missing and empty."""
    columns = {results.scores.model["name"]: results.scores, **results.baselines}
    out = Table(
        title=_title(results), title_justify="left", box=box.SIMPLE_HEAD, header_style="bold", pad_edge=False
    )
    out.add_column("metric", no_wrap=True, vertical="bottom")
    for name in columns:
        title = escape(name).replace(":", ":\n")  # two models have to fit beside each other
        out.add_column(f"{title}\nmean \\[95 % CI]", justify="right", vertical="bottom")
        out.add_column("n/miss/empty", justify="right", style="dim", vertical="bottom")
    for metric, region in _lines(results):
        figure = full_name(metric, region)
        out.add_row(_metric_title(metric, region, results), *_cells(columns, figure))
    return out


def _lines(results: Results) -> list[tuple[str, str]]:
    """Whole foreground in full; regions in short, unless one is all there is."""
    lines = [(metric, FOREGROUND) for metric in (*SHOWN, *SHOWN_VOLUMES)]
    regions = list(results.scores.regions)
    if len(regions) > 1:
        lines += [(metric, region) for region in regions for metric in SHOWN_OF_REGIONS]
    return lines


def _metric_title(metric: str, region: str, results: Results) -> str:
    if metric == "nsd":
        title = f"nsd at {results.options['tolerance_mm']:g} mm"
    else:
        title = TITLES.get(metric, metric) + (f", {UNITS[metric]}" if metric in UNITS else "")
    return title if region == FOREGROUND else f"{region}: {title}"


def _cells(columns: Mapping[str, Scores], figure: str) -> list[str]:
    cells = []
    for scores in columns.values():
        found = scores.aggregate.get(figure)
        cells += ["-", ""] if found is None else [_figure(found), f"{found.n}/{found.missing}/{found.empty}"]
    return cells


def _figure(a: Aggregate) -> str:
    if a.ci95 is None:
        return number(a.mean)
    return f"{number(a.mean)} \\[{number(a.ci95[0])}, {number(a.ci95[1])}]"


def number(value: float) -> str:
    """Three decimals below 10, one above; undefined values as a dash.

    Example:
        >>> number(0.81234), number(31.25), number(float("nan"))
        ('0.812', '31.2', '-')
    """
    if math.isnan(value):
        return "-"
    return f"{value:.3f}" if abs(value) < 10 else f"{value:.1f}"


def _title(results: Results) -> str:
    counts = results.scores.counts
    patients = _plural(counts["patients"], "patient")
    cases = "" if counts["cases"] == counts["patients"] else f", {_plural(counts['cases'], 'case')}"
    return f"{escape(results.scores.model['name'])} on {escape(results.dataset['name'])} ({patients}{cases})"


def footnotes(results: Results) -> list[str]:
    """What the table cannot hold: policy, undefined values, worst cases, failures, time, files."""
    return [
        *_policy(results),
        *_seen_in_training(results),
        *_undefined(results),
        *_worst(results.cases),
        *_failures(results),
        *_time(results),
        *_files(results),
    ]


def _policy(results: Results) -> list[str]:
    options = results.options
    return [
        "n counts patients, those without a prediction (miss) included: they score as failures. "
        f"Distances: {options['preset']}; empty masks: {options['empty']}."
    ]


def _seen_in_training(results: Results) -> list[str]:
    seen = results.scores.seen_in_training
    if not seen:
        return []
    return [f"NOT HELD OUT: the model was trained on {len(seen)} of these cases ({', '.join(seen)})."]


def _undefined(results: Results) -> list[str]:
    shown = [f"{name} ({count})" for name, count in results.scores.undefined.items() if "_wt" not in name]
    return (
        [f"Patients left out of a mean because the value is undefined: {', '.join(shown)}"] if shown else []
    )


def _worst(records: Sequence[CaseRecord]) -> list[str]:
    """The lowest Dice among the scored cases; failures have their own lines."""
    scored = [r for r in records if r.status != FAILED and not math.isnan(r.metrics.get("dice", math.nan))]
    if len(scored) < 2:
        return []
    lowest = sorted(scored, key=lambda r: r.metrics["dice"])[:WORST]
    return ["Worst cases:", *(f"  {_case_line(record)}" for record in lowest)]


def _failures(results: Results) -> list[str]:
    lines = [f"  {_case_line(record)}" for record in results.failures]
    for name, scores in results.baselines.items():
        mine = {record.case for record in results.failures}
        lines += [f"  {name}: {_case_line(r)}" for r in scores.failures if r.case not in mine]
    return [f"Failed ({len(results.failures)} of {len(results.cases)}):", *lines] if lines else []


def _case_line(record: CaseRecord) -> str:
    if record.status == FAILED:
        return f"{record.case}: {record.reason.removeprefix(record.case + ': ')}"
    parts = [f"dice {number(record.metrics['dice'])}", f"hd95 {number(record.metrics['hd95'])} mm"]
    if record.empty_prediction.get(FOREGROUND):
        parts.append("empty prediction")
    if record.empty_reference.get(FOREGROUND):
        parts.append("no tumour in the reference")
    return f"{record.case}: {', '.join(parts)}"


def _time(results: Results) -> list[str]:
    times: dict[str, Any] = results.scores.times
    if not times.get("cases"):
        return []
    per_slice = times["seconds_per_axial_slice"]
    slices = f", {1000 * per_slice:.2f} ms per axial slice ({times['axial_slices']})" if per_slice else ""
    per_patient = times["seconds_per_patient"]
    stages = ", ".join(f"{name} {seconds:.2f}" for name, seconds in per_patient.items() if name != "total")
    return [f"Time: {per_patient['total']:.2f} s per patient ({stages}){slices}; stages overlap."]


def _files(results: Results) -> list[str]:
    if results.folder is None:
        return []
    session = results.session
    reused = f"; {session['cases_reused']} of {len(results.cases)} cases were on file" * bool(
        session["cases_reused"]
    )
    return [f"Saved: {results.folder / 'results.json'}, {results.folder / 'cases.csv'}{reused}"]


def _plural(count: int, word: str) -> str:
    return f"{count} {word}{'' if count == 1 else 's'}"
