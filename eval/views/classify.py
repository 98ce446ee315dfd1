"""What a person sees of a classification: figures, classes, confusions, calibration, the surest mistakes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rich import box
from rich.console import RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from ..records import NO_REFERENCE, SCORED, CaseRecord
from .common import WORST, figures_table, number, plural, some

if TYPE_CHECKING:
    from ..aggregate import Aggregate
    from ..results import Results, Scores

TITLES = {
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
    "macro_f1": "macro F1",
    "mcc": "MCC",
    "auc": "AUC",
    "ece": "calibration error (ECE)",
    "nll": "NLL, nats",
    "brier": "Brier score, 0 to 2",
}
MATRIX = 12
"""Most classes of which the whole confusion matrix is shown; of more, what is confused most often."""
NAMED = 60
"""Most letters of column heads; longer names are numbered instead."""
OTHER_WAY = 0.02
"""A gap between confidence and accuracy below this is none worth a word."""
SHADES = ("white on grey15", "white on grey27", "white on grey39")
RIGHT = ("bold white on #12301c", "bold white on #17482a", "bold white on #1c6437")
"""By share of the row: up to a third, up to two thirds, more. White, so that light terminals can show it."""
NO_ANSWER = "no answer"


def tables(results: Results) -> list[RenderableType]:
    """Figures, classes, confusions."""
    details = results.scores.details
    titles = dict(TITLES)
    if len(details["classes"]) > 2:
        titles["auc"] = "AUC, one class against the rest"
    rows = [(title, name) for name, title in titles.items()]
    return [figures_table(results, rows, "n/miss"), _classes(results.scores), _confusion(results.scores)]


def _classes(scores: Scores) -> Table:
    """A row for each class."""
    out = _table("by class")
    heads = {"recall": "recall \\[95 % CI]", "precision": "precision \\[95 % CI]", "f1": "F1 \\[95 % CI]"}
    if len(scores.details["classes"]) > 2:
        heads["auc"] = "AUC \\[95 % CI]"
    out.add_column("class", no_wrap=True)
    out.add_column("n", justify="right")
    for head in heads.values():
        out.add_column(head, justify="right")
    for name in scores.details["classes"]:
        cells = [_short(scores.aggregate[f"{metric}_{name}"]) for metric in heads]
        out.add_row(escape(name), str(scores.details["support"][name]), *cells)
    return out


def _short(a: Aggregate) -> str:
    """Mean and interval, narrow enough for four of them in a row."""
    return number(a.mean) + ("" if a.ci95 is None else f" \\[{a.ci95[0]:.2f}, {a.ci95[1]:.2f}]")


def _confusion(scores: Scores) -> RenderableType:
    """The matrix; of many classes only what is confused most often."""
    confusion = scores.details["confusion"]
    if len(confusion["answer"]) > MATRIX + 1:
        return Text("\n".join(["Confused most often:", *(f"  {line}" for line in _confused(confusion, 10))]))
    return _matrix(confusion)


def _matrix(confusion: dict[str, Any]) -> Table:
    """Rows are what is true, columns what was answered; darker is more of the row, green is right."""
    names, counts = confusion["answer"], confusion["counts"]
    shown = [k for k, name in enumerate(names) if name is not None or any(row[k] for row in counts)]
    heads = [NO_ANSWER if names[k] is None else str(names[k]) for k in shown]
    numbered = sum(map(len, heads)) > NAMED
    out = _table("confusion")
    out.add_column("true \\ answered", no_wrap=True)
    for k, head in zip(shown, heads, strict=True):
        out.add_column(str(k + 1) if numbered and head != NO_ANSWER else escape(head), justify="right")
    for k, (name, row) in enumerate(zip(confusion["reference"], counts, strict=True)):
        title = f"{k + 1} {name}" if numbered else name
        out.add_row(escape(title), *(_cell(row, column, right=column == k) for column in shown))
    return out


def _cell(row: Sequence[int], column: int, *, right: bool) -> Text:
    if not row[column]:
        return Text("·", style="dim")
    share = row[column] / sum(row)
    return Text(str(row[column]), style=(RIGHT if right else SHADES)[min(int(share * 3), 2)])


def _table(title: str) -> Table:
    return Table(
        title=title,
        title_justify="left",
        box=box.SIMPLE_HEAD,
        header_style="bold",
        pad_edge=False,
        collapse_padding=True,
    )


def _confused(confusion: dict[str, Any], most: int) -> list[str]:
    """The largest cells off the diagonal."""
    cells = [
        (count, str(truth), NO_ANSWER if answer is None else str(answer))
        for truth, row in zip(confusion["reference"], confusion["counts"], strict=True)
        for answer, count in zip(confusion["answer"], row, strict=True)
        if count and truth != answer
    ]
    cells.sort(key=lambda cell: (-cell[0], *cell[1:]))
    return [f"{truth} taken for {answer}: {count}" for count, truth, answer in cells[:most]]


def policy(results: Results) -> list[str]:
    """By which rules the figures came about."""
    patients = {record.patient for record in results.cases if record.status != NO_REFERENCE}
    return [
        "n counts cases, those without an answer (miss) included: they score as certainly wrong. "
        f"Intervals resample {plural(len(patients), 'patient')}."
    ]


def notes(results: Results) -> list[str]:
    """Undefined figures, calibration, the surest mistakes."""
    return [*_undefined(results), _calibration(results.scores), *_surest_mistakes(results.cases)]


def _undefined(results: Results) -> list[str]:
    support = results.scores.details["support"]
    absent = [name for name, size in support.items() if not size]
    lines = [f"Not among these cases: {some(absent)}."] if absent else []
    if len(support) - len(absent) < 2:
        lines.append("All of one class: MCC and AUC are undefined, and accuracy says little.")
    return lines


def _calibration(scores: Scores) -> str:
    """How sure the model was and how often right, in a sentence."""
    found = scores.details["calibration"]
    gap = found["confidence"] - found["accuracy"]
    word = "" if abs(gap) < OTHER_WAY else ": overconfident" if gap > 0 else ": underconfident"
    output = (scores.contract or {}).get("output") or {}
    temperature = output.get("temperature", 1.0)
    applied = "" if temperature == 1.0 else f"; temperature {temperature:g} of the contract applied"
    return (
        f"Calibration: {number(found['confidence'])} sure on average, {number(found['accuracy'])} right{word}"
        f" (ECE {number(scores.aggregate['ece'].mean)} over {found['bins']} equal-width bins{applied})."
    )


def _surest_mistakes(records: Sequence[CaseRecord]) -> list[str]:
    wrong = [r for r in records if r.status == SCORED and not r.metrics["correct"]]
    wrong.sort(key=lambda r: (-_confidence(r), r.case))
    if not wrong:
        return []
    return [f"Surest mistakes ({len(wrong)} in all):", *(f"  {case_line(r)}" for r in wrong[:WORST])]


def case_line(record: CaseRecord) -> str:
    """A scored case in one line."""
    answer = f"{record.answer['label']} ({number(_confidence(record))})"
    truth = "right" if record.metrics["correct"] else f"WRONG, it is {record.reference}"
    return f"{record.case}: {answer}, {truth}"


def _confidence(record: CaseRecord) -> float:
    return max(record.answer["probabilities"].values())
