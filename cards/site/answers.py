"""What language models said about a case: the slices shown, the raw words, and what was read in them.

The words come from ``transcript.jsonl``, how they were read from ``answers.jsonl`` of the run folder. Both
are untrusted: whatever is not a finite number of a plausible size is not drawn, and every text is escaped
where it is written.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from markupsafe import Markup

from ...eval.language.answers import Answer
from ...eval.language.problems import Problem, json_lines
from ...eval.language.transcripts import read_transcript
from ...zoo.cases import Case
from ...zoo.errors import InputError, RunError, VoxzooError
from ...zoo.slices2d import CaseSlices, SliceRule, open_slices
from ...zoo.tasks.prompt import PROMPT_TASKS, prompt_task
from ...zoo.tasks.segment import region_mask
from ..runs import Run
from .drawing import outline_shape
from .slices import evenly, to_png

SHOWN = 8
"""Slices of a case, per model."""
LONGEST = 1500
"""Characters of an answer; the rest stays in the transcript."""
KINDS = {"center": "point", "box": "box", "polygon": "polygon"}
FEWEST = {"point": 1, "box": 2, "polygon": 3}
FARTHEST = 1e5
"""Pixels beyond which nothing is drawn."""
LARGEST = 1024
"""Pixels along a side of an image that is made again because a transcript says it was shown."""
GRADES = {0: "low grade", 1: "high grade"}


@dataclass(frozen=True)
class Said:
    """One answer as it is shown.

    Attributes:
        slice: its index.
        raw: the words, cut at ``LONGEST``; None where the transcript is not in the run folder.
        cut: characters that were cut off.
        status: "understood", "repaired" or "refused"; "" where nothing says it.
        remark: repairs, or why it was refused.
        value: what was read, where it is a word.
        image: name of the picture's file; "" without one.
        prediction: what was read, drawn.
        reference: what is right, drawn.
        size: (height, width) of the picture.
        repeat, prompt: which of several answers to the same.
    """

    slice: int
    raw: str | None
    cut: int
    status: str
    remark: str
    value: str
    image: str
    prediction: Markup
    reference: Markup
    size: tuple[int, int]
    repeat: int
    prompt: str


@dataclass
class Sayings:
    """All answers of a run, by case.

    Attributes:
        answers: case -> answers in the order of slices.
        read: (case, slice, prompt, repeat) -> line of ``answers.jsonl``.
        has_words: whether the transcript is there; without it only what was read is known.
        notes: what could not be used.
    """

    has_words: bool = True
    answers: dict[str, list[Answer]] = field(default_factory=dict)
    read: dict[tuple[str, int, str, int], Mapping[str, Any]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def sayings(run: Run) -> Sayings:
    """The answers in a run folder; what is not there is noted."""
    out = Sayings()
    transcript, read = run.folder / "transcript.jsonl", run.folder / "answers.jsonl"
    if read.is_file():
        _read_lines(read, out)
    if transcript.is_file():
        _transcript(transcript, run, out)
    else:
        out.has_words = False
        out.notes.append(f"{run.label}: no transcript.jsonl in its run folder, so its words are not shown.")
        _without_words(run, out)
    for some in out.answers.values():
        some.sort(key=lambda a: (a.slice, a.prompt, a.repeat))
    return out


def _transcript(path: Path, run: Run, out: Sayings) -> None:
    try:
        found = read_transcript(path)
    except RunError as error:
        out.notes.append(f"{run.label}: {error}")
        return
    if found.problems:
        out.notes.append(f"{run.label}: {len(found.problems)} lines of its transcript cannot be used.")
    for answer in found.answers:
        if answer.task == run.task:
            out.answers.setdefault(answer.case, []).append(answer)


def _read_lines(path: Path, out: Sayings) -> None:
    problems: list[Problem] = []
    try:
        for _, plain in json_lines(path, problems):
            key = (plain.get("case"), plain.get("slice"), plain.get("prompt"), plain.get("repeat"))
            if [type(part) for part in key] == [str, int, str, int]:
                out.read[key] = plain  # type: ignore[index]
    except RunError as error:
        out.notes.append(str(error))
    if problems:
        out.notes.append(f"{problems[0]}; {len(problems)} such lines are left out.")


def _without_words(run: Run, out: Sayings) -> None:
    """Answers that are known only by how they were read."""
    for (case, index, prompt, repeat), plain in out.read.items():
        plane = str(plain.get("plane", "axial"))
        answer = Answer(run.task, run.model, case, index, "", plane=plane, prompt=prompt, repeat=repeat)
        out.answers.setdefault(case, []).append(answer)


def shown_answers(
    found: Sayings, name: str, case: Case | None, task: str, images: dict[str, bytes]
) -> tuple[list[Said], int]:
    """The answers about one case that are shown, and how many there are in all.

    Args:
        found: of a run.
        name: of the case.
        case: the data given, or None.
        task: of the run.
        images: file name -> PNG; pictures are added to it.
    """
    answers = found.answers.get(name, [])
    indices = sorted({answer.slice for answer in answers})
    if not indices:
        return [], 0
    chosen = {indices[k] for k in evenly(0, len(indices) - 1, SHOWN)}
    some = [answer for answer in answers if answer.slice in chosen]
    opened = _Opened(case, task)
    out = []
    for answer in some:
        plain = found.read.get((name, *_key(answer)), {})
        picture = opened.picture(answer)
        if picture is not None:
            images[picture] = opened.png[picture]
        out.append(_said(answer, plain, opened, picture or "", words=found.has_words))
    return out, len(answers)


def _key(answer: Answer) -> tuple[int, str, int]:
    return answer.slice, answer.prompt, answer.repeat


def _said(answer: Answer, plain: Mapping[str, Any], opened: _Opened, image: str, words: bool) -> Said:
    repairs = plain.get("repairs")
    listed = [str(text) for text in repairs] if isinstance(repairs, list) else []
    remark = str(plain.get("refused") or "; ".join(listed))
    value = plain.get("value")
    return Said(
        slice=answer.slice,
        raw=answer.raw[:LONGEST] if words else None,
        cut=max(0, len(answer.raw) - LONGEST),
        status=str(plain.get("status", "")),
        remark=remark,
        value=_word(answer.task, value),
        image=image,
        prediction=draw(answer.task, value),
        reference=opened.reference(answer) if image else Markup(""),
        size=opened.size(answer),
        repeat=answer.repeat,
        prompt=answer.prompt,
    )


def _word(task: str, value: object) -> str:
    if task == "grade":
        return GRADES.get(value, "") if isinstance(value, int) else str(value or "")
    return str(value) if isinstance(value, str | int) and task not in KINDS else ""


def draw(task: str, value: object) -> Markup:
    """A point, box or polygon as SVG; "" for what is none.

    Example:
        >>> draw("center", [3, 4]) != "", draw("box", ["<script>", 1, 2, 3]), draw("box", None)
        (True, Markup(''), Markup(''))
    """
    kind = KINDS.get(task)
    points = as_points(value)
    if kind is None or len(points) < FEWEST[kind]:
        return Markup("")
    return outline_shape(kind, points)


def as_points(value: object) -> list[tuple[float, float]]:
    """(row, col) pairs in what was read: a point, a flat box, or a list of points; [] for anything else.

    Example:
        >>> as_points((3, 4)), as_points([1, 2, 3, 4]), as_points([[1, 2], [3, "x"]])
        ([(3.0, 4.0)], [(1.0, 2.0), (3.0, 4.0)], [])
    """
    if not isinstance(value, list | tuple) or not value:
        return []
    flat = [n for item in value for n in (item if isinstance(item, list | tuple) else (item,))]
    if len(flat) % 2 or not all(map(_plausible, flat)):
        return []
    return [(float(a), float(b)) for a, b in zip(flat[::2], flat[1::2], strict=True)]


def _plausible(number: object) -> bool:
    real = isinstance(number, int | float) and not isinstance(number, bool)
    return real and -FARTHEST <= number <= FARTHEST  # type: ignore[operator]


class _Opened:
    """The slices of one case as the model saw them, opened once per rule."""

    def __init__(self, case: Case | None, task: str) -> None:
        self.case, self.task = case, task
        self.png: dict[str, bytes] = {}

    def picture(self, answer: Answer) -> str | None:
        """File name of the image that was shown; None where it cannot be made again, byte for byte."""
        slices = self._slices(answer)
        if slices is None or not answer.image_sha256 or not 0 <= answer.slice < slices.plan.shape[0]:
            return None
        image = slices.image(answer.slice)
        if hashlib.sha256(image.tobytes()).hexdigest() != answer.image_sha256:
            return None
        name = f"{answer.image_sha256[:16]}.png"
        self.png[name] = to_png(image)
        return name

    def reference(self, answer: Answer) -> Markup:
        """What is right, drawn; "" where that is not known or is no place."""
        slices, region = self._slices(answer), self._region(answer)
        if slices is None or region is None or self.task not in PROMPT_TASKS or self.task == "grade":
            return Markup("")
        mask = slices.mask(region, answer.slice)
        return draw(self.task, prompt_task(self.task).target(mask=mask)) if mask.any() else Markup("")

    def size(self, answer: Answer) -> tuple[int, int]:
        rule = rule_from(answer)
        return rule.size if rule else (128, 128)

    def _slices(self, answer: Answer) -> CaseSlices | None:
        rule = rule_from(answer)
        return None if rule is None or self.case is None else _open(self.case, rule)

    def _region(self, answer: Answer) -> Any:
        rule = rule_from(answer)
        return None if rule is None or self.case is None else _region(self.case, rule.region)


def rule_from(answer: Answer) -> SliceRule | None:
    """How a slice was shown, as its answer says; None where it does not."""
    known = {f.name for f in fields(SliceRule)}
    plain = {name: value for name, value in answer.shown.items() if name in known}
    try:
        rule = SliceRule(**{**plain, "size": tuple(plain["size"]), "plane": answer.plane})
    except (InputError, TypeError, KeyError):
        return None
    if max(rule.size) > LARGEST:
        return None
    return replace(rule, which="all")  # which slices were chosen is known: the answers name them


@lru_cache(maxsize=4)
def _open(case: Case, rule: SliceRule) -> CaseSlices | None:
    try:
        return open_slices(case, rule)
    except VoxzooError:
        return None


@lru_cache(maxsize=2)
def _region(case: Case, region: str) -> Any:
    try:
        labels = case.read_reference()
        return None if labels is None else region_mask(labels, region)
    except VoxzooError:
        return None
