"""Patient-wise cross-validation: every case is judged by a network that never learned from its patient."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from ..eval.files import atomic_write
from ..eval.stats import bootstrap_ci, by_patient
from .tasks.base import TrainingTask
from .tasks.classify import macro_f1

SCHEMA = "voxzoo.crossval/1"
Rows = list[dict[str, Any]]


@dataclass(frozen=True)
class Fold:
    """One trained fold.

    Attributes:
        task: with the fold's patients held out.
        network: trained on all others.
    """

    task: TrainingTask
    network: nn.Module


def cross_validate(
    make: Callable[[int], Fold], folds: int, patients: dict[str, str], folder: Path, recipe: str
) -> tuple[list[Fold], dict[str, Any]]:
    """Train every fold and sum up what was held out, in ``cv.json`` and ``cv.csv``.

    Args:
        make: trains (or goes on with, or just loads) a fold.
        folds: how many.
        patients: case id -> patient; intervals are over patients.
        folder: takes the two files.
        recipe: name, for the files.

    Returns:
        The folds, and what ``cv.json`` holds.
    """
    made, rows = [], []
    for fold in range(folds):
        made.append(make(fold))
        rows += held_out_rows(made[-1], patients, fold)
    content = {"schema": SCHEMA, "recipe": recipe, "folds": folds, "summary": summary(rows), "cases": rows}
    atomic_write(folder / "cv.json", (json.dumps(content, indent=1) + "\n").encode())
    atomic_write(folder / "cv.csv", table(rows).encode())
    return made, content


def held_out_rows(made: Fold, patients: dict[str, str], fold: int = 0) -> Rows:
    """One row per case that ``made`` never learned from: case, patient, fold, figures."""
    figures = made.task.by_case(made.network, next(made.network.parameters()).device)
    return [{"case": c, "patient": patients.get(c, c), "fold": fold, **f} for c, f in figures.items()]


def summary(rows: Rows) -> dict[str, dict[str, Any]]:
    """Mean, n and a 95 % interval (seeded bootstrap over patients) of every figure, of cases that have it.

    Example:
        >>> rows = [{"case": c, "patient": c, "fold": 0, "wt": v} for c, v in zip("abc", (0.5, 0.75, 1.0))]
        >>> found = summary(rows)["wt"]
        >>> found["mean"], found["cases"], found["patients"], found["low"] < 0.75 < found["high"]
        (0.75, 3, 3, True)
    """
    out = {}
    for name in _figures(rows):
        if name in ("found", "target"):
            continue
        mine = [row for row in rows if name in row]  # a grade is right or wrong where it is known
        values = by_patient([r["patient"] for r in mine], [float(r[name]) for r in mine])
        out[name] = _told(float(np.mean(values)), bootstrap_ci(values), len(mine), len(values))
    if rows and "found" in rows[0]:
        pairs = np.array([[r["found"], r["target"]] for r in rows])
        interval = bootstrap_ci(pairs, lambda p: macro_f1(*p.astype(np.int64).T))
        out["macro-F1"] = _told(macro_f1(pairs[:, 0], pairs[:, 1]), interval, len(rows), len(rows))
    return out


def table(rows: Rows) -> str:
    """A line per held-out case as CSV: case, patient, fold, figures."""
    out = io.StringIO()
    names = ["case", "patient", "fold", *_figures(rows)]
    writer = csv.DictWriter(out, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def lines(content: dict[str, Any]) -> list[str]:
    """The summary for people.

    Example:
        >>> lines({"summary": {"wt": {"mean": 0.75, "low": 0.6, "high": 0.9, "cases": 9, "patients": 9}}})
        ['held-out wt: 0.7500 (95 % interval 0.6000 to 0.9000), n = 9 patients']
    """
    out = []
    for name, found in content["summary"].items():
        span = ""
        if found["low"] is not None:
            span = f" (95 % interval {found['low']:.4f} to {found['high']:.4f})"
        out.append(f"held-out {name}: {found['mean']:.4f}{span}, n = {found['patients']} patients")
    return out


def _told(mean: float, interval: tuple[float, float] | None, cases: int, patients: int) -> dict[str, Any]:
    low, high = (round(v, 5) for v in interval) if interval else (None, None)
    return {"mean": round(mean, 5), "low": low, "high": high, "cases": cases, "patients": patients}


def _figures(rows: Rows) -> list[str]:
    known = ("case", "patient", "fold")
    return list(dict.fromkeys(name for row in rows for name in row if name not in known))
