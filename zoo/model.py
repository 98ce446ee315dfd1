"""A model: a contract and a runtime that can ``predict(case)``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from . import decode
from .contract import Contract
from .errors import ContractError, ModelError
from .inputs import as_case
from .mask import Mask
from .preprocess import Prepared, prepare

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from .cases import Case
    from .runtimes.base import Port, RuntimeInfo, Session


@dataclass(frozen=True, eq=False)
class Prediction:
    """A mask, and the wall-clock seconds of "prepare", "infer" and "finish"."""

    mask: Mask
    seconds: dict[str, float]


class Model(Protocol):
    """What the rest of voxzoo knows of a model.

    The three steps of a prediction are apart so that the reading of one case can overlap the computing of
    another; what passes between them is the model's own business.
    """

    contract: Contract
    name: str
    reference: str
    """How it was found, printable: "bundled zoo model cnn3d-seg 1.0.0", "file ./mine.onnx"."""
    content_hash: str
    runtime: RuntimeInfo

    def prepare(self, case: Case) -> Any:
        """Read and preprocess a case."""
        ...

    def infer(self, prepared: Any) -> Any:
        """Run the network."""
        ...

    def finish(self, answer: Any, prepared: Any) -> Mask:
        """Turn the answer into labels on the case's own grid."""
        ...

    def predict(self, case: Case) -> Prediction:
        """All three steps, timed."""
        ...

    def __call__(
        self, x: Any, spacing_mm: Sequence[float] | None = None, affine: ArrayLike | None = None
    ) -> Mask:
        """A mask for a folder, files, an array or a case; see ``inputs.as_case``."""
        ...


class Steps:
    """``predict`` and ``__call__`` of every model, from its three steps."""

    contract: Contract

    def prepare(self, case: Case) -> Any:
        """Read and preprocess a case."""
        raise NotImplementedError

    def infer(self, prepared: Any) -> Any:
        """Run the network."""
        raise NotImplementedError

    def finish(self, answer: Any, prepared: Any) -> Mask:
        """Turn the answer into labels on the case's own grid."""
        raise NotImplementedError

    def predict(self, case: Case) -> Prediction:
        """Predict one case.

        Args:
            case: has the modalities that the contract names.

        Returns:
            The mask on the case's own grid, and the seconds of each step.

        Raises:
            CaseError: the case lacks a modality or cannot be read.
            ModelError: the network fails on it.
        """
        times = [perf_counter()]
        prepared = self.prepare(case)
        times.append(perf_counter())
        answer = self.infer(prepared)
        times.append(perf_counter())
        mask = self.finish(answer, prepared)
        times.append(perf_counter())
        names = ("prepare", "infer", "finish")
        return Prediction(mask, {n: b - a for n, a, b in zip(names, times[:-1], times[1:], strict=True)})

    def __call__(
        self, x: Any, spacing_mm: Sequence[float] | None = None, affine: ArrayLike | None = None
    ) -> Mask:
        """Segment one patient.

        Args:
            x: a patient's folder; a dict modality -> NIfTI path, or -> (4-D NIfTI path, index); an array
                (C, D, H, W) with the channels in the contract's order; a Case.
            spacing_mm: of an array: mm along (D, H, W).
            affine: of an array, instead of the spacing: (4, 4), index -> mm. Without it D runs to superior,
                H to posterior, W to left.

        Returns:
            A Mask on the input's own grid and in its axis order.

        Raises:
            InputError: an input that cannot be used (channels, axes, spacing).
            CaseError: the patient cannot be read, or lacks a modality.
            ModelError: the network fails on it.
        """
        return self.predict(as_case(x, self.contract.input.channels, spacing_mm, affine)).mask


class VolumeModel(Steps):
    """A network from volume to volume, run in a session of some runtime.

    Args:
        contract: what the file says.
        session: the opened file.
        reference: how it was found, printable.
        content_hash: sha256 of the file's content.

    Raises:
        ContractError: inputs and outputs of the network are not what the contract says.
    """

    def __init__(self, contract: Contract, session: Session, reference: str, content_hash: str) -> None:
        check_ports(contract, session)
        self.contract = contract
        self.name = contract.name
        self.reference = reference
        self.content_hash = content_hash
        self.runtime = session.info
        self._session = session

    def __repr__(self) -> str:
        return f"<voxzoo model {self.name} {self.contract.version}: {self.reference}; {self.runtime}>"

    def prepare(self, case: Case) -> Prepared:
        """The network's input for ``case``, and the way back.

        Raises:
            CaseError: as ``preprocess.prepare``.
        """
        return prepare(case, self.contract.input)

    def infer(self, prepared: Prepared) -> NDArray[np.float32]:
        """Probabilities (K, D, H, W), float32, on the network's grid.

        Raises:
            ModelError: the network fails, or gives another shape than it should, or NaN.
        """
        output = self.contract.output
        raw = np.asarray(self._session.run(prepared.tensor[None], output.name), dtype=np.float32)
        wanted = (1, len(output.channels), *self.contract.input.shape)
        if raw.shape != wanted:
            raise ModelError(f"{self.name}: the network gave shape {raw.shape}, expected {wanted}")
        if not np.isfinite(raw.sum(dtype=np.float64)):
            raise ModelError(f"{self.name}: the network gave NaN or infinity")
        return decode.activate(raw[0], output.activation)

    def finish(self, answer: NDArray[np.float32], prepared: Prepared) -> Mask:
        """The mask on the case's own grid, from probabilities (K, D, H, W)."""
        plan, contract = prepared.plan, self.contract
        labels = decode.decode(answer, plan, contract)
        return Mask(labels, contract.labels, plan.grid.affine, contract.regions)


def check_ports(contract: Contract, session: Session) -> None:
    """Refuse a contract that speaks of other inputs and outputs than the network has.

    Raises:
        ContractError: says what the contract and what the network say.
    """
    spec, output = contract.input, contract.output
    if len(session.inputs) != 1:
        names = ", ".join(p.name for p in session.inputs)
        raise ContractError(
            f"{contract.name}: the network has {len(session.inputs)} inputs ({names}), expected one"
        )
    source = session.inputs[0]
    _check_port(contract.name, "input", source, spec.name, (1, len(spec.channels), *spec.shape))
    if source.dtype != "float32":
        raise ContractError(f"{contract.name}: the network takes {source.dtype}, voxzoo feeds float32")
    outputs = {p.name: p for p in session.outputs}
    if output.name not in outputs:
        raise ContractError(
            f"{contract.name}: the contract says output {output.name!r}, the network has {', '.join(outputs)}"
        )
    shape = (1, len(output.channels), *spec.shape)
    _check_port(contract.name, "output", outputs[output.name], output.name, shape)


def _check_port(model: str, what: str, port: Port, name: str, shape: tuple[int, ...]) -> None:
    fits = len(port.shape) == len(shape) and all(
        n is None or n == m for n, m in zip(port.shape, shape, strict=True)
    )
    if port.name != name or not fits:
        free = tuple("?" if n is None else n for n in port.shape)
        raise ContractError(
            f"{model}: the contract says {what} {name!r} of shape {shape}, the network has {port.name!r} of "
            f"shape ({', '.join(map(str, free))})"
        )
