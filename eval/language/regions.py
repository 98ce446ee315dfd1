"""The tasks ``box`` and ``polygon``: answers as masks against reference masks, by slice or as a volume."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
    Table,
    draw_boxes,
    draw_polygons,
    extents,
    row_edge_distance,
    score_slices,
    score_volume,
)

MOST_POINTS, FEWEST_POINTS = 15, 3
CHUNK = 512
"""Slices that are masks at the same time: 8 MB each of 128 x 128 pixels."""

Shape = tuple[int, int]
Pair = tuple[Item, Any, Any]
Rows = dict[str, dict[str, float]]


def score_box(sheet: Sheet, protocol: Protocol) -> Scored:
    """Boxes; see the module. ``counts["stale_reference"]`` are slices scored against another slice's box."""
    references, stale = _box_references(sheet, protocol)
    scored = _score(sheet, protocol, references)
    return _with_count(scored, "stale_reference", stale) if protocol.has("stale-reference") else scored


def score_polygon(sheet: Sheet, protocol: Protocol) -> Scored:
    """Polygons; see the module."""
    references = {
        patient: [_reference_polygon(item, protocol) for item in items]
        for patient, items in sheet.patients.items()
    }
    return _score(sheet, protocol, references)


def _reference_polygon(item: Item, protocol: Protocol) -> Any:
    if protocol.has("quoted-reference") and "polygon" in item.answer.quoted:
        return item.answer.quoted["polygon"]
    return item.case.polygons.get(item.answer.slice)


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
    kept = {patient: _kept(items, references[patient], protocol) for patient, items in sheet.patients.items()}
    work = {patient: pairs for patient, pairs in kept.items() if pairs}
    by_volume = protocol.pooling == "volume"
    patients = (_volumes if by_volume else _slices)(work, sheet, protocol)
    silent = tuple(patient for patient, pairs in kept.items() if not pairs)
    left_out = {"no_slices": sheet.no_slices, "not_recorded": sheet.not_recorded, "unscored": silent}
    if protocol.has("no-slices-zero"):
        patients |= {patient: _nothing(protocol, sheet.shape) for patient in left_out.pop("no_slices")}
    return Scored(
        sheet.task,
        protocol,
        mean_over(patients, METRICS),
        {patient: patients[patient] for patient in sheet.labels if patient in patients},
        {**_counts(sheet, references, protocol), "slices_scored": _total(work), "patients": len(patients)},
        {why: names for why, names in left_out.items() if names},
    )


def _kept(items: Sequence[Item], references: Sequence[Any], protocol: Protocol) -> list[Pair]:
    """The shapes of the slices that count, (answer or None, reference)."""
    skips = protocol.unanswered == "skip" and protocol.pooling == "slice"
    pairs = []
    for item, reference in zip(items, references, strict=True):
        said = answered(item, protocol)
        if reference is not None and (said or not skips):
            pairs.append((item, _points(item, protocol) if said else None, reference))
    return pairs


def _total(work: Mapping[str, Sequence[Pair]]) -> int:
    return sum(len(pairs) for pairs in work.values())


def _counts(sheet: Sheet, references: References, protocol: Protocol) -> dict[str, int]:
    """Slices asked, unanswered, and without a reference; unanswered are counted where there is a reference,
    or everywhere where the study, which did not look, is followed."""
    everywhere = protocol.has("quoted-reference")
    items, known = sheet.items, [r is not None for rows in references.values() for r in rows]
    return {
        "slices": len(items),
        "unanswered": sum(
            not answered(item, protocol) and (there or everywhere)
            for item, there in zip(items, known, strict=True)
        ),
        "no_reference": known.count(False),
    }


def _slices(work: Mapping[str, Sequence[Pair]], sheet: Sheet, protocol: Protocol) -> Rows:
    """Mean over slices of every patient. Slices are drawn ``CHUNK`` at a time, whoever's they are."""
    pairs = [pair for some in work.values() for pair in some]
    tables = [_table(pairs[start : start + CHUNK], sheet, protocol) for start in range(0, len(pairs), CHUNK)]
    if not tables:
        return {}
    table = {metric: np.concatenate([t[metric] for t in tables]) for metric in METRICS}
    ends = np.cumsum([len(some) for some in work.values()])
    parts = {metric: np.split(values, ends[:-1]) for metric, values in table.items()}
    return {p: {metric: average(parts[metric][i]) for metric in METRICS} for i, p in enumerate(work)}


def _table(pairs: Sequence[Pair], sheet: Sheet, protocol: Protocol) -> Table:
    shapes, outlines = [shape for _, shape, _ in pairs], [reference for _, _, reference in pairs]
    table = score_slices(*_draw(sheet.task, shapes, outlines, sheet.shape, protocol), protocol.empty)
    if protocol.has("row-edges") and sheet.task == "box":
        table["hd"] = table["hd95"] = _row_edges(shapes, outlines, sheet.shape, protocol)
    return table


def _volumes(work: Mapping[str, Sequence[Pair]], sheet: Sheet, protocol: Protocol) -> Rows:
    """A volume per repeat; a patient's figure is the mean over repeats."""
    rows = {}
    for patient, pairs in work.items():
        shapes, outlines = [shape for _, shape, _ in pairs], [reference for _, _, reference in pairs]
        pred, ref = _draw(sheet.task, shapes, outlines, sheet.shape, protocol)
        number = np.array([item.answer.repeat for item, _, _ in pairs])
        every = [
            score_volume(pred[number == n], ref[number == n], protocol.empty, protocol.has("all-voxels"))
            for n in np.unique(number)
        ]
        rows[patient] = {metric: average([scores[metric] for scores in every]) for metric in METRICS}
    return rows


def _draw(
    task: str, shapes: Sequence[Any], outlines: Sequence[Any], shape: Shape, protocol: Protocol
) -> tuple[Masks, Masks]:
    if task == "polygon":
        return draw_polygons(shapes, shape), draw_polygons(outlines, shape)
    return draw_boxes(shapes, shape, protocol.has("half-open-box")), draw_boxes(outlines, shape)


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
