"""What the runner needs to know of a task: everything that differs between asking for masks and for words.

The runner loads cases, runs models, keeps records and continues what was cut off; it asks the task at the
places where the answer depends on what was asked. One object serves a whole run and all of its threads, so it
keeps no state of cases.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ...zoo.errors import UsageError
from ..empty import diagonal_mm

if TYPE_CHECKING:
    from ...zoo.datasets import Dataset
    from ...zoo.model import Model
    from ..aggregate import Summary
    from ..options import Options
    from ..records import CaseRecord


@dataclass(frozen=True)
class Made:
    """A baseline that needs no model: answers made from the references alone.

    Attributes:
        found: what it is, printable.
        records: as a model's would be, in the dataset's order.
    """

    found: str
    records: tuple[CaseRecord, ...]


class Task(ABC):
    """How models are asked, and how what they answer is scored.

    Attributes:
        name: as in a contract and on the command line.
        options: that change the numbers of a case: part of its cache key, and in the results file.
        baselines: zoo names of models that are run on the same cases, always.
    """

    name: str
    options: Mapping[str, Any]
    baselines: tuple[str, ...] = ()

    @classmethod
    @abstractmethod
    def of(cls, model: Model, options: Options) -> Task:
        """The task as a run's options have it, for the model that is asked about.

        Raises:
            UsageError: the model cannot be asked this.
        """

    def introduction(self) -> list[str]:
        """Lines that tell a person, before the first case, what is asked."""
        return []

    @abstractmethod
    def check(self, dataset: Dataset) -> None:
        """Refuse a dataset none of whose cases could be scored.

        Raises:
            UsageError: says what its cases lack.
        """

    def takes_part(self, case: Any) -> bool:
        """Whether anything says what is true of this case. If not, it is counted, named, and not run."""
        return True

    def key(self, case: Any) -> dict[str, Any]:
        """What a record depends on besides model, options and the bytes of the case's files (JSON values)."""
        return {}

    def facts(self, case: Any) -> dict[str, Any]:
        """Fields of a record that are known before anything is run.

        Raises:
            CaseError: the case cannot be read.
        """
        return geometry(case)

    @abstractmethod
    def reference(self, case: Any) -> Any:
        """What is true of the case.

        Raises:
            CaseError: it cannot be read; the case is then a failure.
        """

    def prepare(self, model: Model, case: Any) -> Any:
        """What the model is fed."""
        return model.prepare(case)

    def infer(self, model: Model, prepared: Any) -> Any:
        """The model's raw answer. Called from one thread, in the cases' order."""
        return model.infer(prepared)

    def finish(self, model: Model, raw: Any, prepared: Any) -> Any:
        """The answer."""
        return model.finish(raw, prepared)

    def keep(self, case: Any, answer: Any) -> dict[str, Any]:
        """Keep an answer of the model that is asked about, before it is scored; fields of its record.

        Raises:
            RunError: it cannot be written.
        """
        return {}

    def is_kept(self, case: Any, record: CaseRecord) -> bool:
        """Whether what ``keep`` left is still there; if not, the case is run again."""
        return True

    @abstractmethod
    def score(self, answer: Any, reference: Any, facts: Mapping[str, Any]) -> dict[str, Any]:
        """An answer against the reference: fields of a record, ``metrics`` among them.

        Args:
            answer: from ``finish``.
            reference: from ``reference``.
            facts: from ``facts``.

        Raises:
            VoxzooError: it cannot be scored; the case is then a failure.
        """

    def truth(self, model: Model, case: Any, reference: Any, facts: Mapping[str, Any]) -> dict[str, Any]:
        """Fields that the record of a case without a score has: what the model missed.

        ``reference`` is None where it could not be read, ``facts`` may be empty; this raises nothing.
        """
        return {}

    @abstractmethod
    def summarise(self, model: Model, records: Sequence[CaseRecord], seed: int) -> Summary:
        """All records of one model, failures included, as figures."""

    def made_baselines(self, records: Sequence[CaseRecord]) -> dict[str, Made]:
        """Name -> baseline, made from the records of the model that is asked about."""
        return {}


def case_facts(case: Any) -> dict[str, str]:
    """What a dataset says about a case, as text; the grade among it where it is known.

    Example:
        >>> from types import SimpleNamespace
        >>> case_facts(SimpleNamespace(grade="high", facts={"site": 3}))
        {'site': '3', 'grade': 'high'}
    """
    grade = getattr(case, "grade", None)
    return {**{str(k): str(v) for k, v in case.facts.items()}, **({"grade": grade} if grade else {})}


def geometry(case: Any) -> dict[str, Any]:
    """Shape, spacing, axial slices and diagonal of a volume's native grid; nothing for a plain image."""
    if not hasattr(case, "grid"):
        return {}
    grid = case.grid()
    spacing = tuple(float(s) for s in grid.spacing_mm)
    axial = next((axis for axis, code in enumerate(grid.codes) if code in "SI"), None)
    return {
        "shape": tuple(int(n) for n in grid.shape),
        "spacing_mm": spacing,
        "slices": int(grid.shape[axial]) if axial is not None else 0,
        "diagonal_mm": diagonal_mm(grid.shape, spacing),
    }


def check_own_task(model: Model, name: str) -> None:
    """Refuse to ask a model for something else than it was made for.

    Raises:
        UsageError: says what the model does.
    """
    if model.contract.task != name:
        raise UsageError(
            f"task: {model.name} was made to {model.contract.task}, it cannot be asked to {name}"
        )
