"""The plots of a model's page: inside the page while that stays light, as files that load late beyond."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from markupsafe import Markup

from ...zoo.errors import UsageError
from ..plots.curves import curve, read_curve
from ..plots.kinds import available, draw
from ..plots.style import svg
from ..plots.values import metrics_of
from ..runs import Run

if TYPE_CHECKING:
    from matplotlib.figure import Figure

INLINE = 120_000
"""Characters of plots inside one page; it has to be seen before 300 KB are read."""
TITLES = {
    "confusion": "Confusion matrix",
    "reliability": "Reliability: confidence against accuracy",
    "risk-coverage": "Risk against coverage",
    "gldr": "Share of votes for high grade, by patient",
    "curve": "Learning curve",
    "stability": "Stability of reasoning, by section",
    "judge-agreement": "Agreement of the judge with itself",
}
_STYLE = re.compile(r"<style[^>]*>.*?</style>", re.DOTALL)
_SIZE = re.compile(r'(<svg[^>]*?) width="[0-9.]+pt" height="[0-9.]+pt"')


@dataclass(frozen=True)
class Plot:
    """A plot of a page.

    Attributes:
        title: below it.
        alt: what it shows, for those who cannot see it.
        inline: the drawing, in the page's own colours; "" where it is a file.
        src: name of the file; "" where it is inline.
    """

    title: str
    alt: str
    inline: Markup
    src: str


class Drawer:
    """Draws the plots of one page.

    Args:
        stem: that the names of its files begin with.
    """

    def __init__(self, stem: str) -> None:
        self.stem = stem
        self.left = INLINE
        self.files: dict[str, bytes] = {}
        self.notes: list[str] = []

    def of_run(self, run: Run) -> list[Plot]:
        """Everything that one run has the numbers for: box plots by figure, then what its task brings."""
        out = []
        for title, kind, metrics in _wanted(run):
            try:
                out.append(self._plot(title, kind, run, metrics))
            except UsageError as error:  # one run without the numbers does not cost the site
                self.notes.append(f"{title}: {error}")
        return out

    def of_curves(self, curves: Sequence[tuple[str, Path]]) -> list[Plot]:
        """Learning curves, (label, ``curve.csv``) each.

        Raises:
            RunError: one cannot be read.
        """
        if not curves:
            return []
        read = [read_curve(path, label) for label, path in curves]
        return [self._drawn(TITLES["curve"], lambda theme: curve(read, theme=theme))]

    def _plot(self, title: str, kind: str, run: Run, metrics: tuple[str, ...]) -> Plot:
        def make(theme: str) -> Figure:
            figure = draw(kind, [run], metrics=metrics, theme=theme)
            if kind == "box":
                figure.supxlabel("")  # wider than a single panel; the page says it once
            return figure

        return self._drawn(title, make)

    def _drawn(self, title: str, make: Callable[[str], Figure]) -> Plot:
        """Colours that follow the page where it is inside; dark on white in a file."""
        figure = make("inline")
        text = in_page(svg(figure, "inline"))
        alt = str(figure.get_label())
        if len(text) <= self.left:
            self.left -= len(text)
            return Plot(title, alt, Markup(text), "")  # matplotlib has escaped every text in it
        name = f"{self.stem}-{len(self.files)}.svg"
        self.files[name] = ('<?xml version="1.0" encoding="utf-8"?>\n' + svg(make("light"))).encode()
        return Plot(title, alt, Markup(""), name)


def _wanted(run: Run) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    """(title, kind, figures)."""
    for kind in available(run):
        if kind != "box":
            yield TITLES.get(kind, kind), kind, ()
            continue
        for metric in metrics_of([run], ()):
            yield f"{run.figure(metric).title}, by patient", kind, (metric,)


def in_page(text: str) -> str:
    """An SVG that fits the width it is given, and whose style does not reach the rest of the page.

    Example:
        >>> in_page('<svg role="img" width="10pt" height="5.5pt"><style type="text/css">*{}</style></svg>')
        '<svg role="img"></svg>'
    """
    return _SIZE.sub(r"\1", _STYLE.sub("", text), count=1)


def split_curves(given: Sequence[str], models: Sequence[str]) -> list[tuple[str, Path]]:
    """(model, file) of ``MODEL=FILE``; a file alone belongs to the only model there is.

    Raises:
        UsageError: no model of that name, or no name and several models.
    """
    out = []
    for text in given:
        name, equals, rest = text.partition("=")
        if not equals or Path(text).exists():
            name, rest = "", text
        if not name and len(set(models)) == 1:
            name = models[0]
        if name not in models:
            raise UsageError(
                f"--curve {text}: expected MODEL=FILE with one of {', '.join(sorted(set(models)))}"
            )
        out.append((name, Path(rest)))
    return out
