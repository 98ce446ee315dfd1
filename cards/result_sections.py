"""The part of a card about one run: figures, subgroups, failures, calibration, answers."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

from ..eval.records import FAILED, SCORED, CaseRecord
from ..eval.results import Scores
from ..eval.stats import RESAMPLES
from ..eval.views.common import number, plural, some
from .figures import REASON
from .markdown import DASH, MEAN, Md, bullets, inline_code, interval, mean_of, rounded, table
from .names import as_markdown, without_folders
from .reasoning import whole_figures
from .runs import Run
from .stated import NOT_STATED
from .subgroups import SIZE, SIZES_ML, Group, subgroups

WORST = 5
"""Cases that are named as failures of a kind."""


def data_lines(run: Run, title: str = "", note: str = "") -> list[str]:
    """Which data, how much of it, under which terms."""
    data, counts = run.results.dataset, run.scores.counts
    shown = [(key, unit_of(run, word)) for key, word in _COUNTED if counts.get(key)]
    if counts.get("cases") == counts.get("patients"):
        shown = [(key, word) for key, word in shown if key != "cases"]
    some_counts = [plural(counts[key], word) for key, word in shown]
    lines = [
        f"**Data:** {as_markdown(title or data['name'])} ({as_markdown(data['kind'])}: "
        f"{as_markdown(without_folders(data['source']))}); {', '.join(some_counts)}",
        f"**Terms of the data:** {as_markdown(data['licence'] or NOT_STATED)}",
        f"**Hash of the data:** {inline_code(run.data_sha256)}",
    ]
    return lines + ([f"**Note:** {as_markdown(note)}"] if note else []) + [_held_out(run)]


def unit_of(run: Run, word: str) -> str:
    """What the task reason calls it: its cases are items of a benchmark, its patients conditions."""
    return _REASONED.get(word, word) if run.task == REASON else word


_REASONED = {"patient": "condition", "case": "item", "case without a prediction": "item without an answer"}
_COUNTED = (
    ("patients", "patient"),
    ("cases", "case"),
    ("failed", "case without a prediction"),
    ("no_reference", "case without a reference"),
    ("axial_slices", "axial slice"),
)


def _held_out(run: Run) -> str:
    contract = run.scores.contract or {}
    training = contract.get("training") or {}
    if not training.get("cases"):
        return f"**Held out:** {NOT_STATED} (the model does not name the cases it was trained on)"
    seen = run.scores.seen_in_training
    if not seen and run.scores.cross_validated:
        return "**Held out:** yes, by cross-validation; each case was answered by the fold that never saw it"
    if not seen:
        return "**Held out:** yes; none of these cases is among the training cases that the contract names"
    return f"**Held out:** NO for {len(seen)} of {len(run.cases)} cases: {as_markdown(some(seen))}"


def figures_table(run: Run) -> str:
    """Every figure: mean, interval, n, misses, empties, definition, and the baselines beside it."""
    baselines = list(run.baselines)
    header = ["figure", MEAN, "n", "missing", "empty", "undefined", "definition", *baselines]
    rows = []
    for name in whole_figures(run):
        if run.task == "segment" and _repeats(run.scores, name):
            continue
        about, figure = run.figure(name), run.figures[name]
        title = about.title + (f", {about.unit}" if about.unit else "") + _ARROWS[about.better]
        beside = [mean_of(run.baselines[base].aggregate.get(name)) for base in baselines]
        undefined = run.scores.undefined.get(name, 0)
        counts = (str(count) for count in (figure.n, figure.missing, figure.empty, undefined))
        rows.append([title, mean_of(figure), *counts, about.definition, *beside])
    return table(header, rows)


_ARROWS = {"higher": " ↑", "lower": " ↓", "": ""}


def _repeats(scores: Scores, name: str) -> bool:
    """Whether a figure of a region says once more what that of the foreground says: there is one region."""
    return len(scores.regions) == 1 and name.endswith(f"_{next(iter(scores.regions))}")


def policy_line(run: Run) -> str:
    """By which rules misses, empties and intervals came about."""
    options = run.results.options
    unit = {"classify": "cases", REASON: "items"}.get(run.task, "patients")
    return (
        f"n counts {unit}; one without a prediction counts as a failure of the model, never as absent. "
        f"Intervals: 95 %, bias-corrected and accelerated bootstrap over {unit_of(run, 'patient')}s "
        f"({RESAMPLES} resamples, seed {as_markdown(options.get('seed', 0))}). "
        f"Code version {inline_code(str(run.results.code_version))}. "
        + (f"Rules: {as_markdown(run.rules)}." if run.definition else "")
    )


def subgroup_table(run: Run) -> str:
    """A row per subgroup; "" where nothing parts the patients."""
    groups = subgroups(run)
    if not groups:
        return ""
    names = list(groups[0].cells)
    titles = [_subgroup_title(run, name) for name in names]
    rows = [[g.by, g.name or NOT_STATED, str(g.n), str(g.missing), *_cells(g, names)] for g in groups]
    low, high = SIZES_ML
    sized = any(group.by == SIZE for group in groups)
    note = f"Sizes are volumes of the reference, parted at {low:g} and {high:g} ml. " if sized else ""
    text = table(["by", "group", "n", "missing", *titles], rows, left=2)
    return f"{text}\n\n{note}Small groups have wide intervals."


def _subgroup_title(run: Run, name: str) -> str:
    words = {"correct": "share answered rightly", "p_true": "mean probability of the truth"}
    about = run.figure(name)
    return words.get(name, about.title + (f", {about.unit}" if about.unit else ""))


def _cells(group: Group, names: Sequence[str]) -> list[str]:
    return [interval(group.cells[name].mean, group.cells[name].ci95) for name in names]


def failures(run: Run) -> str:
    """Cases without a prediction with their reasons, then the worst or surest wrong ones."""
    lines = [
        f"{as_markdown(record.case)}: no prediction ({as_markdown(_reason(record))})"
        for record in run.cases
        if record.status == FAILED
    ]
    lines += [f"{as_markdown(record.case)}: {as_markdown(text)}" for record, text in _worst(run)]
    return bullets(lines) if lines else "Every case has a prediction; none stands out."


def _reason(record: CaseRecord) -> str:
    return without_folders(record.reason.removeprefix(f"{record.case}: "))


def _worst(run: Run) -> list[tuple[CaseRecord, str]]:
    scored = [record for record in run.cases if record.status == SCORED]
    if run.task == "classify":
        wrong = [record for record in scored if not record.metrics.get("correct", 1.0)]
        wrong.sort(key=lambda record: record.metrics.get("p_true", 0.0))
        return [(record, _wrong_class(record)) for record in wrong[:WORST]]
    if run.task == "grade":
        wrong = [record for record in scored if not record.metrics.get("correct", 1.0)]
        wrong.sort(key=lambda record: -abs(record.metrics.get("gldr", 0.5) - 0.5))
        return [(record, _wrong_grade(record)) for record in wrong[:WORST]]
    return _lowest(run, scored)


def _wrong_class(record: CaseRecord) -> str:
    sure = number(record.metrics.get("p_true", math.nan))
    return f"is {record.reference}, answered {record.answer.get('label')}; probability of the truth {sure}"


def _wrong_grade(record: CaseRecord) -> str:
    share = record.metrics.get("gldr", math.nan)
    return f"is {record.reference} grade, answered otherwise; share of votes for high grade {number(share)}"


def _lowest(run: Run, scored: Sequence[CaseRecord]) -> list[tuple[CaseRecord, str]]:
    names = [name for name in run.headline if any(name in record.metrics for record in scored)]
    if not names:
        return []
    first = run.figure(names[0])
    sign = -1.0 if first.better == "lower" else 1.0
    known = [record for record in scored if not math.isnan(record.metrics.get(names[0], math.nan))]
    known.sort(key=lambda record: sign * record.metrics[names[0]])
    return [(record, _values(run, record, names)) for record in known[: min(WORST, len(known) // 2)]]


def _values(run: Run, record: CaseRecord, names: Iterable[str]) -> str:
    parts = []
    for name in names:
        if name in record.metrics:
            about = run.figure(name)
            parts.append(
                f"{about.title} {number(record.metrics[name])}{' ' + about.unit if about.unit else ''}"
            )
    if record.empty_prediction.get("foreground"):
        parts.append("empty prediction")
    if record.empty_reference.get("foreground"):
        parts.append("nothing in the reference")
    return ", ".join(parts)


def confusion_table(run: Run) -> str:
    """Rows: what is true; columns: what was answered. "" for other tasks."""
    found = run.details.get("confusion")
    if not isinstance(found, Mapping):
        return ""
    answers = ["no answer" if name is None else f"answered {name}" for name in found["answer"]]
    rows = [[name, *map(str, row)] for name, row in zip(found["reference"], found["counts"], strict=True)]
    return table(["true class", *answers], rows)


def cost_row(label: str, run: Run) -> list[str]:
    """Time and energy of a run; what was not measured says so."""
    runtime, energy = run.scores.runtime, run.energy
    ran = " ".join(str(runtime[k]) for k in ("name", "version", "device", "precision") if runtime.get(k))
    threads = runtime.get("threads")
    hardware = str(run.results.environment.get("cpu", "")) or NOT_STATED
    row = [label, ran + (f", {plural(threads, 'thread')}" if threads else ""), hardware]
    slow = [rounded(run.seconds_per_patient), rounded(run.seconds_per_slice)]
    if energy is None:
        return [*row, *slow, "not measured", DASH, "not measured"]
    band = Md(
        f"{rounded(energy.per_slice)} [{rounded(energy.low_per_slice)}, {rounded(energy.high_per_slice)}]"
    )
    return [*row, *slow, band, f"{energy.kind} ({energy.method})", rounded(energy.grams_per_slice)]


def cost_notes(run: Run) -> list[str]:
    """What the meter saw, and the electricity that the CO2 is of."""
    energy = run.energy
    if energy is None:
        return []
    about = f"Energy covers: {energy.covers}." if energy.covers else ""
    return [as_markdown(note) for note in (about, f"CO2 by {energy.grid}." if energy.grid else "") if note]


def cost_table(rows: Mapping[str, Run]) -> str:
    """Time and energy of runs that are all by axial slice, or all by answer."""
    unit = next(iter(rows.values())).unit
    header = (
        "run",
        "runtime",
        "hardware",
        "s per patient",
        f"s per {unit}",
        Md(f"J per {unit} [band]"),
        "energy is",
        f"g CO2e per {unit}",
    )
    return table(header, [cost_row(label, run) for label, run in rows.items()], left=3)
