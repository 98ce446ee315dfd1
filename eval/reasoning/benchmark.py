"""Benchmarks of reasoning as data: gold key points per condition and section, one JSON line each.

``docs/reasoning.md`` has the format. A file that is wrong anywhere is not used at all: a benchmark that loses
a line loses a part of its gold, and its figures would mean something else.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path

from ...zoo.errors import RunError, UsageError
from ...zoo.tasks.reason import ABOUT, SECTIONS
from ..language.problems import Problem, json_lines
from .lines import NOT_VERIFIED, Item, KeyPoint, folded, head_of, item_of

__all__ = [
    "NOT_VERIFIED",
    "SECTIONS",
    "Benchmark",
    "Item",
    "KeyPoint",
    "Topic",
    "examine",
    "example_path",
    "read_benchmark",
]

_CHECK = "zoo-eval reason-check FILE lists all"


@dataclass(frozen=True)
class Topic:
    """What one question is about: a condition, on an image where the items name one.

    Attributes:
        condition: its label.
        image: path of its image as the benchmark has it; None where it names none.
        items: one for each section that is asked for, in the order of the benchmark's sections.
    """

    condition: str
    image: str | None
    items: tuple[Item, ...]

    @property
    def sections(self) -> tuple[str, ...]:
        """That are asked for."""
        return tuple(item.section for item in self.items)

    @property
    def id(self) -> str:
        """In records: the condition, and the image where there is one."""
        return self.condition if self.image is None else f"{self.condition}:{self.image}"


@dataclass(frozen=True)
class Benchmark:
    """Items of one language, read and checked.

    Attributes:
        name: of the header, else of the file.
        items: in the file's order.
        sections: that answers may have, in the order in which they are asked for.
        labels: the conditions, in the order in which they come.
        sha256: of the file.
        path: the file; images are relative to its folder.
        licence, source: of the header, "" if it has none.
        about: what is examined, as prompts say it.
    """

    name: str
    items: tuple[Item, ...]
    sections: tuple[str, ...]
    labels: tuple[str, ...]
    sha256: str
    path: Path = Path()
    licence: str = ""
    source: str = ""
    about: str = ABOUT

    @property
    def language(self) -> str:
        """Of all items."""
        return self.items[0].language

    @property
    def verified(self) -> int:
        """How many items say who verified them."""
        return sum(item.is_verified for item in self.items)

    def select(self, ids: Sequence[str] | None = None, limit: int | None = None) -> Benchmark:
        """The same with these items only, in the file's order; it goes on to know all of its conditions.

        Args:
            ids: of items; None takes all.
            limit: of them the first so many.

        Raises:
            UsageError: an id that is not in it.
        """
        known = {item.id for item in self.items}
        unknown = [name for name in ids or () if name not in known]
        if unknown:
            raise UsageError(f"{self.name}: no item {unknown[0]!r}; the first is {self.items[0].id!r}")
        items = [item for item in self.items if ids is None or item.id in ids][:limit]
        return replace(self, items=tuple(items))

    @property
    def topics(self) -> tuple[Topic, ...]:
        """The questions: items of one condition and image form one."""
        groups: dict[tuple[str, str], list[Item]] = {}
        for item in self.items:
            groups.setdefault((item.condition, item.image or ""), []).append(item)
        order = self.sections.index
        return tuple(
            Topic(condition, image or None, tuple(sorted(items, key=lambda item: order(item.section))))
            for (condition, image), items in groups.items()
        )


def example_path() -> Path:
    """The ten items that come with voxzoo: an example of the format, verified by nobody.

    Example:
        >>> benchmark = read_benchmark(example_path())
        >>> len(benchmark.items), benchmark.verified
        (10, 0)
    """
    return Path(str(resources.files(__package__) / "example.jsonl"))


def read_benchmark(path: str | os.PathLike[str]) -> Benchmark:
    """Read a benchmark.

    Args:
        path: the file, or "example".

    Raises:
        UsageError: there is no such file, or something in it is wrong; file, line and what to do.

    Example:
        >>> [topic.sections for topic in read_benchmark("example").topics][0]
        ('causes', 'symptoms', 'treatment', 'follow-up')
    """
    path = example_path() if os.fspath(path) == "example" else Path(path).expanduser()
    benchmark, problems = examine(path)
    if benchmark is None:
        more = f" (and {len(problems) - 1} more: {_CHECK})" if len(problems) > 1 else ""
        raise UsageError(f"{problems[0]}{more}")
    return benchmark


def examine(path: Path) -> tuple[Benchmark | None, list[Problem]]:
    """Read a benchmark and find all that is wrong with it.

    Returns:
        The benchmark, None where it cannot be used; the problems in the order of lines.

    Raises:
        UsageError: the file cannot be read.
    """
    problems: list[Problem] = []
    try:
        rows = list(json_lines(path, problems))
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
    except (RunError, OSError) as error:
        raise UsageError(f"benchmark: {error}") from error
    head = {}
    if rows and "sections" in rows[0][1] and "id" not in rows[0][1]:
        number, plain = rows.pop(0)
        try:
            head = head_of(plain)
        except ValueError as error:
            return None, [*problems, Problem(path, number, str(error))]
    sections = tuple(head.get("sections", SECTIONS))
    items: list[tuple[int, Item]] = []
    for number, plain in rows:
        try:
            items.append((number, item_of(plain, sections)))
        except ValueError as error:
            problems.append(Problem(path, number, str(error)))
    problems += _together(path, items)
    if not items and not problems:
        problems.append(Problem(path, 1, "no item in it; docs/reasoning.md has the format"))
    if problems:
        return None, sorted(problems, key=lambda problem: problem.line)
    whole = tuple(item for _, item in items)
    return Benchmark(
        head.get("name", path.stem),
        whole,
        sections,
        tuple(dict.fromkeys(item.condition for item in whole)),
        digest,
        path,
        head.get("licence", ""),
        head.get("source", ""),
        head.get("about", ABOUT),
    ), []


def _together(path: Path, items: Sequence[tuple[int, Item]]) -> Iterable[Problem]:
    """What is wrong with items beside each other."""
    ids: dict[str, int] = {}
    places: dict[tuple[str, str, str], int] = {}
    spelt: dict[str, str] = {}
    language: tuple[str, int] | None = None
    for number, item in items:
        if (first := ids.setdefault(item.id, number)) != number:
            yield Problem(path, number, f"id {item.id!r} is there already, in line {first}")
        place = (item.condition, item.section, item.image or "")
        if (first := places.setdefault(place, number)) != number:
            yield Problem(
                path,
                number,
                f"{item.condition}, {item.section}: has its gold in line {first} already; join them",
            )
        if (other := spelt.setdefault(folded(item.condition), item.condition)) != item.condition:
            yield Problem(
                path, number, f"condition {item.condition!r} is {other!r} elsewhere: write it one way"
            )
        language = language or (item.language, number)
        if item.language != language[0]:
            yield Problem(
                path,
                number,
                f"language {item.language!r}, line {language[1]} has {language[0]!r}: one file per language",
            )
