"""All kinds of figures by name, and which of them a run has the numbers for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ...zoo.errors import UsageError
from ..runs import Run
from .boxes import box
from .classes import confusion, reliability
from .curves import curve, read_curve
from .fronts import pareto
from .reasoning import judge_agreement, stability
from .votes import gldr, risk_coverage

if TYPE_CHECKING:
    from matplotlib.figure import Figure

OF_RUNS: Mapping[str, Callable[..., Figure]] = {
    "box": box,
    "pareto": pareto,
    "reliability": reliability,
    "confusion": confusion,
    "risk-coverage": risk_coverage,
    "gldr": gldr,
    "stability": stability,
    "judge-agreement": judge_agreement,
}
CURVE = "curve"
KINDS = (*OF_RUNS, CURVE)


def draw(
    kind: str,
    runs: Sequence[Run] = (),
    *,
    metrics: Sequence[str] = (),
    curves: Sequence[Path] = (),
    theme: str = "light",
    mixed: bool = False,
) -> Figure:
    """Draw a figure by the name of its kind.

    Args:
        kind: one of ``KINDS``.
        runs: that it is about; none for "curve".
        metrics: which figures, where the kind has a choice.
        curves: ``curve.csv`` files, for "curve".
        theme: "light", "dark" or "inline".
        mixed: draw runs of different data or definitions beside each other.

    Raises:
        UsageError: no such kind, or the runs lack what it needs.
        RunError: the runs cannot be compared.
        MissingDependencyError: matplotlib is not installed.
    """
    if kind == CURVE:
        return curve([read_curve(path) for path in curves], theme=theme)
    if kind not in OF_RUNS:
        raise UsageError(f"got {kind!r}, expected one of {', '.join(KINDS)}")
    return OF_RUNS[kind](runs, metrics, theme=theme, mixed=mixed)


def available(run: Run) -> tuple[str, ...]:
    """The kinds that one run alone has the numbers for.

    A plot of cost against accuracy needs more runs than one, a learning curve another file.
    """
    out = ["box"] if any(record.metrics for record in run.cases) else []
    if run.task in ("classify", "grade"):
        out.append("confusion")
    if run.details.get("calibration"):
        out.append("reliability")
    if run.task == "classify" or ((run.details.get("selective") or {}).get("patient") or {}).get("coverage"):
        out.append("risk-coverage")
    if any("gldr" in record.metrics for record in run.cases):
        out.append("gldr")
    if run.details.get("stability"):
        out.append("stability")
    if run.details.get("judge"):
        out.append("judge-agreement")
    return tuple(out)
