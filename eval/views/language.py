"""What a person sees of a language model: three protocols side by side, baselines, what was not answered."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich import box
from rich.markup import escape
from rich.table import Table

from .. import jsonnum
from ..records import CaseRecord
from .common import number, plural, some

if TYPE_CHECKING:
    from ..results import Results

UNITS = {
    "hd": "px",
    "hd95": "px",
    "shortest_p95": "px",
    "euclid_p95": "px",
    "shortest_p95_mm": "mm",
    "euclid_p95_mm": "mm",
}
MOST_PROBLEMS = 20
ABOUT_GRADES, ABOUT_REGIONS = ("vote", "no_slices"), ("empty", "unanswered", "pooling")
"""Rules without a meaning elsewhere."""


def tables(results: Results) -> list[Table]:
    """Metrics down, the three protocols across; below each figure what trivial answers score."""
    details = results.scores.details
    out = Table(title=_heading(results), title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    out.add_column("metric", no_wrap=True, vertical="bottom")
    for protocol in details["protocols"]:
        out.add_column(_column(details, protocol), justify="right", no_wrap=True)
    for name in results.aggregate:
        scorings = details["scoring"].items()
        out.add_row(_title(name), *(_figure(details["protocols"][p].get(name)) for p, _ in scorings))
        for baseline in next(iter(details["scoring"].values()))["baselines"]:
            cells = [_plain(scoring["baselines"][baseline], name) for _, scoring in scorings]
            out.add_row(f"  {escape(baseline)}", *cells, style="dim")
    return [out]


def _column(details: dict[str, Any], protocol: str) -> str:
    mark = " *" if protocol == details["protocol"] else ""
    found = next(iter(details["protocols"][protocol].values()))
    missing = f", {found['missing']} left out" if found["missing"] else ""
    return f"{protocol}{mark}\n{plural(found['n'], 'patient')}{missing}"


def _heading(results: Results) -> str:
    model, data = results.scores.model["name"], results.dataset["name"]
    patients = plural(results.scores.counts["patients"], "patient")
    plane = results.scores.details.get("shown", {}).get("plane")
    asked = f"{results.task}, {plane}" if plane else results.task
    return f"{escape(model)} on {escape(data)}: {escape(asked)} ({patients})"


def _title(name: str) -> str:
    unit = UNITS.get(name)
    return f"{name.removesuffix('_mm')}, {unit}" if unit else name


def _figure(one: dict[str, Any] | None) -> str:
    if one is None:
        return "-"
    bounds = ", ".join(number(jsonnum.decode(bound)) for bound in one["ci95"] or ())
    return number(jsonnum.decode(one["mean"])) + (f" \\[{bounds}]" if bounds else "")


def _plain(values: dict[str, Any], name: str) -> str:
    return number(jsonnum.decode(values[name])) if name in values else "-"


def policy(results: Results) -> list[str]:
    """By which rules the figures came about."""
    details = results.scores.details
    rules = details["scoring"][details["protocol"]]["rules"]
    idle = ABOUT_REGIONS if results.task == "grade" else ABOUT_GRADES
    shown = ", ".join(
        f"{n.replace('_', '-')} {v}"
        for n, v in rules.items()
        if n not in ("name", "quirks", "assumed", *idle)
    )
    quirks = f"; as in the study: {', '.join(rules['quirks'])}" if rules["quirks"] else ""
    return [f"Rules * ({rules['name']}): {shown}{quirks}. Means over patients; intervals resample them."]


def notes(results: Results) -> list[str]:
    """What was not answered, who was left out, what could not be used."""
    details = results.scores.details
    scoring = details["scoring"][details["protocol"]]
    answers = details["answers"]
    lines = [
        f"Answers: {answers['answers']}, {answers['understood']} understood, {answers['repaired']} repaired, "
        f"{answers['refused']} refused."
    ]
    for why, names in scoring["left_out"].items():
        lines.append(f"Left out, {why.replace('_', ' ')} ({len(names)}): {some(names)}")
    if scoring["facts"].get("assumed"):
        assumed = [f"{patient} {grade}" for patient, grade in scoring["facts"]["assumed"].items()]
        lines.append(
            f"ASSUMED, not recorded ({len(assumed)}): {some(assumed)}. Counted as if the model had said so."
        )
    if "auc_from" in scoring["facts"]:
        lines.append(f"AUC from {scoring['facts']['auc_from']}.")
    lines += _usage(details.get("usage"))
    return [*lines, *_consistency(details), *_selective(details), *_problems(details)]


def _usage(used: dict[str, Any] | None) -> list[str]:
    if not used:
        return []
    cost = used["cost"] if isinstance(used["cost"], str) else f"{used['cost']:.6g}"
    return [f"Tokens: {used['tokens_in']} read, {used['tokens_out']} written; cost {cost}."]


def _consistency(details: dict[str, Any]) -> list[str]:
    lines = []
    for over, found in details["consistency"].items():
        kappa = f", kappa {number(found['kappa'])}" if found.get("kappa") is not None else ""
        spread = f", spread {number(found['rms_px'])} px" if found.get("rms_px") is not None else ""
        lines.append(
            f"Consistency over {over} ({plural(found['questions'], 'question')}): agreement "
            f"{number(found['agreement'])}, entropy {number(found['entropy_bits'])} bits, flip rate "
            f"{number(found['flip_rate'])}{kappa}{spread}."
        )
    return lines


def _selective(details: dict[str, Any]) -> list[str]:
    lines = []
    for unit, found in details["selective"].items():
        last = found["filters"][-1]
        lines.append(
            f"Answering only when sure, by {unit}: accuracy {number(jsonnum.decode(last['accuracy']))} at "
            f"coverage {number(last['coverage'])}; AURC {number(found['aurc'])} (lower is "
            f"better; at best {number(found['best_aurc'])})."
        )
    return lines


def _problems(details: dict[str, Any]) -> list[str]:
    found = details["problems"]
    if not found:
        return []
    more = [f"  and {len(found) - MOST_PROBLEMS} more"] if len(found) > MOST_PROBLEMS else []
    shown = [f"  {line}" for line in found[:MOST_PROBLEMS]]
    return [f"Not used or not answered ({len(found)}):", *shown, *more]


def case_line(record: CaseRecord) -> str:
    """A case in one line."""
    if "new" in record.answer:
        failed = record.answer["failed"]
        answers = plural(record.answer["answers"], "answer")
        return f"{record.case}: {answers}, {failed} failed" if failed else f"{record.case}: {answers}"
    metrics = {name: value for name, value in record.metrics.items() if name in ("dice", "in_box", "correct")}
    return f"{record.case}: " + ", ".join(f"{name} {number(value)}" for name, value in metrics.items())
