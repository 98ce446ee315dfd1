"""The proof that an exported file answers as the network it was made of: on cases, not on numbers alone."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..eval.overlap import dice
from ..zoo.errors import ModelError
from ..zoo.mask import Mask
from ..zoo.registry import as_model
from ..zoo.tasks.segment import REGIONS, region_mask

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..zoo.contract import Contract
    from ..zoo.runtimes.base import Port, RuntimeInfo, Session

#: Largest Dice that a file of reduced precision may lose, mean over cases and regions; of a classifier the
#: largest share of cases whose class changes.
MAX_LOSS = 0.002


@dataclass(frozen=True)
class Gate:
    """What a file has to keep.

    Attributes:
        error: largest difference of the network's outputs; infinite where precision was given up on purpose.
        loss: largest mean loss of Dice, or share of changed classes.
    """

    error: float = math.inf
    loss: float = MAX_LOSS


@dataclass(frozen=True)
class CaseParity:
    """One case through both.

    Attributes:
        case: its id.
        error: largest absolute difference of the outputs.
        agreement: segmenters: least Dice between both masks over the regions. Classifiers: 1.0 if the class
            is the same, else 0.0.
        dice: mean Dice against the reference (network, file); None without one, and for classifiers.
    """

    case: str
    error: float
    agreement: float
    dice: tuple[float, float] | None = None

    @property
    def loss(self) -> float:
        """Dice lost against the reference; where there is none, what the answers do not share."""
        return 1.0 - self.agreement if self.dice is None else self.dice[0] - self.dice[1]


@dataclass(frozen=True)
class Parity:
    """All cases through both.

    Attributes:
        runtime: what ran the file.
        cases: in their order.

    Example:
        >>> parity = Parity("onnxruntime", (CaseParity("a", 1e-7, 1.0, (0.9, 0.9)),))
        >>> print(parity)
        1 case on onnxruntime: largest difference 1.0e-07, Dice 0.9000 -> 0.9000, least agreement 1.0000
    """

    runtime: str
    cases: tuple[CaseParity, ...]

    @property
    def error(self) -> float:
        """Largest absolute difference of the network's outputs."""
        return max(c.error for c in self.cases)

    @property
    def loss(self) -> float:
        """Mean loss over the cases."""
        return float(np.mean([c.loss for c in self.cases]))

    def __str__(self) -> str:
        count = f"{len(self.cases)} case{'s' if len(self.cases) != 1 else ''} on {self.runtime}"
        return f"{count}: largest difference {self.error:.1e}, {self._answers()}"

    def _answers(self) -> str:
        pairs = [c.dice for c in self.cases if c.dice is not None]
        least = f"least agreement {min(c.agreement for c in self.cases):.4f}"
        if not pairs:
            changed = sum(c.agreement < 1 for c in self.cases)
            return f"{changed} of {len(self.cases)} answers changed, {least}"
        before, after = np.mean(pairs, axis=0)
        return f"Dice {before:.4f} -> {after:.4f}, {least}"

    def check(self, gate: Gate, what: str) -> None:
        """Refuse a file that lost too much.

        Raises:
            ModelError: with the figure and its limit.
        """
        if not self.error <= gate.error:
            raise ModelError(
                f"{what}: differs by {self.error:.1e}, more than the {gate.error:.0e} of rounding; not kept"
            )
        if not self.loss <= gate.loss:
            raise ModelError(f"{what}: loses {self.loss:.4f}, more than {gate.loss:g} ({self}); not kept")


class Witness:
    """What a network answers on cases, kept to compare its files with.

    Args:
        contract: of the network and of every file that is compared.
        session: the network as it is.
        cases: at least one, of the contract's kind.

    Attributes:
        inputs: what the network was fed, each (1, C, ...).

    Raises:
        CaseError: a case cannot be read or lacks a modality.
        ModelError: the network fails on one.
        ContractError: the network's answers are not what the contract says.
    """

    def __init__(self, contract: Contract, session: Session, cases: Sequence[Any]) -> None:
        self._contract, self._cases = contract, list(cases)
        recorded = Recorded(session)
        model = as_model(contract, recorded, contract.name, contract.content_sha256)
        self._seen = [(model.predict(case).answer, recorded.taken()) for case in self._cases]
        self.inputs = [x for _, record in self._seen for x, _ in record]

    def compare(self, session: Session) -> Parity:
        """The same cases through a file.

        Raises:
            ModelError: the file cannot be run on one.
            ContractError: its inputs or outputs are not the contract's.
        """
        recorded = Recorded(session)
        model = as_model(self._contract, recorded, self._contract.name, self._contract.content_sha256)
        found = []
        for number, (case, (answer, record)) in enumerate(zip(self._cases, self._seen, strict=True), 1):
            new = model.predict(case).answer
            outputs = zip(record, recorded.taken(), strict=True)
            error = max(float(np.abs(a - b).max()) for (_, a), (_, b) in outputs)
            found.append(_compared(getattr(case, "id", f"case {number}"), case, error, answer, new))
        return Parity(session.info.name, tuple(found))


class Recorded:
    """A session that keeps what it was fed and what it answered."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self.info: RuntimeInfo = session.info
        self.inputs: tuple[Port, ...] = session.inputs
        self.outputs: tuple[Port, ...] = session.outputs
        self._record: list[tuple[NDArray[np.float32], NDArray[np.float32]]] = []

    def run(self, tensor: NDArray[np.float32], output: str | None = None) -> NDArray[np.float32]:
        """As ``Session.run``."""
        answer = self._session.run(tensor, output)
        self._record.append((tensor.copy(), answer.copy()))
        return answer

    def taken(self) -> list[tuple[NDArray[np.float32], NDArray[np.float32]]]:
        """The record, which begins anew."""
        record, self._record = self._record, []
        return record


def _compared(name: str, case: Any, error: float, old: Any, new: Any) -> CaseParity:
    if isinstance(old, Mask):
        return CaseParity(name, error, _agreement(old, new), _against_reference((old, new), case))
    return CaseParity(name, error, float(old.index == new.index))


def _agreement(old: Mask, new: Mask) -> float:
    """Least Dice over the regions, or over the labels where there are none."""
    names = list(old.regions) or list(old.labels.values())
    return min(dice(old.region(name), new.region(name)) for name in names)


def _against_reference(masks: Sequence[Mask], case: Any) -> tuple[float, float] | None:
    """Mean Dice over the glioma regions of both masks; None without a reference."""
    names = [name for name in masks[0].regions if name in REGIONS]
    labels = case.read_reference() if names and case.has_reference else None
    if labels is None:
        return None
    truth = {name: region_mask(labels, name) for name in names}
    means = [float(np.mean([dice(m.region(n), truth[n]) for n in names])) for m in masks]
    return means[0], means[1]
