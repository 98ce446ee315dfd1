"""Colours, themes, and writing figures so that the same figure gives the same bytes."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...eval.files import atomic_write
from ...zoo.errors import MissingDependencyError, UsageError
from ..names import as_html, visible

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
"""Of Okabe and Ito 2008, without yellow and black, which vanish on white and on dark."""
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
LONGEST = 38
_STAND_IN = "#010203"
"""The ink of the theme "inline" while it is drawn; in the SVG it becomes ``currentColor``."""


@dataclass(frozen=True)
class Theme:
    """Colours of what is not data.

    Attributes:
        paper: behind everything; "none" for nothing.
        ink: of text and axes.
        faint: opacity of the ink in grids.
    """

    paper: str
    ink: str
    faint: float = 0.18


THEMES = {
    "light": Theme("#ffffff", "#1f2937"),
    "dark": Theme("#111827", "#e5e7eb"),
    "inline": Theme("none", _STAND_IN),
}
"""The theme "inline" is for SVG within a page: it takes the page's own text colour, light or dark."""


def theme_of(name: str) -> Theme:
    """A theme by its name.

    Raises:
        UsageError: no such theme.
    """
    if name not in THEMES:
        raise UsageError(f"theme: got {name!r}, expected one of {', '.join(THEMES)}")
    return THEMES[name]


def new_figure(width: float, height: float, theme: str) -> Figure:
    """An empty figure; size in inches.

    Raises:
        MissingDependencyError: matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingDependencyError("figures need matplotlib: pip install matplotlib") from error
    return Figure(figsize=(width, height), layout="constrained", facecolor=theme_of(theme).paper)


def dress(ax: Axes, theme: str, grid: str = "both") -> None:
    """Give axes the theme's colours, a faint grid, and no box around them."""
    look = theme_of(theme)
    ax.set_facecolor("none")
    for side in ("top", "right"):
        ax.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        ax.spines[side].set_color(look.ink)
    ax.tick_params(colors=look.ink, which="both", labelsize=9)
    for text in (ax.xaxis.label, ax.yaxis.label, ax.title):
        text.set_color(look.ink)
    ax.title.set_fontsize(10)
    if grid != "none":
        ax.grid(True, axis=grid, color=look.ink, alpha=look.faint, linewidth=0.7)  # type: ignore[arg-type]
    ax.set_axisbelow(True)


def legend(ax: Axes, theme: str, **where: Any) -> None:
    """A legend without a frame."""
    found = ax.legend(frameon=False, fontsize=9, **where)
    for text in found.get_texts():
        text.set_color(theme_of(theme).ink)


def plain(text: object, longest: int = LONGEST) -> str:
    """Untrusted text for a figure: one line, not too long, never read as mathematics.

    Example:
        >>> plain("a $x$ b"), plain("m" * 50, 5)
        ('a \\\\$x\\\\$ b', 'mmmm…')
    """
    shown = visible(text)
    shown = shown if len(shown) <= longest else shown[: longest - 1] + "…"
    return shown.replace("$", "\\$")


def colour(index: int) -> str:
    """Of the series of that number."""
    return COLOURS[index % len(COLOURS)]


def marker(index: int) -> str:
    """Of the series of that number: it says what its colour says."""
    return MARKERS[index % len(MARKERS)]


def svg(figure: Figure, theme: str = "light") -> str:
    """A figure as SVG text, ready to stand in a page: without prolog, with its label as alternative text.

    Text stays text. The same figure gives the same bytes.
    """
    out = io.StringIO()
    label = figure.get_label() or "figure"
    with _drawing(str(label)):
        figure.savefig(out, format="svg", metadata={"Date": None, "Creator": None})
    text = out.getvalue()
    text = re.sub(r"<metadata>.*?</metadata>\s*", "", text[text.index("<svg") :], flags=re.DOTALL)
    used = set(re.findall(r'(?:xlink:href="#|href="#|url\(#)([^")]+)', text))
    text = re.sub(r' id="([^"]*)"', lambda found: found[0] if found[1] in used else "", text)
    head = f'<svg role="img" aria-label="{as_html(label)}"'
    return head + text[len("<svg") :].replace(_STAND_IN, "currentColor" if theme == "inline" else _STAND_IN)


def save(figure: Figure, path: Path, theme: str = "light") -> None:
    """Write a figure as SVG or PNG, by the ending of ``path``, in one step.

    Raises:
        UsageError: another ending, or a PNG of the theme "inline", which only a page can colour.
        RunError: the file cannot be written.
    """
    ending = path.suffix.lower()
    if ending not in (".svg", ".png"):
        raise UsageError(f"{path}: expected a name that ends in .svg or .png")
    if ending == ".png" and theme == "inline":
        raise UsageError(f'{path}: the theme "inline" is for .svg; take light or dark')
    if ending == ".svg":
        data = ('<?xml version="1.0" encoding="utf-8"?>\n' + svg(figure, theme)).encode()
    else:
        out = io.BytesIO()
        with _drawing("png"):
            figure.savefig(out, format="png", dpi=150, metadata={"Software": None})
        data = out.getvalue()
    path.parent.mkdir(parents=True, exist_ok=True)
    atomic_write(path, data)


@contextmanager
def _drawing(salt: str) -> Iterator[None]:
    """Settings of matplotlib for the time of one drawing: no chance in names, text as text."""
    import matplotlib as mpl

    with mpl.rc_context({"svg.hashsalt": salt, "svg.fonttype": "none"}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        yield
