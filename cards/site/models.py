"""A page per model: who it is, its runs with every figure, its plots, its cases and its card."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from markupsafe import Markup

from ...eval.aggregate import Aggregate
from ...eval.records import FAILED, SCORED, CaseRecord
from ...eval.views.common import number, plural
from ..figures import ARMS, REASON
from ..names import without_folders
from ..reasoning import BY_SECTION, arms_of, reasoning_lines, stability_table, status_table, whole_figures
from ..result_sections import unit_of
from ..runs import Run
from .drawing import interval
from .plots import Plot

NONE = "–"  # noqa: RUF001
FIRST = 10
"""Figures of a run that are seen at once; the others are folded away."""
CASE_FIGURES = {
    "segment": ("dice", "hd95", "nsd"),
    "classify": ("correct", "p_true"),
    "grade": ("correct", "gldr"),
}


@dataclass(frozen=True)
class FigureLine:
    """A figure of a run with its definition."""

    title: str
    definition: str
    text: str
    drawing: Markup
    counts: str


@dataclass(frozen=True)
class CaseLine:
    """A case of a run, with a link to its page."""

    name: str
    href: str
    status: str
    remark: str
    cells: tuple[tuple[str, float | None], ...]


@dataclass(frozen=True)
class SideTable:
    """A table beside the figures; a cell is a text and what is drawn below it."""

    title: str
    heads: tuple[str, ...]
    rows: tuple[tuple[str, tuple[tuple[str, Markup], ...]], ...]


@dataclass
class RunPart:
    """The part of a model's page that is about one run; ``more`` are the figures that do not come first."""

    anchor: str
    label: str
    task: str
    dataset: str
    facts: dict[str, str]
    figures: tuple[FigureLine, ...]
    more: tuple[FigureLine, ...]
    heads: tuple[str, ...]
    cases: tuple[CaseLine, ...]
    plots: list[Plot] = field(default_factory=list)
    notes: tuple[str, ...] = ()
    tables: tuple[SideTable, ...] = ()


@dataclass
class ModelPage:
    """Everything on the page of a model."""

    name: str
    facts: dict[str, str]
    parts: tuple[RunPart, ...]
    card: Markup
    curves: list[Plot] = field(default_factory=list)


def by_model(runs: Iterable[tuple[str, Run]]) -> dict[tuple[str, str], list[tuple[str, Run]]]:
    """Runs, with their labels, by (name, content) of their model: other weights stay apart."""
    out: dict[tuple[str, str], list[tuple[str, Run]]] = {}
    for label, run in runs:
        out.setdefault((run.model, run.content_sha256), []).append((label, run))
    return out


def model_facts(runs: Sequence[Run]) -> dict[str, str]:
    """What the first run knows of its model; what nobody stated says so."""
    run = runs[0]
    contract: Mapping[str, Any] = run.scores.contract or {}
    licence = contract.get("licence")
    licence = licence if isinstance(licence, Mapping) else {}
    training = contract.get("training")
    training = training if isinstance(training, Mapping) else {}
    told = {
        "version": run.version,
        "task": str(contract.get("task") or run.task),
        "licence of the weights": str(licence.get("weights", "")),
        "terms of its training data": str(licence.get("data_terms", "")),
        "found": without_folders(run.scores.model.get("found", "")),
        "content sha256": run.content_sha256,
        "trained on": _training(training),
    }
    return {name: text or "not stated" for name, text in told.items()}


def _training(plain: Mapping[str, Any]) -> str:
    """How many cases and phantoms by which recipe, as far as the contract says."""
    cases = plain.get("cases")
    parts = [f"{len(cases)} cases" if isinstance(cases, list | tuple) and cases else ""]
    parts.append(f"{plain['phantoms']} phantoms" if plain.get("phantoms") else "")
    parts.append(f"recipe {plain['recipe']}" if plain.get("recipe") else "")
    return ", ".join(part for part in parts if part)


def run_part(anchor: str, label: str, run: Run, case_hrefs: Mapping[str, str]) -> RunPart:
    """One run of a model.

    Args:
        anchor: its name in addresses.
        label: what the leaderboard calls it.
        run: to be shown.
        case_hrefs: id of a case -> its page.
    """
    names = [n for n in _case_columns(run) if any(n in record.metrics for record in run.cases)]
    shown = [run.figure(name) for name in names]
    order = sorted(_told(run), key=lambda name: name not in run.headline)
    lines = tuple(_figure_line(run, name, run.figures[name]) for name in order)
    return RunPart(
        anchor=anchor,
        label=label,
        task=run.task,
        dataset=run.dataset,
        facts=_run_facts(run),
        figures=lines[:FIRST],
        more=lines[FIRST:],
        heads=tuple(f.title + (f", {f.unit}" if f.unit else "") for f in shown),
        cases=tuple(_case_line(record, names, case_hrefs) for record in run.cases),
        notes=tuple(_notes(run)),
        tables=_tables(run),
    )


def _tables(run: Run) -> tuple[SideTable, ...]:
    """Of the task reason: figures by section and arm, how answers ended, how stable they are."""
    if run.task != REASON:
        return ()
    by_section = tuple(
        (f"{base}: {section}", tuple(_mean_cell(run, f"{base}_{arm}_{section}") for arm in arms_of(run)))
        for base in BY_SECTION
        for section in run.details.get("sections") or ()
    )
    heads = tuple(ARMS.get(arm, arm) for arm in arms_of(run))
    tables = [SideTable("By section [95 % CI over conditions]", ("figure", *heads), by_section)]
    for title, (titles, rows) in (
        ("How sections ended", status_table(run)),
        ("Stability", stability_table(run)),
    ):
        told = tuple((str(name), tuple((str(cell), Markup("")) for cell in cells)) for name, *cells in rows)
        tables += [SideTable(title, tuple(titles), told)] if told else []
    return tuple(tables)


def _mean_cell(run: Run, name: str) -> tuple[str, Markup]:
    a = run.figures.get(name)
    if a is None:
        return NONE, Markup("")
    bounds = "" if a.ci95 is None else f" [{number(a.ci95[0])}, {number(a.ci95[1])}]"
    return number(a.mean) + bounds, interval(a, 0.0, 1.0)


def _told(run: Run) -> list[str]:
    """Figures, but for those of a single region that say once more what those of the foreground say."""
    regions = list(run.scores.regions)
    if run.task == REASON:
        return list(whole_figures(run))
    ending = f"_{regions[0]}" if run.task == "segment" and len(regions) == 1 else None
    return [name for name in run.figures if ending is None or not name.endswith(ending)]


def _case_columns(run: Run) -> tuple[str, ...]:
    return CASE_FIGURES.get(run.task) or run.headline


def _run_facts(run: Run) -> dict[str, str]:
    runtime, energy = run.scores.runtime, run.energy
    parts = [str(runtime.get(key, "")) for key in ("name", "version", "device", "precision")]
    counts = run.scores.counts
    each, seconds = "patient", run.seconds_per_patient
    if run.task == REASON:
        each, seconds = run.unit, run.seconds_per_slice
    options = ", ".join(f"{key} {_plain(value)}" for key, value in run.results.options.items())
    people = plural(counts.get("patients", 0), unit_of(run, "patient"))
    watts = "not measured"
    if energy is not None:
        watts = (
            f"{energy.joules:.3g} J [{energy.low:.3g}, {energy.high:.3g}], {energy.kind} ({energy.method})"
        )
    return {
        "dataset": f"{run.dataset} ({run.results.dataset['kind']}), {people}, "
        f"{counts.get('failed', 0)} failed",
        "licence of the data": run.results.dataset["licence"],
        "runtime": " ".join(part for part in parts if part) or "not stated",
        "rules": options or "none",
        f"time per {each}": f"{seconds:.3g} s" if seconds is not None else "not measured",
        "energy of the run": watts,
        "code": run.results.code_version[:12],
        "data sha256": run.data_sha256[:12],
        **_asked_facts(run),
    }


def _asked_facts(run: Run) -> dict[str, str]:
    """Of the task reason: who checked the gold, what was asked, who found the finding."""
    if run.task != REASON:
        return {}
    parts = (line.partition(": ") for line in reasoning_lines(run))
    return {name: text for name, _, text in parts}


def _plain(value: Any) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value)) or "none"
    return "none" if value is None else str(value)


def _figure_line(run: Run, name: str, a: Aggregate) -> FigureLine:
    shown = run.figure(name)
    bounds = "" if a.ci95 is None else f" [{number(a.ci95[0])}, {number(a.ci95[1])}]"
    top = 1.0 if 0 <= a.mean <= 1 else 1.15 * max(abs(v) for v in (a.mean, *(a.ci95 or (a.mean,))))
    low = min(0.0, a.mean, *(a.ci95 or (0.0,)))
    return FigureLine(
        shown.title + (f", {shown.unit}" if shown.unit else ""),
        shown.definition,
        number(a.mean) + bounds,
        interval(a, low, top),
        f"{a.n} / {a.missing} / {a.empty}",
    )


def _case_line(record: CaseRecord, names: Sequence[str], hrefs: Mapping[str, str]) -> CaseLine:
    cells = tuple(
        (number(record.metrics[name]), record.metrics[name]) if name in record.metrics else (NONE, None)
        for name in names
    )
    status = "" if record.status == SCORED else record.status
    return CaseLine(record.case, hrefs.get(record.case, ""), status, record.reason, cells)


def _notes(run: Run) -> list[str]:
    out = []
    failed = [record for record in run.cases if record.status == FAILED]
    if failed:
        out.append(f"{len(failed)} of {len(run.cases)} cases have no prediction; they count as failures.")
    out += [run.held_out] if run.held_out else []
    undefined = ", ".join(f"{name} ({count})" for name, count in run.scores.undefined.items())
    gold = run.details.get("benchmark") if run.task == REASON else None
    if isinstance(gold, Mapping) and gold.get("verified", 0) != gold.get("items"):
        out.append("No expert has verified all of the gold: it is as good as its source.")
    if undefined:
        out.append(f"Patients left out of a mean because the value is undefined: {undefined}.")
    return out
