"""Answers beside their references: what is scored, patient by patient, and what cannot be."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ...zoo.errors import CaseError
from ...zoo.tasks.answers import Parsed
from .answers import Answer
from .problems import Problem
from .references import CaseReference, Range, References
from .transcripts import Transcript

if TYPE_CHECKING:
    from ...zoo.tasks.prompt import PromptTask

SOME = 3
"""Problems of one kind that are told one by one; cohorts that do not match would fill the screen."""


@dataclass(frozen=True, slots=True)
class Item:
    """One answer as a parser read it, and its case.

    Attributes:
        answer: as recorded.
        parsed: as read.
        case: its reference.
    """

    answer: Answer
    parsed: Parsed
    case: CaseReference


@dataclass(frozen=True)
class Sheet:
    """All answers of one model to one task under one parser and one rule of slices.

    Attributes:
        task: its name.
        plane: of the slices.
        shape: (height, width) of a shown slice.
        patients: patient -> items in the order of the recording; patients in the cohort's order.
        no_slices: patients with nothing to ask about under the rule.
        not_recorded: patients who had slices, but of whom the transcript holds nothing.
        labels: patient -> 0, 1 or None.
    """

    task: str
    plane: str
    shape: tuple[int, int]
    patients: dict[str, tuple[Item, ...]]
    no_slices: tuple[str, ...]
    not_recorded: tuple[str, ...]
    labels: dict[str, int | None]

    @property
    def items(self) -> list[Item]:
        """All of them, in order."""
        return [item for items in self.patients.values() for item in items]


def check(transcript: Transcript, references: References) -> Transcript:
    """The answers that have a reference; every other becomes a problem with its line.

    A line is refused whose case or slice is not in the references, or which quotes another reference than
    theirs.

    Raises:
        CaseError: nothing is left: transcript and references are of different cohorts.
    """
    strangers = _strangers(transcript.answers, references)
    kept: list[Answer] = []
    refused: list[tuple[str, int, str]] = []
    for answer in transcript.answers:
        why = _mismatch(answer, references, strangers)
        if why is None:
            kept.append(answer)
        else:
            refused.append((why[0], answer.line, why[1]))
    problems = [*transcript.problems, *_told(transcript, refused)]
    if not kept:
        first = next(p for p in problems if p.line >= 1)
        raise CaseError(f"{first}; nothing is left: it and {references.name} are of different cohorts")
    return Transcript(transcript.path, tuple(kept), tuple(sorted(problems, key=lambda p: p.line)))


def _mismatch(answer: Answer, references: References, strangers: frozenset[str]) -> tuple[str, str] | None:
    """The kind of a mismatch and its sentence, or None."""
    case = references.cases.get(answer.case)
    if case is None:
        return f"case {answer.case}", f"case {answer.case} is not in {references.name}"
    count = references.slices.get(answer.plane, 0)
    if answer.slice >= count:
        return "slice", f"slice {answer.slice}: {references.name} has {answer.plane} slices 0 to {count - 1}"
    label = answer.quoted.get("label")
    if label is not None and case.label is not None and label != case.label:
        what = f"quotes label {label!r} for case {case.case}, {references.name} has {case.label}"
        return f"label {case.case}", f"{what}: are they of one cohort?"
    if answer.case in strangers:
        what = f"most boxes or polygons quoted for case {case.case} are not those of {references.name}"
        return f"shapes {case.case}", f"{what}: are they of one cohort?"
    box = answer.quoted.get("box")
    if box is not None and not _is_box(box):
        return "box", f"quotes the box {box!r}, expected [row_min, col_min, row_max, col_max] or null"
    polygon = answer.quoted.get("polygon")
    if polygon is not None and not _is_polygon(polygon):
        return "polygon", f"quotes the polygon {polygon!r}, expected a list of [row, col] or null"
    return None


def _strangers(answers: Sequence[Answer], references: References) -> frozenset[str]:
    """Cases most of whose quoted shapes are not in the references. A few may differ: they get corrected."""
    same: Counter[str] = Counter()
    other: Counter[str] = Counter()
    for answer in answers:
        case = references.cases.get(answer.case)
        if case is None or answer.plane != references.drawn:
            continue
        index, quoted = answer.slice, answer.quoted
        for name, known in (
            ("box", (case.boxes.get(index), case.quoted.get(index))),
            ("polygon", (case.polygons.get(index),)),
        ):
            if quoted.get(name) and any(known):
                (same if _frozen(quoted[name]) in known else other)[answer.case] += 1
    return frozenset(case for case, count in other.items() if count > same[case])


def _frozen(value: object) -> object:
    return tuple(map(_frozen, value)) if isinstance(value, list) else value


def _is_polygon(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(_are_numbers(point, 2) for point in value)


def _are_numbers(value: object, count: int) -> bool:
    return (
        isinstance(value, list)
        and len(value) == count
        and all(isinstance(n, int) and not isinstance(n, bool) for n in value)
    )


def _is_box(value: Any) -> bool:
    return _are_numbers(value, 4) and value[0] <= value[2] and value[1] <= value[3]


def _told(transcript: Transcript, refused: Sequence[tuple[str, int, str]]) -> list[Problem]:
    """Mismatches as problems; many of one kind as a few and a count."""
    kinds: dict[str, list[tuple[int, str]]] = {}
    for kind, line, text in refused:
        kinds.setdefault(kind, []).append((line, text))
    told = []
    for lines in kinds.values():
        for i, (line, text) in enumerate(lines[:SOME]):
            more = len(lines) - SOME if i == SOME - 1 else 0
            told.append(
                Problem(transcript.path, line, f"{text} (and {more} lines more)" if more > 0 else text)
            )
    return told


def parse_all(
    answers: Iterable[Answer], task: PromptTask, parser: str, shape: tuple[int, int]
) -> list[Parsed]:
    """Every answer as a parser reads it."""
    return [task.parse(answer.raw, parser, shape) for answer in answers]


def lay_out(
    answers: Sequence[Answer],
    parsed: Sequence[Parsed],
    references: References,
    slices: str = "all",
) -> Sheet:
    """Answers by patient, under a rule of slices.

    Args:
        answers: of one task, one model, one plane, each with a reference.
        parsed: as they were read, in the same order.
        references: of the cohort.
        slices: "all", "core20" or "tumour".

    Returns:
        The sheet.
    """
    task, plane = answers[0].task, answers[0].plane
    recorded: dict[str, list[Item]] = {}
    for answer, read in zip(answers, parsed, strict=True):
        recorded.setdefault(answer.case, []).append(Item(answer, read, references.cases[answer.case]))
    due = due_slices(answers, references, slices)
    patients: dict[str, list[Item]] = {}
    silent: dict[str, bool] = {}
    for case in references.cases.values():
        items = [
            item for item in recorded.get(case.case, ()) if _within(item.answer.slice, case, plane, slices)
        ]
        patients.setdefault(case.patient, []).extend(sorted(items, key=_order))
        gap = case.case not in recorded and due[case.case] is not None
        silent[case.patient] = silent.get(case.patient, False) or gap
    without = [patient for patient, items in patients.items() if not items]
    return Sheet(
        task,
        plane,
        references.shape,
        {patient: tuple(items) for patient, items in patients.items() if items},
        tuple(patient for patient in without if not silent[patient]),
        tuple(patient for patient in without if silent[patient]),
        {case.patient: case.label for case in references.cases.values()},
    )


def _order(item: Item) -> tuple[int, int, int, int]:
    answer = item.answer
    return (answer.line if answer.order is None else answer.order, answer.slice, answer.repeat, answer.line)


def _within(index: int, case: CaseReference, plane: str, slices: str) -> bool:
    if slices == "all":
        return True
    span = case.inner(plane) if slices == "core20" else case.tumour.get(plane)
    return span is not None and span[0] <= index <= span[1]


def due_slices(answers: Sequence[Answer], references: References, slices: str) -> dict[str, Range | None]:
    """Case -> the slices that were to be asked about; None where there were none.

    A recording does not say which slices it was made for, so under ``slices="all"`` that is taken to be the
    narrowest rule that holds all of them: the task's own range, the inner slices, or the tumour.
    """
    task, plane = answers[0].task, answers[0].plane
    cases = references.cases
    if slices == "all" and any(task in case.asked for case in cases.values()):
        return {name: case.asked.get(task) for name, case in cases.items()}
    inner = all(_within(answer.slice, cases[answer.case], plane, "core20") for answer in answers)
    if slices == "core20" or (slices == "all" and inner):
        return {name: case.inner(plane) for name, case in cases.items()}
    return {name: case.tumour.get(plane) for name, case in cases.items()}
