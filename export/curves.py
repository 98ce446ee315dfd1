"""The learning curve: a line per validation, kept as data (JSON lines and CSV) and drawn as a figure."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..eval.files import atomic_write, reason
from ..zoo.errors import RunError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

INK, ACCENT, FAINT = "#1f2937", "#b45309", "#d1d5db"


class Curve:
    """``curve.jsonl`` of a training folder; ``curve.csv`` and ``curve.svg`` follow from it.

    Args:
        folder: of the training.
        step: of the checkpoint that training goes on from; later lines are cut, for they come again.

    Attributes:
        lines: ``{"step", "loss", "score", "validation"}`` each.

    Raises:
        RunError: the file cannot be written.
    """

    def __init__(self, folder: Path, step: int) -> None:
        self.path = folder / "curve.jsonl"
        there = self.path.read_bytes() if self.path.is_file() else b""
        kept = [raw for raw in there.splitlines(keepends=True) if _belongs(raw, step)]
        if b"".join(kept) != there:
            atomic_write(self.path, b"".join(kept))
        self.lines: list[dict[str, Any]] = [json.loads(raw) for raw in kept]

    def append(self, line: dict[str, Any]) -> None:
        """Add a line; it is on the disk when this returns."""
        try:
            with self.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise RunError(f"{self.path}: cannot be written ({reason(error)})") from error
        self.lines.append(line)

    def best(self) -> int | None:
        """Index of the first line with the highest score, None before any."""
        scored = [(line["score"], -i) for i, line in enumerate(self.lines) if line.get("score") is not None]
        return -max(scored)[1] if scored else None

    def stalled(self, patience: int) -> bool:
        """Whether the last ``patience`` validations brought nothing better (never for 0)."""
        best = self.best()
        return bool(patience) and best is not None and len(self.lines) - 1 - best >= patience

    def export(self, title: str, metric: str) -> None:
        """Write ``curve.csv`` and ``curve.svg`` beside the lines."""
        atomic_write(self.path.with_suffix(".csv"), table(self.lines).encode())
        atomic_write(self.path.with_suffix(".svg"), figure(self.lines, title, metric))


def table(lines: list[dict[str, Any]]) -> str:
    """The curve as CSV: step, loss, score, then a column per validation figure.

    Example:
        >>> print(table([{"step": 5, "loss": 0.5, "score": 0.25, "validation": {"a/wt": 0.25}}]), end="")
        step,loss,score,a/wt
        5,0.5,0.25,0.25
    """
    figures = sorted({name for line in lines for name in line.get("validation", {})})
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["step", "loss", "score", *figures])
    for line in lines:
        found = line.get("validation", {})
        writer.writerow([line["step"], line["loss"], line.get("score"), *map(found.get, figures)])
    return out.getvalue()


def figure(lines: list[dict[str, Any]], title: str, metric: str) -> bytes:
    """Loss and held-out score over steps as SVG; every held-out figure is a faint line behind the score."""
    import matplotlib

    out = io.BytesIO()
    with matplotlib.rc_context({"svg.hashsalt": "voxzoo", "svg.fonttype": "none"}):
        plot(lines, title, metric).savefig(out, format="svg", metadata={"Date": None})
    return out.getvalue()


def plot(lines: list[dict[str, Any]], title: str, metric: str) -> Figure:
    """``figure`` before it is written; no display and no global state of matplotlib is touched."""
    from matplotlib.figure import Figure

    scored = [line for line in lines if line.get("score") is not None]
    drawn = Figure(figsize=(7, 4.6 if scored else 2.8), layout="constrained")
    axes = drawn.subplots(2 if scored else 1, 1, sharex=True, squeeze=False)[:, 0]
    axes[0].plot([x["step"] for x in lines], [x["loss"] for x in lines], color=INK, marker=".")
    axes[0].set_ylabel("training loss")
    axes[0].set_title(title, loc="left", fontsize=11)
    if scored:
        _draw_scores(axes[1], scored, metric)
    axes[-1].set_xlabel("step")
    for ax in axes:
        ax.spines[["top", "right"]].set_visible(False)
        ax.grid(axis="y", color=FAINT, linewidth=0.5)
    return drawn


def _draw_scores(ax: Any, scored: list[dict[str, Any]], metric: str) -> None:
    """The score, and faintly each figure that lies between 0 and 1 as it does (a likelihood does not)."""
    steps, scores = [x["step"] for x in scored], [x["score"] for x in scored]
    for name in sorted(scored[-1]["validation"]):
        if not name.endswith("NLL"):
            ax.plot(steps, [x["validation"].get(name) for x in scored], color=FAINT, linewidth=0.8)
    ax.plot(steps, scores, color=ACCENT, marker=".")
    best = max(range(len(scores)), key=lambda i: (scores[i], -i))
    ax.set_title(f"best {scores[best]:.3f} at step {steps[best]}", loc="right", fontsize=9, color=ACCENT)
    ax.set_ylabel(f"held-out {metric}")
    ax.set_ylim(0, 1.02)


def _belongs(raw: bytes, step: int) -> bool:
    """Whether a line is whole and of a step that the checkpoint holds."""
    with contextlib.suppress(ValueError):
        line = json.loads(raw) if raw.endswith(b"\n") else None
        return isinstance(line, dict) and line.get("step", step + 1) <= step
    return False
