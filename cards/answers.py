"""The part of a card about a language model's run: how it was asked, how its answers were read."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from ..eval import jsonnum
from ..eval.aggregate import Aggregate
from ..eval.results import aggregate_from_dict
from ..eval.views.common import number, plural
from .markdown import Md, bullets, mean_of, table
from .names import as_markdown
from .runs import Run


def answers_section(run: Run) -> str:
    """What was asked, how much of the answers could be read, and the figures by every protocol."""
    if not run.is_language:
        return ""
    return "\n\n".join(part for part in (bullets(answer_lines(run)), protocol_table(run)) if part)


def answer_lines(run: Run) -> list[str]:
    """How the model was asked, how its answers were read, how consistent and how sure they are."""
    details, lines = run.details, _asked_lines(run)
    answers = details.get("answers") or {}
    if answers:
        lines.append(_read_line(answers, run))
    for over, values in (details.get("consistency") or {}).items():
        shown = ", ".join(f"{key.replace('_', ' ')} {_number(v)}" for key, v in _numbers(values))
        lines.append(f"consistency over {as_markdown(over)}: {as_markdown(shown)}")
    for unit, found in (details.get("selective") or {}).items():
        lines.append(
            f"selective answers by {as_markdown(unit)}: area under risk and coverage "
            f"{number(_value(found.get('aurc')))} (best possible {number(_value(found.get('best_aurc')))})"
        )
    if details.get("problems"):
        lines.append(
            f"{plural(len(details['problems']), 'problem')} with answers or references, in the results file"
        )
    return lines


def _asked_lines(run: Run) -> list[str]:
    shown, lines = run.details.get("shown") or {}, []
    words = [f"{key} {shown[key]}" for key in ("plane", "modality") if shown.get(key)]
    words += [f"slices: {shown['which']}"] if shown.get("which") else []
    if words:
        lines.append(f"shown: {as_markdown(', '.join(words))}")
    if shown.get("prompts"):
        lines.append(f"wording: {as_markdown(', '.join(map(str, shown['prompts'])))}")
    settings = (run.details.get("identity") or {}).get("settings") or {}
    if settings:
        lines.append(
            f"settings: {as_markdown(', '.join(f'{key} {value}' for key, value in settings.items()))}"
        )
    return lines


def _read_line(answers: Mapping[str, Any], run: Run) -> str:
    """The parse rate: the share of answers in which something was read, with or without a repair."""
    told = {key: int(answers.get(key, 0)) for key in ("answers", "understood", "repaired", "refused")}
    rate = (told["understood"] + told["repaired"]) / told["answers"] if told["answers"] else math.nan
    parser = as_markdown(run.results.options.get("parser", ""))
    return (
        f"parse rate {number(rate)} ({parser} parser): of {told['answers']} answers {told['understood']} "
        f"understood as they are, {told['repaired']} repaired, {told['refused']} refused"
    )


def protocol_table(run: Run) -> str:
    """The deciding figures under each protocol, the run's own first; "" where there is only one."""
    protocols = run.details.get("protocols") or {}
    own = str(run.details.get("protocol", ""))
    names = sorted(protocols, key=lambda name: name != own)
    if len(names) < 2:
        return ""
    rows = []
    for metric in run.headline:
        about = run.figure(metric)
        title = about.title + (f", {about.unit}" if about.unit else "")
        rows.append([title, *(_of_protocol(protocols[name].get(metric)) for name in names)])
    header = ["figure", *(f"{name} (this run's rules)" if name == own else name for name in names)]
    return table(header, rows) + "\n\nThe same answers under three sets of rules: mean [95 % CI], n, missing."


def _of_protocol(plain: Mapping[str, Any] | None) -> Md | str:
    if not plain:
        return ""
    figure: Aggregate = aggregate_from_dict(plain)
    return Md(f"{mean_of(figure)}, n {figure.n}, {figure.missing} missing")


def _numbers(values: Any) -> list[tuple[str, Any]]:
    plain = values if isinstance(values, Mapping) else {}
    return [(k, v) for k, v in plain.items() if isinstance(v, int | float) and not isinstance(v, bool)]


def _number(value: Any) -> str:
    return str(value) if isinstance(value, int) else number(_value(value))


def _value(value: Any) -> float:
    return jsonnum.decode(value) if not isinstance(value, list | dict) else math.nan
