"""Figures of reasoning: what flips when a question is asked again, and whether a judge agrees with itself."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ...eval.views.common import number
from ...zoo.errors import RunError, UsageError
from ..runs import Run
from .style import colour, dress, legend, new_figure, plain, theme_of
from .values import board_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WITHIN, BETWEEN = "the same prompt again", "another wording"
FLIPS = {"flip_rate_within": WITHIN, "flip_rate_between": BETWEEN}
"""Over pairs of answers: rates that do not grow with the number of repeats and prompts."""
LIKENESS = {"likeness_within": WITHIN, "likeness_between": BETWEEN}
HATCHES = ("", "///")
"""Say what the two colours say."""
ALL = "all sections"


@dataclass(frozen=True)
class Share:
    """A share as results hold it.

    Attributes:
        value: 0 to 1; None where it is not known.
        ci95: its interval, or None.
        reason: why it is not known.
    """

    value: float | None
    ci95: tuple[float, float] | None
    reason: str


def stability(
    runs: Sequence[Run], metrics: Sequence[str] = (), *, theme: str = "light", mixed: bool = False
) -> Figure:
    """Per model and section the share of key points that flip between two answers, and how alike these are.

    Solid bars are of two repeats of one prompt, hatched ones of two prompts in other words; lines are 95 %
    intervals over conditions. What is not known is named, not drawn.

    Args:
        runs: of the task reason.
        metrics: not used.
        theme: "light", "dark" or "inline".
        mixed: draw runs of different benchmarks beside each other.

    Raises:
        RunError: the runs cannot be compared, or their figures are no figures.
        UsageError: a run says nothing of its stability.
    """
    board = board_of(runs, mixed)
    told = {label: by_section(run) for label, run in board.runs.items()}
    rows = max(len(sections) for sections in told.values())
    figure = new_figure(9.0, len(told) * (0.46 * rows + 1.1) + 0.3, theme)
    panels = figure.subplots(len(told), 2, squeeze=False)
    said = []
    for (left, right), (label, sections) in zip(panels, told.items(), strict=True):
        flips = _bars(left, sections, FLIPS, theme)
        alike = _bars(right, sections, LIKENESS, theme)
        left.set_title(plain(label))
        left.set_xlabel("share of key points that flip between two answers")
        right.set_xlabel("likeness of answers (chrF)")
        right.set_yticklabels([])
        said.append(f"{label}: key points that flip between two answers: {flips}; likeness: {alike}.")
    legend(panels[0][1], theme, loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=2)
    figure.set_label(f"Stability of reasoning on {board.dataset}. " + " ".join(said))
    return figure


def by_section(run: Run) -> dict[str, dict[str, Share]]:
    """Section ("all sections" first) -> figure -> share, of a run.

    Raises:
        UsageError: the run says nothing of its stability.
        RunError: what it says is damaged.
    """
    found = run.details.get("stability")
    if not isinstance(found, Mapping):
        raise UsageError(f"{run.source}: a run of {run.task!r} says nothing of stability")
    sections = found.get("sections")
    if not isinstance(sections, Mapping):
        raise RunError(f"{run.source}: damaged: stability.sections: expected an object")
    named = {ALL: found.get("all"), **{str(name): told for name, told in sections.items()}}
    return {
        name: {
            key: _share(told, key, f"{run.source}: damaged: stability, {name}") for key in (*FLIPS, *LIKENESS)
        }
        for name, told in named.items()
    }


def judge_agreement(
    runs: Sequence[Run], metrics: Sequence[str] = (), *, theme: str = "light", mixed: bool = False
) -> Figure:
    """How often a judge names the same winner when two answers change places.

    A bar per pair of models that was judged; at 0 a judge looks at the places alone. Lines are 95 %
    intervals over conditions.

    Args:
        runs: of the task reason.
        metrics: not used.
        theme: "light", "dark" or "inline".
        mixed: draw runs of different benchmarks beside each other.

    Raises:
        RunError: the runs cannot be compared, or their figures are no figures.
        UsageError: no judge compared anything.
    """
    board = board_of(runs, mixed)
    rows = {text: share for run in board.runs.values() for text, share in agreements(run).items()}
    figure = new_figure(6.4, 0.5 * len(rows) + 1.2, theme)
    ax = figure.subplots()
    for row, share in enumerate(rows.values()):
        _bar(ax, row, 0.6, share, 0, theme)
    ax.set_yticks(range(len(rows)), [plain(text, 60) for text in rows])
    ax.set_ylim(len(rows) - 0.4, -0.6)
    ax.set_xlim(0, 1.02)
    ax.set_xlabel("agreement of the judge with itself, places swapped")
    dress(ax, theme, "x")
    said = [f"{text}: {_in_words(share)}." for text, share in rows.items()]
    figure.set_label(f"Agreement of judges on {board.dataset}. " + " ".join(said))
    return figure


def agreements(run: Run) -> dict[str, Share]:
    """ "judge: first, second" -> agreement, of a run.

    Raises:
        UsageError: no judge compared anything.
        RunError: what the run says is damaged.
    """
    found = run.details.get("judge")
    if not isinstance(found, list) or not found:
        raise UsageError(f"{run.source}: a run of {run.task!r} holds no verdicts of a judge")
    out = {}
    for told in found:
        if not isinstance(told, Mapping):
            raise RunError(f"{run.source}: damaged: judge: expected objects")
        names = [str(told.get(key, "?")) for key in ("judge", "first", "second")]
        text = f"{names[0]}: {names[1]}, {names[2]}" + (f" ({told['arm']})" if "arm" in told else "")
        out[text] = _share(told, "agreement", f"{run.source}: damaged: judge")
    return out


def _share(told: Any, key: str, where: str) -> Share:
    plain_share = told.get(key) if isinstance(told, Mapping) else None
    if not isinstance(plain_share, Mapping):
        raise RunError(f"{where}: expected an object {key!r}")
    value, ci95 = plain_share.get("value"), plain_share.get("ci95")
    numbers = [] if value is None else [value]
    numbers += [] if ci95 is None else ci95 if isinstance(ci95, list) and len(ci95) == 2 else [None]
    if not all(_is_number(one) for one in numbers):
        raise RunError(f"{where}: {key}: expected numbers, got {str(dict(plain_share))[:80]}")
    interval = None if ci95 is None else (float(ci95[0]), float(ci95[1]))
    return Share(None if value is None else float(value), interval, str(plain_share.get("reason", "")))


def _is_number(one: object) -> bool:
    return isinstance(one, int | float) and not isinstance(one, bool) and math.isfinite(one)


def _bars(ax: Axes, sections: Mapping[str, Mapping[str, Share]], keys: Mapping[str, str], theme: str) -> str:
    """Two bars per section; what is seen of all sections, in words."""
    for row, told in enumerate(sections.values()):
        for place, key in enumerate(keys):
            _bar(ax, row + 0.2 * (2 * place - 1), 0.36, told[key], place, theme)
    for place, text in enumerate(keys.values()):
        ax.bar([0], [0], color=colour(place), hatch=HATCHES[place], label=text)
    ax.set_yticks(range(len(sections)), [plain(name, 24) for name in sections])
    ax.set_ylim(len(sections) - 0.4, -0.6)
    ax.set_xlim(0, 1.02)
    dress(ax, theme, "x")
    together = next(iter(sections.values()))
    return ", ".join(f"{text} {_in_words(together[key])}" for key, text in keys.items())


def _bar(ax: Axes, y: float, height: float, share: Share, place: int, theme: str) -> None:
    ink = theme_of(theme).ink
    if share.value is None:
        ax.text(
            0.01, y, plain(share.reason or "not known"), va="center", fontsize=7, color=ink, style="italic"
        )
        return
    look: dict[str, Any] = {
        "color": colour(place),
        "hatch": HATCHES[place],
        "edgecolor": ink,
        "linewidth": 0.5,
        "alpha": 0.85,
    }
    ax.barh([y], [share.value], height=height, **look)
    if share.ci95 is not None:
        ax.plot(share.ci95, [y, y], color=ink, lw=1.3, solid_capstyle="butt")


def _in_words(share: Share) -> str:
    return (
        number(share.value) if share.value is not None else f"not known ({share.reason or 'no reason given'})"
    )
