"""The task ``classify``: one class for a whole case, with probabilities, against the class that is true.

What is true is the fact of a case that the contract's output names as its ``target`` ("grade", "class"). A
case without that fact takes no part, and is counted and named; a class that the model does not know makes its
case a failure, since no answer could be right.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ...zoo.errors import LabelError, ModelError, UsageError
from ..class_summary import summarise_classes
from ..probabilities import briers, nlls
from ..records import NO_REFERENCE, SCORED
from .base import Made, Task, case_facts, check_own_task

if TYPE_CHECKING:
    from ...zoo.datasets import Dataset
    from ...zoo.model import Model
    from ...zoo.tasks.classify import Classification
    from ..aggregate import Summary
    from ..options import Options
    from ..records import CaseRecord

MAJORITY = "baseline:majority-class"
ROUNDING = 1e-3
"""How far from 1 probabilities may add up: float16 and bf16 runtimes round."""


class Classify(Task):
    """Classes.

    Args:
        classes: in the order of the model's channels.
        target: name of the fact that holds the true one.
    """

    name = "classify"

    def __init__(self, classes: Sequence[str], target: str) -> None:
        self.classes, self.target = tuple(classes), target
        self.options = {}

    @classmethod
    def of(cls, model: Model, options: Options) -> Classify:
        """Raises: UsageError: the model answers no classes, or does not say which fact they are."""
        check_own_task(model, cls.name)
        output = model.contract.output
        if not output.target:
            raise UsageError(
                f"{model.name}: its contract does not say which fact of a case holds the true class "
                "(output.target), so there is nothing to score against"
            )
        return cls(output.channels, output.target)

    def introduction(self) -> list[str]:
        """What is asked."""
        return [f"asked    {self.target}: {', '.join(self.classes)}"]

    def check(self, dataset: Dataset) -> None:
        """Refuse a dataset without one case whose class is known."""
        if not any(self.takes_part(case) for case in dataset.cases):
            facts = sorted({name for case in dataset.cases for name in case_facts(case)})
            raise UsageError(
                f"{dataset.name}: none of its {len(dataset.cases)} cases says its {self.target!r}, so there "
                f"is nothing to score against (facts there are: {', '.join(facts) or 'none'})"
            )

    def takes_part(self, case: Any) -> bool:
        """Whether the true class is known."""
        return bool(self._word(case))

    def key(self, case: Any) -> dict[str, Any]:
        """The true class: it stands in no file of the case."""
        return {"reference": self._word(case)}

    def reference(self, case: Any) -> str:
        """The true class.

        Raises:
            LabelError: none that the model knows.
        """
        word = self._word(case)
        if word not in self.classes:
            raise LabelError(
                f"{case.id}: its {self.target} is {word!r}, the model knows {', '.join(self.classes)}"
            )
        return word

    def score(self, answer: Classification, reference: str, facts: Mapping[str, Any]) -> dict[str, Any]:
        """Right or wrong, and how probable the truth was thought to be."""
        values = self._checked(answer)
        truth = self.classes.index(reference)
        label = self.classes[int(np.argmax(values))]
        return {
            "reference": reference,
            "answer": {
                "label": label,
                "probabilities": dict(zip(self.classes, values.tolist(), strict=True)),
            },
            "metrics": {
                "correct": float(label == reference),
                "p_true": float(values[truth]),
                "nll": float(nlls(values[truth])),
                "brier": float(briers(values[None], [truth])[0]),
            },
        }

    def truth(self, model: Model, case: Any, reference: Any, facts: Mapping[str, Any]) -> dict[str, Any]:
        """The class that was missed."""
        return {"reference": self._word(case)}

    def summarise(self, model: Model, records: Sequence[CaseRecord], seed: int) -> Summary:
        """Figures over cases; what they are of stands beside them."""
        summary = summarise_classes(records, self.classes, seed)
        return replace(summary, details={"target": self.target, **summary.details})

    def made_baselines(self, records: Sequence[CaseRecord]) -> dict[str, Made]:
        """Always the most frequent class of these cases, as probable as it is frequent."""
        sizes = Counter(r.reference for r in records if r.reference in self.classes)
        if not sizes:
            return {}
        shares = {name: sizes[name] / sizes.total() for name in self.classes}
        return {
            MAJORITY: Made(
                f"always {max(shares, key=shares.__getitem__)!r}, the most frequent class of these cases",
                tuple(self._answered(record, shares) for record in records),
            )
        }

    def _answered(self, record: CaseRecord, shares: Mapping[str, float]) -> CaseRecord:
        """What a baseline that knows only how frequent classes are makes of a case."""
        record = replace(record, model=MAJORITY, key="", seconds={}, answer={}, metrics={})
        if record.status == NO_REFERENCE or record.reference not in self.classes:
            return record
        from ...zoo.tasks.classify import Classification

        labels = dict(enumerate(self.classes))
        answer = Classification(labels, np.array([shares[name] for name in self.classes], np.float32))
        return replace(record, status=SCORED, reason="", **self.score(answer, record.reference, {}))

    def _word(self, case: Any) -> str:
        return case.fact(self.target) or ""

    def _checked(self, answer: Classification) -> np.ndarray:
        """Probabilities (K,) in the order of the classes, float64.

        Raises:
            ModelError: other classes than the contract's, or numbers that are no probabilities.
        """
        values = np.asarray(answer.probabilities, dtype=np.float64)
        named = tuple(answer.labels[index] for index in sorted(answer.labels))
        if named != self.classes or values.shape != (len(self.classes),):
            raise ModelError(
                f"the answer is {values.shape} for the classes {', '.join(named)}, expected one probability "
                f"for each of {', '.join(self.classes)}"
            )
        if not (np.isfinite(values).all() and (values >= 0).all() and abs(values.sum() - 1) <= ROUNDING):
            raise ModelError(f"the answer {values.tolist()} is no set of probabilities: 0 or more, sum 1")
        return values
