"""A benchmark from its options to its results file; what is measured is on the disk before the next turn."""

from __future__ import annotations

import json
import re
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from ...zoo.errors import RunError, UsageError
from .. import environment, files
from ..energy.carbon import Grid, grid_of
from ..energy.estimate import WattsPerCore
from ..energy.items import ItemMeter
from ..energy.meters import open_meters
from ..jsonlines import JsonLines
from ..records import cache_key
from ..stages import EXPECTED
from . import summary
from .peak import peak_flops
from .subjects import Opened, Wanted, named, open_timed
from .turns import Plan, Turn, open_journal, take_turns, to_line

SCHEMA = "voxzoo.bench/1"
RESULTS, JOURNAL = "bench.json", "turns.jsonl"
DEFAULT_DATA = "phantom:n=2"
CASES = 4
"""So many cases at most, if nobody says: more would only be read, not measured better."""


class Watcher(Protocol):
    """Who is told how a benchmark goes on."""

    def opened(self, name: str, one: Opened) -> None:
        """A model is ready."""

    def started(self, rows: Sequence[str], cases: int, plan: Plan, folder: Path | None) -> None:
        """Turns begin."""

    def finished(self, turn: Turn, reused: bool) -> None:
        """A turn is over."""


@dataclass(frozen=True)
class BenchOptions:
    """How to measure.

    Attributes:
        seconds: that each model works at least.
        limit: cases at most.
        meter: a word of ``energy.meters.CHOICES``.
        watts: of the estimate.
        country, grid, pue: see ``energy.carbon.grid_of``.
        overwrite: replace what the folder holds.
    """

    seconds: float = 10.0
    limit: int = CASES
    meter: str = "auto"
    watts: WattsPerCore = field(default_factory=WattsPerCore)
    country: str | None = None
    grid: float | None = None
    pue: float = 1.0
    overwrite: bool = False

    def __post_init__(self) -> None:
        if not 0 < self.seconds < 1e6:
            raise UsageError(f"seconds: got {self.seconds!r}, expected more than 0")
        if self.limit < 1:
            raise UsageError(f"limit: got {self.limit!r}, expected 1 or more cases")
        _ = self.electricity

    @property
    def electricity(self) -> Grid:
        """The grid that energy is turned into CO2 with."""
        return grid_of(self.country, self.grid, self.pue)


class Bench:
    """A benchmark that is ready to start: models opened, nothing measured but that.

    Args:
        wanted: which models.
        data: what ``zoo.datasets`` opens; None for two phantoms, written to disk first.
        options: how to measure.
        watcher: is told how it goes on.

    Raises:
        UsageError: no models, no cases, a country that nobody knows, a meter that is not there.
        ModelError, ContractError: a model cannot be opened or trusted.
    """

    def __init__(self, wanted: Wanted, data: str | None, options: BenchOptions, watcher: Watcher) -> None:
        self._options, self._watcher, self._wanted = options, watcher, wanted
        self._stack = ExitStack()
        openers = wanted.openers()
        self.dataset, self.cases = _cases(data, options.limit, self._stack)
        wanted.import_runtimes()
        opened = []
        for opener in openers:
            opened.append(open_timed(opener, self.cases[0], EXPECTED))
            watcher.opened(opened[-1].subject.name, opened[-1])
        self.rows = named(opened)

    def close(self) -> None:
        """Remove what was written for the time of the benchmark."""
        self._stack.close()

    def identity(self) -> dict[str, Any]:
        """What a folder of turns belongs to: with other models, cases or machines it is another benchmark."""
        machine = environment.describe()
        volatile = ("bytes", "flops_per_run", "flops_reason")
        return {
            "models": {
                name: {k: v for k, v in one.subject.facts.items() if k not in volatile}
                for name, one in self.rows.items()
            },
            "dataset": self.dataset,
            "cases": [case.id for case in self.cases],
            "seconds": self._options.seconds,
            "meter": self._options.meter,
            "machine": {name: machine[name] for name in ("cpu", "cores", "memory_gib")},
            "code": environment.code_version(),
        }

    def default_folder(self) -> Path:
        """``runs/bench-<models>-<8 digits>``: the same command finds its own folder again."""
        words = re.sub(r"[^A-Za-z0-9._]+", "-", "-".join(self.rows))[:60].strip("-")
        return Path("runs") / f"bench-{words}-{cache_key(self.identity())[:8]}"

    def run(self, folder: Path | None) -> dict[str, Any]:
        """Measure what is not on file yet, then write the results.

        Ctrl-C ends it early: what was measured is written all the same, marked as unfinished.

        Raises:
            RunError: the folder cannot be written or belongs to another benchmark.
        """
        journal, found = self._journal(folder)
        turns = list(found)
        started, finished = datetime.now(UTC), True
        cuda = any(str(o.subject.facts["runtime"].get("device")) == "cuda" for o in self.rows.values())
        meters, notes = open_meters(self._options.meter, cuda, self._options.watts)
        plan = Plan.of(self._options.seconds, max((m.facts.least_s for m in meters), default=0.0))
        self._watcher.started(list(self.rows), len(self.cases), plan, folder)
        for turn in found:
            self._watcher.finished(turn, reused=True)

        def keep(turn: Turn) -> None:
            turns.append(turn)
            if journal is not None:
                journal.append(to_line(turn))
            self._watcher.finished(turn, reused=False)

        meter = ItemMeter(meters, notes)
        try:
            with meter:
                idle = _idle(meter, plan, meters)
                take_turns(self.rows, self.cases, plan, meter, found, keep)
        except KeyboardInterrupt:
            finished, idle = False, {}
        finally:
            if journal is not None:
                journal.close()
        results = self._results(turns, found, finished, started, {**meter.session(), "idle": idle})
        if folder is not None:
            text = json.dumps(results, ensure_ascii=False, indent=1, allow_nan=False) + "\n"
            files.atomic_write(folder / RESULTS, text.encode())
        return results

    def _journal(self, folder: Path | None) -> tuple[JsonLines | None, list[Turn]]:
        if folder is None:
            return None, []
        files.prepare_folder(folder)
        if self._options.overwrite:
            for name in (RESULTS, JOURNAL):
                (folder / name).unlink(missing_ok=True)
        elif (folder / RESULTS).exists() and not (folder / JOURNAL).exists():
            raise RunError(f"{folder}: has a {RESULTS} without its {JOURNAL}; --overwrite replaces it")
        return open_journal(folder / JOURNAL, self.identity())

    def _results(
        self,
        turns: Sequence[Turn],
        found: Sequence[Turn],
        finished: bool,
        started: datetime,
        metered: Mapping[str, Any],
    ) -> dict[str, Any]:
        grid = self._options.electricity
        rows = {
            name: summary.row(
                one.to_dict(), [t for t in turns if t.model == name], _peak(one, self._wanted), grid
            )
            for name, one in self.rows.items()
        }
        return {
            "schema": SCHEMA,
            "finished": finished,
            "first": next(iter(rows)),
            "ratios": summary.ratios(rows, turns),
            "models": rows,
            "dataset": {**self.dataset, "cases": [case.id for case in self.cases]},
            "grid": grid.to_dict(),
            "energy": dict(metered),
            "options": {"seconds": self._options.seconds, "meter": self._options.meter},
            "code_version": environment.code_version(),
            "environment": environment.describe(),
            "session": {
                "started": started.isoformat(timespec="seconds"),
                "turns_measured": len(turns) - len(found),
                "turns_reused": len(found),
            },
        }


def _peak(one: Opened, wanted: Wanted) -> float | None:
    runtime = one.subject.facts["runtime"]
    if one.subject.facts["flops_per_run"] is None or runtime["name"] not in ("onnxruntime", "openvino"):
        return None
    return peak_flops(runtime["name"], runtime["device"], runtime["precision"], runtime["threads"])


def _idle(meter: ItemMeter, plan: Plan, meters: Sequence[Any]) -> dict[str, Any]:
    """Power of the machine while we do nothing: told apart, never taken off."""
    if all(one.facts.interval_s == 0 for one in meters):
        return {}
    meter.lap()
    time.sleep(plan.turn_s * 1.05)
    return meter.lap()


def _cases(data: str | None, limit: int, stack: ExitStack) -> tuple[dict[str, Any], list[Any]]:
    """The cases; phantoms as files, since making one is no part of reading one.

    Raises:
        UsageError: there are none.
    """
    from ...zoo.datasets import open_dataset

    dataset = open_dataset(data or DEFAULT_DATA)
    facts = {"name": dataset.name, "kind": dataset.kind, "source": dataset.source, "licence": dataset.licence}
    if not dataset.cases:
        raise UsageError(f"{dataset.name}: there are no cases in it, so nothing can be measured")
    cases: list[Any] = list(dataset.select(limit=limit).cases)
    if dataset.kind == "phantom":
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="voxzoo-bench-")))
        cases = [_on_disk(case, folder / case.id) for case in cases]
    return facts, cases


def _on_disk(case: Any, folder: Path) -> Any:
    from ...zoo.cases import case_from_folder
    from ...zoo.nifti import write_nifti

    folder.mkdir()
    affine = case.grid().affine
    for modality in case.modalities:
        image = case.read_image(modality)
        write_nifti(folder / f"{case.id}_{modality}.nii.gz", image, affine, image.dtype)
    labels = case.read_reference()
    write_nifti(folder / f"{case.id}_seg.nii.gz", labels, affine, labels.dtype)
    return replace(case_from_folder(folder), id=case.id, patient=case.patient, grade=case.grade)
