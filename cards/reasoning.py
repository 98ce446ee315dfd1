"""The part of a card about a run of the task reason: arms, sections, ends of answers, the gold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..eval.views.common import number, plural, some
from .figures import ARMS, REASON, arm_of
from .markdown import Md, bullets, mean_of, table
from .names import as_markdown
from .plots.reasoning import FLIPS, LIKENESS, by_section
from .runs import Run

STATUSES = ("answered", "cut", "empty", "refused", "malformed", "no reply")
"""How the section of an answer can end; all but the first score 0."""
BY_SECTION = ("recall", "precision")
EVERY = "all"


def reasoning_section(run: Run) -> str:
    """Everything that the figures' table does not hold; "" for other tasks."""
    if run.task != REASON:
        return ""
    parts = [bullets(map(as_markdown, reasoning_lines(run)))]
    for title, (header, rows) in (
        ("By section", sections_table(run)),
        ("How answers ended", status_table(run)),
        ("Stability", stability_table(run)),
    ):
        parts += [f"**{title}**\n\n{table(header, rows)}"] if rows else []
    return "\n\n".join(parts)


def reasoning_lines(run: Run) -> list[str]:
    """Who checked the gold, what was asked how often, who found what the prompt says."""
    details, options = run.details, run.results.options
    gold, answers = details.get("benchmark") or {}, details.get("answers") or {}
    verified = gold.get("verified", 0)
    prompts, repeats = some(options.get("prompts") or ()), options.get("repeats", 1)
    lines = [
        f"gold: {verified or 'NONE'} of {gold.get('items', 0)} items verified by an expert",
        f"asked: prompts {prompts}, {plural(repeats, 'time')} each",
        f"questions: {answers.get('questions', 0)}, of them {answers.get('no_reply', 0)} without a reply",
        f"scorers beside key points: {some(options.get('scorers') or ()) or 'none'}",
    ]
    return lines + classifier_lines(run)


def classifier_lines(run: Run) -> list[str]:
    """Who found the finding that the prompts of the arm ``predicted`` say, and how well it finds."""
    found = run.details.get("classifier")
    if not isinstance(found, Mapping):
        return []
    calibrated = "calibrated" if found.get("calibrated") else "NOT calibrated"
    return [
        f"finding by {found.get('name', '')} ({calibrated}): {found.get('right', 0)} of "
        f"{found.get('images', 0)} images right"
    ]


def arms_of(run: Run) -> list[str]:
    """The arms that were asked, as the results name them."""
    return [str(arm) for arm in run.details.get("arms") or ()]


def sections_table(run: Run) -> tuple[list[str], list[list[Any]]]:
    """(titles, rows): recall and precision of each section, an arm a column."""
    arms = arms_of(run)
    rows: list[list[Any]] = []
    for base in BY_SECTION:
        for section in run.details.get("sections") or ():
            found = [run.figures.get(f"{base}_{arm}_{section}") for arm in arms]
            rows.append([f"{base}: {section}", *(mean_of(figure) for figure in found)])
    return ["figure", *(ARMS.get(arm, arm) for arm in arms)], rows


def status_table(run: Run) -> tuple[list[str], list[list[Any]]]:
    """(titles, rows): how many sections of answers ended how, by arm and section."""
    rows: list[list[Any]] = []
    for arm, sections in (run.details.get("statuses") or {}).items():
        for section, counts in sections.items():
            name = f"{ARMS.get(arm, arm)}: {'all sections' if section == EVERY else section}"
            rows.append([name, *(str(counts.get(status, 0)) for status in STATUSES)])
    return ["arm and section", *STATUSES], rows


def stability_table(run: Run) -> tuple[list[str], list[list[Any]]]:
    """(titles, rows): what flips and how alike answers are, over all sections; the reason where not known."""
    if not run.details.get("stability"):
        return [], []
    whole = next(iter(by_section(run).values()))
    rows: list[list[Any]] = []
    for title, keys in (
        ("key points that flip between two answers", FLIPS),
        ("likeness of answers", LIKENESS),
    ):
        for key, words in keys.items():
            share = whole[key]
            told = share.reason or "not known"
            if share.value is not None:
                bounds = "" if share.ci95 is None else f" [{number(share.ci95[0])}, {number(share.ci95[1])}]"
                told = Md(number(share.value) + bounds)
            rows.append([f"{title}: {words}", told])
    return ["figure", Md("share [95 % CI]")], rows


def is_whole(name: str) -> bool:
    """Whether a figure is about all sections; those of one section have a table of their own."""
    found = arm_of(name)
    return found is None or not found[2]


def whole_figures(run: Run) -> Sequence[str]:
    """Names of the figures that the main table shows."""
    return [name for name in run.figures if run.task != REASON or is_whole(name)]
