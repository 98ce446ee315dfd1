"""The tasks ``box`` and ``polygon``: answers drawn as masks against reference masks, by slice or as a volume."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..empty import diagonal_mm, undefined_value
from .center import reference_box
from .items import Item, Sheet
from .protocols import Protocol
from .scored import Scored, average, mean_over
from .shapes import (
    METRICS,
    Masks,
    draw_boxes,
    draw_polygons,
    extents,
    row_edge_distance,
    score_slices,
    score_volume,
)

MOST_POINTS, FEWEST_POINTS = 15, 3
Shape = tuple[int, int]


def score_box(sheet: Sheet, protocol: Protocol) -> Scored:
    """Boxes; see the module. ``counts["stale_reference"]`` are slices scored against another slice's box."""
    references, stale = _box_references(sheet, protocol)
    scored = _score(sheet, protocol, references)
    return _with_count(scored, "stale_reference", stale) if protocol.has("stale-reference") else scored


def score_polygon(sheet: Sheet, protocol: Protocol) -> Scored:
    """Polygons; see the module."""
    references = {
        patient: [item.case.polygons.get(item.answer.slice) for item in items]
        for patient, items in sheet.patients.items()
    }
    return _score(sheet, protocol, references)


def _with_count(scored: Scored, name: str, count: int) -> Scored:
    scored.counts[name] = count
    return scored


References = dict[str, list[Any]]


def _box_references(sheet: Sheet, protocol: Protocol) -> tuple[References, int]:
    """Per patient the corners of each slice's reference box, or None; and how many are another slice's."""
    last, stale = None, 0
    found: References = {}
    for patient, items in sheet.patients.items():
        rows = []
        for item in items:
            box = reference_box(item, protocol)
            if protocol.has("stale-reference") and answered(item, protocol):
                stale += box is None and last is not None
                box = last = last if box is None else box
            rows.append(None if box is None else (tuple(box[:2]), tuple(box[2:])))
        found[patient] = rows
    return found, stale


def answered(item: Item, protocol: Protocol) -> bool:
    """Whether an answer draws anything: a polygon needs three points, in the study one."""
    if not item.parsed.answered:
        return False
    return item.answer.task != "polygon" or len(_points(item, protocol)) >= (
        1 if protocol.has("few-points") else FEWEST_POINTS
    )


def _points(item: Item, protocol: Protocol) -> Sequence[Any]:
    written = item.parsed.written
    return written[:MOST_POINTS] if protocol.has("first-15") and item.answer.task == "polygon" else written


def _score(sheet: Sheet, protocol: Protocol, references: References) -> Scored:
    patients: dict[str, dict[str, float]] = {}
    silent: list[str] = []
    counts = dict.fromkeys(("slices", "slices_scored", "unanswered", "no_reference"), 0)
    for patient, items in sheet.patients.items():
        kept = [(i, ref) for i, ref in zip(items, references[patient], strict=True) if ref is not None]
        said = [answered(item, protocol) for item, _ in kept]
        counts["slices"] += len(items)
        counts["no_reference"] += len(items) - len(kept)
        counts["unanswered"] += len(items) - sum(answered(item, protocol) for item in items)
        if protocol.unanswered == "skip" and protocol.pooling == "slice":
            kept = [pair for pair, spoke in zip(kept, said, strict=True) if spoke]
        counts["slices_scored"] += len(kept)
        if kept:
            patients[patient] = _patient(kept, sheet, protocol)
        else:
            silent.append(patient)
    left_out = {"no_slices": sheet.no_slices, "not_recorded": sheet.not_recorded, "unscored": tuple(silent)}
    if protocol.has("no-slices-zero"):
        for patient in left_out.pop("no_slices"):
            patients[patient] = _nothing(protocol, sheet.shape)
    return Scored(
        sheet.task,
        protocol,
        mean_over(patients, METRICS),
        {patient: patients[patient] for patient in sheet.labels if patient in patients},
        {**counts, "patients": len(patients)},
        {why: names for why, names in left_out.items() if names},
    )


def _patient(kept: Sequence[tuple[Item, Any]], sheet: Sheet, protocol: Protocol) -> dict[str, float]:
    shapes = [_points(item, protocol) if answered(item, protocol) else None for item, _ in kept]
    outlines = [reference for _, reference in kept]
    pred, ref = _draw(sheet.task, shapes, outlines, sheet.shape, protocol)
    if protocol.pooling == "volume":
        return _volumes([item.answer.repeat for item, _ in kept], pred, ref, protocol)
    table = score_slices(pred, ref, protocol.empty)
    if protocol.has("row-edges") and sheet.task == "box":
        table["hd"] = table["hd95"] = _row_edges(shapes, outlines, sheet.shape, protocol)
    return {metric: average(table[metric]) for metric in METRICS}


def _draw(
    task: str, shapes: Sequence[Any], outlines: Sequence[Any], shape: Shape, protocol: Protocol
) -> tuple[Masks, Masks]:
    if task == "polygon":
        return draw_polygons(shapes, shape), draw_polygons(outlines, shape)
    return draw_boxes(shapes, shape, protocol.has("half-open-box")), draw_boxes(outlines, shape)


def _volumes(repeats: Sequence[int], pred: Masks, ref: Masks, protocol: Protocol) -> dict[str, float]:
    """A volume per repeat; a patient's figure is the mean over repeats."""
    number = np.asarray(repeats)
    every = [
        score_volume(pred[number == n], ref[number == n], protocol.empty, protocol.has("all-voxels"))
        for n in np.unique(number)
    ]
    return {metric: average([scores[metric] for scores in every]) for metric in METRICS}


def _row_edges(
    shapes: Sequence[Any], outlines: Sequence[Any], shape: Shape, protocol: Protocol
) -> NDArray[np.float64]:
    found = [
        row_edge_distance(a, b, shape)
        for a, b in zip(
            extents(shapes, shape, protocol.has("half-open-box")), extents(outlines, shape), strict=True
        )
    ]
    return np.array([_penalty(protocol, shape) if d is None else d for d in found], np.float64)


def _penalty(protocol: Protocol, shape: Shape) -> float:
    return undefined_value(
        protocol.empty,
        both_empty=False,
        perfect=0.0,
        penalty=diagonal_mm(shape, (1.0, 1.0)),
        metric="distance",
    )


def _nothing(protocol: Protocol, shape: Shape) -> dict[str, float]:
    """A patient without slices, as the study averaged it."""
    far = _penalty(protocol, shape)
    return {metric: far if metric in ("hd", "hd95") else 0.0 for metric in METRICS}
