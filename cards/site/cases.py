"""A page per case: what is true of it, what every model made of it, and pictures where data was given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ...eval.records import FAILED, SCORED, CaseRecord
from ...eval.views.common import number
from ...zoo.cases import Case
from ...zoo.errors import CaseError, VoxzooError
from ...zoo.images import ImageCase
from ...zoo.nifti import read_nifti
from ...zoo.tasks.segment import REGIONS
from ..figures import REASON, figure, headline
from ..runs import Run
from . import reasoning
from .answers import Said, Sayings, shown_answers
from .given import Data, Found, Masks
from .reasoning import Answers, Gold, Reasoned
from .slices import SIZE, Levels, Picture, levels_of, pictures, to_png
from .volumes import Small, volume_script, voxels_per_case

NONE = "–"  # noqa: RUF001
HIDDEN_FACTS = ("generator", "seed", "licence")
IMAGE_SIDE = 512
"""Pixels along the longer side of a 2-D image, at most."""


@dataclass(frozen=True)
class Entry:
    """One run on the case."""

    key: str
    label: str
    href: str
    run: Run
    record: CaseRecord


@dataclass(frozen=True)
class Line:
    """A run's figures on the case.

    Attributes:
        failed: whether it has no prediction: its figures are then those of a failure.
        remark: why it failed, or why its mask is not drawn.
        cells: figures, in the order of the table's heads.
    """

    key: str
    label: str
    href: str
    failed: bool
    remark: str
    cells: tuple[str, ...]
    drawn: bool = False
    bars: tuple[tuple[str, float, bool, bool], ...] = ()
    said: tuple[Said, ...] = ()
    total: int = 0
    reasoned: tuple[Reasoned, ...] = ()


@dataclass(frozen=True)
class Section:
    """All runs of one task on the case."""

    task: str
    heads: tuple[str, ...]
    lines: tuple[Line, ...]
    gold: Gold | None = None


@dataclass(frozen=True)
class Slide:
    """A slice on the page."""

    index: int
    src: str
    reference: dict[str, str]
    predictions: dict[str, dict[str, str]]


@dataclass(frozen=True)
class Volume:
    """The pictures of a volume.

    Attributes:
        size: (height, width) of the pictures.
        slides: in the file's order.
        start: which of them is shown first: the one with most of the reference.
        regions: outermost first.
        script: file with the volumes of the viewer; "" without.
        voxel_mm: of the viewer's volumes.
        modality: that is shown.
        drawn: key -> label of the runs whose masks are drawn.
        has_reference: whether the case has one.
    """

    size: tuple[int, int]
    slides: tuple[Slide, ...]
    start: int
    regions: tuple[str, ...]
    script: str
    voxel_mm: str
    modality: str
    drawn: dict[str, str]
    has_reference: bool


@dataclass
class CasePage:
    """Everything on the page of a case; files that go with it are in ``files``."""

    name: str
    dataset: str
    facts: dict[str, str]
    sections: tuple[Section, ...]
    why: str
    volume: Volume | None = None
    image: str = ""
    files: dict[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True)
class Shelf:
    """What pages of cases are made from, for the whole site.

    Attributes:
        data: given by the user.
        masks: of predictions.
        sayings: key of a language model's run -> its answers.
        reasoning: key of a run of the task reason -> its answers and gold.
        cases: with pictures in the site, which decides how many voxels each may keep.
    """

    data: Data
    masks: Masks
    sayings: Mapping[str, Sayings]
    cases: int
    reasoning: Mapping[str, Answers] = field(default_factory=dict)


def case_page(
    name: str, dataset: str, stem: str, entries: Sequence[Entry], shelf: Shelf, pictured: bool
) -> CasePage:
    """The page of one case.

    Args:
        name: the case's id.
        dataset: its dataset's name.
        stem: of the names of its files.
        entries: the runs on it, those that can be compared next to each other.
        shelf: where pictures come from.
        pictured: whether it gets pictures.
    """
    records = [entry.record for entry in entries]
    found = (
        shelf.data.find(name, records) if pictured else Found(None, why="One of the cases without pictures.")
    )
    why = "" if all(entry.run.task == REASON for entry in entries) else found.why
    page = CasePage(name, dataset, _facts(records), (), why)
    drawn = _draw(page, found, stem, entries, shelf)
    case = found.case if isinstance(found.case, Case) else None
    tasks = list(dict.fromkeys(entry.run.task for entry in entries))
    page.sections = tuple(
        _section(task, [e for e in entries if e.run.task == task], drawn, page, case, shelf) for task in tasks
    )
    return page


def _facts(records: Sequence[CaseRecord]) -> dict[str, str]:
    out: dict[str, str] = {}
    for record in records:
        out |= {key: text for key, text in record.facts.items() if key not in HIDDEN_FACTS}
        if record.reference and record.reference not in out.values():
            out["reference"] = record.reference
        if record.shape:
            out["grid"] = " x ".join(map(str, record.shape))
        if record.spacing_mm:
            out["spacing"] = " x ".join(f"{step:g}" for step in record.spacing_mm) + " mm"
        if "volume_ref_ml" in record.metrics:
            out["tumour in the reference"] = f"{number(record.metrics['volume_ref_ml'])} ml"
    return out


def _section(
    task: str,
    entries: Sequence[Entry],
    drawn: Mapping[str, str],
    page: CasePage,
    case: Case | None,
    shelf: Shelf,
) -> Section:
    metrics: dict[str, Any] = {}
    for entry in entries:
        metrics.update(entry.record.metrics)
    names = [name for name in _columns(task, metrics) if name in metrics]
    options = entries[0].run.results.options
    shown = [figure(task, name, options) for name in names]
    heads = tuple(f.title + (f", {f.unit}" if f.unit else "") for f in shown)
    lines = tuple(_line(e, names, drawn, page, case, shelf) for e in entries)
    golds = (shelf.reasoning[e.key].gold.get(page.name) for e in entries if e.key in shelf.reasoning)
    return Section(task, heads, lines, next(filter(None, golds), None))


def _columns(task: str, metrics: Mapping[str, Any]) -> tuple[str, ...]:
    if task == "segment":
        return ("dice", "dice_tc", "dice_et", "hd95", "nsd", "volume_error_ml")
    return ("p_true", "nll") if task == "classify" else headline(task, metrics)


def _line(
    entry: Entry,
    names: Sequence[str],
    drawn: Mapping[str, str],
    page: CasePage,
    case: Case | None,
    shelf: Shelf,
) -> Line:
    record = entry.record
    cells = tuple(number(record.metrics[name]) if name in record.metrics else NONE for name in names)
    said: list[Said] = []
    total = 0
    if entry.key in shelf.sayings:
        found = shelf.sayings[entry.key]
        said, total = shown_answers(found, record.case, case, entry.run.task, page.files)
    reasoned: list[Reasoned] = []
    if entry.key in shelf.reasoning:
        reasoned, total = reasoning.shown_answers(shelf.reasoning[entry.key], record.case)
    return Line(
        key=entry.key,
        label=entry.label,
        href=entry.href,
        failed=record.status == FAILED,
        remark=record.reason if record.status != SCORED else drawn.get(entry.key, ""),
        cells=cells,
        drawn=drawn.get(entry.key, "no") == "",
        bars=_bars(record),
        said=tuple(said),
        total=total,
        reasoned=tuple(reasoned),
    )


def _bars(record: CaseRecord) -> tuple[tuple[str, float, bool, bool], ...]:
    """(class, probability, is the answer, is true) of a classification."""
    found = record.answer.get("probabilities")
    if not isinstance(found, Mapping):
        return ()
    pairs = [(str(name), float(p)) for name, p in found.items() if isinstance(p, int | float)]
    label = record.answer.get("label")
    return tuple((name, p, name == label, name == record.reference) for name, p in pairs)


def _draw(page: CasePage, found: Found, stem: str, entries: Sequence[Entry], shelf: Shelf) -> dict[str, str]:
    """Add pictures to the page; key of a run -> why its mask is not drawn, "" where it is."""
    if found.case is None:
        return {}
    try:
        if isinstance(found.case, ImageCase):
            page.image = f"{stem}.png"
            page.files[page.image] = to_png(_fitted(found.case.read()))
            return {}
        networks = [entry for entry in entries if entry.run.task in ("segment", "classify")]
        return _draw_volume(page, found.case, stem, networks, shelf) if networks else {}
    except VoxzooError as error:
        page.why = f"No pictures: {error}."
        return {}


def _fitted(image: Any) -> Any:
    import cv2

    scale = IMAGE_SIDE / max(image.shape[:2])
    if scale >= 1:
        return image
    size = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA)


def _draw_volume(
    page: CasePage, case: Case, stem: str, entries: Sequence[Entry], shelf: Shelf
) -> dict[str, str]:
    regions = max((entry.run.scores.regions for entry in entries), key=len) or REGIONS
    labels = case.read_reference()
    reference = None if labels is None else levels_of(labels, regions)
    masks: dict[str, Levels] = {}
    why: dict[str, str] = {}
    for entry in (entry for entry in entries if entry.run.task == "segment"):
        got = _mask(entry, case, shelf.masks)
        if isinstance(got, Levels):
            masks[entry.key], why[entry.key] = got, ""
        else:
            why[entry.key] = f"Not drawn: {got}."
    slices, found = pictures(case, reference, masks)
    small = Small.of(slices, voxels_per_case(shelf.cases))
    script = f"{stem}.js"
    page.files[script] = volume_script(small, slices.volume, reference, masks)
    slides = [_slide(picture, stem, page) for picture in found]
    page.volume = Volume(
        size=SIZE,
        slides=tuple(slides),
        start=_fullest(found),
        regions=tuple(regions if reference is None else reference.regions),
        script=script,
        voxel_mm=" x ".join(f"{np.linalg.norm(small.affine[:3, k]):.3g}" for k in range(3)),
        modality=slices.rule.modality,
        drawn={entry.key: entry.label for entry in entries if entry.key in masks},
        has_reference=reference is not None,
    )
    return why


def _mask(entry: Entry, case: Case, masks: Masks) -> Levels | str:
    """The mask of a run, or why there is none."""
    if entry.record.status != SCORED:
        return "there is no prediction"
    found = masks.find(entry.run, entry.record)
    if isinstance(found, str):
        return found
    try:
        array = read_nifti(found).array
    except CaseError as error:
        return str(error)
    if array.shape != case.grid().shape:
        return f"its mask has the shape {array.shape}, the case {case.grid().shape}"
    return levels_of(array, entry.run.scores.regions)


def _slide(picture: Picture, stem: str, page: CasePage) -> Slide:
    src = f"{stem}-{picture.index}.png"
    page.files[src] = picture.png
    return Slide(picture.index, src, picture.reference, picture.predictions)


def _fullest(found: Sequence[Picture]) -> int:
    """The slice in the middle of those with a reference."""
    inside = [k for k, picture in enumerate(found) if picture.reference]
    return inside[len(inside) // 2] if inside else len(found) // 2
