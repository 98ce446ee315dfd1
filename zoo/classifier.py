"""A model that classifies: a case goes in, a volume or a 2-D image, and one class comes out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .contract import Contract, ImageSpec
from .errors import ModelError
from .images import PreparedImage, prepare_image
from .inputs import check_case
from .model import Steps
from .ports import check_ports
from .tasks.classify import Classification, softmax

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .preprocess import Prepared
    from .runtimes.base import Session

SUM_TOLERANCE = 1e-3
"""How far a network's own probabilities may be from adding up to 1: what half precision loses."""


class ClassifierModel(Steps):
    """A network from a volume or a 2-D image to classes, run in a session of some runtime.

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

    def prepare(self, case: Any) -> Prepared | PreparedImage:
        """The network's input for a case: its ``tensor`` is (C, D, H, W) or (C, H, W).

        Args:
            case: a Case; for a model of 2-D images an ImageCase or an array as ``prepare_image`` takes.

        Raises:
            CaseError: the case is of the other kind; else as ``preprocess.prepare`` or ``prepare_image``.
        """
        spec = self.contract.input
        check_case(case, spec)
        if isinstance(spec, ImageSpec):
            return PreparedImage(prepare_image(case, spec))
        from .preprocess import prepare

        return prepare(case, spec)

    def infer(self, prepared: Prepared | PreparedImage) -> NDArray[np.float32]:
        """What the network gives: (K,) float32, logits or probabilities as the contract's activation says.

        Raises:
            ModelError: the network fails, or gives another shape than it should, or NaN.
        """
        output = self.contract.output
        raw = np.asarray(self._session.run(prepared.tensor[None], output.name), dtype=np.float32)
        wanted = (1, len(output.channels))
        if raw.shape != wanted:
            raise ModelError(f"{self.name}: the network gave shape {raw.shape}, expected {wanted}")
        if not np.isfinite(raw).all():
            raise ModelError(f"{self.name}: the network gave NaN or infinity")
        return raw[0]

    def finish(self, answer: NDArray[np.float32], prepared: Prepared | PreparedImage) -> Classification:
        """The classification, from what ``infer`` gave.

        Raises:
            ModelError: the contract says that these are probabilities, and they are not.
        """
        output = self.contract.output
        if output.activation == "softmax":
            answer = softmax(answer, output.temperature)
        elif answer.min() < 0 or abs(float(answer.sum(dtype=np.float64)) - 1) > SUM_TOLERANCE:
            raise ModelError(
                f"{self.name}: the network gave {answer.tolist()}, which are no probabilities: "
                'is the activation in its contract "softmax"?'
            )
        return Classification(self.contract.labels, answer)
