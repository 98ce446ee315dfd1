"""The task ``center``: is the point in the tumour's box, and how far is it off.

Distances are in pixels, and in mm where the spacing of the shown slice is known.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from .boxes import empty_distance
from .items import Item, Sheet
from .protocols import Protocol
from .scored import Scored, mean_over

Floats = NDArray[np.float64]
METRICS = ("in_box", "shortest_p95", "euclid_p95")
MM = ("shortest_p95_mm", "euclid_p95_mm")


def reference_box(item: Item, protocol: Protocol) -> Sequence[int] | None:
    """The box an item is scored against, or None where its slice has none.

    Under "quoted-reference" a transcript that quotes nothing at all is scored against the slice's own box.
    """
    if protocol.has("quoted-reference") and "box" in item.answer.quoted:
        box: Sequence[int] | None = item.answer.quoted["box"]
        return box
    return item.case.boxes.get(item.answer.slice)


def distance_to_box(points: Floats, boxes: Floats, spacing: Floats | float = 1.0) -> Floats:
    """Euclidean distance of points to boxes, 0 inside.

    Args:
        points: (n, 2) of (row, col).
        boxes: (n, 4), inclusive.
        spacing: (n, 2) or one number: the unit of each axis.

    Returns:
        (n,).

    Example:
        >>> distance_to_box(np.array([[0.0, 0.0]]), np.array([[3.0, 4.0, 9.0, 9.0]])).tolist()
        [5.0]
    """
    off = np.maximum(np.maximum(boxes[:, :2] - points, points - boxes[:, 2:]), 0.0)
    return np.hypot(*(off * spacing).T)


def distance_to_edge_lines(points: Floats, boxes: Floats) -> Floats:
    """The study's "shortest distance": to the nearest of the four lines the edges lie on.

    Example:
        >>> distance_to_edge_lines(np.array([[5.0, 5.0]]), np.array([[3.0, 4.0, 9.0, 9.0]])).tolist()
        [1.0]
    """
    return np.abs(np.concatenate([points - boxes[:, :2], points - boxes[:, 2:]], axis=1)).min(axis=1)


def distance_to_middle(points: Floats, boxes: Floats, spacing: Floats | float = 1.0) -> Floats:
    """Euclidean distance of points to the boxes' middles, which may lie between pixels."""
    off = points - (boxes[:, :2] + boxes[:, 2:]) / 2
    return np.hypot(*(off * spacing).T)


def score_center(sheet: Sheet, protocol: Protocol) -> Scored:
    """Shares and 95th percentiles per patient, and their means over patients.

    Args:
        sheet: the answers.
        protocol: parser and slices must be the sheet's.

    Returns:
        The figures. A patient without an answer has ``in_box`` 0 and the penalty for distances where
        unanswered slices are misses, and is left out where they are skipped.
    """
    with_mm = all(item.case.spacing_mm is not None for item in sheet.items)
    patients: dict[str, dict[str, float]] = {}
    silent: list[str] = []
    counts = dict.fromkeys(("slices", "slices_scored", "unanswered", "no_reference"), 0)
    for patient, items in sheet.patients.items():
        boxes = [reference_box(item, protocol) for item in items]
        pairs = [(item, box) for item, box in zip(items, boxes, strict=True) if box is not None]
        said = [(item, box) for item, box in pairs if item.parsed.answered]
        counts["slices"] += len(items)
        counts["no_reference"] += len(items) - len(pairs)
        counts["unanswered"] += len(pairs) - len(said)
        counts["slices_scored"] += len(pairs) if protocol.unanswered == "miss" else len(said)
        row = _patient(said, pairs, protocol, sheet.shape, with_mm)
        if row is None:
            silent.append(patient)
        else:
            patients[patient] = row
    metrics = (*METRICS, *MM) if with_mm and sheet.items else METRICS
    left_out = {"no_slices": sheet.no_slices, "not_recorded": sheet.not_recorded, "unanswered": tuple(silent)}
    return Scored(
        "center",
        protocol,
        mean_over(patients, metrics),
        patients,
        {**counts, "patients": len(patients)},
        {why: names for why, names in left_out.items() if names},
    )


def _patient(
    said: Sequence[tuple[Item, Sequence[int]]],
    pairs: Sequence[tuple[Item, Sequence[int]]],
    protocol: Protocol,
    shape: tuple[int, int],
    with_mm: bool,
) -> dict[str, float] | None:
    counted = len(pairs) if protocol.unanswered == "miss" else len(said)
    if not counted:
        return None
    if not said:
        return _missed(protocol, shape, pairs[0][0].case.spacing_mm if with_mm else None)
    points = np.array([item.parsed.written[0] for item, _ in said], np.float64)
    boxes = np.array([box for _, box in said], np.float64)
    inside = ((points >= boxes[:, :2]) & (points <= boxes[:, 2:])).all(axis=1)
    lines = protocol.has("edge-lines")
    row = {
        "in_box": float(inside.sum() / counted),
        "shortest_p95": _p95(
            distance_to_edge_lines(points, boxes) if lines else distance_to_box(points, boxes)
        ),
        "euclid_p95": _p95(distance_to_middle(points, boxes)),
    }
    if with_mm:
        spacing = np.array([item.case.spacing_mm for item, _ in said], np.float64)
        row["shortest_p95_mm"] = _p95(distance_to_box(points, boxes, spacing))
        row["euclid_p95_mm"] = _p95(distance_to_middle(points, boxes, spacing))
    if protocol.has("rounded"):
        row = {name: round(value, 4) for name, value in row.items()}
    return row


def _p95(distances: Floats) -> float:
    return float(np.percentile(distances, 95))


def _missed(
    protocol: Protocol, shape: tuple[int, int], spacing: tuple[float, float] | None
) -> dict[str, float]:
    """A patient without any answer: nothing in the box, and the worst distance there is."""
    far = empty_distance(protocol.empty, shape)
    row = {"in_box": 0.0, "shortest_p95": far, "euclid_p95": far}
    return row if spacing is None else row | dict.fromkeys(MM, far * max(spacing))
