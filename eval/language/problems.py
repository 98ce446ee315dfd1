"""What is wrong with one line of a file: said in one line, with file and line number; the rest is used."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...zoo.errors import RunError
from .. import files


@dataclass(frozen=True)
class Problem:
    """One thing that was left out, and why.

    Attributes:
        file: where it stands.
        line: its line number, from 1.
        text: what was got and what was expected.

    Example:
        >>> str(Problem(Path("a.jsonl"), 7, "not JSON"))
        'a.jsonl:7: not JSON'
    """

    file: Path
    line: int
    text: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.text}"


def json_lines(path: Path, problems: list[Problem]) -> Iterator[tuple[int, dict[str, Any]]]:
    """The objects of a JSON Lines file with their line numbers; what is none is added to ``problems``.

    Raises:
        RunError: the file cannot be read at all.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise RunError(f"{path}: cannot be read ({files.reason(error)})") from error
    for number, line in enumerate(data.split(b"\n"), 1):
        if not line.strip():
            continue
        try:
            plain = json.loads(line)
        except (ValueError, RecursionError) as error:
            problems.append(Problem(path, number, f"not JSON ({_brief(error)}): {_shown(line)}"))
            continue
        if isinstance(plain, dict):
            yield number, plain
        else:
            problems.append(Problem(path, number, f"got {_shown(line)}, expected a JSON object"))


def _brief(error: Exception) -> str:
    return "nested too deeply" if isinstance(error, RecursionError) else str(error).split("\n")[0][:80]


def _shown(line: bytes) -> str:
    text = line.decode("utf-8", "replace").strip()
    return repr(text if len(text) <= 40 else text[:40] + "…")
