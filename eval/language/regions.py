"""The tasks ``box`` and ``polygon``: answers as shapes against reference shapes, by slice or as a volume."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np

from .boxes import Shape, empty_distance, extents, row_edge_distance, score_boxes
from .center import reference_box
from .items import Item, Sheet
from .overlaps import METRICS, Table
from .protocols import Protocol
from .references import SliceMask
from .scored import Scored, average, mean_over

MOST_POINTS, FEWEST_POINTS = 15, 3
CHUNK = 512
"""Slices that are masks at the same time: 8 MB each of 128 x 128 pixels."""

Points: TypeAlias = tuple[tuple[float, float], ...]
Reference: TypeAlias = Points | SliceMask
Pair: TypeAlias = tuple[Points | None, Reference]
Rows: TypeAlias = dict[str, dict[str, float]]
Memo: TypeAlias = dict[Any, tuple[float, ...]]
References: TypeAlias = dict[str, list[Reference | None]]


def score_box(sheet: Sheet, protocol: Protocol, memo: Memo | None = None) -> Scored:
    """Boxes; ``counts["stale_reference"]`` are slices scored against another slice's box.

    Args:
        sheet: the answers.
        protocol: parser and slices must be the sheet's.
        memo: figures of pairs of shapes that were scored before, under any protocol; it grows.
    """
    references, stale = _box_references(sheet, protocol)
    scored = _score(sheet, protocol, references, {} if memo is None else memo)
    if protocol.has("stale-reference"):
        scored.counts["stale_reference"] = stale
    return scored


def score_polygon(sheet: Sheet, protocol: Protocol, memo: Memo | None = None) -> Scored:
    """Polygons; arguments as for :func:`score_box`."""
    references = {
        patient: [_reference_polygon(item, protocol) for item in items]
        for patient, items in sheet.patients.items()
    }
    return _score(sheet, protocol, references, {} if memo is None else memo)


def _reference_polygon(item: Item, protocol: Protocol) -> Reference | None:
    if protocol.has("quoted-reference") and "polygon" in item.answer.quoted:
        quoted = item.answer.quoted["polygon"]
        return None if quoted is None else tuple((row, col) for row, col in quoted)
    mask = item.case.masks.get(item.answer.slice)
    return item.case.polygons.get(item.answer.slice) if mask is None else mask


def _box_references(sheet: Sheet, protocol: Protocol) -> tuple[References, int]:
    """Per patient the corners of each slice's reference box, or None; and how many are another slice's."""
    last, stale = None, 0
    found: References = {}
    for patient, items in sheet.patients.items():
        rows: list[Reference | None] = []
        for item in items:
            box = reference_box(item, protocol)
            if protocol.has("stale-reference") and answered(item, protocol):
                stale += box is None and last is not None
                box = last = last if box is None else box
            rows.append(None if box is None else ((box[0], box[1]), (box[2], box[3])))
        found[patient] = rows
    return found, stale


def answered(item: Item, protocol: Protocol) -> bool:
    """Whether an answer draws anything: a polygon needs three points, in the study one."""
    if not item.parsed.answered or item.answer.task != "polygon":
        return item.parsed.answered
    return len(item.parsed.written) >= (1 if protocol.has("few-points") else FEWEST_POINTS)


def _shape(item: Item, protocol: Protocol) -> Points | None:
    """What an answer draws."""
    if not answered(item, protocol):
        return None
    first = protocol.has("first-15") and item.answer.task == "polygon"
    return item.parsed.written[:MOST_POINTS] if first else item.parsed.written


def _score(sheet: Sheet, protocol: Protocol, references: References, memo: Memo) -> Scored:
    kept = {patient: _kept(items, references[patient], protocol) for patient, items in sheet.patients.items()}
    work = {patient: rows for patient, rows in kept.items() if rows}
    by_volume = protocol.pooling == "volume"
    patients = _volumes(work, sheet, protocol) if by_volume else _slices(work, sheet, protocol, memo)
    silent = tuple(patient for patient, rows in kept.items() if not rows)
    left_out = {"no_slices": sheet.no_slices, "not_recorded": sheet.not_recorded, "unscored": silent}
    if protocol.has("no-slices-zero"):
        patients |= {patient: _nothing(protocol, sheet.shape) for patient in left_out.pop("no_slices")}
    counts = _counts(sheet, references, protocol)
    return Scored(
        sheet.task,
        protocol,
        mean_over(patients, METRICS),
        {patient: patients[patient] for patient in sheet.labels if patient in patients},
        {**counts, "slices_scored": sum(map(len, work.values())), "patients": len(patients)},
        {why: names for why, names in left_out.items() if names},
    )


Kept: TypeAlias = list[tuple[int, Pair]]


def _kept(items: Sequence[Item], references: Sequence[Reference | None], protocol: Protocol) -> Kept:
    """(repeat, (answer or None, reference)) of the slices that count."""
    skips = protocol.unanswered == "skip" and protocol.pooling == "slice"
    shapes = [_shape(item, protocol) for item in items]
    return [
        (item.answer.repeat, (shape, reference))
        for item, shape, reference in zip(items, shapes, references, strict=True)
        if reference is not None and not (skips and shape is None)
    ]


def _counts(sheet: Sheet, references: References, protocol: Protocol) -> dict[str, int]:
    """Slices asked, unanswered, without a reference. Unanswered are counted where there is a reference, or
    everywhere where the study is followed, which did not look."""
    known = [reference is not None for rows in references.values() for reference in rows]
    everywhere = protocol.has("quoted-reference")
    silent = [not answered(item, protocol) for item in sheet.items]
    return {
        "slices": len(silent),
        "unanswered": sum(s and (k or everywhere) for s, k in zip(silent, known, strict=True)),
        "no_reference": known.count(False),
    }


def _slices(work: Mapping[str, Kept], sheet: Sheet, protocol: Protocol, memo: Memo) -> Rows:
    """Mean over slices of every patient."""
    edges, wrap = protocol.has("row-edges"), protocol.has("half-open-box")
    rest = protocol.empty, edges, wrap
    keys = {patient: [(pair, *rest) for _, pair in rows] for patient, rows in work.items()}
    new = list({key: key[0] for row in keys.values() for key in row if key not in memo}.items())
    table_of: Callable[[Sequence[Pair], Shape, Protocol], Table]
    table_of = _polygon_table if sheet.task == "polygon" else _box_table
    for start in range(0, len(new), CHUNK):
        part = new[start : start + CHUNK]
        table = table_of([pair for _, pair in part], sheet.shape, protocol)
        columns = [table[metric].tolist() for metric in METRICS]
        memo.update(zip((key for key, _ in part), zip(*columns, strict=True), strict=True))
    means = {patient: np.mean([memo[key] for key in rows], axis=0).tolist() for patient, rows in keys.items()}
    return {patient: dict(zip(METRICS, row, strict=True)) for patient, row in means.items()}


def _box_table(pairs: Sequence[Pair], shape: Shape, protocol: Protocol) -> Table:
    pred = extents([answer for answer, _ in pairs], shape, protocol.has("half-open-box"))
    ref = extents([_corners(reference) for _, reference in pairs], shape)
    table = score_boxes(pred, ref, shape, protocol.empty)
    if protocol.has("row-edges"):
        found = [row_edge_distance(a, b, shape[0]) for a, b in zip(pred, ref, strict=True)]
        far = empty_distance(protocol.empty, shape) if None in found else 0.0
        table["hd"] = table["hd95"] = np.array([far if d is None else d for d in found])
    return table


def _corners(reference: Reference) -> Points | None:
    """Of a box; its reference is never pixels."""
    return None if isinstance(reference, SliceMask) else reference


def _polygon_table(pairs: Sequence[Pair], shape: Shape, protocol: Protocol) -> Table:
    from .shapes import draw_polygons, draw_references, score_slices

    pred = draw_polygons([answer for answer, _ in pairs], shape)
    ref = draw_references([reference for _, reference in pairs], shape)
    return score_slices(pred, ref, protocol.empty)


def _volumes(work: Mapping[str, Kept], sheet: Sheet, protocol: Protocol) -> Rows:
    """A volume per repeat; a patient's figure is the mean over repeats."""
    from .shapes import draw_boxes, draw_polygons, draw_references, score_volume

    rows = {}
    wrap = protocol.has("half-open-box")
    for patient, kept in work.items():
        answers, outlines = [pair[0] for _, pair in kept], [pair[1] for _, pair in kept]
        if sheet.task == "polygon":
            pred, ref = draw_polygons(answers, sheet.shape), draw_references(outlines, sheet.shape)
        else:
            pred, ref = (
                draw_boxes(answers, sheet.shape, wrap),
                draw_boxes([_corners(r) for r in outlines], sheet.shape),
            )
        repeats = np.array([repeat for repeat, _ in kept])
        every = [
            score_volume(pred[repeats == n], ref[repeats == n], protocol.empty, protocol.has("all-voxels"))
            for n in np.unique(repeats)
        ]
        rows[patient] = {metric: average([scores[metric] for scores in every]) for metric in METRICS}
    return rows


def _nothing(protocol: Protocol, shape: Shape) -> dict[str, float]:
    """A patient without slices, as the study averaged it."""
    far = empty_distance(protocol.empty, shape)
    return {metric: far if metric in ("hd", "hd95") else 0.0 for metric in METRICS}
