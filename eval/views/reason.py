"""What a person sees of ``reason``: figures by section and arm, how answers ended, models compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich import box
from rich.markup import escape
from rich.table import Table

from .. import jsonnum, markdown
from .common import figure, number, plural, some
from .language import _usage as usage_lines
from .language import case_line as case_line

if TYPE_CHECKING:
    from ..results import Results

STATUSES = ("answered", "cut", "empty", "refused", "malformed", "no reply")
ROWS = ("recall", "precision")
MOST_PROBLEMS = 20
STABILITY = (
    ("flips_within", "key points that flip among repeats"),
    ("flips_between", "key points that flip among prompts"),
    ("likeness_within", "likeness of repeats"),
    ("likeness_between", "likeness of prompts"),
)


def tables(results: Results) -> list[Table]:
    """Figures down, arms across, sections below their figure; then how the answers ended."""
    return [_figures(results), _statuses(results)]


def _figures(results: Results) -> Table:
    details = results.scores.details
    arms = details["arms"]
    out = Table(
        title=_heading(results),
        title_justify="left",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        padding=(0, 1, 0, 0),  # three arms have to fit beside each other
    )
    out.add_column("figure", no_wrap=True, vertical="bottom")
    for arm in arms:
        out.add_column(f"{arm}\nmean \\[95 % CI]", justify="right", vertical="bottom", no_wrap=True)
        out.add_column("n/miss\n/empty", justify="right", style="dim", vertical="bottom")
    names = list(
        dict.fromkeys(name.rpartition("_")[0] for name in results.aggregate if _is_whole(name, arms))
    )
    for name in names:
        out.add_row(name, *_cells(results, arms, name))
        for section in details["sections"] if name in ROWS else ():
            out.add_row(f"  {escape(section)}", *_cells(results, arms, name, f"_{section}"), style="dim")
    return out


def _is_whole(name: str, arms: Sequence[str]) -> bool:
    return name.rpartition("_")[2] in arms and "_minus_" not in name


def _cells(results: Results, arms: Sequence[str], name: str, section: str = "") -> list[str]:
    cells: list[str] = []
    for arm in arms:
        found = results.aggregate.get(f"{name}_{arm}{section}")
        cells += ["-", ""] if found is None else [figure(found), f"{found.n}/{found.missing}/{found.empty}"]
    return cells


def _heading(results: Results) -> str:
    counts = results.scores.counts
    items = f"{plural(counts['cases'], 'item')} of {plural(counts['patients'], 'condition')}"
    return f"{escape(results.scores.model['name'])} on {escape(results.dataset['name'])}: reason ({items})"


def _statuses(results: Results) -> Table:
    out = Table(title="sections of answers", title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    out.add_column("arm", no_wrap=True)
    for status in STATUSES:
        out.add_column(status, justify="right")
    for arm, sections in results.scores.details["statuses"].items():
        out.add_row(arm, *(str(sections["all"].get(status, 0)) for status in STATUSES))
    return out


def policy(results: Results) -> list[str]:
    """By which rules the figures came about, and what the gold is worth."""
    benchmark = results.scores.details["benchmark"]
    lines = [
        "Means over items; a section without an answer counts 0, intervals resample conditions. recall: "
        "share of key points that are stated; precision: share of sentences that the gold bears out.",
    ]
    if benchmark["verified"] < benchmark["items"]:
        verified = f"{benchmark['verified']} of {benchmark['items']}"
        lines.append(f"GOLD: {verified} items verified by an expert; the rest is as good as its source.")
    return lines


def notes(results: Results) -> list[str]:
    """What the classification gains, who classified, how stable the answers are, what was not answered."""
    details = results.scores.details
    answers = details["answers"]
    lines = _gains(results)
    if "classifier" in details:
        lines += _classifier(details["classifier"])
    lines += _stability(details["stability"])
    lines.append(
        f"Questions: {answers['questions']}, {answers['answers']} answered, {answers['no_reply']} without a "
        "reply."
    )
    lines += usage_lines(details.get("usage"))
    if "seconds_per_answer" in details:
        lines.append(f"Time: {details['seconds_per_answer']:.2f} s per answer.")
    return lines + _problems(details["problems"])


def _gains(results: Results) -> list[str]:
    lines = []
    for name, found in results.aggregate.items():
        metric, minus, second = name.partition("_minus_")
        if minus and metric.startswith("recall_"):
            first = metric.removeprefix("recall_")
            bounds = "" if found.ci95 is None else f" [{found.ci95[0]:+.3f}, {found.ci95[1]:+.3f}]"
            told = f"{first} minus {second}: {found.mean:+.3f}{bounds}"
            lines.append(f"Gain of recall, {told}, {plural(found.n, 'item')}.")
    return lines


def _classifier(found: Mapping[str, Any]) -> list[str]:
    calibrated = "calibrated" if found["calibrated"] else "NOT calibrated"
    lines = [
        f"Classifier: {found['name']} ({calibrated}), {found['right']} of {found['images']} images right"
        f"{', ' + str(found['failed']) + ' failed' if found['failed'] else ''}; left out because it was "
        f"trained on them: {found['trained_on_left_out']}."
    ]
    if found["never_found"]:
        lines.append(f"  No label of it means {some(found['never_found'])}: always found wrongly.")
    return lines


def _stability(found: Mapping[str, Any]) -> list[str]:
    known = [(words, found["all"][name]) for name, words in STABILITY]
    parts = [
        f"{words} {number(one['value'])}{_bounds(one['ci95'])}"
        for words, one in known
        if one["value"] is not None
    ]
    if not parts:
        return ["Stability: not known; ask with --repeats and --prompt all."]
    return [f"Stability: {'; '.join(parts)}."]


def _bounds(ci95: Sequence[Any] | None) -> str:
    if ci95 is None:
        return ""
    return f" [{number(jsonnum.decode(ci95[0]))}, {number(jsonnum.decode(ci95[1]))}]"


def _problems(found: Sequence[str]) -> list[str]:
    if not found:
        return []
    more = [f"  and {len(found) - MOST_PROBLEMS} more"] if len(found) > MOST_PROBLEMS else []
    return [f"Not answered ({len(found)}):", *(f"  {line}" for line in found[:MOST_PROBLEMS]), *more]


def comparison_text(record: Mapping[str, Any]) -> str:
    """A comparison of models as Markdown: by arm ranking, its stability and pairs; then who failed."""
    benchmark = record["benchmark"]
    head = (
        f"# Reasoning on {benchmark['name']}\n\n{plural(benchmark['items'], 'item')} of "
        f"{plural(benchmark['conditions'], 'condition')}, {benchmark['verified'] or 'NONE'} verified by an "
        f"expert; prompts {', '.join(record['prompts'])}, {plural(record['repeats'], 'repeat')}."
    )
    parts = [head, *(_arm(name, arm) for name, arm in record["arms"].items())]
    parts += [_judged(one) for one in record.get("judge", ())]
    failed = [model for model in record["models"] if model["status"] == "failed"]
    if failed:
        lines = [f"- {model['name']}: {model['reason']}" for model in failed]
        parts.append("\n".join([f"## Failed ({len(failed)} of {len(record['models'])})", "", *lines]))
    return "\n\n".join(parts) + "\n"


def _arm(name: str, arm: Mapping[str, Any]) -> str:
    rows = [
        [
            str(place),
            one["name"],
            number(jsonnum.decode(one["mean"])),
            _bounds(one["ci95"]).strip() or "-",
            f"{one['n']}/{one['missing']}/{one['empty']}",
        ]
        for place, one in enumerate(arm["ranking"], 1)
    ]
    table = markdown.table(["", "model", "recall", "95 % CI", "n/miss/empty"], rows, left=2)
    parts = [f"## Arm {name}", table, _ranks(arm["ranks"])]
    if arm["pairs"]:
        header = ["first", "second", "conditions", "difference [95 % CI]", "permutation p", "Holm p"]
        parts.append(markdown.table(header, [_pair(pair) for pair in arm["pairs"]], left=2))
        parts.append("Differences of recall, means over conditions; Holm adjusts the permutation test.")
    else:
        parts.append(f"No pairs: {arm['no_pairs']}.")
    return "\n\n".join(parts)


def _ranks(ranks: Mapping[str, Any]) -> str:
    tau = ranks["tau"]
    if tau["value"] is None:
        return f"Stability of the ranking among prompts: not known ({tau['reason']})."
    return (
        f"Stability of the ranking among prompts: Kendall's tau {number(tau['value'])}"
        f"{_bounds(tau['ci95'])} over {plural(tau['n'], 'pair')} of prompts."
    )


def _pair(pair: Mapping[str, Any]) -> list[str]:
    bounds = "" if pair["ci95"] is None else f" [{pair['ci95'][0]:+.3f}, {pair['ci95'][1]:+.3f}]"
    values = (pair["p_permutation"], jsonnum.decode(pair["p_holm"]))
    return [
        pair["first"],
        pair["second"],
        str(pair["n"]),
        f"{pair['difference']:+.3f}{bounds}",
        *(f"{value:.4f}" for value in values),
    ]


def _judged(one: Mapping[str, Any]) -> str:
    wins, agreement = one["wins"], one["agreement"]
    agreed = f"not known ({agreement['reason']})"
    if agreement["value"] is not None:
        agreed = f"{number(agreement['value'])}{_bounds(agreement['ci95'])} of {agreement['n']}"
    return (
        f"Judge {one['judge']}, arm {one['arm']}: {one['first']} {wins['first']}, {one['second']} "
        f"{wins['second']}, ties {wins['tie']}, not judged {one['not_judged']}; agrees with itself when "
        f"places are swapped: {agreed}."
    )
