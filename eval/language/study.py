"""The comparison table of the study: what was published, what its own rules give again, what is right.

The CNN's grades come from its recorded confusion matrix, those of language models from results files. Where
there is nothing to compute a figure from, there is a dash.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...zoo.errors import RunError, UsageError
from .. import files, jsonnum, markdown
from ..pairs import Compared
from .grade import rates
from .protocols import DEFAULT
from .published import CNN_CONFUSION, ROWS, SOURCE, TITLES, Row, row_of

NONE = "—"
FREE = ("slices=", "empty=")
"""Options that say what is measured, not how."""
NAMES = {
    "f1": "F1",
    "auc": "AUC",
    "dice": "Dice",
    "hd95": "HD95, px",
    "in_box": "in box",
    "shortest_p95": "distance to box, 95th pct, px",
    "euclid_p95": "distance to centre, 95th pct, px",
}


@dataclass(frozen=True)
class Line:
    """One figure of one model.

    Attributes:
        metric: its name.
        model: who reached it.
        table: of the publication; 0 for trivial answers, which are not in it.
        published, reproduced, corrected: None where there is nothing to compute it from.
    """

    metric: str
    model: str
    table: int
    published: float | None
    reproduced: float | None
    corrected: float | None

    @property
    def agrees(self) -> bool | None:
        """Whether published and reproduced are equal at four decimals; None without one of them."""
        if self.published is None or self.reproduced is None:
            return None
        return round(self.reproduced, 4) == self.published

    def cells(self) -> list[str]:
        """For a table."""
        values = [_value(v) for v in (self.published, self.reproduced, self.corrected)]
        values[1] += " ≠" if self.agrees is False else ""
        title = NAMES.get(self.metric, self.metric.replace("_", " "))
        return [title, self.model, str(self.table) if self.table else NONE, *values]


def study_text(runs: Sequence[Compared], cnn: Path | None, protocol: str = DEFAULT) -> str:
    """The table as Markdown, one section a task.

    Args:
        runs: of language models; those that are of no row are named below.
        cnn: ``classification_confusions.json``, or None.
        protocol: whose figures are the corrected ones: "answered" or "all".

    Raises:
        UsageError: two runs for one row.
        RunError: ``cnn`` cannot be read, or is something else.
    """
    placed, others = _place(runs)
    counts = None if cnn is None else read_confusion(cnn)
    parts = [f"# {SOURCE}: published, reproduced, corrected", _legend(protocol, counts)]
    lines: list[Line] = []
    for task, title in TITLES.items():
        section = lines_of(task, placed, counts, protocol)
        cells = [line.cells() for line in section]
        header = ["figure", "model", "Table", "published", "reproduced", "corrected"]
        parts += [f"## {title}", markdown.table(header, _without_repeats(cells), left=2)]
        lines += section
    return "\n\n".join([*parts, _agreement(lines), *_remarks(placed, protocol), *_others(others)]) + "\n"


def _legend(protocol: str, counts: Mapping[str, float] | None) -> str:
    corrected = {
        "all": "an unanswered slice is a miss, a patient without slices an error",
        "answered": "what was not answered is left out",
    }[protocol]
    legend = (
        "Reproduced: the recorded answers under the protocol `paper`, the study's own rules. Corrected: "
        f"under `{protocol}`, correct rules; {corrected}. {NONE}: no raw answers to compute it from, or not "
        "published. Trivial answers are scored on the slices of the first language model above them."
    )
    recorded = " The CNN's grades come from its recorded confusion matrix, its AUC is as recorded there."
    return legend + (recorded if counts else "")


def _remarks(placed: Mapping[tuple[str, str], Compared], protocol: str) -> list[str]:
    """What a reader has to know of single runs: assumptions, the price of an empty mask, changed rules."""
    remarks, prices = [], set()
    for run in placed.values():
        scoring = run.results.scores.details["scoring"]
        assumed = scoring["paper"]["facts"].get("assumed", {})
        if assumed:
            grades = ", ".join(f"{patient} {grade}" for patient, grade in assumed.items())
            remarks.append(f"{run.name}: reproduced with grades ASSUMED for patients not recorded: {grades}.")
        rules = scoring[protocol]["rules"]
        changed = [part for part in rules["name"].split("+")[1:] if not part.startswith(FREE)]
        if changed:
            remarks.append(f"{run.name}: corrected under changed rules: {', '.join(changed)}.")
        if run.results.task in ("center", "box", "polygon"):
            prices.add("the frame's diagonal" if rules["empty"] == "penalty" else f"{rules['empty']} px")
    if prices:
        price = " or ".join(sorted(prices))
        remarks.append(f"The distance to an empty mask is 128 px (reproduced), {price} (corrected).")
    return remarks


def _place(runs: Sequence[Compared]) -> tuple[dict[tuple[str, str], Compared], list[Compared]]:
    """(task, row) -> run, and the runs that are of no row."""
    placed: dict[tuple[str, str], Compared] = {}
    others = []
    for run in runs:
        row = _row_of(run)
        if row is None:
            others.append(run)
            continue
        earlier = placed.setdefault((row.task, row.name), run)
        if earlier is not run:
            raise UsageError(
                f"{earlier.source} and {run.source} are both of the row {row.model!r} of Table {row.table}; "
                "give one of them, or name the row of each: ROW=RUN"
            )
    return placed, others


def _row_of(run: Compared) -> Row | None:
    details = run.results.scores.details
    if "protocols" not in details:
        return None
    slices = details["scoring"]["paper"]["rules"]["slices"]
    plane = details.get("shown", {}).get("plane", "axial")
    return row_of(run.results.task, run.name, run.results.scores.model["name"], plane, slices)


def lines_of(
    task: str,
    placed: Mapping[tuple[str, str], Compared],
    counts: Mapping[str, float] | None = None,
    protocol: str = DEFAULT,
) -> list[Line]:
    """The lines of one task, figure by figure, models in the order of the tables, trivial answers last."""
    rows = [row for row in ROWS if row.task == task]
    first = next((placed[task, row.name] for row in rows if (task, row.name) in placed), None)
    lines = []
    for metric in dict.fromkeys(metric for row in rows for metric in row.figures):
        for row in rows:
            run = placed.get((task, row.name))
            line = _cnn_line(row, metric, counts) if row.name == "cnn" else _line(row, metric, run, protocol)
            found = (line.published, line.reproduced, line.corrected)
            lines += [line] if found != (None, None, None) else []
        lines += [] if first is None else _trivial(first, metric, protocol)
    return lines


def _cnn_line(row: Row, metric: str, counts: Mapping[str, float] | None) -> Line:
    reproduced = counts.get(metric) if counts is not None and row.task == "grade" else None
    return Line(metric, row.model, row.table, row.figures.get(metric), reproduced, None)


def _line(row: Row, metric: str, run: Compared | None, protocol: str) -> Line:
    published = row.figures.get(metric)
    if run is None:
        return Line(metric, row.model, row.table, published, None, None)
    found = run.results.scores.details["protocols"]
    again, right = (_number(found[name].get(metric, {}).get("mean")) for name in ("paper", protocol))
    return Line(metric, row.model, row.table, published, None if published is None else again, right)


def _trivial(run: Compared, metric: str, protocol: str) -> list[Line]:
    scoring = run.results.scores.details["scoring"]
    lines = []
    for name, values in scoring[protocol]["baselines"].items():
        again = _number(scoring["paper"]["baselines"].get(name, {}).get(metric))
        lines.append(Line(metric, f"trivial: {name}", 0, None, again, _number(values.get(metric))))
    return lines


def _number(value: Any) -> float | None:
    number = jsonnum.decode(value) if value is not None else math.nan
    return None if math.isnan(number) else number


def _value(value: float | None) -> str:
    return NONE if value is None else f"{value:.4f}"


def _without_repeats(rows: Sequence[list[str]]) -> list[list[str]]:
    """A figure's name on the first of its lines only."""
    before = ["", *(row[0] for row in rows)]
    return [["" if row[0] == last else row[0], *row[1:]] for row, last in zip(rows, before, strict=False)]


def _agreement(lines: Sequence[Line]) -> str:
    judged = [line for line in lines if line.agrees is not None]
    wrong = [f"{line.model}: {line.metric} (Table {line.table})" for line in judged if not line.agrees]
    if not judged:
        return "Nothing to reproduce: no run and no confusion matrix was given."
    found = f"Reproduced to 4 decimals: {len(judged) - len(wrong)} of {len(judged)} published figures."
    return found + (f" Not (≠): {'; '.join(wrong)}." if wrong else "")


def _others(runs: Sequence[Compared]) -> list[str]:
    if not runs:
        return []
    named = ", ".join(
        f"{run.source} ({run.results.task}, {run.results.scores.model['name']})" for run in runs
    )
    return [f"Of no row of the study: {named}. ROW=RUN puts a run into a row: {', '.join(_row_names())}."]


def _row_names() -> list[str]:
    return list(dict.fromkeys(row.name for row in ROWS if row.name != "cnn"))


def read_confusion(path: Path) -> dict[str, float]:
    """The figures of the published CNN from its recorded confusion matrix; the AUC as it is recorded.

    Raises:
        RunError: the file cannot be read, or holds something else.
    """
    epochs, cohort = CNN_CONFUSION
    try:
        plain = json.loads(path.read_bytes())
        cells = plain[epochs][cohort]
        counts = {name: int(cells[name]) for name in ("tp", "tn", "fp", "fn")}
        area = float(cells["auc"])
    except OSError as error:
        raise RunError(f"{path}: cannot be read ({files.reason(error)})") from error
    except (ValueError, TypeError, KeyError, IndexError) as error:
        raise RunError(
            f'{path}: expected {{"{epochs}": {{"{cohort}": {{"tp", "tn", "fp", "fn", "auc"}}}}}} '
            f"({type(error).__name__} {error})"
        ) from error
    return {**rates(**counts), "auc": area}
