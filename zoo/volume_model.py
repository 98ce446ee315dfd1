"""A model that segments volumes: the network of a contract, run in a session of some runtime."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import numpy as np

from . import decode
from .contract import Contract, InputSpec
from .errors import ModelError
from .flips import check_flips, mean_over_flips
from .inputs import check_case
from .mask import Mask
from .model import Steps
from .ports import check_ports
from .preprocess import Prepared, prepare

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .cases import Case
    from .runtimes.base import Session


class VolumeModel(Steps):
    """A network from volume to volume, run in a session of some runtime.

    Args:
        contract: what the file says.
        session: the opened file.
        reference: how it was found, printable.
        content_hash: sha256 of the file's content.
        flips: a word of ``flips.FLIPS``: probabilities are means over so mirrored copies of the input.

    Raises:
        ContractError: inputs and outputs of the network are not what the contract says.
        UsageError: unknown flips, or labels that have a side.
    """

    def __init__(
        self, contract: Contract, session: Session, reference: str, content_hash: str, flips: str = "none"
    ) -> None:
        check_ports(contract, session)
        self.flips = check_flips(flips, contract.labels.values())
        self.contract = contract
        self._spec = cast(InputSpec, contract.input)  # a contract that segments has no other
        self.name = contract.name
        self.reference = reference
        self.content_hash = content_hash
        self.runtime = session.info
        self._session = session

    def __repr__(self) -> str:
        return f"<voxzoo model {self.name} {self.contract.version}: {self.reference}; {self.runtime}>"

    @property
    def settings(self) -> dict[str, str]:
        """What was chosen when the model was loaded and changes its answers."""
        return {"flips": self.flips}

    def prepare(self, case: Case) -> Prepared:
        """The network's input for ``case``, and the way back.

        Raises:
            CaseError: it is an image; else as ``preprocess.prepare``.
        """
        check_case(case, self._spec)
        return prepare(case, self._spec)

    def infer(self, prepared: Prepared) -> NDArray[np.float32]:
        """Probabilities (K, D, H, W), float32, on the network's grid.

        Raises:
            ModelError: the network fails, or gives another shape than it should, or NaN.
        """
        return self.probabilities(prepared.tensor)

    def probabilities(self, tensor: NDArray[np.float32]) -> NDArray[np.float32]:
        """What the network says of its input (C, D, H, W): (K, D, H, W) float32, the mean over the flips."""
        return mean_over_flips(self._run, tensor, self.flips)

    def _run(self, tensor: NDArray[np.float32]) -> NDArray[np.float32]:
        output = self.contract.output
        raw = np.asarray(self._session.run(tensor[None], output.name), dtype=np.float32)
        wanted = (1, len(output.channels), *self._spec.shape)
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
