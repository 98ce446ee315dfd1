"""The door for a network of one's own: an ``nn.Module`` and a contract in, a proved model file out."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..zoo.datasets import Dataset, open_dataset
from ..zoo.errors import UsageError
from .delivery import Exporter, ExportReport, Origin, example_cases

if TYPE_CHECKING:
    from torch import nn

    from ..zoo.contract import Contract

__all__ = ["ExportReport", "from_torch"]

#: Cases of a dataset that an export is proved on where nobody says how many.
SOME = 4


def from_torch(
    network: nn.Module,
    contract: Contract,
    path: str | os.PathLike[str],
    *,
    format: str = "onnx",
    check: Any = None,
    fast: bool = True,
    tolerance: float | None = None,
) -> ExportReport:
    """Export a network, prove that the file answers as it does, and say how well.

    Args:
        network: (N, C, D, H, W) or (N, C, H, W) -> what the contract's output says, in eval mode. With
            ``activation="none"`` it has to give probabilities, else what the activation is applied to.
        contract: what is fed, what comes out, licence; ``content_sha256`` is filled in.
        path: of the file; replaced in one step, and only if all is well.
        format: a name of ``formats.FORMATS``.
        check: cases to prove it on: a dataset's folder, "phantom:n=2", a Dataset, or a list of cases; None
            makes two. With references, the report says how much Dice is lost.
        fast: rewrite the graph where that is exact and faster.
        tolerance: largest difference of an exact format; None takes what rounding explains.

    Returns:
        The report; ``print`` it.

    Raises:
        ContractError: contract and network contradict each other.
        ModelError: it cannot be exported, or the file differs too much and was not kept.
        RunError: the folder cannot be written.
        UsageError: an unknown format.

    Example:
        >>> import tempfile, torch, voxzoo
        >>> from voxzoo.zoo.contract import Contract, InputSpec, LicenceSpec, OutputSpec
        >>> contract = Contract(
        ...     name="mine", version="1", task="segment", labels={1: "whole_tumour"},
        ...     input=InputSpec("image", ("flair",), shape=(8, 8, 8), spacing_mm=(20, 20, 20)),
        ...     output=OutputSpec("logits", "regions", ("wt",), activation="sigmoid"),
        ...     licence=LicenceSpec("Apache-2.0", "no data", "confirmed"),
        ... )
        >>> report = from_torch(torch.nn.Conv3d(1, 1, 3, padding=1), contract, tempfile.mkdtemp() + "/m.onnx")
        >>> report.parity.error < 1e-5
        True
        >>> voxzoo.evaluate(report.path, "phantom:n=1,shape=32x40x32").aggregate["dice"].n
        1
    """
    exporter = Exporter(Origin.of_network(network, contract), cases_of(check, contract), fast, tolerance)
    return exporter.write(format, Path(path))


def cases_of(check: Any, contract: Contract, limit: int = SOME) -> Sequence[Any]:
    """Cases to prove an export on.

    Args:
        check: as ``from_torch`` takes it.
        contract: of the model.
        limit: how many of a dataset; a list of cases is taken whole.

    Raises:
        UsageError: no case at all.
    """
    if check is None:
        return example_cases(contract)
    if isinstance(check, str | os.PathLike):
        check = open_dataset(check)
    cases = check.select(limit=min(limit, len(check))).cases if isinstance(check, Dataset) else list(check)
    if not cases:
        raise UsageError("no case to prove the export on: give at least one")
    return cases
