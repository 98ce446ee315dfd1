"""Small drawings inside the pages, as SVG: intervals, and accuracy against cost.

They carry no colour of their own: the style sheet gives them one that fits light and dark pages.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

from ...eval.aggregate import Aggregate
from ...eval.views.common import number

WIDTH, HEIGHT = 720, 360
LEFT, RIGHT, TOP, BOTTOM = 56, 150, 16, 46
LETTERS = 22
"""Of a name beside its dot; the whole one is in the dot's title."""


def interval(a: Aggregate | None, low: float, high: float) -> Markup:
    """A mean on a line from ``low`` to ``high``, with its interval; the numbers stand beside it.

    The dot is a line without length, which no stretching of the drawing deforms.

    Example:
        >>> 'class="mean"' in interval(Aggregate(0.5, (0.4, 0.6), 8, 0, 0), 0.0, 1.0)
        True
        >>> interval(None, 0.0, 1.0)
        Markup('')
    """
    if a is None or not math.isfinite(a.mean) or not high > low:
        return Markup("")

    def x(value: float) -> str:
        return f"{2 + 96 * (min(max(value, low), high) - low) / (high - low):.1f}"

    bar = ""
    if a.ci95 is not None and all(map(math.isfinite, a.ci95)):
        bar = f'<path d="M{x(a.ci95[0])} 5H{x(a.ci95[1])}"/>'
    return Markup(
        '<svg class="ci" viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true">'
        f'<path class="base" d="M2 5H98"/>{bar}<path class="mean" d="M{x(a.mean)} 5h0"/></svg>'
    )


@dataclass(frozen=True)
class Dot:
    """A run in the plot.

    Attributes:
        label: its name.
        href: of its page.
        cost: per axial slice, above 0.
        low, high: between which the cost lies; equal to it where nothing is said.
        value: of the deciding figure.
        filled: whether the cost was measured.
    """

    label: str
    href: str
    cost: float
    low: float
    high: float
    value: float
    filled: bool


def front(dots: Sequence[Dot], lower: bool = False) -> list[Dot]:
    """The dots that no other beats in both cost and value, cheapest first.

    Args:
        dots: any.
        lower: whether a smaller value is better.

    Example:
        >>> a, b, c = (Dot(n, "", cost, cost, cost, v, True) for n, cost, v in
        ...            (("a", 1, 0.5), ("b", 2, 0.4), ("c", 3, 0.9)))
        >>> [dot.label for dot in front([c, b, a])]
        ['a', 'c']
    """
    sign = -1 if lower else 1
    best, kept = -math.inf, []
    for dot in sorted(dots, key=lambda d: (d.cost, -sign * d.value)):
        if sign * dot.value > best:
            best = sign * dot.value
            kept.append(dot)
    return kept


def pareto(dots: Sequence[Dot], cost: str, value: str, lower: bool = False) -> Markup:
    """Value against cost, the cost on a logarithmic axis; a line joins the runs that no other beats.

    Args:
        dots: with costs above 0.
        cost, value: titles of the axes.
        lower: whether a smaller value is better.

    Returns:
        An SVG; "" without dots.
    """
    if not dots:
        return Markup("")
    plot = _Plot.of(dots)
    best = front(dots, lower)
    line = " ".join(f"{plot.x(d.cost):.1f},{plot.y(d.value):.1f}" for d in best)
    names = ", ".join(dot.label for dot in best)
    head = Markup(
        '<svg class="pareto" viewBox="0 0 {} {}" role="img" '
        'aria-label="{} against {}; not beaten in both: {}">'
    ).format(WIDTH, HEIGHT, value, cost, names)
    parts = [*plot.axes(cost, value), Markup('<polyline class="front" points="{}"/>').format(line)]
    parts += plot.labelled(sorted(dots, key=lambda d: plot.y(d.value)))
    return head + Markup("").join(parts) + Markup("</svg>")


@dataclass(frozen=True)
class _Plot:
    """Where things lie."""

    x0: float
    x1: float
    y0: float
    y1: float

    @classmethod
    def of(cls, dots: Sequence[Dot]) -> _Plot:
        lows, highs = [d.low or d.cost for d in dots], [d.high for d in dots]
        x0, x1 = math.log10(min(lows)), math.log10(max(highs))
        values = [d.value for d in dots]
        margin = 0.1 * (max(values) - min(values)) or 0.05
        return cls(x0 - 0.15, x1 + 0.15, min(values) - margin, max(values) + margin)

    def x(self, cost: float) -> float:
        share = (math.log10(max(cost, 1e-12)) - self.x0) / (self.x1 - self.x0)
        return LEFT + min(max(share, 0.0), 1.0) * (WIDTH - LEFT - RIGHT)

    def y(self, value: float) -> float:
        return TOP + (self.y1 - value) / (self.y1 - self.y0) * (HEIGHT - TOP - BOTTOM)

    def axes(self, cost: str, value: str) -> list[Markup]:
        bottom = HEIGHT - BOTTOM
        out = [Markup('<path class="axis" d="M{} {}V{}H{}"/>').format(LEFT, TOP, bottom, WIDTH - RIGHT)]
        for tick in _decades(self.x0, self.x1):
            out.append(
                Markup('<text class="tick" x="{:.1f}" y="{}" text-anchor="middle">{}</text>').format(
                    self.x(tick), bottom + 16, f"{tick:g}"
                )
            )
        for tick in _round_steps(self.y0, self.y1):
            y = self.y(tick)
            out.append(Markup('<path class="grid" d="M{} {:.1f}H{}"/>').format(LEFT, y, WIDTH - RIGHT))
            text = Markup('<text class="tick" x="{}" y="{:.1f}" text-anchor="end">{}</text>')
            out.append(text.format(LEFT - 6, y + 4, f"{tick:g}"))
        middle = (LEFT + WIDTH - RIGHT) / 2
        out.append(
            Markup('<text class="title" x="{}" y="{}" text-anchor="middle">{}</text>').format(
                middle, HEIGHT - 8, cost
            )
        )
        turned = Markup(
            '<text class="title" transform="translate(14 {}) rotate(-90)" text-anchor="middle">{}</text>'
        )
        return [*out, turned.format((TOP + bottom) / 2, value)]

    def labelled(self, dots: Sequence[Dot]) -> list[Markup]:
        """Dots with their names, moved down where two names would lie on each other."""
        out, last = [], -math.inf
        for dot in dots:
            x, y = self.x(dot.cost), self.y(dot.value)
            last = text_y = max(y + 4, last + 14)
            short = dot.label if len(dot.label) <= LETTERS else dot.label[: LETTERS - 1] + "…"
            kind = "dot" if dot.filled else "dot hollow"
            title = f"{dot.label}: {number(dot.value)} at {dot.cost:.3g}"
            out.append(
                Markup(
                    '<a href="{}"><title>{}</title><path class="band" d="M{:.1f} {:.1f}H{:.1f}"/>'
                    '<circle class="{}" cx="{:.1f}" cy="{:.1f}" r="5"/>'
                    '<text x="{:.1f}" y="{:.1f}">{}</text></a>'
                ).format(
                    dot.href, title, self.x(dot.low), y, self.x(dot.high), kind, x, y, x + 10, text_y, short
                )
            )
        return out


def _decades(x0: float, x1: float) -> list[float]:
    """1, 2 and 5 times powers of ten between two logarithms."""
    found = [k * 10.0**e for e in range(math.floor(x0), math.ceil(x1) + 1) for k in (1, 2, 5)]
    inside = [v for v in found if x0 <= math.log10(v) <= x1]
    return inside if len(inside) <= 8 else [v for v in inside if f"{v:e}".startswith("1.0")]


def _round_steps(low: float, high: float) -> list[float]:
    """About five round numbers."""
    step = 10.0 ** math.floor(math.log10((high - low) / 4))
    step = next(step * k for k in (1, 2, 5, 10) if (high - low) / (step * k) <= 6)
    first = math.ceil(low / step)
    return [round(k * step, 10) for k in range(first, math.floor(high / step) + 1)]


def outline_shape(kind: str, points: Sequence[tuple[float, float]]) -> Markup:
    """A point, box or polygon of (row, col) pixels as SVG, in the coordinates of its image.

    Args:
        kind: "point", "box" (two inclusive corners) or "polygon".
        points: at least one, two, three.

    Example:
        >>> outline_shape("box", [(2, 1), (4, 9)])
        Markup('<path d="M1 2H10V5H1z"/>')
    """
    if kind == "point":
        (row, col), *_ = points
        d = f"M{col - 3.5:g} {row + 0.5:g}h8M{col + 0.5:g} {row - 3.5:g}v8"
    elif kind == "box":
        (top, left), (bottom, right) = points[:2]
        d = f"M{left:g} {top:g}H{right + 1:g}V{bottom + 1:g}H{left:g}z"
    else:
        d = "M" + "L".join(f"{col + 0.5:g} {row + 0.5:g}" for row, col in points) + "z"
    return Markup('<path d="{}"/>').format(escape(d))
