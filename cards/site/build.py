"""Builds the site: which pages there are, what each needs, and in which file it goes."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ...eval.records import SCORED
from ...zoo.errors import UsageError
from ..figures import HEADLINE, REASON
from ..names import slug
from ..plots.boxes import LEGEND
from ..runs import Board, Run, boards, read_runs
from .answers import sayings
from .boards import BoardView, board_view, ranked
from .card import card_html
from .cases import Entry, Shelf, case_page
from .folder import MARK, Target, replaced
from .given import Data, Masks
from .models import ModelPage, by_model, model_facts, run_part
from .plots import Drawer, split_curves
from .reasoning import answers_of
from .render import Pages

STATIC = Path(__file__).parent / "static"
SHARED = ("site.css", "site.js", "case.js")
VIEWER = ("viewer.js", "vendor/niivue.umd.js", "vendor/LICENSE.niivue.txt")
PICTURED = 50
"""Cases of a dataset that get pictures unless another number is given."""


@dataclass(frozen=True)
class Built:
    """What was built.

    Attributes:
        folder: with the site; ``index.html`` is its first page.
        models, cases: pages.
        pictured: cases with pictures.
        files: in it.
        bytes: all of them together.
        notes: what could not be shown, a line each.
    """

    folder: Path
    models: int
    cases: int
    pictured: int
    files: int
    bytes: int
    notes: tuple[str, ...]


def build_site(
    runs: Sequence[Run | str | os.PathLike[str]],
    out: str | os.PathLike[str],
    *,
    data: Iterable[str] = (),
    masks: Iterable[str | os.PathLike[str]] = (),
    curves: Sequence[str] = (),
    mixed: bool = False,
    pictured: int = PICTURED,
    told: Callable[[str], None] = lambda line: None,
) -> Built:
    """Build a static site.

    Args:
        runs: finished runs, or the folders and files that ``voxzoo.cards.read_runs`` reads.
        out: folder of the site; an earlier site there is replaced when the new one is whole.
        data: datasets to make pictures of; without any the site has numbers only. A case is pictured only if
            its files are those that the runs saw.
        masks: folders with predicted masks, beside the folder ``masks`` of each run.
        curves: ``MODEL=curve.csv`` of trainings, drawn on the models' pages.
        mixed: also compare runs whose data or definitions differ; the tables then say so.
        pictured: at most so many cases of a dataset get pictures: half of them the worst ones, the rest
            evenly spaced.
        told: is given a line now and then about how far it is.

    Raises:
        RunError: a run cannot be read, runs of different data would stand in one table, or ``out`` cannot be
            written or holds something else.
        UsageError: no runs, or ``data`` names no dataset.

    Example:
        >>> import tempfile, voxzoo
        >>> from voxzoo.cards.site import build_site
        >>> folder = tempfile.mkdtemp()
        >>> run = voxzoo.evaluate("baseline:flair-threshold", "phantom:n=2,shape=24x28x24", f"{folder}/run")
        >>> built = build_site([f"{folder}/run"], f"{folder}/site")
        >>> built.models, built.cases, (built.folder / "index.html").is_file()
        (1, 2, True)
    """
    if pictured < 0:
        raise UsageError(f"pictured: got {pictured}, expected 0 or more cases")
    read = [run if isinstance(run, Run) else one for run in runs for one in _read(run)]
    found = Masks([Path(folder) for folder in masks])
    plan = _Plan.of(boards(read, mixed), Data(data), found, curves, pictured)
    with replaced(Path(out)) as target:
        site = _Site(plan, target, told)
        site.write()
        notes = tuple(dict.fromkeys(site.notes))
        pages = len(plan.model_hrefs), len(plan.cases), site.with_pictures
        return Built(Path(out), *pages, target.files, target.bytes, notes)


def _read(run: Run | str | os.PathLike[str]) -> list[Run]:
    return [run] if isinstance(run, Run) else read_runs([os.fspath(run)])


@dataclass
class _Plan:
    """All that the pages refer to each other by.

    Attributes:
        boards: in the order of the first page.
        data, masks: where pictures come from.
        curves: (model, ``curve.csv``).
        cases: (dataset, case) -> the runs on it: anchor, label, run, record.
        case_hrefs: (dataset, case) -> its page, from the root.
        model_hrefs: (name, content) -> its page, from the root.
        run_hrefs: (board, label) -> where the run is, from the root.
        pictured: dataset -> cases that get pictures.
    """

    boards: list[Board]
    data: Data
    masks: Masks
    curves: list[tuple[str, Path]] = field(default_factory=list)
    cases: dict[tuple[str, str], list[Entry]] = field(default_factory=dict)
    case_hrefs: dict[tuple[str, str], str] = field(default_factory=dict)
    model_hrefs: dict[tuple[str, str], str] = field(default_factory=dict)
    run_hrefs: dict[tuple[int, str], str] = field(default_factory=dict)
    pictured: dict[str, set[str]] = field(default_factory=dict)

    @classmethod
    def of(cls, found: list[Board], data: Data, masks: Masks, curves: Sequence[str], pictured: int) -> _Plan:
        models = [run.model for board in found for run in board.runs.values()]
        plan = cls(found, data, masks, split_curves(curves, models))
        plan._name_models()
        for number, board in enumerate(found):
            for label in ranked(board):
                plan._add_cases(number, label, board.runs[label])
        plan._choose(pictured)
        return plan

    def runs(self) -> list[tuple[int, str, Run]]:
        """(board, label, run) of all."""
        return [(k, label, run) for k, board in enumerate(self.boards) for label, run in board.runs.items()]

    def _name_models(self) -> None:
        models = by_model((label, run) for _, label, run in self.runs())
        names = [name for name, _ in models]
        for name, content in models:
            apart = name if names.count(name) == 1 else f"{name} {content[:12]}"
            self.model_hrefs[name, content] = f"models/{slug(apart)}.html"
        for number, (k, label, run) in enumerate(self.runs()):
            href = self.model_hrefs[run.model, run.content_sha256]
            self.run_hrefs[k, label] = f"{href}#run-{number}"

    def _add_cases(self, board: int, label: str, run: Run) -> None:
        for record in run.cases:
            key = run.dataset, record.case
            href = self.run_hrefs[board, label]
            mark = href.rpartition("-")[2]
            self.cases.setdefault(key, []).append(Entry(mark, label, href, run, record))
            self.case_hrefs.setdefault(key, f"cases/{slug(run.dataset)}/{slug(record.case)}.html")

    def _choose(self, most: int) -> None:
        """Half of the pictured cases are the worst, so that failures are seen; nobody chooses the rest."""
        names: dict[str, list[str]] = {}
        for dataset, case in self.cases:
            names.setdefault(dataset, []).append(case)
        for dataset, cases in names.items():
            if len(cases) > most:
                ranked = sorted(cases, key=lambda case, d=dataset: _worth(self.cases[d, case]))  # type: ignore[misc]
                worst, rest = ranked[: most // 2], cases
                rest = [case for case in cases if case not in set(worst)]
                places = np.linspace(0, len(rest) - 1, most - len(worst)).round().astype(int)
                cases = [*worst, *(rest[k] for k in places)]
            self.pictured[dataset] = set(cases)


def _worth(entries: Sequence[Entry]) -> float:
    """How well the models did on a case: the mean of their deciding figures, failures first."""
    values = []
    for entry in entries:
        for name in ("dice", "correct", "in_box", *HEADLINE[REASON][:3]):
            if name in entry.record.metrics:
                values.append(entry.record.metrics[name])
                break
        if entry.record.status != SCORED:
            values.append(-1.0)
    return float(np.mean(values)) if values else 1.0


class _Site:
    """Writes the pages of a plan."""

    def __init__(self, plan: _Plan, target: Target, told: Callable[[str], None]) -> None:
        self.plan, self.target, self.told = plan, target, told
        self.notes: list[str] = []
        self.with_pictures = 0
        self.sayings = {}
        for number, (_, _, run) in enumerate(plan.runs()):
            if run.is_language:
                found = self.sayings[str(number)] = sayings(run)
                self.notes += found.notes
        self.reasoning = {}
        for number, (_, _, run) in enumerate(plan.runs()):
            if run.task == REASON:
                answers = self.reasoning[str(number)] = answers_of(run)
                self.notes += answers.notes
        self.pages = Pages(viewer=bool(plan.data.datasets))

    def write(self) -> None:
        """Every file of the site."""
        has_volumes = self._cases()
        self._models()
        views = self._index()
        for name in (*SHARED, *(VIEWER if has_volumes else ())):
            self.target.write(f"assets/{Path(name).name}", (STATIC / name).read_bytes())
        facts = {"schema": "voxzoo.site/1", "runs": len(self.plan.runs()), "boards": len(views)}
        self.target.write(MARK, (json.dumps(facts) + "\n").encode())

    def _index(self) -> list[BoardView]:
        views = []
        for k, board in enumerate(self.plan.boards):
            hrefs = {label: self.plan.run_hrefs[k, label] for label in board.runs}
            views.append(board_view(board, f"board-{k}", hrefs))
        tasks = list(dict.fromkeys(view.task for view in views))
        content = self.pages.render("index.html", "", views=views, tasks=tasks, notes=self.notes)
        self.target.write("index.html", content)
        return views

    def _models(self) -> None:
        grouped: dict[tuple[str, str], list[tuple[int, int, str, Run]]] = {}
        for number, (k, label, run) in enumerate(self.plan.runs()):
            grouped.setdefault((run.model, run.content_sha256), []).append((number, k, label, run))
        for key, found in grouped.items():
            parts = []
            for number, _, label, run in found:
                hrefs = {c: "../" + h for (d, c), h in self.plan.case_hrefs.items() if d == run.dataset}
                parts.append(run_part(f"run-{number}", label, run, hrefs))
            runs = [run for *_, run in found]
            href = self.plan.model_hrefs[key]
            drawer = Drawer(Path(href).stem)
            page = ModelPage(key[0], model_facts(runs), tuple(parts), card_html(runs))
            page.curves = drawer.of_curves(
                [(name, path) for name, path in self.plan.curves if name == key[0]]
            )
            for part, run in zip(page.parts, runs, strict=True):
                part.plots = drawer.of_run(run)
            self.notes += drawer.notes
            for name, content in drawer.files.items():
                self.target.write(f"models/{name}", content)
            self.target.write(href, self.pages.render("model.html", "../", page=page, legend=LEGEND))
            self.told(f"model {key[0]}")

    def _cases(self) -> bool:
        pictured = sum(map(len, self.plan.pictured.values()))
        shelf = Shelf(self.plan.data, self.plan.masks, self.sayings, pictured, self.reasoning)
        has_volumes = False
        names = list(self.plan.cases)
        for place, key in enumerate(names):
            href = self.plan.case_hrefs[key]
            stem = Path(href).stem
            entries = self.plan.cases[key]
            page = case_page(key[1], key[0], stem, entries, shelf, key[1] in self.plan.pictured[key[0]])
            links = [self._neighbour(names, place + step, key[0]) for step in (-1, 1)]
            content = self.pages.render("case.html", "../../", page=page, before=links[0], after=links[1])
            self.target.write(href, content)
            for name, data in page.files.items():
                self.target.write(f"{Path(href).parent.as_posix()}/{name}", data)
            has_volumes = has_volumes or page.volume is not None
            self.with_pictures += bool(page.files)
            self.told(f"case {key[1]}")
        if self.plan.data.datasets and not self.with_pictures:
            self.notes.append("No case of the data given is one that the runs saw: there are no pictures.")
        return has_volumes

    def _neighbour(self, names: Sequence[tuple[str, str]], place: int, dataset: str) -> str:
        """The page of a case of the same dataset, seen from a case's page; "" where there is none."""
        inside = 0 <= place < len(names) and names[place][0] == dataset
        return "../../" + self.plan.case_hrefs[names[place]] if inside else ""
