"""What a prompt task is: what is asked of a language model about a slice, and how its answer is checked.

A task owns its prompts, the slices it shows, its answer grammar, its parsers and the target it derives from a
mask. The four of voxzoo are ``grade``, ``center``, ``box`` and ``polygon``; a task of your own is one
Python file that sets ``TASK`` to an object with the attributes of :class:`PromptTask`, used by the path
of that file::

    zoo-eval --model replay:answers.jsonl --task mine.py --data DIR --out RUN

Its answers are scored by what its ``target`` is (a class, a point, a box or a polygon), or by a method
``score(parsed, target)`` of its own that gives names and numbers for a slice; ``docs/transcripts.md`` has an
example.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from ..errors import UsageError
from ..userfile import run_file
from .answers import FRAME, Frame, Parsed

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .slices import SliceRule

__all__ = ["PROMPT_TASKS", "Prompt", "PromptTask", "choose_prompt", "fill", "prompt_task", "worded"]

PROMPT_TASKS = ("grade", "center", "box", "polygon")


@runtime_checkable
class PromptTask(Protocol):
    """One question about a slice.

    Attributes:
        name: what records and options call it.
        prompts: name -> text; "default" is asked unless another is named. ``fill`` has the placeholders.
        new_tokens: how many tokens an answer may take.
        slices: which slices are shown, and how a slice becomes an image.
    """

    @property
    def name(self) -> str: ...

    @property
    def prompts(self) -> Mapping[str, str]: ...

    @property
    def new_tokens(self) -> int: ...

    @property
    def slices(self) -> SliceRule: ...

    def grammar(self, frame: Frame = FRAME) -> str:
        """The answers asked for, as GBNF with the rule ``root``."""
        ...

    def parse(self, text: str, parser: str = "lenient", frame: Frame = FRAME) -> Parsed:
        """Read an answer; raises nothing, whatever the text is, but UsageError for an unknown ``parser``."""
        ...

    def target(self, mask: NDArray[Any] | None = None, grade: str | None = None) -> Any:
        """The right answer, from the slice's mask (H, W) or the patient's grade; None if there is none."""
        ...


@dataclass(frozen=True)
class Prompt:
    """A prompt by name. ``sha256`` is over the text as a model gets it."""

    name: str
    text: str

    @property
    def sha256(self) -> str:
        """Hex digest of the UTF-8 text."""
        return hashlib.sha256(self.text.encode("utf-8", "surrogatepass")).hexdigest()


def prompt_task(name: str) -> PromptTask:
    """A prompt task by its name, or from the Python file of a user.

    Args:
        name: one of ``PROMPT_TASKS``, or a path that ends in ``.py``. That file is run: give only your own.

    Raises:
        UsageError: no such task or file, or the file's ``TASK`` lacks something.

    Example:
        >>> prompt_task("center").parse("(64, 32)").value
        (64, 32)
    """
    if name in PROMPT_TASKS:
        return import_module(f".{name}", __package__).TASK
    if name.endswith(".py"):
        return _from_file(Path(name).expanduser())
    raise UsageError(
        f"unknown prompt task {name!r}: expected one of {', '.join(PROMPT_TASKS)}, or a .py file with a TASK"
    )


def _from_file(path: Path) -> PromptTask:
    module = run_file(path, "task", "a prompt task of your own is a Python file that sets TASK")
    task = getattr(module, "TASK", None)
    if task is None:
        raise UsageError(f"{path}: sets no TASK; see voxzoo.zoo.tasks.prompt for what one has")
    lacks = [part for part in _PARTS if not hasattr(task, part)]
    if lacks or "default" not in task.prompts:
        raise UsageError(f"{path}: TASK has no {', '.join(lacks) or 'prompt named default'}")
    return task


_PARTS = ("name", "prompts", "new_tokens", "slices", "grammar", "parse", "target")


def choose_prompt(task: PromptTask, name: str = "default", slices: SliceRule | None = None) -> Prompt:
    """One prompt of a task, or the text of a user's file, with its placeholders filled.

    Args:
        task: whose prompts.
        name: a key of ``task.prompts``, or the path of a UTF-8 text file.
        slices: what is shown; default ``task.slices``.

    Raises:
        UsageError: neither; a file that is empty or no text.

    Example:
        >>> choose_prompt(prompt_task("box"), "brief").name
        'brief'
    """
    slices = task.slices if slices is None else slices
    if name in task.prompts:
        return Prompt(name, fill(task.prompts[name], slices))
    path = Path(name).expanduser()
    if not path.is_file():
        known = ", ".join(task.prompts)
        raise UsageError(f"{name!r} is neither a prompt of {task.name} ({known}) nor a file")
    try:
        text = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: cannot be read as UTF-8 text: {error}") from None
    if not text:
        raise UsageError(f"{path}: the prompt is empty")
    return Prompt(path.stem, fill(text, slices))


_AXES = "rows count down from 0 to {last_row}, columns count right from 0 to {last_col}"


def worded(texts: Mapping[str, str], **pieces: str) -> dict[str, str]:
    """Prompts with the pieces that they share put in: {axes}, how rows and columns count, and the ``pieces``.

    Example:
        >>> worded({"brief": "{axes}. Point: {form}"}, form="(row, col)")["brief"][-19:]
        '. Point: (row, col)'
    """
    pieces = {"axes": _AXES, **pieces}
    out = dict(texts)
    for piece, value in pieces.items():
        out = {name: text.replace(f"{{{piece}}}", value) for name, text in out.items()}
    return out


_SPOKEN = {"t1ce": "contrast-enhanced T1"}


def fill(text: str, slices: SliceRule) -> str:
    """Replace {modality}, {plane}, {rows}, {cols}, {last_row} and {last_col}; other braces stay as they are.

    Example:
        >>> from voxzoo.zoo.tasks.slices import SliceRule
        >>> fill("{plane} {modality}, rows 0-{last_row}, {other}", SliceRule())
        'axial FLAIR, rows 0-127, {other}'
    """
    rows, cols = slices.size
    names = {
        "modality": _SPOKEN.get(slices.modality, slices.modality.upper()),
        "plane": slices.plane,
        "rows": rows,
        "cols": cols,
        "last_row": rows - 1,
        "last_col": cols - 1,
    }
    for name, value in names.items():
        text = text.replace(f"{{{name}}}", str(value))
    return text
