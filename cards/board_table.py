"""A leaderboard as a Markdown table, and putting it between two marks of a file."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from ..eval.files import atomic_write, reason
from ..eval.results import Scores
from ..eval.views.common import number
from ..zoo.errors import RunError, UsageError
from .markdown import Md, mean_of, rounded, table
from .names import as_markdown
from .published import AGAIN, MARK, published_rows
from .runs import Board, Run

BEGIN, END = "<!-- zoo-card table -->", "<!-- /zoo-card table -->"
COUNTS = ("n", "missing", "empty")


def boards_text(boards: Sequence[Board], published: bool = False) -> str:
    """One table per board, best model first, a trivial answer last.

    Args:
        boards: of runs that can be compared.
        published: also the study's rows about a board's task, marked as not rerun here.
    """
    return "\n\n".join(_board(board, published) for board in boards)


def _board(board: Board, published: bool) -> str:
    first = next(iter(board.runs.values()))
    names = first.headline
    ranked = sorted(board.runs.items(), key=lambda item: _rank(item[1], names[0]) if names else 0.0)
    rows = [
        [label, *(mean_of(run.figures.get(name)) for name in names), *_tail(run)] for label, run in ranked
    ]
    rows += [_trivial(name, scores, names) for name, scores in _baselines(board).items()]
    rows += _published(board.task, list(board.runs.values()), names) if published else []
    header = ["model", *(_title(first, name) for name in names), *COUNTS, *_cost_titles(first)]
    lines = [
        f"**{as_markdown(board.dataset)}: {as_markdown(board.task)}**",
        table(header, rows),
        _note(first),
    ]
    lines += [as_markdown(run.held_out) for run in board.runs.values() if run.held_out]
    return "\n\n".join([*lines, *(f"NOT THE SAME: {as_markdown(line)}" for line in board.mixed)])


def _cost_titles(run: Run) -> tuple[str, str]:
    unit = run.unit.rpartition(" ")[2]
    return f"ms per {unit}", f"J per {unit}"


def _rank(run: Run, name: str) -> float:
    """Lower is better, undefined last."""
    found = run.figures.get(name)
    if found is None or math.isnan(found.mean):
        return math.inf
    return found.mean if run.figure(name).better == "lower" else -found.mean


def _title(run: Run, name: str) -> Md:
    about = run.figure(name)
    arrow = {"higher": " ↑", "lower": " ↓", "": ""}[about.better]
    return Md(as_markdown(about.title + (f", {about.unit}" if about.unit else "")) + arrow)


def _tail(run: Run) -> list[str]:
    counts = _counts(run.scores, run.headline)
    seconds = None if run.seconds_per_slice is None else 1000 * run.seconds_per_slice
    energy = run.energy
    if energy is None:
        return [*counts, rounded(seconds), "not measured"]
    if energy.per_slice is None:
        return [*counts, rounded(seconds), rounded(None)]
    return [*counts, rounded(seconds), f"{rounded(energy.per_slice)} ({energy.kind})"]


def _counts(scores: Scores, names: Sequence[str]) -> list[str]:
    found = next((scores.aggregate[name] for name in names if name in scores.aggregate), None)
    return ["", "", ""] if found is None else [str(found.n), str(found.missing), str(found.empty)]


def _baselines(board: Board) -> Mapping[str, Scores]:
    """Trivial answers on the same cases, each once, unless one of the models is itself one."""
    found: dict[str, Scores] = {}
    for run in board.runs.values():
        for name, scores in run.baselines.items():
            if name not in {other.model for other in board.runs.values()}:
                found.setdefault(name, scores)
    return found


def _trivial(name: str, scores: Scores, names: Sequence[str]) -> list[str]:
    figures = [mean_of(scores.aggregate.get(figure_name)) for figure_name in names]
    return [f"trivial: {name.removeprefix('baseline:')}", *figures, *_counts(scores, names), "", ""]


def _published(task: str, runs: Sequence[Run], names: Sequence[str]) -> list[list[str]]:
    """The study's rows; a dash where it published no such figure, or one of another name or unit."""
    out = []
    for one in published_rows(task, runs):
        values = [one.row.figures.get(name) for name in names]
        cells = ["" if value is None else number(value) for value in values]
        out.append([f"study: {one.row.model} (Table {one.row.table}, {MARK})", *cells, *_NO_TAIL])
        if one.run is not None:
            again = [number(_nan(one.again(name))) for name in names]
            out.append([f"study: {one.row.model} ({AGAIN})", *again, *_NO_TAIL])
    return out


_NO_TAIL = [""] * (len(COUNTS) + 2)


def _nan(value: float | None) -> float:
    return math.nan if value is None else value


def _note(run: Run) -> str:
    """How every row of the board is defined."""
    text = "Mean [95 % bootstrap interval]; n counts those without a prediction, which score as failures."
    return text + (f" Rules: {as_markdown(run.rules)}." if run.definition else "")


def put_between(path: Path, text: str) -> bool:
    """Replace what stands between the marks in a file.

    Returns:
        Whether the file changed.

    Raises:
        UsageError: the marks are not there once each, in order.
        RunError: the file cannot be read or written.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "README.md"
        >>> size = path.write_text(f"a\\n{BEGIN}\\nold\\n{END}\\nb\\n")
        >>> put_between(path, "new"), put_between(path, "new")
        (True, False)
    """
    before, after = _with(path, text)
    if after != before:
        atomic_write(path, after.encode())
    return after != before


def is_between(path: Path, text: str) -> bool:
    """Whether the marks of a file already hold this; raises as ``put_between``."""
    before, after = _with(path, text)
    return before == after


def _with(path: Path, text: str) -> tuple[str, str]:
    """The file as it is, and as it has to be."""
    try:
        before = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = reason(error) if isinstance(error, OSError) else str(error)
        raise RunError(f"{path}: cannot be read ({why})") from error
    if before.count(BEGIN) != 1 or before.count(END) != 1 or before.index(BEGIN) > before.index(END):
        raise UsageError(f"{path}: expected the line {BEGIN} and, below it, {END}, once each")
    head, _, rest = before.partition(BEGIN)
    return before, f"{head}{BEGIN}\n{text}\n{END}{rest.partition(END)[2]}"
