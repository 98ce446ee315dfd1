"""One recorded answer of a language model, and the line that holds it in a transcript of ours."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import Any

SCHEMA = "voxzoo.transcript/1"


@dataclass(frozen=True, slots=True)
class Answer:
    """One raw answer and how it came about.

    Attributes:
        task: "grade", "center", "box", "polygon" or a user's own.
        model: who answered.
        case: the case's id.
        slice: index of the slice along ``plane``, absolute, from 0.
        raw: the answer, as it was given.
        plane: "axial", "coronal" or "sagittal".
        repeat: which of several answers to the same question.
        prompt: name of the prompt.
        prompt_sha256: of the prompt's text.
        image_sha256: of the image that was shown.
        tokens_in, tokens_out: how many were read and written; None when not known.
        seconds: wall time of the answer; None when not known.
        energy: what it cost (see ``docs/energy.md``); {} when not metered.
        sampling: temperature, seed and the like.
        shown: the rule by which the slice was chosen and became an image (``SliceRule.record``).
        model_sha256: hash of the model's content.
        probabilities: class -> probability, where the model gives real ones.
        quoted: what an imported transcript says the reference is: label, box, polygon, center.
        order: place among the answers of its case, as recorded; None when not known.
        line: its line number in the file; 0 when it is not from a file.

    Example:
        >>> Answer("grade", "toy", "p1", 40, "Choice: 1").key
        ('grade', 'toy', 'axial', 'p1', 40, '', 0)
    """

    task: str
    model: str
    case: str
    slice: int
    raw: str
    plane: str = "axial"
    repeat: int = 0
    prompt: str = ""
    prompt_sha256: str = ""
    image_sha256: str = ""
    tokens_in: int | None = None
    tokens_out: int | None = None
    seconds: float | None = None
    energy: dict[str, Any] = field(default_factory=dict)
    sampling: dict[str, Any] = field(default_factory=dict)
    shown: dict[str, Any] = field(default_factory=dict)
    model_sha256: str = ""
    probabilities: dict[str, float] | None = None
    quoted: dict[str, Any] = field(default_factory=dict)
    order: int | None = None
    line: int = 0

    @property
    def key(self) -> tuple[str, str, str, str, int, str, int]:
        """What may be answered once only."""
        return (self.task, self.model, self.plane, self.case, self.slice, self.prompt, self.repeat)

    def to_line(self) -> str:
        """The JSON line, without its end; ``line`` is not part of it, nor what is not known."""
        plain = {name: value for name, value in asdict(self).items() if value not in (None, {}, "")}
        plain.pop("line")
        plain["raw"] = self.raw
        return json.dumps({"schema": SCHEMA, **plain}, ensure_ascii=False, separators=(",", ":"))
