"""What is benchmarked: a model that answers about a volume at a time, or one that is asked about a slice."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...zoo.answerer import Answerer
from ...zoo.errors import UsageError
from ..language.naming import is_language
from ..tasks.base import geometry
from .asked import answer_subject
from .flops import Flops, count_flops
from .memory import PeakMemory
from .peak import import_runtime
from .work import Did, Subject

if TYPE_CHECKING:
    from ...zoo.model import Model


@dataclass
class Opened:
    """A subject, and what opening it took.

    Attributes:
        subject: ready.
        load_s: to open and verify it, its runtime's package being imported already.
        first_s: wall seconds of the first answer; None if it failed.
        memory: bytes that the process grew by at most meanwhile; None where not known.
        reason: why the first answer failed.
    """

    subject: Subject
    load_s: float
    first_s: float | None = None
    memory: int | None = None
    reason: str = ""

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        own = {"load_s": self.load_s, "first_answer_s": self.first_s, "memory_bytes": self.memory}
        return {**self.subject.facts, "unit": self.subject.unit, **own, "first_answer_failed": self.reason}


class VolumeSubject:
    """A model of voxzoo: from the files of a patient to the answer.

    Args:
        model: loaded.
        path: of its file, None for one that is built in.
    """

    unit = "volume"

    def __init__(self, model: Model, path: Path | None) -> None:
        self._model = model
        self.name = model.name
        runtime = model.runtime
        is_onnx = path is not None and path.suffix == ".onnx"
        flops = count_flops(path) if path is not None and is_onnx else Flops(None, 0, "no ONNX graph")
        runs = 0 if getattr(model.contract.input, "window", "") == "sliding" else 1
        self.facts: dict[str, Any] = {
            "name": model.name,
            "content_sha256": model.content_hash,
            "runtime": asdict(runtime),
            "bytes": None if path is None else path.stat().st_size,
            "flops_per_run": flops.count,
            "flops_reason": flops.reason,
            "runs_per_volume": runs or None,
        }

    def work(self, case: Any, turn: int) -> Did:
        """A whole prediction."""
        slices = int(geometry(case).get("slices", 0))
        return Did(self._model.predict(case).seconds, slices, slices)


@dataclass(frozen=True)
class Wanted:
    """What is to be benchmarked.

    Attributes:
        models: as ``zoo-eval`` takes them, or loaded ones.
        runtimes, precisions: every model of voxzoo is opened in each of them.
        device, threads: of the runtimes.
        task: what language models are asked.
        show: which slices they are shown; None leaves it to the task.
    """

    models: Sequence[Any]
    runtimes: Sequence[str] = ("auto",)
    precisions: Sequence[str] = ("fp32",)
    device: str = "auto"
    threads: int | None = None
    task: str = "grade"
    show: str | None = None
    trust: bool = False

    def openers(self) -> list[Callable[[], Subject]]:
        """A function for each row; nothing is opened yet.

        Raises:
            UsageError: no model, or one that is given twice.
        """
        if not self.models:
            raise UsageError("nothing to compare: give --model, more than once")
        twice = {str(m) for m in self.models if list(self.models).count(m) > 1}
        if twice:
            raise UsageError(f"--model {twice.pop()} is given twice")
        openers: list[Callable[[], Subject]] = []
        for model in self.models:
            asked = isinstance(model, Answerer) or is_language(model, "auto")
            if asked:
                openers.append(lambda m=model: self._answerer(m))  # type: ignore[misc]
                continue
            # A baseline is code of ours: no runtime of networks runs it, so it is one row.
            built_in = str(model).startswith("baseline:")
            ways = [("auto", "fp32")] if built_in else product(self.runtimes, self.precisions)
            for runtime, precision in ways:
                openers.append(lambda m=model, r=runtime, p=precision: self._volume(m, r, p))  # type: ignore[misc]
        return openers

    def import_runtimes(self) -> None:
        """Import what models of voxzoo run in, before anything is timed."""
        if any(isinstance(m, str | os.PathLike) and not is_language(m, "auto") for m in self.models):
            for runtime, precision in product(self.runtimes, self.precisions):
                import_runtime(runtime, self.device, precision)

    def _volume(self, model: Any, runtime: str, precision: str) -> Subject:
        if not isinstance(model, str | os.PathLike):
            return VolumeSubject(model, None)
        from ...zoo import registry

        loaded = registry.load(
            model,
            runtime=runtime,
            device=self.device,
            precision=precision,
            threads=self.threads,
            trust=self.trust,
        )
        return VolumeSubject(loaded, registry.resolve(model).path)

    def _answerer(self, model: Any) -> Subject:
        return answer_subject(model, self.task, self.show, self.device, self.threads)


def open_timed(opener: Callable[[], Subject], case: Any, expected: tuple[type[BaseException], ...]) -> Opened:
    """Open a subject and let it answer once.

    Args:
        opener: from ``Wanted.openers``.
        case: what the first answer is about.
        expected: what an answer may raise.
    """
    memory = PeakMemory()
    begin = time.perf_counter()
    subject = opener()
    opened = Opened(subject, time.perf_counter() - begin)
    begin = time.perf_counter()
    try:
        subject.work(case, 0)
        opened.first_s = time.perf_counter() - begin
    except expected as error:
        opened.reason = " ".join(str(error).split())
    opened.memory = memory.grown()
    return opened


def named(opened: Sequence[Opened]) -> dict[str, Opened]:
    """Rows by name; where two have one name, what they differ in is put behind it.

    Raises:
        UsageError: two that differ in nothing.
    """
    names = [o.subject.name for o in opened]
    rows: dict[str, Opened] = {}
    for one in opened:
        name = one.subject.name
        if names.count(name) > 1:
            runtime: Mapping[str, Any] = one.subject.facts["runtime"]
            name = f"{name} ({runtime['name']} {runtime.get('precision', '')})".replace(" )", ")")
        if name in rows:
            name = f"{name} {one.subject.facts['content_sha256'][:8]}"
        if name in rows:
            raise UsageError(f"{name} is given twice: the same file, runtime and precision")
        rows[name] = one
    return rows
