"""The figure of GLDR: a dot per patient at its share of votes for high grade, low grade beside high.

Written as SVG by hand: a hundred dots need no plotting library, and the same figures give the same bytes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

from .scored import Scored

WIDTH, HEIGHT, MARGIN, GAP = 640, 320, 48, 24
COLOURS = ("#1f77b4", "#d62728")
TITLES = ("low grade", "high grade")


def gldr_svg(scored: Scored) -> str:
    """The figure of one protocol.

    Args:
        scored: of the task ``grade``.

    Returns:
        An SVG document. Patients without a vote for low or high have no dot and are counted in the caption.

    Example:
        >>> from voxzoo.eval.language.protocols import named
        >>> rows = {"a": {"label": 1.0, "gldr": 0.75, "correct": 1.0}}
        >>> gldr_svg(Scored("grade", named("all", "grade"), {}, rows, {})).count("<circle")
        1
    """
    groups = [
        sorted((row["gldr"], name, row["correct"]) for name, row in _voted(scored) if row["label"] == label)
        for label in (0, 1)
    ]
    shown = sum(map(len, groups))
    step = (WIDTH - 2 * MARGIN - GAP) / max(1, shown)
    parts = [_line(share) for share in (0.0, 0.25, 0.5, 0.75, 1.0)]
    left = float(MARGIN)
    for group, colour, title in zip(groups, COLOURS, TITLES, strict=True):
        parts += [_dot(left + (i + 0.5) * step, *dot, colour) for i, dot in enumerate(group)]
        middle = left + len(group) * step / 2
        parts.append(_text(middle, HEIGHT - MARGIN / 2, f"{title} ({len(group)})", "middle"))
        left += len(group) * step + GAP
    absent = len(scored.patients) - shown
    caption = "share of votes for high grade" + (f"; {absent} without a vote" if absent else "")
    parts.append(_text(MARGIN, MARGIN / 2, caption, "start"))
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif">'
    return "\n".join([head, f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>', *parts, "</svg>\n"])


def _voted(scored: Scored) -> Sequence[tuple[str, dict[str, float]]]:
    return [(name, row) for name, row in scored.patients.items() if not math.isnan(row["gldr"])]


def _y(share: float) -> float:
    return HEIGHT - MARGIN - share * (HEIGHT - 2 * MARGIN)


def _line(share: float) -> str:
    y = _y(share)
    line = f'<line x1="{MARGIN}" x2="{WIDTH - MARGIN}" y1="{y:.1f}" y2="{y:.1f}" stroke="#ddd"/>'
    return line + _text(MARGIN - 6, y + 4, f"{share:g}", "end")


def _dot(x: float, share: float, name: str, correct: float, colour: str) -> str:
    fill = colour if correct else "white"  # hollow: the patient's label came out wrong
    tip = f"<title>{escape(name)}: {share:.3f}</title>"
    return f'<circle cx="{x:.1f}" cy="{_y(share):.1f}" r="4" fill="{fill}" stroke="{colour}">{tip}</circle>'


def _text(x: float, y: float, text: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" font-size="12" text-anchor="{anchor}">{escape(text)}</text>'
