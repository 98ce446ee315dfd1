"""What every kind of model file says of itself: its size, its hashes, the contract inside."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, TypeVar

from .contract import Contract
from .errors import ContractError, IntegrityError
from .prompt_contract import PromptContract

KEY = "voxzoo.contract"
AnyContract = TypeVar("AnyContract", Contract, PromptContract)


@dataclass(frozen=True)
class ModelFile(Generic[AnyContract]):
    """A model file that was read.

    Attributes:
        name: the path, for messages.
        size: bytes.
        sha256: of the whole file.
        content_sha256: of what the contract vouches for: everything but the contract itself.
        metadata: key -> value; the contract's JSON stands under ``KEY``.
    """

    name: str
    size: int
    sha256: str
    content_sha256: str
    metadata: dict[str, str]
    place: ClassVar[str] = "metadata"
    lost: ClassVar[str] = "its input channels, spacing and labels are unknown"
    read: ClassVar[Callable[[str], Any]] = Contract.from_json

    @property
    def form(self) -> str:
        """What kind of file it is, in words."""
        raise NotImplementedError

    def contract(self) -> AnyContract:
        """The contract in the file, its content hash checked against the bytes.

        Raises:
            ContractError: there is none, or it is not valid.
            IntegrityError: it belongs to other bytes.
        """
        if KEY not in self.metadata:
            raise ContractError(
                f"{self.name}: no contract inside ({self.place} has no {KEY!r}), so {self.lost}; "
                "give them with --contract FILE"
            )
        try:
            contract = type(self).read(self.metadata[KEY])
        except ContractError as error:
            raise ContractError(f"{self.name}: {error}") from error
        if not contract.content_sha256:
            raise ContractError(f"{self.name}: contract field content_sha256: missing")
        self.check(contract)
        return contract

    def check(self, contract: AnyContract) -> None:
        """Refuse a contract that names other bytes than these."""
        if contract.content_sha256 and contract.content_sha256 != self.content_sha256:
            raise IntegrityError(
                f"{self.name}: the contract belongs to content {contract.content_sha256}, the file holds "
                f"{self.content_sha256}: it was changed after the contract was written"
            )
